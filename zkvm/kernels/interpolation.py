"""From values to natural-order coefficients: bit reversal and the joining of cosets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, njit, uint64, void

from zkvm.kernels import goldilocks as gl
from zkvm.kernels.transforms import WORDS
from zkvm.kernels.vectors import add, canonical, load, mul, splat, store, transpose

TABLES = uint64[:, ::1]


@njit(void(WORDS, int64, int64, WORDS, int64, int64), cache=True, nogil=True)
def bit_reverse(source: Any, first: Any, count: Any, target: Any, start: Any, size: Any) -> None:
    """``target[start + rev(i)] = source[first + i]`` for i < count and 0 for count <= i < size, a power of two >= 64.

    Takes any words and leaves canonical ones. An index is (a, middle, c) with three bits at either end: eight vectors
    that differ in a, transposed, are eight vectors that differ in c.
    """
    if count < size:
        padded = np.zeros(size, dtype=np.uint64)
        padded[:count] = source[first : first + count]
        source, first = padded, 0
    stride = size // 8
    reversed_middle = 0
    for middle in range(0, stride, 8):
        base = first + middle
        r0, r1, r2, r3, r4, r5, r6, r7 = transpose(
            load(source, base),
            load(source, base + 4 * stride),
            load(source, base + 2 * stride),
            load(source, base + 6 * stride),
            load(source, base + stride),
            load(source, base + 5 * stride),
            load(source, base + 3 * stride),
            load(source, base + 7 * stride),
        )
        place = start + reversed_middle
        store(target, place, canonical(r0))
        store(target, place + 4 * stride, canonical(r1))
        store(target, place + 2 * stride, canonical(r2))
        store(target, place + 6 * stride, canonical(r3))
        store(target, place + stride, canonical(r4))
        store(target, place + 5 * stride, canonical(r5))
        store(target, place + 3 * stride, canonical(r6))
        store(target, place + 7 * stride, canonical(r7))
        bit = stride >> 1
        while reversed_middle & bit != 0:
            reversed_middle ^= bit
            bit >>= 1
        reversed_middle |= bit


@njit(void(WORDS, int64, int64, TABLES), cache=True, nogil=True)
def join_cosets(parts: Any, blowup: Any, size: Any, factors: Any) -> None:
    """In place, word by word: part t of ``parts`` (B n) becomes the sum over j of ``factors[t, j]`` part j."""
    buffer = np.empty(8 * blowup, dtype=np.uint64)
    for i in range(0, size, 8):
        for part in range(blowup):
            total = splat(gl.ZERO)
            for coset in range(blowup):
                total = add(total, mul(load(parts, coset * size + i), splat(factors[part, coset])))
            store(buffer, 8 * part, total)
        for part in range(blowup):
            store(parts, part * size + i, load(buffer, 8 * part))
