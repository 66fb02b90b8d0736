"""The cubic extension F_p[x] / (x^3 - x - 1) of Goldilocks.

Two forms. A *scalar* is a tuple ``(a0, a1, a2)`` of Python integers below p, meaning a0 + a1 x + a2 x^2: functions
named ``ext_*``. An *array* is ``uint64`` of shape (..., 3), canonical values: functions ``add``, ``sub``, ``mul``...
The modulus is irreducible over F_p (checked in the tests through x^(p^3) = x and x^p != x).

Product: with c_k = sum over i + j = k of a_i b_j, x^3 = x + 1 and x^4 = x^2 + x give
(c0 + c3, c1 + c3 + c4, c2 + c4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from zkvm.stark.field import goldilocks
from zkvm.stark.field.goldilocks import FieldArray, FieldLike, P

Ext: TypeAlias = tuple[int, int, int]
"""An extension element as three Python integers in [0, p)."""

ZERO: Ext = (0, 0, 0)
ONE: Ext = (1, 0, 0)
X: Ext = (0, 1, 0)
"""The adjoined root: X^3 = X + 1."""
DEGREE = 3
_BLOCK = 1 << 9
"""Elements that are multiplied at once: their products stay in the processor's cache."""


def ext_from_base(value: int) -> Ext:
    """The base-field value as an extension element."""
    return (value % P, 0, 0)


def ext_add(a: Ext, b: Ext) -> Ext:
    """a + b."""
    return ((a[0] + b[0]) % P, (a[1] + b[1]) % P, (a[2] + b[2]) % P)


def ext_sub(a: Ext, b: Ext) -> Ext:
    """a - b."""
    return ((a[0] - b[0]) % P, (a[1] - b[1]) % P, (a[2] - b[2]) % P)


def ext_mul(a: Ext, b: Ext) -> Ext:
    """a b."""
    a0, a1, a2 = a
    b0, b1, b2 = b
    c3 = a1 * b2 + a2 * b1
    c4 = a2 * b2
    return ((a0 * b0 + c3) % P, (a0 * b1 + a1 * b0 + c3 + c4) % P, (a0 * b2 + a1 * b1 + a2 * b0 + c4) % P)


def ext_scale(a: Ext, factor: int) -> Ext:
    """factor a, for a base-field factor."""
    return (a[0] * factor % P, a[1] * factor % P, a[2] * factor % P)


def ext_inv(a: Ext) -> Ext:
    """1 / a: the first column of the adjugate of the matrix of multiplication by ``a``, over its determinant (the norm).

    Raises:
        ZeroDivisionError: ``a`` is zero.
    """
    a0, a1, a2 = a
    d0 = (a0 + a2) * (a0 + a2) - (a1 + a2) * a1
    d1 = (a1 + a2) * a2 - a1 * (a0 + a2)
    d2 = a1 * a1 - (a0 + a2) * a2
    norm = (a0 * d0 + a2 * d1 + a1 * d2) % P
    if norm == 0:
        raise ZeroDivisionError("zero has no inverse")
    scale = pow(norm, P - 2, P)
    return (d0 * scale % P, d1 * scale % P, d2 * scale % P)


def ext_pow(a: Ext, exponent: int) -> Ext:
    """a^exponent; a negative exponent inverts first (0^0 = 1).

    Raises:
        ZeroDivisionError: zero to a negative power.
    """
    if exponent < 0:
        a, exponent = ext_inv(a), -exponent
    result = ONE
    while exponent:
        if exponent & 1:
            result = ext_mul(result, a)
        a = ext_mul(a, a)
        exponent >>= 1
    return result


def from_ext(a: Ext) -> FieldArray:
    """The scalar as an array of shape (3,)."""
    return np.array(a, dtype=np.uint64)


def to_ext(a: FieldArray) -> Ext:
    """An array of shape (3,) as a scalar."""
    return (int(a[0]), int(a[1]), int(a[2]))


def add(a: FieldArray, b: FieldArray) -> FieldArray:
    """a + b on arrays (..., 3)."""
    return goldilocks.add(a, b)


def sub(a: FieldArray, b: FieldArray) -> FieldArray:
    """a - b on arrays (..., 3)."""
    return goldilocks.sub(a, b)


