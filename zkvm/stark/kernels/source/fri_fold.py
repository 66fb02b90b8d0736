"""The kernel of one FRI fold by eight (:mod:`zkvm.stark.kernels.fri_fold` has the formula)."""

from __future__ import annotations

from typing import Any

from numba import int64, njit, uint64, void

from zkvm.stark.kernels.source.butterflies import split8
from zkvm.stark.kernels.source.entry import entry
from zkvm.stark.kernels.source.extension import ext_add, ext_mul, ext_scale, ext_splat, ext_store
from zkvm.stark.kernels.source.tiles import canonical8, load8
from zkvm.stark.kernels.source.vectors import load, splat
from zkvm.stark.kernels.source.words import LANES

WORDS = uint64[::1]


@njit(inline="always")
def _split(values: Any, start: Any, stride: Any) -> Any:
    """The coefficients 8 x^r f_r of one coordinate, in bit-reversed order of r."""
    return canonical8(split8(load8(values, start, stride)))


@entry(void(WORDS, int64, int64, WORDS, WORDS, uint64, WORDS, int64, int64))
def fold8_rows(
    values: Any, plane: Any, start: Any, beta: Any, inverse_points: Any, eighth: Any, out: Any, out_plane: Any, out_start: Any
) -> None:
    """Folds one coset: n values of each coordinate become n / 8.

    Args:
        values: flat, the coordinates' planes.
        plane: words between two planes of ``values``.
        start: where the coset begins in each plane.
        beta: (3,), the challenge.
        inverse_points: (n / 8,), 1 / x.
        eighth: 1 / 8 in the field.
        out: flat, the coordinates' planes.
        out_plane: words between two planes of ``out``.
        out_start: where the coset begins in each of them.
    """
    stride = len(inverse_points)
    scaled_beta = ext_splat(beta)
    factor = splat(eighth)
    for k in range(0, stride, LANES):
        a = _split(values, start + k, stride)
        b = _split(values, start + k + plane, stride)
        c = _split(values, start + k + 2 * plane, stride)
        ratio = ext_scale(scaled_beta, load(inverse_points, k))
        result = (a[7], b[7], c[7])
        result = ext_add(ext_mul(result, ratio), (a[3], b[3], c[3]))
        result = ext_add(ext_mul(result, ratio), (a[5], b[5], c[5]))
        result = ext_add(ext_mul(result, ratio), (a[1], b[1], c[1]))
        result = ext_add(ext_mul(result, ratio), (a[6], b[6], c[6]))
        result = ext_add(ext_mul(result, ratio), (a[2], b[2], c[2]))
        result = ext_add(ext_mul(result, ratio), (a[4], b[4], c[4]))
        result = ext_add(ext_mul(result, ratio), (a[0], b[0], c[0]))
        ext_store(out, out_start + k, out_plane, ext_scale(result, factor))
