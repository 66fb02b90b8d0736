"""Batch inversion by Montgomery's trick, lane by lane: one Fermat power serves a whole block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, njit, uint64, void

from zkvm.kernels.extension import ext_adjugate, ext_load, ext_scale, ext_store
from zkvm.kernels.vectors import load, mul, store

MATRIX = uint64[:, ::1]
WORDS = uint64[::1]
BLOCK = 1024
"""Elements per Fermat power (72 products for 8 lanes): it costs half a product an element."""


@njit(inline="always")
def _square_times(value: Any, count: Any) -> Any:
    for _ in range(count):
        value = mul(value, value)
    return value


@njit(inline="always")
def _inverse(a: Any) -> Any:
    """a^(p-2) by an addition chain; o_k = a^(2^k - 1), and p - 2 = (2^31 - 1) 2^33 + 2^32 - 1."""
    o2 = mul(mul(a, a), a)
    o3 = mul(mul(o2, o2), a)
    o6 = mul(_square_times(o3, 3), o3)
    o12 = mul(_square_times(o6, 6), o6)
    o24 = mul(_square_times(o12, 12), o12)
    o30 = mul(_square_times(o24, 6), o6)
    o31 = mul(mul(o30, o30), a)
    o32 = mul(mul(o31, o31), a)
    return mul(_square_times(o31, 33), o32)


@njit(void(WORDS, int64, WORDS, int64, int64), cache=True, nogil=True)
def invert_block(values: Any, first: Any, out: Any, start: Any, count: Any) -> None:
    """out[start + i] = 1 / values[first + i] for i < count, a multiple of 8; no value is zero; not in place."""
    product = load(values, first)
    store(out, start, product)
    for i in range(8, count, 8):
        product = mul(product, load(values, first + i))
        store(out, start + i, product)
    inverse = _inverse(product)
    for i in range(count - 8, 0, -8):
        store(out, start + i, mul(inverse, load(out, start + i - 8)))
        inverse = mul(inverse, load(values, first + i))
    store(out, start, inverse)


@njit(void(WORDS, WORDS, int64, int64), cache=True, nogil=True)
def base_inverse_rows(values: Any, out: Any, first: Any, last: Any) -> None:
    """out[i] = 1 / values[i] on a range of rows."""
    for block in range(first, last, BLOCK):
        invert_block(values, block, out, block, min(BLOCK, last - block))


@njit(void(MATRIX, MATRIX, int64, int64), cache=True, nogil=True)
def ext_inverse_rows(values: Any, out: Any, first: Any, last: Any) -> None:
    """out = 1 / values on a range of rows: adjugates, then one batch inversion of the norms. In place is allowed."""
    rows = values.shape[1]
    norms = np.empty(BLOCK, dtype=np.uint64)
    inverses = np.empty(BLOCK, dtype=np.uint64)
    for block in range(first, last, BLOCK):
        count = min(BLOCK, last - block)
        for i in range(0, count, 8):
            adjugate, norm = ext_adjugate(ext_load(values, block + i, rows))
            ext_store(out, block + i, rows, adjugate)
            store(norms, i, norm)
        invert_block(norms, 0, inverses, 0, count)
        for i in range(0, count, 8):
            ext_store(out, block + i, rows, ext_scale(ext_load(out, block + i, rows), load(inverses, i)))
