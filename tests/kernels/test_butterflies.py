"""Transforms of 2, 4 and 8 points against their definition, on words that drive every sum to its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from zkvm.field.goldilocks import FieldArray, P, root_of_unity
from zkvm.kernels.source import tiles
from zkvm.kernels.source.butterflies import join2, join4, join8, split2, split4, split8
from zkvm.kernels.source.words import LANES

WORDS = [0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, P - 2**32, P - 1, P, 2**64 - 2**32, 2**64 - 1]
RUNS = 512


@njit
def run(size: Any, values: Any, factors: Any, joined: Any, parted: Any) -> None:
    v, f, j, s = values.reshape(-1), factors.reshape(-1), joined.reshape(-1), parted.reshape(-1)
    count = values.shape[1]
    for i in range(0, count, LANES):
        if size == 8:
            tiles.store8(j, i, count, join8(tiles.load8(v, i, count), tiles.load7(f, i, count)))
            tiles.store8(s, i, count, split8(tiles.load8(v, i, count)))
        elif size == 4:
            tiles.store4(j, i, count, join4(tiles.load4(v, i, count), tiles.load3(f, i, count)))
            tiles.store4(s, i, count, split4(tiles.load4(v, i, count)))
        else:
            tiles.store2(j, i, count, join2(tiles.load2(v, i, count), tiles.load2(f, i, 0)[:1]))
            tiles.store2(s, i, count, split2(tiles.load2(v, i, count)))


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
    values, factors = words(size, size), words(size - 1, 9)
    joined, parted = np.empty_like(values), np.empty_like(values)
    run(size, values, factors, joined, parted)
    bits, root = size.bit_length() - 1, root_of_unity(size)
    order = [int(format(i, f"0{bits}b")[::-1], 2) for i in range(size)]
    for run_number in range(RUNS):
        v = [int(word) for word in values[:, run_number]]
        w = [1, *(int(word) for word in factors[:, run_number])]
        for k in range(size):
            join = sum(v[j] * w[j] * pow(root, order[j] * k, P) for j in range(size)) % P
            assert int(joined[k, run_number]) % P == join
            split = sum(v[j] * pow(root, -j * k, P) for j in range(size)) % P
            assert int(parted[order[k], run_number]) % P == split
