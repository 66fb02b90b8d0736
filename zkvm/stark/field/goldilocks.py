"""The Goldilocks field F_p, p = 2^64 - 2^32 + 1, on numpy arrays of canonical ``uint64`` values.

Written for reading: this is what the verifier computes with. Every array function takes ``uint64`` arrays (or
scalars) with values below p, broadcasts like numpy, and returns canonical values. Scalars elsewhere are plain
Python integers reduced with ``% P``.

Products: with a = a0 + a1 2^32 and b = b0 + b1 2^32, the four 32-bit partial products give a 128-bit value
``high 2^64 + low``; since 2^64 = 2^32 - 1 and 2^96 = -1 mod p, ``high = h1 2^32 + h0`` reduces to
``low - h1 + h0 (2^32 - 1)`` (Plonky2's reduction).
"""

from __future__ import annotations

from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FieldArray: TypeAlias = NDArray[np.uint64]
FieldLike: TypeAlias = NDArray[np.uint64] | np.uint64

P = 2**64 - 2**32 + 1
"""The modulus."""
GENERATOR = 7
"""The smallest generator of the multiplicative group."""
TWO_ADICITY = 32
"""2^32 divides p - 1: the largest radix-2 domain has 2^32 points."""
ROOT_OF_UNITY_2_32 = pow(GENERATOR, (P - 1) >> TWO_ADICITY, P)
"""A primitive root of unity of order 2^32; all others are its powers (1753635133440165772)."""

_P = np.uint64(P)
_EPSILON = np.uint64(2**32 - 1)
_32 = np.uint64(32)
_LIMB_SCALES = np.array([[pow(2, half + limb, P) for limb in (0, 22, 44)] for half in (0, 32)], dtype=np.uint64)[:, None, :, None]
_MATMUL_BLOCK = 1 << 13
"""Elements of a matrix that are split at once: their halves stay in the processor's cache."""
_INVERSES = 1 << 9
"""Values that are inverted by Montgomery's trick one after the other; more are first multiplied in pairs."""
_wrapping = np.errstate(over="ignore")  # numpy warns when a 0-d result wraps, and wrapping is meant here


def is_canonical(array: FieldArray) -> bool:
    """Whether every value is below p, and of the one type for which the arithmetic is right."""
    return array.dtype == np.uint64 and bool(np.max(array, initial=0) < _P)


@_wrapping
def add(a: FieldLike, b: FieldLike) -> FieldArray:
    """a + b, elementwise."""
    return _subtract(a, np.subtract(_P, b))  # p - b lies in (0, p]


@_wrapping
def sub(a: FieldLike, b: FieldLike) -> FieldArray:
    """a - b, elementwise."""
    return _subtract(a, b)


def _subtract(a: FieldLike, b: FieldLike) -> FieldArray:
    """a - b for b up to p."""
    difference = np.subtract(a, b)  # wraps on borrow; adding p undoes the wrap
    return np.where(np.less(a, b), difference + _P, difference)


@_wrapping
def neg(a: FieldLike) -> FieldArray:
    """-a, elementwise."""
    return np.where(np.equal(a, np.uint64(0)), np.uint64(0), np.subtract(_P, a))


@_wrapping
def mul(a: FieldLike, b: FieldLike) -> FieldArray:
    """a b, elementwise. The operands may be any 64-bit integers."""
    a, b = np.asarray(a, np.uint64), np.asarray(b, np.uint64)
    a_low, a_high = a & _EPSILON, a >> _32
    b_low, b_high = b & _EPSILON, b >> _32
    middle = a_low * b_low
    middle >>= _32
    middle += a_high * b_low  # at most (2^32-1)^2 + 2^32 - 1 < 2^64
    second = a_low * b_high
    second += middle & _EPSILON  # the same bound
    high = a_high * b_high
    high += middle >> _32
    high += second >> _32
    return _reduce(high, a * b)


def _reduce(high: FieldArray, low: FieldArray) -> FieldArray:
    """``high 2^64 + low`` mod p, canonical; in the place of the two, as new arrays take longer than the arithmetic."""
    top = high >> _32
    high &= _EPSILON
    high *= _EPSILON
    borrow = low < top
    low -= top  # wraps at most once; a wrap added 2^64 = 2^32 - 1 mod p
    low -= borrow * _EPSILON
    low += high
    low += (low < high) * _EPSILON
    low -= (low >= _P) * _P
    return low


def total(a: FieldArray, axis: int = 0) -> FieldArray:
    """Sum along one axis, of any 64-bit integers; an empty sum is 0."""
    low: FieldArray = np.asarray(np.sum(a & _EPSILON, axis=axis, dtype=np.uint64))  # exact below 2^32 terms
    high: FieldArray = np.asarray(np.sum(a >> _32, axis=axis, dtype=np.uint64))
    return add(mul(high, np.uint64(2**32)), low % _P)


