"""Sums of products of floats, rounded once: blocks of numbers become integers with one exponent. ``runtime/float32_dot.h`` in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml import float32
from zkvm.ml.arithmetic import FloatArray, IntArray

ACTIVATION_BITS = 28
SUM_BITS = 30
WEIGHT_BITS = 30
PRODUCT_BITS = 63
"""Of a sum of products, without its sign."""
LOWEST_FIELD = -3000
"""Of a block that is all zeros."""
MAX_SHIFT = 1000
FIELD_MASK = 255
NEAR_SHIFTS = 4
"""Columns whose shifts differ by no more get none: the integers of activations have so many bits more than floats."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Blocks of numbers: integers, the exponent of every block, and which of the integers are NaN or infinities and hence 0."""

    integers: IntArray
    exponents: IntArray
    special: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Weights:
    """Constant weights: integers (channels, taps), exponents (channels), and the shift of every column, if any is needed."""

    integers: IntArray
    exponents: IntArray
    shifts: IntArray | None


def align(words: IntArray, bits: int = ACTIVATION_BITS, shifts: IntArray | None = None) -> Aligned:
    """x * 2^shift = integer * 2^exponent, cut towards 0.

    Args:
        words: (blocks, numbers) of floats.
        bits: of the integers' magnitudes.
        shifts: of every number of a block.
    """
    shift = np.zeros(words.shape[-1], np.int64) if shifts is None else np.clip(shifts, -MAX_SHIFT, MAX_SHIFT)
    fields = (words >> 23) & FIELD_MASK
    special = fields == FIELD_MASK
    mantissas = np.where(fields > 0, (words & 0x7FFFFF) | 0x800000, words & 0x7FFFFF)
    fields = np.maximum(fields, 1)
    counted = ~special & (mantissas > 0)
    largest = np.max(np.where(counted, fields + shift, LOWEST_FIELD), axis=-1, initial=LOWEST_FIELD)
    distance = np.clip(largest[..., None] - shift - fields + 32 - bits, 0, 63)
    magnitudes = np.where(counted, (mantissas << 8) >> distance, 0)
    return Aligned(np.where(words < 0, -magnitudes, magnitudes), largest - 126 - bits, special)


def weight_bits(taps: int) -> int:
    """Bits of constant weights, so that no sum of products leaves 64 bits."""
    return min(WEIGHT_BITS, PRODUCT_BITS - ACTIVATION_BITS - (taps - 1).bit_length())


