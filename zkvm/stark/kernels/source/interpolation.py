"""From values to natural-order coefficients: bit reversal and the joining of cosets."""

from __future__ import annotations

from typing import Any

from numba import int64, uint64, void

from zkvm.stark.kernels.source import goldilocks as gl
from zkvm.stark.kernels.source.entry import entry
from zkvm.stark.kernels.source.tiles import PARTS, bit_reversed, canonical_lanes, load_lanes, store_lanes, transpose
from zkvm.stark.kernels.source.transforms import WORDS
from zkvm.stark.kernels.source.vectors import add, load, mul, splat, store
from zkvm.stark.kernels.source.words import LANES

TABLES = uint64[:, ::1]


@entry(void(WORDS, int64, WORDS, int64, int64))
def bit_reverse(source: Any, first: Any, target: Any, start: Any, size: Any) -> None:
    """``target[start + rev(i)] = source[first + i]`` for i < size, a power of two >= 64.

    Takes any words and leaves canonical ones. An index is (a, middle, c) with three bits at either end: eight runs that differ
    in a, transposed, are eight runs that differ in c. Narrow registers take every other run and one half of the words at a time.
    """
    stride = size // 8
    reversed_middle = 0
    for middle in range(0, stride, 8):
        base, place = first + middle, start + reversed_middle
        for high in range(PARTS):
            for low in range(PARTS):
                rows = bit_reversed(load_lanes(source, base + high * stride + low * LANES, PARTS * stride))
                columns = bit_reversed(canonical_lanes(transpose(rows)))
                store_lanes(target, place + low * stride + high * LANES, PARTS * stride, columns)
        bit = stride >> 1
        while reversed_middle & bit != 0:
            reversed_middle ^= bit
            bit >>= 1
        reversed_middle |= bit


@entry(void(WORDS, int64, int64, WORDS))
def scale_by_powers(data: Any, start: Any, count: Any, powers: Any) -> None:
    """``data[start + i]`` times r^i for i < count, a multiple of 8, in place; ``powers``: r^0 to r^7."""
    power, step = load(powers, 0), splat(gl.power(powers[1], uint64(LANES)))
    for i in range(start, start + count, LANES):
        store(data, i, mul(load(data, i), power))
        power = mul(power, step)


@entry(void(WORDS, int64, int64, TABLES, WORDS))
def join_cosets(parts: Any, blowup: Any, size: Any, factors: Any, buffer: Any) -> None:
    """In place, word by word: part t of ``parts`` (B n) becomes the sum over j of ``factors[t, j]`` part j.

    ``buffer``: (LANES B,) scratch.
    """
    for i in range(0, size, LANES):
        for part in range(blowup):
            total = splat(gl.ZERO)
            for coset in range(blowup):
                total = add(total, mul(load(parts, coset * size + i), splat(factors[part, coset])))
            store(buffer, LANES * part, total)
        for part in range(blowup):
            store(parts, part * size + i, load(buffer, LANES * part))
