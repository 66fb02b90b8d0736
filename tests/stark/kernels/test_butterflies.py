"""Transforms of 2, 4 and 8 points against their definition, on words that drive every sum to its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from zkvm.stark.field.goldilocks import FieldArray, P, root_of_unity
from zkvm.stark.kernels.source import tiles
from zkvm.stark.kernels.source.butterflies import (
    join2,
    join2_after,
    join4,
    join4_after,
    join8,
    join8_after,
    split2,
    split2_after,
    split2_scaled,
    split4,
    split4_after,
    split4_scaled,
    split8,
    split8_after,
    split8_scaled,
)
from zkvm.stark.kernels.source.words import LANES

WORDS = [0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, P - 2**32, P - 1, P, 2**64 - 2**32, 2**64 - 1]
RUNS = 512


@njit
def run(size: Any, values: Any, factors: Any, out: Any) -> None:
    """Joined, joined with a factor for the first value too, split, multiplied and split."""
    v, f, count = values.reshape(-1), factors.reshape(-1), values.shape[1]
    joined, scaled, parted, both = out[0].reshape(-1), out[1].reshape(-1), out[2].reshape(-1), out[3].reshape(-1)
    for i in range(0, count, LANES):
        if size == 8:
            tiles.store8(joined, i, count, join8(tiles.load8(v, i, count), tiles.load7(f, i + count, count)))
            tiles.store8(scaled, i, count, join8(tiles.load8(v, i, count), tiles.load8(f, i, count)))
            tiles.store8(parted, i, count, split8(tiles.load8(v, i, count)))
            tiles.store8(both, i, count, split8_scaled(tiles.load8(v, i, count), tiles.load8(f, i, count)))
        elif size == 4:
            tiles.store4(joined, i, count, join4(tiles.load4(v, i, count), tiles.load3(f, i + count, count)))
            tiles.store4(scaled, i, count, join4(tiles.load4(v, i, count), tiles.load4(f, i, count)))
            tiles.store4(parted, i, count, split4(tiles.load4(v, i, count)))
            tiles.store4(both, i, count, split4_scaled(tiles.load4(v, i, count), tiles.load4(f, i, count)))
        else:
            tiles.store2(joined, i, count, join2(tiles.load2(v, i, count), tiles.load2(f, i + count, 0)[:1]))
            tiles.store2(scaled, i, count, join2(tiles.load2(v, i, count), tiles.load2(f, i, count)))
            tiles.store2(parted, i, count, split2(tiles.load2(v, i, count)))
            tiles.store2(both, i, count, split2_scaled(tiles.load2(v, i, count), tiles.load2(f, i, count)))


def words(rows: int, seed: int) -> FieldArray:
    """Columns of one word repeated, then random columns of these words, then random words."""
    random = np.random.default_rng(seed)
    edges = np.array(WORDS, dtype=np.uint64)
    out = random.integers(0, 2**64, (rows, RUNS), dtype=np.uint64)
    out[:, : len(edges)] = edges
    out[:, len(edges) : RUNS // 2] = random.choice(edges, (rows, RUNS // 2 - len(edges)))
    return out


@pytest.mark.parametrize("size", [2, 4, 8])
def test_join_and_split(size: int) -> None:
    values, factors = words(size, size), words(size, 9)
    out = np.empty((4, *values.shape), dtype=np.uint64)
    run(size, values, factors, out)
    bits, root = size.bit_length() - 1, root_of_unity(size)
    order = [int(format(i, f"0{bits}b")[::-1], 2) for i in range(size)]
    for run_number in range(RUNS):
        v = [int(word) for word in values[:, run_number]]
        w = [int(word) for word in factors[:, run_number]]
        joined, scaled, parted, both = ([int(word) % P for word in result[:, run_number]] for result in out)
        for k in range(size):
            terms = [v[j] * pow(root, order[j] * k, P) for j in range(size)]
            assert joined[k] == (terms[0] + sum(terms[j] * w[j] for j in range(1, size))) % P
            assert scaled[k] == sum(terms[j] * w[j] for j in range(size)) % P
            inverse_terms = [v[j] * pow(root, -j * k, P) for j in range(size)]
            assert parted[order[k]] == sum(inverse_terms) % P
            assert both[order[k]] == sum(inverse_terms[j] * w[j] for j in range(size)) % P


AFTER = {
    2: (join2_after, split2_after, tiles.load2, tiles.store2),
    4: (join4_after, split4_after, tiles.load4, tiles.store4),
    8: (join8_after, split8_after, tiles.load8, tiles.store8),
}


@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("part", range(8))
def test_second_halves_of_16_32_and_64_points(count: int, part: int) -> None:
    joins, splits, load, store = AFTER[count]
    join, split = joins[part], splits[part]

    @njit
    def run_part(values: Any, joined: Any, parted: Any) -> None:
        v, runs = values.reshape(-1), values.shape[1]
        for i in range(0, runs, LANES):
            store(joined.reshape(-1), i, runs, join(load(v, i, runs)))
            store(parted.reshape(-1), i, runs, split(load(v, i, runs)))

    values = words(count, part)
    joined, parted = np.empty_like(values), np.empty_like(values)
    run_part(values, joined, parted)
    bits, root = count.bit_length() - 1, root_of_unity(8 * count)
    order = [int(format(i, f"0{bits}b")[::-1], 2) for i in range(count)]
    first = int(format(part, "03b")[::-1], 2)
    for run_number in range(RUNS):
        v = [int(word) for word in values[:, run_number]]
        for k in range(count):
            join_sum = sum(v[j] * pow(root, order[j] * (part + 8 * k), P) for j in range(count))
            assert int(joined[k, run_number]) % P == join_sum % P
            split_sum = sum(v[j] * pow(root, -j * (first + 8 * k), P) for j in range(count))
            assert int(parted[order[k], run_number]) % P == split_sum % P
