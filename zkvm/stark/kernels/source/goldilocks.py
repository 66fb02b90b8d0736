"""Scalar Goldilocks and cubic-extension arithmetic for kernels: canonical ``uint64`` in, canonical ``uint64`` out.

For what runs once a column or in sequence; loops over contiguous data use :mod:`zkvm.stark.kernels.source.vectors`, which takes as many
rows at a time as a register has lanes, whether LLVM vectorises or not. The formulas are those of :mod:`zkvm.stark.field.goldilocks` and
:mod:`zkvm.stark.field.extension`, the readable twins.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types, uint64

P = np.uint64(2**64 - 2**32 + 1)
EPSILON = np.uint64(2**32 - 1)
P_MINUS_2 = np.uint64(2**64 - 2**32 - 1)
ZERO = np.uint64(0)
ONE = np.uint64(1)
SHIFT = np.uint64(32)

EXT = types.UniTuple(uint64, 3)


@njit(uint64(uint64, uint64), nogil=True)
def add(a: np.uint64, b: np.uint64) -> np.uint64:
    """a + b."""
    complement = P - b
    difference = a - complement
    return difference + P if a < complement else difference


@njit(uint64(uint64, uint64), nogil=True)
def reduce(high: np.uint64, low: np.uint64) -> np.uint64:
    """high 2^64 + low mod p, for any two words."""
    top = high >> SHIFT
    difference = low - top
    difference = difference - EPSILON if low < top else difference
    term = (high & EPSILON) * EPSILON
    total = difference + term
    total = total + EPSILON if total < term else total
    return total - P if total >= P else total


@njit(uint64(uint64, uint64), nogil=True)
def mul(a: np.uint64, b: np.uint64) -> np.uint64:
    """a b; the operands may be any 64-bit words."""
    a_low = a & EPSILON
    a_high = a >> SHIFT
    b_low = b & EPSILON
    b_high = b >> SHIFT
    low_low = a_low * b_low
    middle = a_high * b_low + (low_low >> SHIFT)
    middle_low = a_low * b_high + (middle & EPSILON)
    low = (low_low & EPSILON) | (middle_low << SHIFT)
    high = a_high * b_high + (middle >> SHIFT) + (middle_low >> SHIFT)
    return reduce(high, low)


@njit(uint64(uint64, uint64), nogil=True)
def power(base: np.uint64, exponent: np.uint64) -> np.uint64:
    """base^exponent (0^0 = 1)."""
    result = ONE
    while exponent != ZERO:
        if exponent & ONE != ZERO:
            result = mul(result, base)
        base = mul(base, base)
        exponent = exponent >> ONE
    return result


@njit(uint64(uint64), nogil=True)
def inverse(a: np.uint64) -> np.uint64:
    """a^(p-2): 1 / a, and 0 for 0 (the caller excludes it)."""
    return power(a, P_MINUS_2)


@njit(EXT(uint64, uint64, uint64, uint64, uint64, uint64), nogil=True)
def ext_mul(
    a0: np.uint64, a1: np.uint64, a2: np.uint64, b0: np.uint64, b1: np.uint64, b2: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Product of two elements of F_p[x] / (x^3 - x - 1)."""
    c3 = add(mul(a1, b2), mul(a2, b1))
    c4 = mul(a2, b2)
    c1 = add(mul(a0, b1), mul(a1, b0))
    c2 = add(add(mul(a0, b2), mul(a1, b1)), mul(a2, b0))
    return add(mul(a0, b0), c3), add(add(c1, c3), c4), add(c2, c4)
