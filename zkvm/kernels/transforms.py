"""Number-theoretic transforms of one column, without any reordering between inverse and forward.

``inverse`` takes values in natural order and leaves coefficients in bit-reversed order (decimation in frequency);
``forward`` takes those and leaves values in natural order (decimation in time) on any coset: the powers of the shift
are part of its twiddles. Both are depth-first: a pass of radix 8 streams eight contiguous runs, then the work goes on
inside one eighth, so that most layers find their data in the cache. The eighth roots of unity are signed powers of
two (w_8 = -2^24, w_4 = 2^48), so that the inner twiddles are shifts.

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

from zkvm.kernels.goldilocks import ONE
from zkvm.kernels.vectors import add_any, canonical, load, mul_2_24, mul_2_48, mul_2_72, mul_any, splat, store, sub_any, transpose

WORDS = uint64[::1]
LEVELS = int64[:, ::1]
LEAF = 64


# In the two functions below c* are canonical, the rest any words: only the second operand of a sum needs to be canonical,
# and the products by powers of two always are.


@njit(inline="always")
def join8(v0: Any, v1: Any, v2: Any, v3: Any, v4: Any, v5: Any, v6: Any, v7: Any) -> Any:
    """8-point transform, bit-reversed in, natural out; any words in and out."""
    c1, c3, c5, c7 = canonical(v1), canonical(v3), canonical(v5), canonical(v7)
    a0, a1, a2, a3 = add_any(v0, c1), sub_any(v0, c1), add_any(v2, c3), sub_any(v2, c3)
    a4, a5, a6, a7 = add_any(v4, c5), sub_any(v4, c5), add_any(v6, c7), sub_any(v6, c7)
    c2, c3, c6, c7 = canonical(a2), mul_2_48(a3), canonical(a6), mul_2_48(a7)
    b0, b1, b2, b3 = add_any(a0, c2), add_any(a1, c3), sub_any(a0, c2), sub_any(a1, c3)
    b4, b5, b6, b7 = add_any(a4, c6), add_any(a5, c7), sub_any(a4, c6), sub_any(a5, c7)
    c4, c5, c6, c7 = canonical(b4), mul_2_24(b5), mul_2_48(b6), mul_2_72(b7)  # w_8 = -2^24 and w_8^3 = -2^72: signs below
    low = add_any(b0, c4), sub_any(b1, c5), add_any(b2, c6), sub_any(b3, c7)
    return low[0], low[1], low[2], low[3], sub_any(b0, c4), add_any(b1, c5), sub_any(b2, c6), add_any(b3, c7)


@njit(inline="always")
def split8(v0: Any, v1: Any, v2: Any, v3: Any, v4: Any, v5: Any, v6: Any, v7: Any) -> Any:
    """8-point inverse transform (not divided by 8), natural in, bit-reversed out; any words in and out."""
    c4, c5, c6, c7 = canonical(v4), canonical(v5), canonical(v6), canonical(v7)
    a0, a1, a2, a3 = add_any(v0, c4), add_any(v1, c5), add_any(v2, c6), add_any(v3, c7)
    a4, a5, c6, c7 = sub_any(v0, c4), mul_2_72(sub_any(v1, c5)), mul_2_48(sub_any(v2, c6)), mul_2_24(sub_any(v3, c7))
    c2, c3 = canonical(a2), canonical(a3)
    b0, c1, b2, c3 = add_any(a0, c2), canonical(add_any(a1, c3)), sub_any(a0, c2), mul_2_48(sub_any(a1, c3))
    # w_4^-1 = -2^48: c3, c6 and the second c7 carry the opposite sign, so sums and differences change places.
    b4, c5, b6, c7 = sub_any(a4, c6), canonical(add_any(a5, c7)), add_any(a4, c6), mul_2_48(sub_any(a5, c7))
    even = add_any(b0, c1), sub_any(b0, c1), sub_any(b2, c3), add_any(b2, c3)
    return even[0], even[1], even[2], even[3], add_any(b4, c5), sub_any(b4, c5), sub_any(b6, c7), add_any(b6, c7)


@njit(inline="always")
def _forward_leaf(source: Any, first: Any, target: Any, start: Any, table: Any, last: Any) -> None:
    """64 points: 8 transforms of 8 contiguous elements, then one pass of radix 8."""
    t0, t1, t2, t3, t4, t5, t6, t7 = transpose(
        load(source, first),
        load(source, first + 8),
        load(source, first + 16),
        load(source, first + 24),
        load(source, first + 32),
        load(source, first + 40),
        load(source, first + 48),
        load(source, first + 56),
    )
    u0, u1, u2, u3, u4, u5, u6, u7 = join8(
        t0,
        mul_any(t1, splat(table[1])),
        mul_any(t2, splat(table[2])),
        mul_any(t3, splat(table[3])),
        mul_any(t4, splat(table[4])),
        mul_any(t5, splat(table[5])),
        mul_any(t6, splat(table[6])),
        mul_any(t7, splat(table[7])),
    )
    v0, v1, v2, v3, v4, v5, v6, v7 = transpose(u0, u1, u2, u3, u4, u5, u6, u7)
    w0, w1, w2, w3, w4, w5, w6, w7 = join8(
        v0,
        mul_any(v1, load(table, 16)),
        mul_any(v2, load(table, 24)),
        mul_any(v3, load(table, 32)),
        mul_any(v4, load(table, 40)),
        mul_any(v5, load(table, 48)),
        mul_any(v6, load(table, 56)),
        mul_any(v7, load(table, 64)),
    )
    if last:
        w0, w1, w2, w3 = canonical(w0), canonical(w1), canonical(w2), canonical(w3)
        w4, w5, w6, w7 = canonical(w4), canonical(w5), canonical(w6), canonical(w7)
    store(target, start, w0)
    store(target, start + 8, w1)
    store(target, start + 16, w2)
    store(target, start + 24, w3)
    store(target, start + 32, w4)
    store(target, start + 40, w5)
    store(target, start + 48, w6)
    store(target, start + 56, w7)


@njit(inline="always")
def _inverse_leaf(source: Any, first: Any, target: Any, start: Any, table: Any) -> None:
    """64 points: one pass of radix 8, then 8 transforms of 8 contiguous elements."""
    u0, u1, u2, u3, u4, u5, u6, u7 = split8(
        load(source, first),
        load(source, first + 8),
        load(source, first + 16),
        load(source, first + 24),
        load(source, first + 32),
        load(source, first + 40),
        load(source, first + 48),
        load(source, first + 56),
    )
    v0, v1, v2, v3, v4, v5, v6, v7 = transpose(
        mul_any(u0, load(table, 8)),
        mul_any(u1, load(table, 16)),
        mul_any(u2, load(table, 24)),
        mul_any(u3, load(table, 32)),
        mul_any(u4, load(table, 40)),
        mul_any(u5, load(table, 48)),
        mul_any(u6, load(table, 56)),
        mul_any(u7, load(table, 64)),
    )
    t0, t1, t2, t3, t4, t5, t6, t7 = split8(v0, v1, v2, v3, v4, v5, v6, v7)
    if table[4] != ONE:  # the shift itself at 8 points: without one, all these factors are 1
        t1, t2, t3 = mul_any(t1, splat(table[1])), mul_any(t2, splat(table[2])), mul_any(t3, splat(table[3]))
        t4, t5, t6 = mul_any(t4, splat(table[4])), mul_any(t5, splat(table[5])), mul_any(t6, splat(table[6]))
        t7 = mul_any(t7, splat(table[7]))
    w0, w1, w2, w3, w4, w5, w6, w7 = transpose(t0, t1, t2, t3, t4, t5, t6, t7)
    store(target, start, w0)
    store(target, start + 8, w1)
    store(target, start + 16, w2)
    store(target, start + 24, w3)
    store(target, start + 32, w4)
    store(target, start + 40, w5)
    store(target, start + 48, w6)
    store(target, start + 56, w7)


@njit(inline="always")
def _forward8(data: Any, start: Any, stride: Any, table: Any, offset: Any, last: Any) -> None:
    """Joins eight transforms of ``stride`` points."""
    for k in range(0, stride, 8):
        p = start + k
        t = offset + k
        w0, w1, w2, w3, w4, w5, w6, w7 = join8(
            load(data, p),
            mul_any(load(data, p + stride), load(table, t)),
            mul_any(load(data, p + 2 * stride), load(table, t + stride)),
            mul_any(load(data, p + 3 * stride), load(table, t + 2 * stride)),
            mul_any(load(data, p + 4 * stride), load(table, t + 3 * stride)),
            mul_any(load(data, p + 5 * stride), load(table, t + 4 * stride)),
            mul_any(load(data, p + 6 * stride), load(table, t + 5 * stride)),
            mul_any(load(data, p + 7 * stride), load(table, t + 6 * stride)),
        )
        if last:
            w0, w1, w2, w3 = canonical(w0), canonical(w1), canonical(w2), canonical(w3)
            w4, w5, w6, w7 = canonical(w4), canonical(w5), canonical(w6), canonical(w7)
        store(data, p, w0)
        store(data, p + stride, w1)
        store(data, p + 2 * stride, w2)
        store(data, p + 3 * stride, w3)
        store(data, p + 4 * stride, w4)
        store(data, p + 5 * stride, w5)
        store(data, p + 6 * stride, w6)
        store(data, p + 7 * stride, w7)


@njit(inline="always")
def _inverse8(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Splits a transform into eight of ``stride`` points."""
    for k in range(0, stride, 8):
        f = first + k
        p = start + k
        t = offset + k
        w0, w1, w2, w3, w4, w5, w6, w7 = split8(
            load(source, f),
            load(source, f + stride),
            load(source, f + 2 * stride),
            load(source, f + 3 * stride),
            load(source, f + 4 * stride),
            load(source, f + 5 * stride),
            load(source, f + 6 * stride),
            load(source, f + 7 * stride),
        )
        store(target, p, w0)
        store(target, p + stride, mul_any(w1, load(table, t)))
        store(target, p + 2 * stride, mul_any(w2, load(table, t + stride)))
        store(target, p + 3 * stride, mul_any(w3, load(table, t + 2 * stride)))
        store(target, p + 4 * stride, mul_any(w4, load(table, t + 3 * stride)))
        store(target, p + 5 * stride, mul_any(w5, load(table, t + 4 * stride)))
        store(target, p + 6 * stride, mul_any(w6, load(table, t + 5 * stride)))
        store(target, p + 7 * stride, mul_any(w7, load(table, t + 6 * stride)))


