"""Extending many columns: the loop over columns and cosets behind :mod:`zkvm.stark.kernels.ntt`."""

from __future__ import annotations

from typing import Any

from numba import boolean, int64, njit, uint64, void

from zkvm.stark.kernels.ntt import EXTRA_POINTS
from zkvm.stark.kernels.source import goldilocks as gl
from zkvm.stark.kernels.source import vectors
from zkvm.stark.kernels.source.dots import TERMS, extend_sums, reduced
from zkvm.stark.kernels.source.entry import entry
from zkvm.stark.kernels.source.interpolation import bit_reverse
from zkvm.stark.kernels.source.tiles import load6
from zkvm.stark.kernels.source.transforms import LEVELS, WORDS, forward, forward_part, inverse_part, part_length
from zkvm.stark.kernels.source.words import LANES

TABLES = uint64[:, ::1]


@njit(inline="always")
def _weighted_sum(values: Any, start: Any, weights: Any, limbs: Any, row: Any) -> Any:
    """Sum of ``values[start + i] weights[row, i]`` over all i, a power of two of them."""
    count = weights.shape[1]
    total = gl.ZERO
    if count < LANES:
        for i in range(count):
            total = gl.add(total, gl.mul(values[start + i], weights[row, i]))
        return total
    partial = vectors.splat(gl.ZERO)
    for group in range(0, count, LANES * TERMS):
        s0, s1, s2 = vectors.splat(gl.ZERO), vectors.splat(gl.ZERO), vectors.splat(gl.ZERO)
        for i in range(group, min(group + LANES * TERMS, count), LANES):
            s0, s1, s2 = extend_sums(s0, s1, s2, vectors.load(values, start + i), load6(limbs, 6 * (row * count + i), LANES))
        partial = vectors.add(partial, reduced(s0, s1, s2))
    for i in range(LANES):
        total = gl.add(total, vectors.lane(partial, i))
    return total


@njit(inline="always")
def _fold_part(coefficients: Any, first: Any, begin: Any, end: Any, weights: Any, limbs: Any, target: Any, start: Any) -> None:
    """Coefficients ``begin`` to ``end``, a multiple of n / 512 of them, modulo X^512 - g^512, for every extra coset g <w_512>.

    ``coefficients[first:]`` are n >= 512 bit-reversed ones. On that coset X^512 = g^512: coefficient m adds to m mod 512 with weight
    g^(512 (m div 512)). In bit-reversed order each sum runs over a contiguous block, and the sums come out bit-reversed.
    ``weights``: (cosets, n / 512), those powers in bit-reversed order; ``limbs``: the same cut in six.
    """
    count = weights.shape[1]
    for block in range(begin // count, end // count):
        for extra in range(len(weights)):
            target[start + extra * EXTRA_POINTS + block] = _weighted_sum(coefficients, first + block * count, weights, limbs, extra)


@entry(void(WORDS, int64, boolean, int64, int64, int64, WORDS, WORDS, LEVELS, WORDS, LEVELS, TABLES, WORDS, LEVELS, TABLES, TABLES, TABLES))
def extend_columns(
    source: Any,
    count: Any,
    is_values: Any,
    size: Any,
    first: Any,
    last: Any,
    out: Any,
    scratch: Any,
    inverse_levels: Any,
    inverse_twiddles: Any,
    levels: Any,
    twiddles: Any,
    extra_out: Any,
    extra_levels: Any,
    extra_twiddles: Any,
    extra_weights: Any,
    extra_limbs: Any,
) -> None:
    """Columns first..last: values on <w_n>, or ``count`` natural-order coefficients, to values on every coset.

    Coefficients of tall columns are kept where the values on the first coset will be, and become values part by part while they are in
    cache. ``scratch``: (size,) for the coefficients of others, or if there are fewer than ``size``. ``extra_twiddles``: with the shifts
    of the extra cosets.
    """
    cosets, extras = len(twiddles), len(extra_twiddles)
    part = part_length(size, levels)
    coefficients, other = (scratch, out) if part == size else (out, scratch)
    for column in range(first, last):
        place, extra_place = column * cosets * size, column * extras * EXTRA_POINTS
        here, there = (0, place) if part == size else (place, 0)
        if not is_values:
            if count == size:
                bit_reverse(source, column * count, coefficients, here, size)
            else:
                for i in range(count):
                    other[there + i] = source[column * count + i]
                for i in range(count, size):
                    other[there + i] = gl.ZERO
                bit_reverse(other, there, coefficients, here, size)
        for begin in range(0, size, part):
            end = begin + part
            if is_values:
                inverse_part(source, column * count, coefficients, here, begin, end, size, inverse_levels, inverse_twiddles)
            if extras:
                _fold_part(coefficients, here, begin, end, extra_weights, extra_limbs, extra_out, extra_place)
            for coset in range(cosets - 1, -1, -1):
                forward_part(coefficients, here, out, place + coset * size, begin, end, size, levels, twiddles[coset])
        for extra in range(extras):
            start = extra_place + extra * EXTRA_POINTS
            forward(extra_out, start, extra_out, start, EXTRA_POINTS, extra_levels, extra_twiddles[extra])