def product_bits(depth: int) -> int:
    """Bits of either factor of a product of two activations."""
    return min(ACTIVATION_BITS, (PRODUCT_BITS - (depth - 1).bit_length()) // 2)


def column_shifts(values: FloatArray) -> IntArray:
    """The binary exponents of the largest weights of columns; a column of zeros is as small as can be, so that it decides nothing.

    Args:
        values: (channels, columns).
    """
    largest = np.abs(values).max(axis=0, initial=0)
    return np.where(largest > 0, np.frexp(largest)[1].astype(np.int64), -MAX_SHIFT)


def weights(values: NDArray[np.floating], name: str, taps_per_column: int = 1, *, secret: bool = False) -> Weights:
    """Align constant weights, every channel by itself, after its columns are made equally large.

    Args:
        values: (channels, taps), exactly float32. A weight other than 0 does not become 0, because of what 0 times infinity is.
        name: of the layer, for messages.
        taps_per_column: so many taps after one another are one column, that is, read inputs of one shift.
        secret: have shifts whether needed or not, so that the code does not say so.

    Raises:
        UsageError: a weight is no number.
    """
    exact = values.astype(np.float64)
    if not np.isfinite(exact).all():
        raise UsageError(f"{name}: a weight is NaN or infinite")
    channels, taps = exact.shape
    columns = np.abs(exact).reshape(channels, -1, taps_per_column).max(axis=2)
    shifts = column_shifts(columns)
    used = shifts[shifts > -MAX_SHIFT]
    needed = secret or (used.size > 0 and int(used.max() - used.min()) > NEAR_SHIFTS)
    if needed:
        exact = np.ldexp(exact, -np.where(columns.max(axis=0) > 0, shifts, 0).repeat(taps_per_column))
    bits = weight_bits(taps)
    exponents = np.frexp(np.abs(exact).max(axis=1))[1].astype(np.int64) - bits
    rounded = np.rint(np.ldexp(exact, -exponents[:, None]))
    rounded = np.where((rounded == 0) & (exact != 0), np.sign(exact), rounded)
    limit = (1 << bits) - 1
    return Weights(np.clip(rounded, -limit, limit).astype(np.int64), exponents, shifts if needed else None)


def products(left: IntArray, right: IntArray) -> IntArray:
    """Exact matrix product of aligned numbers, (..., rows, depth) by (..., depth, columns), where 64 bits hold the sums.

    float64 multiplies matrices much faster than int64, so the right factor is split where that leaves every sum below 2^53.
    """
    depth_bits = (right.shape[-2] - 1).bit_length() if right.shape[-2] else 0
    size = int(np.abs(right).max(initial=0)).bit_length()
    half = (size + 1) // 2
    if int(np.abs(left).max(initial=0)).bit_length() + half + depth_bits > 53:
        return np.asarray(np.matmul(left, right), np.int64)
    # The lower half is rounded to nearest, so that both halves have a sign and no more than `half` bits.
    upper = (right + (1 << half >> 1)) >> half
    lower = right - (upper << half)
    factor = left.astype(np.float64)
    sums = [np.matmul(factor, part.astype(np.float64)).astype(np.int64) for part in (upper, lower)]
    return np.asarray((sums[0] << half) + sums[1], np.int64)


def linear(x: Aligned, factor: Weights, special_of: IntArray, bias: IntArray | None = None) -> IntArray:
    """Rows of floats times weights: y = x w^T + bias, as words.

    Args:
        x: aligned with the weights' shifts; (rows, taps), one exponent for each row or for all.
        factor: the weights.
        special_of: the words of x.
        bias: words, one for each channel.
    """
    sums = products(x.integers, factor.integers.T)
    result = float32.scaled(sums, np.reshape(x.exponents, (-1, 1)) + factor.exponents)
    if x.special.any():
        result = special_sums(special_of, float32.from_i32(np.sign(factor.integers)).T, result)
    return result if bias is None else float32.add(result, bias)


def special_sums(left: IntArray, right: IntArray, result: IntArray) -> IntArray:
    """Matrix products of words where NaN and infinities take part; the result elsewhere.

    Args:
        left: (rows, depth). right: (depth, columns). result: (rows, columns).
        right: see left.
        result: see left.
    """
    chosen = result.copy()
    left_special = ((left >> 23) & FIELD_MASK) == FIELD_MASK
    right_special = ((right >> 23) & FIELD_MASK) == FIELD_MASK
    for row in np.flatnonzero(left_special.any(axis=1) | right_special.any()):
        terms = float32.to_floats(float32.mul(left[row][:, None], right))
        meets = left_special[row][:, None] | right_special
        with np.errstate(all="ignore"):
            sums = float32.to_bits(np.where(meets, terms, np.float32(0)).sum(axis=0, dtype=np.float32))
        chosen[row] = np.where(meets.any(axis=0), sums, result[row])
    return chosen


def matmul(left: IntArray, right: IntArray) -> IntArray:
    """Product of two matrices of words, (rows, depth) by (depth, columns)."""
    bits = product_bits(left.shape[1])
    rows, columns = align(left, bits), align(right.T, bits)
    sums = products(rows.integers, columns.integers.T)
    result = float32.scaled(sums, rows.exponents[:, None] + columns.exponents)
    special = rows.special.any() or columns.special.any()
    return special_sums(left, right, result) if special else result


def sum_rows(words: IntArray) -> IntArray:
    """The sum of every row, rounded once."""
    rows = align(words, SUM_BITS)
    result = float32.scaled(rows.integers.sum(axis=-1), rows.exponents)
    if not rows.special.any():
        return result
    return special_sums(words, np.full((words.shape[1], 1), float32.ONE), result[:, None])[:, 0]