@njit(inline="always")
def _forward4(data: Any, start: Any, stride: Any, table: Any, offset: Any, last: Any) -> None:
    """Joins four transforms of ``stride`` points (blocks in the order of residues 0, 2, 1, 3)."""
    for k in range(0, stride, 8):
        p = start + k
        t = offset + k
        v0 = load(data, p)
        v1 = mul_any(load(data, p + stride), load(table, t))
        v2 = mul_any(load(data, p + 2 * stride), load(table, t + stride))
        v3 = mul_any(load(data, p + 3 * stride), load(table, t + 2 * stride))
        c1, c3 = canonical(v1), canonical(v3)
        a0, a1, c2, c3 = add_any(v0, c1), sub_any(v0, c1), canonical(add_any(v2, c3)), mul_2_48(sub_any(v2, c3))
        w0, w1, w2, w3 = add_any(a0, c2), add_any(a1, c3), sub_any(a0, c2), sub_any(a1, c3)
        if last:
            w0, w1, w2, w3 = canonical(w0), canonical(w1), canonical(w2), canonical(w3)
        store(data, p, w0)
        store(data, p + stride, w1)
        store(data, p + 2 * stride, w2)
        store(data, p + 3 * stride, w3)


@njit(inline="always")
def _inverse4(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Splits a transform into four of ``stride`` points."""
    for k in range(0, stride, 8):
        f = first + k
        p = start + k
        t = offset + k
        v0, v1, v2, v3 = load(source, f), load(source, f + stride), load(source, f + 2 * stride), load(source, f + 3 * stride)
        c2, c3 = canonical(v2), canonical(v3)
        a0, c1, a2, c3 = add_any(v0, c2), canonical(add_any(v1, c3)), sub_any(v0, c2), mul_2_48(sub_any(v1, c3))
        store(target, p, add_any(a0, c1))
        store(target, p + stride, mul_any(sub_any(a0, c1), load(table, t)))
        store(target, p + 2 * stride, mul_any(sub_any(a2, c3), load(table, t + stride)))
        store(target, p + 3 * stride, mul_any(add_any(a2, c3), load(table, t + 2 * stride)))


@njit(inline="always")
def _forward2(data: Any, start: Any, stride: Any, table: Any, offset: Any, last: Any) -> None:
    """Joins two transforms of ``stride`` points."""
    for k in range(0, stride, 8):
        p = start + k
        v0 = load(data, p)
        c1 = canonical(mul_any(load(data, p + stride), load(table, offset + k)))
        w0, w1 = add_any(v0, c1), sub_any(v0, c1)
        if last:
            w0, w1 = canonical(w0), canonical(w1)
        store(data, p, w0)
        store(data, p + stride, w1)


@njit(inline="always")
def _inverse2(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Splits a transform into two of ``stride`` points."""
    for k in range(0, stride, 8):
        v0, c1 = load(source, first + k), canonical(load(source, first + k + stride))
        store(target, start + k, add_any(v0, c1))
        store(target, start + k + stride, mul_any(sub_any(v0, c1), load(table, offset + k)))


@njit(void(WORDS, int64, WORDS, int64, int64, LEVELS, WORDS), cache=True, nogil=True)
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


@njit(void(WORDS, int64, WORDS, int64, int64, LEVELS, WORDS), cache=True, nogil=True)
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
