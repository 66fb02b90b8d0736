"""Batch inversion by Montgomery's trick, lane by lane: one Fermat power serves a whole block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, int64, njit, uint64, void

from zkvm.kernels.extension import ext_adjugate_any, ext_load, ext_scale, ext_store
from zkvm.kernels.goldilocks import ONE
from zkvm.kernels.vectors import add, add_any, canonical, load, mul, mul_any, splat, store, sub

MATRIX = uint64[:, ::1]
WORDS = uint64[::1]
BLOCK = 4096
"""Elements per Fermat power: 72 products for 8 lanes, one waiting for the other."""


@njit(inline="always")
def _square_times(value: Any, count: Any) -> Any:
    for _ in range(count):
        value = mul_any(value, value)
    return value


@njit(inline="always")
def _inverse(a: Any) -> Any:
    """a^(p-2), any word, by an addition chain; o_k = a^(2^k - 1), and p - 2 = (2^31 - 1) 2^33 + 2^32 - 1."""
    o2 = mul_any(mul_any(a, a), a)
    o3 = mul_any(mul_any(o2, o2), a)
    o6 = mul_any(_square_times(o3, 3), o3)
    o12 = mul_any(_square_times(o6, 6), o6)
    o24 = mul_any(_square_times(o12, 12), o12)
    o30 = mul_any(_square_times(o24, 6), o6)
    o31 = mul_any(mul_any(o30, o30), a)
    o32 = mul_any(mul_any(o31, o31), a)
    return mul_any(_square_times(o31, 33), o32)


@njit(void(WORDS, int64, WORDS, int64, int64), cache=True, nogil=True)
def invert_block(values: Any, first: Any, out: Any, start: Any, count: Any) -> None:
    """out[start + i] = 1 / values[first + i] for i < count, a multiple of 32.

    Takes any words; no value is zero; not in place. Four interleaved chains: each product waits for the one before it in its chain.
    """
    p0, p1, p2, p3 = load(values, first), load(values, first + 8), load(values, first + 16), load(values, first + 24)
    for i in range(32, count, 32):
        f, s = first + i, start + i - 32
        store(out, s, p0)
        store(out, s + 8, p1)
        store(out, s + 16, p2)
        store(out, s + 24, p3)
        p0, p1 = mul_any(p0, load(values, f)), mul_any(p1, load(values, f + 8))
        p2, p3 = mul_any(p2, load(values, f + 16)), mul_any(p3, load(values, f + 24))
    p01, p23 = mul_any(p0, p1), mul_any(p2, p3)
    inverse = _inverse(mul_any(p01, p23))
    i01, i23 = mul_any(inverse, p23), mul_any(inverse, p01)
    i0, i1, i2, i3 = mul_any(i01, p1), mul_any(i01, p0), mul_any(i23, p3), mul_any(i23, p2)
    for i in range(count - 32, 0, -32):
        f, s = first + i, start + i
        store(out, s, mul(i0, load(out, s - 32)))
        store(out, s + 8, mul(i1, load(out, s - 24)))
        store(out, s + 16, mul(i2, load(out, s - 16)))
        store(out, s + 24, mul(i3, load(out, s - 8)))
        i0, i1 = mul_any(i0, load(values, f)), mul_any(i1, load(values, f + 8))
        i2, i3 = mul_any(i2, load(values, f + 16)), mul_any(i3, load(values, f + 24))
    store(out, start, canonical(i0))
    store(out, start + 8, canonical(i1))
    store(out, start + 16, canonical(i2))
    store(out, start + 24, canonical(i3))


@njit(inline="always")
def _invert_padded(norms: Any, inverses: Any, count: Any) -> None:
    """The inverses of the first ``count`` norms; ones fill the last group of 32."""
    padded = (count + 31) // 32 * 32
    for i in range(count, padded):
        norms[i] = ONE
    invert_block(norms, 0, inverses, 0, padded)


@njit(void(WORDS, WORDS, int64, int64), cache=True, nogil=True)
def base_inverse_rows(values: Any, out: Any, first: Any, last: Any) -> None:
    """out[i] = 1 / values[i] on a range of rows."""
    norms = np.empty(BLOCK, dtype=np.uint64)
    inverses = np.empty(BLOCK, dtype=np.uint64)
    for block in range(first, last, BLOCK):
        count = min(BLOCK, last - block)
        norms[:count] = values[block : block + count]
        _invert_padded(norms, inverses, count)
        out[block : block + count] = inverses[:count]


@njit(void(MATRIX, MATRIX, int64, int64), cache=True, nogil=True)
def ext_inverse_rows(values: Any, out: Any, first: Any, last: Any) -> None:
    """out = 1 / values on a range of rows: adjugates, then one batch inversion of the norms. In place is allowed."""
    rows = values.shape[1]
    norms = np.empty(BLOCK, dtype=np.uint64)
    inverses = np.empty(BLOCK, dtype=np.uint64)
    for block in range(first, last, BLOCK):
        count = min(BLOCK, last - block)
        for i in range(0, count, 8):
            adjugate, norm = ext_adjugate_any(ext_load(values, block + i, rows))
            ext_store(out, block + i, rows, adjugate)
            store(norms, i, norm)
        _invert_padded(norms, inverses, count)
        for i in range(0, count, 8):
            ext_store(out, block + i, rows, ext_scale(ext_load(out, block + i, rows), load(inverses, i)))


@njit(inline="always")
def _quadratic(coefficients: Any, coordinate: Any, x: Any) -> Any:
    """u + v x + w x^2, any word, with (u, v, w) one column of ``coefficients`` (3, 3)."""
    u, v, w = splat(coefficients[0, coordinate]), splat(coefficients[1, coordinate]), splat(coefficients[2, coordinate])
    return add_any(mul_any(add_any(mul_any(w, x), v), x), u)


@njit(void(WORDS, MATRIX, WORDS, boolean, MATRIX, int64, int64), cache=True, nogil=True)
def rational_rows(values: Any, numerator: Any, cubic: Any, times_x: Any, out: Any, first: Any, last: Any) -> None:
    """out = (u + v x + w x^2) / (c0 - c1 x + c2 x^2 - x^3), times x if wanted, for base-field values x.

    ``numerator``: (3, 3), rows u, v, w in the extension. ``cubic``: (c0, c1, c2), no zero among the values.
    """
    rows = out.shape[1]
    norms = np.empty(BLOCK, dtype=np.uint64)
    inverses = np.empty(BLOCK, dtype=np.uint64)
    c0, c1, c2 = splat(cubic[0]), splat(cubic[1]), splat(cubic[2])
    for block in range(first, last, BLOCK):
        count = min(BLOCK, last - block)
        for i in range(0, count, 8):
            x = load(values, block + i)
            inner = sub(mul(sub(c2, x), x), c1)
            store(norms, i, add(mul(inner, x), c0))
        _invert_padded(norms, inverses, count)
        for i in range(0, count, 8):
            x = load(values, block + i)
            factor = load(inverses, i)
            if times_x:
                factor = mul_any(factor, x)
            quotient = (
                mul(_quadratic(numerator, 0, x), factor),
                mul(_quadratic(numerator, 1, x), factor),
                mul(_quadratic(numerator, 2, x), factor),
            )
            ext_store(out, block + i, rows, quotient)