def mul(a: FieldArray, b: FieldArray) -> FieldArray:
    """a b on arrays (..., 3), broadcasting over the leading axes."""
    if a.shape != b.shape:
        a, b = np.broadcast_arrays(a, b)
    if a.size <= DEGREE * _BLOCK:
        return _mul(a, b)
    left, right = a.reshape(-1, DEGREE), b.reshape(-1, DEGREE)
    result = np.empty_like(left)
    for first in range(0, len(left), _BLOCK):
        block = slice(first, first + _BLOCK)
        result[block] = _mul(left[block], right[block])
    return result.reshape(a.shape)


def _mul(a: FieldArray, b: FieldArray) -> FieldArray:
    """a b on arrays of one shape (..., 3)."""
    left, right = (np.ascontiguousarray(np.moveaxis(factor, -1, 0)) for factor in (a, b))
    products = goldilocks.mul(left[:, None], right)
    plus = goldilocks.add
    c3 = plus(products[1, 2], products[2, 1])
    c4 = products[2, 2]
    result = np.empty_like(a)
    result[..., 0] = plus(products[0, 0], c3)
    result[..., 1] = plus(plus(products[0, 1], products[1, 0]), plus(c3, c4))
    result[..., 2] = plus(plus(products[0, 2], products[1, 1]), plus(products[2, 0], c4))
    return result


def mul_base(a: FieldArray, factor: FieldLike) -> FieldArray:
    """Extension (..., 3) times base field (...), broadcasting over the leading axes."""
    return goldilocks.mul(a, np.asarray(factor)[..., None])


def embed(values: FieldArray) -> FieldArray:
    """Base-field values (...) as extension elements (..., 3)."""
    result = np.zeros((*np.shape(values), DEGREE), dtype=np.uint64)
    result[..., 0] = values
    return result


def inv(a: FieldArray) -> FieldArray:
    """1 / a on arrays (..., 3), with the formulas of :func:`ext_inv`.

    Raises:
        ZeroDivisionError: an element is zero.
    """
    times, plus, minus = goldilocks.mul, goldilocks.add, goldilocks.sub
    a0, a1, a2 = a[..., 0], a[..., 1], a[..., 2]
    a02, a12 = plus(a0, a2), plus(a1, a2)
    d0 = minus(times(a02, a02), times(a12, a1))
    d1 = minus(times(a12, a2), times(a1, a02))
    d2 = minus(times(a1, a1), times(a02, a2))
    norm = plus(plus(times(a0, d0), times(a2, d1)), times(a1, d2))
    return mul_base(np.stack([d0, d1, d2], axis=-1), goldilocks.inv(norm))


def powers(element: Ext, count: int) -> FieldArray:
    """``[1, e, e^2, ...]``: shape (count, 3)."""
    table: FieldArray = power_table([element], count)[0]
    return table


def power_table(elements: Sequence[Ext], count: int) -> FieldArray:
    """Powers 0 to count - 1 of each of k elements: (k, count, 3), by doubling."""
    result = np.zeros((len(elements), count, DEGREE), dtype=np.uint64)
    result[:, :1, 0] = 1
    filled, factors = 1, elements
    while filled < count:
        step = min(filled, count - filled)
        result[:, filled : filled + step] = mul(result[:, :step], np.array(factors, np.uint64)[:, None])
        filled, factors = 2 * filled, [ext_mul(factor, factor) for factor in factors]
    return result


def total(a: FieldArray, axis: int = 0) -> FieldArray:
    """Sum along one leading axis of an array (..., 3); an empty sum is 0. ``axis`` counts from the front."""
    return goldilocks.total(a, axis)


def dot(a: FieldArray, b: FieldArray) -> FieldArray:
    """Sum of a_i b_i over the first axis: (k, ..., 3) and (k, ..., 3) to (..., 3)."""
    return total(mul(a, b))


def dot_base(a: FieldArray, values: FieldArray) -> FieldArray:
    """Sum of a_i v_i over the first axis: extension (k, ..., 3) and base field (k, ...) to (..., 3)."""
    return total(mul_base(a, values))
