"""Extending many columns: the loop over columns and cosets behind :mod:`zkvm.kernels.ntt`."""

from __future__ import annotations

from typing import Any

from numba import boolean, int64, njit, uint64, void

from zkvm.kernels.ntt import EXTRA_POINTS
from zkvm.kernels.source import goldilocks as gl
from zkvm.kernels.source import vectors
from zkvm.kernels.source.entry import entry
from zkvm.kernels.source.interpolation import bit_reverse
from zkvm.kernels.source.transforms import LEVELS, WORDS, forward, inverse
from zkvm.kernels.source.words import LANES

TABLES = uint64[:, ::1]


@njit(inline="always")
def _weighted_sum(values: Any, start: Any, weights: Any, count: Any) -> Any:
    """Sum of ``values[start + i] weights[i]``, i < count (a power of two)."""
    total = gl.ZERO
    if count < LANES:
        for i in range(count):
            total = gl.add(total, gl.mul(values[start + i], weights[i]))
        return total
    partial = vectors.splat(gl.ZERO)
    for i in range(0, count, LANES):
        partial = vectors.add(partial, vectors.mul(vectors.load(values, start + i), vectors.load(weights, i)))
    for i in range(LANES):
        total = gl.add(total, vectors.lane(partial, i))
    return total


@njit(inline="always")
def _fold_coset(coefficients: Any, size: Any, weights: Any, target: Any, start: Any, levels: Any, table: Any) -> None:
    """512 values on the coset g <w_512> from ``size`` bit-reversed coefficients, size >= 512.

    On that coset X^512 = g^512: coefficient m adds to m mod 512 with weight g^(512 (m div 512)). In bit-reversed
    order each sum runs over a contiguous block, and the sums come out bit-reversed. ``weights``: (size / 512,), those
    powers in bit-reversed order. ``table``: twiddles with shift g.
    """
    count = size // 512
    for block in range(512):
        target[start + block] = _weighted_sum(coefficients, block * count, weights, count)
    forward(target, start, target, start, 512, levels, table)


@entry(void(WORDS, int64, boolean, int64, int64, int64, WORDS, WORDS, LEVELS, WORDS, TABLES, WORDS, LEVELS, TABLES, TABLES))
def extend_columns(
    source: Any,
    count: Any,
    is_values: Any,
    size: Any,
    first: Any,
    last: Any,
    out: Any,
    scratch: Any,
    levels: Any,
    inverse_twiddles: Any,
    twiddles: Any,
    extra_out: Any,
    extra_levels: Any,
    extra_twiddles: Any,
    extra_weights: Any,
) -> None:
    """Columns first..last: values on <w_n>, or ``count`` natural-order coefficients, to values on every coset."""
    cosets, extras = len(twiddles), len(extra_twiddles)
    for column in range(first, last):
        if is_values:
            inverse(source, column * count, scratch, 0, size, levels, inverse_twiddles)
        else:
            padded = column * cosets * size  # where the first coset's values come later
            for i in range(count):
                out[padded + i] = source[column * count + i]
            for i in range(count, size):
                out[padded + i] = gl.ZERO
            bit_reverse(out, padded, scratch, 0, size)
        for coset in range(cosets):
            forward(scratch, 0, out, (column * cosets + coset) * size, size, levels, twiddles[coset])
        for extra in range(extras):
            start = (column * extras + extra) * EXTRA_POINTS
            _fold_coset(scratch, size, extra_weights[extra], extra_out, start, extra_levels, extra_twiddles[extra])
