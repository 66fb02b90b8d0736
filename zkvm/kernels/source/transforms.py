"""Number-theoretic transforms of one column, without any reordering between inverse and forward.

``inverse`` takes values in natural order and leaves coefficients in bit-reversed order (decimation in frequency);
``forward`` takes those and leaves values in natural order (decimation in time) on any coset: the powers of the shift
are part of its twiddles. Both are depth-first: a pass of radix 8 streams eight contiguous runs, then the work goes on
inside one eighth, so that most layers find their data in the cache. The arithmetic of a pass: :mod:`zkvm.kernels.source.butterflies`.

A transform of n = 64 R_1 R_2 ... points is a row of *levels*: ``levels[i] = (stride, radix, offset)`` joins ``radix``
transforms of ``stride`` points (64 = the leaf, at the bottom). Its twiddles are ``table[offset + (q - 1) stride + k]``
= x^rev(q) with x = g w^k, for block q = 1..radix - 1 and k < stride, where w has order ``stride * radix`` and
g is the shift at that size. ``table[:8]`` are the shift's powers inside the leaf's 8-point transforms, ``table[8:72]``
the leaf's second pass, as [q][k]. The inverse uses the same layout with inverse roots, no shift, and 1/n in
``table[8:72]``. Between passes, words may be p or more (any representative): ``forward`` leaves canonical values,
``inverse`` any words, and both take any words. Tables are made by :mod:`zkvm.kernels.twiddles`.
"""

from __future__ import annotations

from typing import Any

from numba import int64, njit, uint64, void

from zkvm.kernels.source.butterflies import join2, join4, join8, split2, split4, split8
from zkvm.kernels.source.entry import entry
from zkvm.kernels.source.goldilocks import ONE
from zkvm.kernels.source.tiles import canonical4, canonical8, from_rows, load2, load3, load4, load7, load8, store2, store4, store8, to_rows
from zkvm.kernels.source.vectors import canonical, load, mul_any, splat, store
from zkvm.kernels.source.words import LANES, WIDE
from zkvm.kernels.twiddles import LEAF

WORDS = uint64[::1]
LEVELS = int64[:, ::1]


@njit(inline="always")
def _shift_powers(table: Any) -> Any:
    """The shift's powers inside an 8-point transform."""
    low = splat(table[1]), splat(table[2]), splat(table[3])
    return low[0], low[1], low[2], splat(table[4]), splat(table[5]), splat(table[6]), splat(table[7])


@njit(inline="always")
def _times7(v: Any, w: Any) -> Any:
    """The values after the first times seven factors."""
    low = mul_any(v[1], w[0]), mul_any(v[2], w[1]), mul_any(v[3], w[2])
    return v[0], low[0], low[1], low[2], mul_any(v[4], w[3]), mul_any(v[5], w[4]), mul_any(v[6], w[5]), mul_any(v[7], w[6])


@njit(inline="always")
def _forward8(data: Any, start: Any, stride: Any, table: Any, offset: Any, last: Any) -> None:
    """Joins eight transforms of ``stride`` points."""
    for k in range(0, stride, LANES):
        w = join8(load8(data, start + k, stride), load7(table, offset + k, stride))
        if last:
            w = canonical8(w)
        store8(data, start + k, stride, w)


