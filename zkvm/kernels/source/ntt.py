"""Extending many columns: the loop over columns and cosets behind :mod:`zkvm.kernels.ntt`."""

from __future__ import annotations

from typing import Any

from numba import boolean, int64, njit, uint64, void

from zkvm.kernels.ntt import EXTRA_POINTS
from zkvm.kernels.source import goldilocks as gl
from zkvm.kernels.source import vectors
from zkvm.kernels.source.dots import TERMS, extend_sums, reduced
from zkvm.kernels.source.entry import entry
from zkvm.kernels.source.interpolation import bit_reverse
from zkvm.kernels.source.tiles import load6
from zkvm.kernels.source.transforms import LEVELS, WORDS, forward, inverse
from zkvm.kernels.source.words import LANES

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
def _fold_cosets(coefficients: Any, weights: Any, limbs: Any, target: Any, start: Any, levels: Any, tables: Any) -> None:
    """512 values on every extra coset g <w_512> from n >= 512 bit-reversed coefficients.

    On that coset X^512 = g^512: coefficient m adds to m mod 512 with weight g^(512 (m div 512)). In bit-reversed
    order each sum runs over a contiguous block, and the sums come out bit-reversed. ``weights``: (cosets, n / 512), those
    powers in bit-reversed order; ``limbs``: the same cut in six. ``tables``: twiddles with shift g.
    """
    count = weights.shape[1]
    for block in range(EXTRA_POINTS):
        for extra in range(len(tables)):
            place = start + extra * EXTRA_POINTS + block
            target[place] = _weighted_sum(coefficients, block * count, weights, limbs, extra)
    for extra in range(len(tables)):
        place = start + extra * EXTRA_POINTS
        forward(target, place, target, place, EXTRA_POINTS, levels, tables[extra])


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
    """Columns first..last: values on <w_n>, or ``count`` natural-order coefficients, to values on every coset."""
    cosets, extras = len(twiddles), len(extra_twiddles)
    for column in range(first, last):
        if is_values:
            inverse(source, column * count, scratch, 0, size, inverse_levels, inverse_twiddles)
        elif count == size:
            bit_reverse(source, column * count, scratch, 0, size)
        else:
            padded = column * cosets * size  # where the first coset's values come later
            for i in range(count):
                out[padded + i] = source[column * count + i]
            for i in range(count, size):
                out[padded + i] = gl.ZERO
            bit_reverse(out, padded, scratch, 0, size)
        for coset in range(cosets):
            forward(scratch, 0, out, (column * cosets + coset) * size, size, levels, twiddles[coset])
        if extras:
            start = column * extras * EXTRA_POINTS
            _fold_cosets(scratch, extra_weights, extra_limbs, extra_out, start, extra_levels, extra_twiddles)
