"""Row-range kernels behind :mod:`zkvm.kernels.columns`, which checks shapes and splits the rows over threads.

Every kernel works on rows first..last - 1; both are multiples of 8, and so is every row count. Extension vectors are
(3, m): coordinate i of row r is word i m + r.
"""

from __future__ import annotations

from typing import Any

from numba import int64, njit, uint64, void

from zkvm.kernels import goldilocks as gl
from zkvm.kernels.extension import ext_add, ext_load, ext_mul, ext_scale, ext_splat, ext_store, ext_sub
from zkvm.kernels.vectors import load, sub

MATRIX = uint64[:, ::1]
WORDS = uint64[::1]


@njit(void(MATRIX, MATRIX, MATRIX, int64, int64), cache=True, nogil=True)
def ext_mul_rows(a: Any, b: Any, out: Any, first: Any, last: Any) -> None:
    """out = a b."""
    rows = a.shape[1]
    for row in range(first, last, 8):
        ext_store(out, row, rows, ext_mul(ext_load(a, row, rows), ext_load(b, row, rows)))


@njit(void(MATRIX, WORDS, MATRIX, int64, int64), cache=True, nogil=True)
def ext_scale_rows(a: Any, factors: Any, out: Any, first: Any, last: Any) -> None:
    """out = a factors, with base-field factors."""
    rows = a.shape[1]
    for row in range(first, last, 8):
        ext_store(out, row, rows, ext_scale(ext_load(a, row, rows), load(factors, row)))


@njit(void(MATRIX, WORDS, MATRIX, MATRIX, int64, int64), cache=True, nogil=True)
def deep_divide_rows(accumulated: Any, constant: Any, inverses: Any, out: Any, first: Any, last: Any) -> None:
    """out = (accumulated - constant) inverses."""
    rows = out.shape[1]
    subtrahend = ext_splat(constant)
    for row in range(first, last, 8):
        difference = ext_sub(ext_load(accumulated, row, rows), subtrahend)
        ext_store(out, row, rows, ext_mul(difference, ext_load(inverses, row, rows)))


@njit(void(MATRIX, WORDS, MATRIX, MATRIX, int64, int64), cache=True, nogil=True)
def deep_divide_add_rows(accumulated: Any, constant: Any, inverses: Any, out: Any, first: Any, last: Any) -> None:
    """out += (accumulated - constant) inverses."""
    rows = out.shape[1]
    subtrahend = ext_splat(constant)
    for row in range(first, last, 8):
        difference = ext_sub(ext_load(accumulated, row, rows), subtrahend)
        quotient = ext_mul(difference, ext_load(inverses, row, rows))
        ext_store(out, row, rows, ext_add(ext_load(out, row, rows), quotient))


@njit(void(WORDS, WORDS, MATRIX, int64, int64), cache=True, nogil=True)
def point_minus_rows(point: Any, values: Any, out: Any, first: Any, last: Any) -> None:
    """out = point - values, base-field values."""
    rows = out.shape[1]
    p0, p1, p2 = ext_splat(point)
    for row in range(first, last, 8):
        ext_store(out, row, rows, (sub(p0, load(values, row)), p1, p2))


@njit(void(WORDS, MATRIX), cache=True, nogil=True)
def ext_powers_fill(point: Any, out: Any) -> None:
    """out[:, i] = point^i."""
    rows = out.shape[1]
    value = (gl.ONE, gl.ZERO, gl.ZERO)
    for i in range(8):
        out[0, i], out[1, i], out[2, i] = value
        value = gl.ext_mul(value[0], value[1], value[2], point[0], point[1], point[2])
    step = ext_splat(value)
    current = ext_load(out, 0, rows)
    for row in range(8, rows, 8):
        current = ext_mul(current, step)
        ext_store(out, row, rows, current)


@njit(void(MATRIX, WORDS, MATRIX, WORDS), cache=True, nogil=True)
def prefix_sum_rows(terms: Any, start: Any, out: Any, final: Any) -> None:
    """out[:, 0] = start, out[:, i + 1] = out[:, i] + terms[:, i]; ``out`` has m or m + 1 columns."""
    rows, kept = terms.shape[1], out.shape[1]
    s0, s1, s2 = start[0], start[1], start[2]
    for row in range(rows):
        out[0, row], out[1, row], out[2, row] = s0, s1, s2
        s0, s1, s2 = gl.add(s0, terms[0, row]), gl.add(s1, terms[1, row]), gl.add(s2, terms[2, row])
    if kept > rows:
        out[0, rows], out[1, rows], out[2, rows] = s0, s1, s2
    final[0], final[1], final[2] = s0, s1, s2


@njit(void(MATRIX, WORDS, MATRIX, WORDS), cache=True, nogil=True)
def prefix_product_rows(ratios: Any, start: Any, out: Any, final: Any) -> None:
    """out[:, 0] = start, out[:, i + 1] = out[:, i] ratios[:, i]; ``out`` has m or m + 1 columns."""
    rows, kept = ratios.shape[1], out.shape[1]
    value = (start[0], start[1], start[2])
    for row in range(rows):
        out[0, row], out[1, row], out[2, row] = value
        value = gl.ext_mul(value[0], value[1], value[2], ratios[0, row], ratios[1, row], ratios[2, row])
    if kept > rows:
        out[0, rows], out[1, rows], out[2, rows] = value
    final[0], final[1], final[2] = value
