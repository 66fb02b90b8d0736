"""Floats of the guest: IEEE 754 binary32 in words, with numpy's results. ``runtime/float32.h`` says the same in C.

Words are signed 32-bit patterns in arrays of int64, as everywhere in the integer model. A NaN that results is always the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray

Float32Array = NDArray[np.float32]
NAN = 0x7FC00000
INFINITY = 0x7F800000
ONE = 0x3F800000
SIGN = 0x80000000
MAX_EXPONENT = 2000
"""Exponents beyond it are cut: every number is 0 or infinite long before."""


def to_bits(values: NDArray[Any]) -> IntArray:
    """The words of float32 numbers."""
    floats = np.ascontiguousarray(values, np.float32)
    return np.where(np.isnan(floats), NAN, floats.view(np.int32).astype(np.int64)).reshape(np.shape(values))


def to_floats(words: IntArray) -> Float32Array:
    """The float32 numbers of words."""
    return np.ascontiguousarray(words, np.int64).astype(np.int32).view(np.float32).reshape(np.shape(words))


def _by_numpy(function: Callable[..., Any], *words: IntArray) -> IntArray:
    with np.errstate(all="ignore"):
        return to_bits(np.asarray(function(*map(to_floats, words)), np.float32))


def is_nan(x: IntArray) -> NDArray[np.bool_]:
    """Which words are NaN."""
    return np.asarray((x & INT32_MAX) > INFINITY)


def add(left: IntArray, right: IntArray) -> IntArray:
    """Sum."""
    return _by_numpy(np.add, left, right)


def sub(left: IntArray, right: IntArray) -> IntArray:
    """Difference."""
    return _by_numpy(np.subtract, left, right)


def mul(left: IntArray, right: IntArray) -> IntArray:
    """Product."""
    return _by_numpy(np.multiply, left, right)


def div(left: IntArray, right: IntArray) -> IntArray:
    """Quotient."""
    return _by_numpy(np.divide, left, right)


def fmod(left: IntArray, right: IntArray) -> IntArray:
    """Exact remainder of the division that truncates."""
    return _by_numpy(np.fmod, left, right)


def sqrt(x: IntArray) -> IntArray:
    """Square root."""
    return _by_numpy(np.sqrt, x)


def neg(x: IntArray) -> IntArray:
    """The other sign."""
    return _by_numpy(np.negative, x)


def abs(x: IntArray) -> IntArray:
    """Magnitude."""
    return _by_numpy(np.abs, x)


def floor(x: IntArray) -> IntArray:
    """Largest integer that is not above."""
    return _by_numpy(np.floor, x)


def ceil(x: IntArray) -> IntArray:
    """Smallest integer that is not below."""
    return _by_numpy(np.ceil, x)


def trunc(x: IntArray) -> IntArray:
    """The integer towards 0."""
    return _by_numpy(np.trunc, x)


def round(x: IntArray) -> IntArray:
    """Nearest integer; of two the even one."""
    return _by_numpy(np.rint, x)


def order(x: IntArray) -> IntArray:
    """Words in the order of the numbers; -0 is 0, and NaN lie outside."""
    return np.where(x < 0, -(x & INT32_MAX), x)


def key(x: IntArray, nan: int = INT32_MAX, least: int = INT32_MIN) -> IntArray:
    """The order with all NaN in one place, by default as the largest; what lies below ``least`` is that."""
    return np.where(is_nan(x), nan, np.maximum(order(x), least))


def of_key(keys: IntArray) -> IntArray:
    """The words that have these keys: 0 has no sign, and beyond the infinities are NaN."""
    words = np.where(keys < 0, -keys | -SIGN, keys)
    return np.where(is_nan(words), NAN, words)


def lt(left: IntArray, right: IntArray) -> IntArray:
    """1 where left < right."""
    return np.asarray(to_floats(left) < to_floats(right), np.int64)


def le(left: IntArray, right: IntArray) -> IntArray:
    """1 where left <= right."""
    return np.asarray(to_floats(left) <= to_floats(right), np.int64)


def eq(left: IntArray, right: IntArray) -> IntArray:
    """1 where left == right."""
    return np.asarray(to_floats(left) == to_floats(right), np.int64)


def max(left: IntArray, right: IntArray) -> IntArray:
    """The larger one, the first of equals; NaN wins. numpy does not say which of -0 and 0 it takes."""
    return np.where(is_nan(left) | is_nan(right), NAN, np.where(order(left) < order(right), right, left))


def min(left: IntArray, right: IntArray) -> IntArray:
    """The smaller one, the first of equals; NaN wins."""
    return np.where(is_nan(left) | is_nan(right), NAN, np.where(order(right) < order(left), right, left))


def from_i32(values: IntArray) -> IntArray:
    """Integers as floats."""
    return to_bits(np.asarray(values).astype(np.float32))


def to_i32(x: IntArray) -> IntArray:
    """Floats as integers, truncated; NaN and what does not fit give the smallest word."""
    fits = np.abs(to_floats(x)) < np.float32(2.0**31)
    return np.asarray(np.where(fits, np.trunc(np.where(fits, to_floats(x), 0)).astype(np.int64), INT32_MIN), np.int64)


def scaled(values: IntArray, exponents: IntArray | int) -> IntArray:
    """values * 2^exponents, rounded once.

    Args:
        values: 64-bit integers.
        exponents: cut to what matters.
    """
    values, exponents = np.broadcast_arrays(np.asarray(values, np.int64), np.clip(exponents, -MAX_EXPONENT, MAX_EXPONENT))
    unsigned = values.astype(np.uint64)
    magnitudes = np.where(values < 0, 0 - unsigned, unsigned)
    # 32 bits, of which the last one says whether something was lost, then are as good as all 64.
    extra = np.maximum(bit_length(magnitudes) - 32, 0)
    kept = magnitudes >> extra.astype(np.uint64)
    kept |= (kept << extra.astype(np.uint64)) != magnitudes
    with np.errstate(all="ignore"):
        # Both are exact: float64 holds 33 bits and every exponent that can be reached, so only the last step rounds.
        wide = np.ldexp(kept.astype(np.float64), np.clip(exponents + extra, -400, 400).astype(np.int64))
        return to_bits((np.where(values < 0, -wide, wide)).astype(np.float32))


def bit_length(values: NDArray[np.uint64]) -> IntArray:
    """Bits that unsigned integers of 64 bits need."""
    length = np.zeros(values.shape, np.int64)
    rest = values
    for step in (32, 16, 8, 4, 2, 1):
        above = rest >= np.uint64(1 << step)
        length += np.where(above, step, 0)
        rest = np.where(above, rest >> np.uint64(step), rest)
    return length + (rest > 0)


BINARY = {"add": add, "sub": sub, "mul": mul, "div": div, "fmod": fmod, "max": max, "min": min, "lt": lt, "le": le, "eq": eq}
"""Functions of two words, by the name that they have in C after ``f32_``."""
UNARY = {"neg": neg, "abs": abs, "sqrt": sqrt, "floor": floor, "ceil": ceil, "trunc": trunc, "round": round, "key": key}
"""Functions of one."""