def pow_(a: FieldLike, exponent: int) -> FieldArray:
    """a^exponent, elementwise, for ``exponent >= 0`` (0^0 = 1).

    Raises:
        ValueError: the exponent is negative.
    """
    if exponent < 0:
        raise ValueError("the exponent must not be negative")
    base = np.asarray(a, dtype=np.uint64)
    result = np.ones_like(base)
    while exponent:
        if exponent & 1:
            result = mul(result, base)
        exponent >>= 1
        if exponent:
            base = mul(base, base)
    return result


def inv(a: FieldLike) -> FieldArray:
    """1 / a, elementwise: one inversion for all, and three products for each (Montgomery's trick).

    Raises:
        ZeroDivisionError: a value is zero.
    """
    array = np.asarray(a, dtype=np.uint64)
    if not array.all():
        raise ZeroDivisionError("zero has no inverse")
    return _inverses(array.ravel()).reshape(array.shape)


def _inverses(values: FieldArray) -> FieldArray:
    """Of values that are not zero: (n,) to (n,). Those of pairs' products give those of the pairs, halving while there are many."""
    if len(values) > _INVERSES:
        even = len(values) // 2 * 2
        left, right = values[0:even:2], values[1:even:2]
        below, result = _inverses(np.concatenate([mul(left, right), values[even:]])), np.empty_like(values)
        pairs, rest = below[: even // 2], below[even // 2 :]
        result[0:even:2], result[1:even:2], result[even:] = mul(pairs, right), mul(pairs, left), rest
        return result
    numbers = values.tolist()
    products = list(accumulate(numbers, lambda x, y: x * y % P, initial=1))
    inverse = pow(products[-1], -1, P)
    for position in range(len(numbers) - 1, -1, -1):  # inverse of the product of numbers[: position + 1]
        value = numbers[position]
        numbers[position] = inverse * products[position] % P
        inverse = inverse * value % P
    return np.array(numbers, dtype=np.uint64)


def root_of_unity(order: int) -> int:
    """The primitive root of unity w_order used everywhere: the (2^32/order)-th power of the one of order 2^32.

    Raises:
        ValueError: the order is not a power of two in [1, 2^32].
    """
    if order < 1 or order & (order - 1) or order > 1 << TWO_ADICITY:
        raise ValueError(f"no root of unity of order {order}: it must be a power of two up to 2^{TWO_ADICITY}")
    return pow(ROOT_OF_UNITY_2_32, (1 << TWO_ADICITY) // order, P)


def coset_shift(height: int) -> int:
    """s_n = 7^(2^30 / n), the shift of the extension coset of height n: squaring steps down a height, whatever the tallest table."""
    return pow(GENERATOR, (1 << 30) // height, P)


def powers(base: int, count: int) -> FieldArray:
    """``[1, base, base^2, ...]``: shape (count,), by doubling."""
    result = np.ones(max(count, 1), dtype=np.uint64)
    filled = 1
    while filled < count:
        step = min(filled, count - filled)
        factor = np.uint64(pow(base, filled, P))
        result[filled : filled + step] = mul(result[:step], factor)
        filled += step
    return result[:count]


def power_table(bases: FieldArray, count: int) -> FieldArray:
    """Powers 0 to count - 1 of each base: (k,) to (k, count), by doubling."""
    result = np.ones((len(bases), count), dtype=np.uint64)
    filled, factor = 1, bases
    while filled < count:
        step = min(filled, count - filled)
        result[:, filled : filled + step] = mul(result[:, :step], factor[:, None])
        filled, factor = 2 * filled, mul(factor, factor)
    return result


def matmul(a: FieldArray, b: FieldArray) -> FieldArray:
    """Matrix product: (k, w) and (w, c) to (k, c).

    Halves of 32 bits on the left and limbs of 22 bits on the right: 2^10 products of 54 bits add up to less than 2^64, so the sums
    are exact and only they are reduced.

    Raises:
        ValueError: a row of the one is not as long as a column of the other.
    """
    if a.shape[1] != len(b):  # one column would be multiplied with every row
        raise ValueError(f"rows of {a.shape[1]} elements times columns of {len(b)}")
    limbs = np.concatenate([b.T >> np.uint64(shift) & np.uint64(2**22 - 1) for shift in (0, 22, 44)])
    rows, terms = max(_MATMUL_BLOCK // max(len(b), 1), 1), 1 << 10
    result = np.zeros((len(a), b.shape[1]), dtype=np.uint64)
    sums = np.empty((2, len(a), len(limbs)), dtype=np.uint64)
    for first in range(0, len(b), terms):
        factors = np.ascontiguousarray(limbs[:, first : first + terms])
        for row in range(0, len(a), rows):
            block = a[row : row + rows, first : first + terms]
            for half, out in zip((block & _EPSILON, block >> _32), sums[:, row : row + rows], strict=True):
                np.einsum("kw,cw->kc", half, factors, out=out)
        parts = mul(sums.reshape(2, len(a), 3, b.shape[1]), _LIMB_SCALES)
        result = add(result, total(parts.swapaxes(1, 2).reshape(6, len(a), b.shape[1])))
    return result