@njit(inline="always")
def _inverse8(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Splits a transform into eight of ``stride`` points."""
    for k in range(0, stride, LANES):
        w = split8(load8(source, first + k, stride))
        store8(target, start + k, stride, _times7(w, load7(table, offset + k, stride)))


@njit(inline="always")
def _forward4(data: Any, start: Any, stride: Any, table: Any, offset: Any, last: Any) -> None:
    """Joins four transforms of ``stride`` points (blocks in the order of residues 0, 2, 1, 3)."""
    for k in range(0, stride, LANES):
        w = join4(load4(data, start + k, stride), load3(table, offset + k, stride))
        if last:
            w = canonical4(w)
        store4(data, start + k, stride, w)


@njit(inline="always")
def _inverse4(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Splits a transform into four of ``stride`` points."""
    for k in range(0, stride, LANES):
        v = split4(load4(source, first + k, stride))
        t = load3(table, offset + k, stride)
        store4(target, start + k, stride, (v[0], mul_any(v[1], t[0]), mul_any(v[2], t[1]), mul_any(v[3], t[2])))


@njit(inline="always")
def _forward2(data: Any, start: Any, stride: Any, table: Any, offset: Any, last: Any) -> None:
    """Joins two transforms of ``stride`` points."""
    for k in range(0, stride, LANES):
        w = join2(load2(data, start + k, stride), (load(table, offset + k),))
        if last:
            w = canonical(w[0]), canonical(w[1])
        store2(data, start + k, stride, w)


@njit(inline="always")
def _inverse2(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Splits a transform into two of ``stride`` points."""
    for k in range(0, stride, LANES):
        v = split2(load2(source, first + k, stride))
        store2(target, start + k, stride, (v[0], mul_any(v[1], load(table, offset + k))))


@njit(inline="always")
def _forward_leaf_wide(source: Any, first: Any, target: Any, start: Any, table: Any, last: Any) -> None:
    """64 points, all in registers: 8 transforms of 8 contiguous elements, then one pass of radix 8."""
    u = join8(from_rows(load8(source, first, 8)), _shift_powers(table))
    w = join8(to_rows(u), load7(table, 16, 8))
    if last:
        w = canonical8(w)
    store8(target, start, 8, w)


@njit(inline="always")
def _inverse_leaf_wide(source: Any, first: Any, target: Any, start: Any, table: Any) -> None:
    """64 points, all in registers: one pass of radix 8, then 8 transforms of 8 contiguous elements."""
    u = split8(load8(source, first, 8))
    v = _times7(u, load7(table, 16, 8))
    t = split8(from_rows((mul_any(v[0], load(table, 8)), v[1], v[2], v[3], v[4], v[5], v[6], v[7])))
    if table[4] != ONE:  # the shift itself at 8 points: without one, all these factors are 1
        t = _times7(t, _shift_powers(table))
    store8(target, start, 8, to_rows(t))


@njit(inline="always")
def _forward_leaf_narrow(source: Any, first: Any, target: Any, start: Any, table: Any, last: Any) -> None:
    """64 points: 8 transforms of 8 contiguous elements, as many at a time as there are lanes, then one pass of radix 8."""
    shifts = _shift_powers(table)
    for part in range(0, LEAF, 8 * LANES):
        u = join8(from_rows(load8(source, first + part, LANES)), shifts)
        store8(target, start + part, LANES, to_rows(u))
    _forward8(target, start, 8, table, 16, last)


@njit(inline="always")
def _inverse_leaf_narrow(source: Any, first: Any, target: Any, start: Any, table: Any) -> None:
    """64 points: one pass of radix 8, then 8 transforms of 8 contiguous elements."""
    for k in range(0, 8, LANES):
        v = _times7(split8(load8(source, first + k, 8)), load7(table, 16 + k, 8))
        store8(target, start + k, 8, v)
        store(target, start + k, mul_any(v[0], load(table, 8 + k)))
    for part in range(0, LEAF, 8 * LANES):
        t = split8(from_rows(load8(target, start + part, LANES)))
        if table[4] != ONE:  # the shift itself at 8 points: without one, all these factors are 1
            t = _times7(t, _shift_powers(table))
        store8(target, start + part, LANES, to_rows(t))


_forward_leaf = _forward_leaf_wide if WIDE else _forward_leaf_narrow
_inverse_leaf = _inverse_leaf_wide if WIDE else _inverse_leaf_narrow


@njit(void(WORDS, int64, WORDS, int64, int64, LEVELS, WORDS), nogil=True)
def forward(source: Any, first: Any, target: Any, start: Any, size: Any, levels: Any, table: Any) -> None:
    """Bit-reversed coefficients ``source[first : first + size]`` to values ``target[start : start + size]``.

    Source and target may be the same words.
    """
    count = len(levels)
    for done in range(LEAF, size + 1, LEAF):
        _forward_leaf(source, first + done - LEAF, target, start + done - LEAF, table, size == LEAF)
        for level in range(count):
            stride, radix, offset = levels[level, 0], levels[level, 1], levels[level, 2]
            span = stride * radix
            if done & (span - 1) != 0:
                break
            if radix == 8:
                _forward8(target, start + done - span, stride, table, offset, span == size)
            elif radix == 4:
                _forward4(target, start + done - span, stride, table, offset, span == size)
            else:
                _forward2(target, start + done - span, stride, table, offset, span == size)


@entry(void(WORDS, int64, WORDS, int64, int64, LEVELS, WORDS))
def inverse(source: Any, first: Any, target: Any, start: Any, size: Any, levels: Any, table: Any) -> None:
    """Values ``source[first : first + size]`` to bit-reversed coefficients ``target[start : start + size]``, any words.

    Source and target may be the same words; if they differ, the source is left as it is.
    """
    count = len(levels)
    for done in range(0, size, LEAF):
        for level in range(count - 1, -1, -1):
            stride, radix, offset = levels[level, 0], levels[level, 1], levels[level, 2]
            if done & (stride * radix - 1) != 0:
                continue
            top = level == count - 1
            origin = source if top else target
            begin = first if top else start + done
            if radix == 8:
                _inverse8(origin, begin, target, start + done, stride, table, offset)
            elif radix == 4:
                _inverse4(origin, begin, target, start + done, stride, table, offset)
            else:
                _inverse2(origin, begin, target, start + done, stride, table, offset)
        if count == 0:
            _inverse_leaf(source, first, target, start, table)
        else:
            _inverse_leaf(target, start + done, target, start + done, table)
