"""Sums without carries: the final reduction at its bounds, and products of the largest words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from numba import njit

from zkvm.stark.field.goldilocks import P
from zkvm.stark.kernels.source import limbs, tiles, vectors
from zkvm.stark.kernels.source.words import LANES

TOP = 2**62 - 1
PARTS = [0, 1, 2**31, 2**32 - 1, 2**32, 2**61 - 2**32, 2**61, TOP - 2**32, TOP]
WORDS = [0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, P - 1, P, 2**64 - 2**32, 2**64 - 1]


def emit(builder: Any, a: list[Any], b: list[Any]) -> list[Any]:
    """The word and the canonical word of a + 2^32 b, and the product of both as a word."""
    value = limbs.Limbs(builder, a[0], b[0])
    product = limbs.product(builder, a[0], b[0]) + limbs.zero(builder, 36)
    return [value.word(), value.canonical(), product.word()]


combine = tiles.on_two_tuples(emit, 3, "Three results.")


@njit
def run(a: Any, b: Any, out: Any) -> None:
    for i in range(0, len(a), LANES):
        left = tiles.load2(a, i, 0)
        right = tiles.load2(b, i, 0)
        tiles.store3(out.reshape(-1), i, len(a), combine(left, right))


def test_reductions_and_products() -> None:
    pairs = [(a, b) for a in PARTS for b in PARTS] + [(a, b) for a in WORDS for b in WORDS]
    pairs += [(0, 0)] * (-len(pairs) % 8)
    a, b = (np.array(column, dtype=np.uint64) for column in zip(*pairs, strict=True))
    out = np.empty((3, len(pairs)), dtype=np.uint64)
    run(a, b, out)
    for index, (x, y) in enumerate(pairs):
        if max(x, y) <= TOP:
            assert int(out[0, index]) % P == int(out[1, index]) == (x + (y << 32)) % P
        assert int(out[2, index]) % P == x * y % P


@pytest.mark.parametrize("bits", range(32, 63))
def test_zero(bits: int) -> None:
    zero = limbs.zero(ir.IRBuilder(), bits)
    low, high = (part.constant[0].constant for part in (zero.low, zero.high))
    assert (low + (high << 32)) % P == 0
    assert all(abs(part - 2**bits) <= 2 ** (bits - 31) for part in (low, high))


def test_shifts() -> None:
    """Every power of two that is a 64th root of unity or a product of two, and others: both signs and every digit."""
    powers = [*range(0, 192, 3), 1, 31, 33, 63, 65, 95, 97, -39]

    def emit_shifts(builder: Any, values: list[Any]) -> list[Any]:
        return [(limbs.shifted(builder, values[0], power) + limbs.zero(builder, 36)).word() for power in powers]

    shifts = tiles.on_one_tuple(emit_shifts, len(powers), "All shifts.")

    @njit
    def run_shifts(values: Any, out: Any) -> None:
        for i in range(0, len(values), LANES):
            results = shifts(tiles.load2(values, i, 0))
            for number in range(len(results)):
                vectors.store(out[number], i, results[number])

    values = np.array(WORDS + [0] * (-len(WORDS) % 8), dtype=np.uint64)
    out = np.empty((len(powers), len(values)), dtype=np.uint64)
    run_shifts(values, out)
    for power, row in zip(powers, out, strict=True):
        assert [int(word) % P for word in row] == [int(word) * pow(2, power, P) % P for word in values]
