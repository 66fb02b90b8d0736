"""Row-range kernels behind :mod:`zkvm.stark.kernels.columns`, which checks shapes and splits the rows over threads.

Every kernel works on rows first..last - 1; both are multiples of 8, and so is every row count. Extension vectors are
(3, m): coordinate i of row r is word i m + r.
"""

from __future__ import annotations

from typing import Any

from numba import int64, uint64, void

from zkvm.stark.kernels.source import goldilocks as gl
from zkvm.stark.kernels.source.entry import entry
from zkvm.stark.kernels.source.extension import ext_add, ext_load, ext_mul, ext_scale, ext_splat, ext_store, ext_sub
from zkvm.stark.kernels.source.vectors import load, sub
from zkvm.stark.kernels.source.words import LANES

MATRIX = uint64[:, ::1]
WORDS = uint64[::1]


@entry(void(MATRIX, WORDS, MATRIX, int64, int64))
def ext_scale_rows(a: Any, factors: Any, out: Any, first: Any, last: Any) -> None:
    """out = a factors, with base-field factors."""
    rows = a.shape[1]
    for row in range(first, last, LANES):
        ext_store(out, row, rows, ext_scale(ext_load(a, row, rows), load(factors, row)))


@entry(void(MATRIX, WORDS, MATRIX, MATRIX, int64, int64))
def deep_divide_rows(accumulated: Any, constant: Any, inverses: Any, out: Any, first: Any, last: Any) -> None:
    """out = (accumulated - constant) inverses."""
    rows = out.shape[1]
    subtrahend = ext_splat(constant)
    for row in range(first, last, LANES):
        difference = ext_sub(ext_load(accumulated, row, rows), subtrahend)
        ext_store(out, row, rows, ext_mul(difference, ext_load(inverses, row, rows)))


@entry(void(MATRIX, WORDS, MATRIX, MATRIX, int64, int64))
def deep_divide_add_rows(accumulated: Any, constant: Any, inverses: Any, out: Any, first: Any, last: Any) -> None:
    """out += (accumulated - constant) inverses."""
    rows = out.shape[1]
    subtrahend = ext_splat(constant)
    for row in range(first, last, LANES):
        difference = ext_sub(ext_load(accumulated, row, rows), subtrahend)
        quotient = ext_mul(difference, ext_load(inverses, row, rows))
        ext_store(out, row, rows, ext_add(ext_load(out, row, rows), quotient))


@entry(void(WORDS, WORDS, MATRIX, int64, int64))
def point_minus_rows(point: Any, values: Any, out: Any, first: Any, last: Any) -> None:
    """out = point - values, base-field values."""
    rows = out.shape[1]
    p0, p1, p2 = ext_splat(point)
    for row in range(first, last, LANES):
        ext_store(out, row, rows, (sub(p0, load(values, row)), p1, p2))


@entry(void(WORDS, MATRIX))
def ext_powers_fill(point: Any, out: Any) -> None:
    """out[:, i] = point^i."""
    rows = out.shape[1]
    value = (gl.ONE, gl.ZERO, gl.ZERO)
    for i in range(LANES):
        out[0, i], out[1, i], out[2, i] = value
        value = gl.ext_mul(value[0], value[1], value[2], point[0], point[1], point[2])
    step = ext_splat(value)
    current = ext_load(out, 0, rows)
    for row in range(LANES, rows, LANES):
        current = ext_mul(current, step)
        ext_store(out, row, rows, current)
