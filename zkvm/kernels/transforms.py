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
``table[8:72]``. Tables are made by :mod:`zkvm.kernels.twiddles`.
"""

from __future__ import annotations

from typing import Any

from numba import int64, njit, uint64, void

from zkvm.kernels.vectors import add, load, mul, mul_2_24, mul_2_48, mul_2_72, splat, store, sub, transpose

WORDS = uint64[::1]
LEVELS = int64[:, ::1]
LEAF = 64


@njit(inline="always")
def join8(v0: Any, v1: Any, v2: Any, v3: Any, v4: Any, v5: Any, v6: Any, v7: Any) -> Any:
    """8-point transform, bit-reversed in, natural out."""
    a0, a1, a2, a3 = add(v0, v1), sub(v0, v1), add(v2, v3), mul_2_48(sub(v2, v3))
    a4, a5, a6, a7 = add(v4, v5), sub(v4, v5), add(v6, v7), mul_2_48(sub(v6, v7))
    b0, b2, b1, b3 = add(a0, a2), sub(a0, a2), add(a1, a3), sub(a1, a3)
    b4, b6, b5, b7 = add(a4, a6), mul_2_48(sub(a4, a6)), mul_2_24(add(a5, a7)), mul_2_72(sub(a5, a7))
    return add(b0, b4), sub(b1, b5), add(b2, b6), sub(b3, b7), sub(b0, b4), add(b1, b5), sub(b2, b6), add(b3, b7)


@njit(inline="always")
def split8(v0: Any, v1: Any, v2: Any, v3: Any, v4: Any, v5: Any, v6: Any, v7: Any) -> Any:
    """8-point inverse transform (not divided by 8), natural in, bit-reversed out."""
    a0, a1, a2, a3 = add(v0, v4), add(v1, v5), add(v2, v6), add(v3, v7)
    a4, a5, a6, a7 = sub(v0, v4), mul_2_72(sub(v1, v5)), mul_2_48(sub(v6, v2)), mul_2_24(sub(v3, v7))
    b0, b1, b2, b3 = add(a0, a2), add(a1, a3), sub(a0, a2), mul_2_48(sub(a3, a1))
    b4, b5, b6, b7 = add(a4, a6), add(a5, a7), sub(a4, a6), mul_2_48(sub(a7, a5))
    return add(b0, b1), sub(b0, b1), add(b2, b3), sub(b2, b3), add(b4, b5), sub(b4, b5), add(b6, b7), sub(b6, b7)


@njit(void(WORDS, int64, WORDS, int64, WORDS), cache=True, nogil=True)
def _forward_leaf(source: Any, first: Any, target: Any, start: Any, table: Any) -> None:
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
        mul(t0, splat(table[0])),
        mul(t1, splat(table[1])),
        mul(t2, splat(table[2])),
        mul(t3, splat(table[3])),
        mul(t4, splat(table[4])),
        mul(t5, splat(table[5])),
        mul(t6, splat(table[6])),
        mul(t7, splat(table[7])),
    )
    v0, v1, v2, v3, v4, v5, v6, v7 = transpose(u0, u1, u2, u3, u4, u5, u6, u7)
    w0, w1, w2, w3, w4, w5, w6, w7 = join8(
        mul(v0, load(table, 8)),
        mul(v1, load(table, 16)),
        mul(v2, load(table, 24)),
        mul(v3, load(table, 32)),
        mul(v4, load(table, 40)),
        mul(v5, load(table, 48)),
        mul(v6, load(table, 56)),
        mul(v7, load(table, 64)),
    )
    store(target, start, w0)
    store(target, start + 8, w1)
    store(target, start + 16, w2)
    store(target, start + 24, w3)
    store(target, start + 32, w4)
    store(target, start + 40, w5)
    store(target, start + 48, w6)
    store(target, start + 56, w7)


@njit(void(WORDS, int64, WORDS, int64, WORDS), cache=True, nogil=True)
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
        mul(u0, load(table, 8)),
        mul(u1, load(table, 16)),
        mul(u2, load(table, 24)),
        mul(u3, load(table, 32)),
        mul(u4, load(table, 40)),
        mul(u5, load(table, 48)),
        mul(u6, load(table, 56)),
        mul(u7, load(table, 64)),
    )
    t0, t1, t2, t3, t4, t5, t6, t7 = split8(v0, v1, v2, v3, v4, v5, v6, v7)
    w0, w1, w2, w3, w4, w5, w6, w7 = transpose(t0, t1, t2, t3, t4, t5, t6, t7)
    store(target, start, w0)
    store(target, start + 8, w1)
    store(target, start + 16, w2)
    store(target, start + 24, w3)
    store(target, start + 32, w4)
    store(target, start + 40, w5)
    store(target, start + 48, w6)
    store(target, start + 56, w7)


@njit(void(WORDS, int64, int64, WORDS, int64), cache=True, nogil=True)
def _forward8(data: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Joins eight transforms of ``stride`` points."""
    for k in range(0, stride, 8):
        p = start + k
        t = offset + k
        w0, w1, w2, w3, w4, w5, w6, w7 = join8(
            load(data, p),
            mul(load(data, p + stride), load(table, t)),
            mul(load(data, p + 2 * stride), load(table, t + stride)),
            mul(load(data, p + 3 * stride), load(table, t + 2 * stride)),
            mul(load(data, p + 4 * stride), load(table, t + 3 * stride)),
            mul(load(data, p + 5 * stride), load(table, t + 4 * stride)),
            mul(load(data, p + 6 * stride), load(table, t + 5 * stride)),
            mul(load(data, p + 7 * stride), load(table, t + 6 * stride)),
        )
        store(data, p, w0)
        store(data, p + stride, w1)
        store(data, p + 2 * stride, w2)
        store(data, p + 3 * stride, w3)
        store(data, p + 4 * stride, w4)
        store(data, p + 5 * stride, w5)
        store(data, p + 6 * stride, w6)
        store(data, p + 7 * stride, w7)


@njit(void(WORDS, int64, WORDS, int64, int64, WORDS, int64), cache=True, nogil=True)
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
        store(target, p + stride, mul(w1, load(table, t)))
        store(target, p + 2 * stride, mul(w2, load(table, t + stride)))
        store(target, p + 3 * stride, mul(w3, load(table, t + 2 * stride)))
        store(target, p + 4 * stride, mul(w4, load(table, t + 3 * stride)))
        store(target, p + 5 * stride, mul(w5, load(table, t + 4 * stride)))
        store(target, p + 6 * stride, mul(w6, load(table, t + 5 * stride)))
        store(target, p + 7 * stride, mul(w7, load(table, t + 6 * stride)))


@njit(void(WORDS, int64, int64, WORDS, int64), cache=True, nogil=True)
def _forward4(data: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Joins four transforms of ``stride`` points (blocks in the order of residues 0, 2, 1, 3)."""
    for k in range(0, stride, 8):
        p = start + k
        t = offset + k
        v0 = load(data, p)
        v1 = mul(load(data, p + stride), load(table, t))
        v2 = mul(load(data, p + 2 * stride), load(table, t + stride))
        v3 = mul(load(data, p + 3 * stride), load(table, t + 2 * stride))
        a0, a1, a2, a3 = add(v0, v1), sub(v0, v1), add(v2, v3), mul_2_48(sub(v2, v3))
        store(data, p, add(a0, a2))
        store(data, p + stride, add(a1, a3))
        store(data, p + 2 * stride, sub(a0, a2))
        store(data, p + 3 * stride, sub(a1, a3))


@njit(void(WORDS, int64, WORDS, int64, int64, WORDS, int64), cache=True, nogil=True)
def _inverse4(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Splits a transform into four of ``stride`` points."""
    for k in range(0, stride, 8):
        f = first + k
        p = start + k
        t = offset + k
        v0, v1, v2, v3 = load(source, f), load(source, f + stride), load(source, f + 2 * stride), load(source, f + 3 * stride)
        a0, a1, a2, a3 = add(v0, v2), add(v1, v3), sub(v0, v2), mul_2_48(sub(v3, v1))
        store(target, p, add(a0, a1))
        store(target, p + stride, mul(sub(a0, a1), load(table, t)))
        store(target, p + 2 * stride, mul(add(a2, a3), load(table, t + stride)))
        store(target, p + 3 * stride, mul(sub(a2, a3), load(table, t + 2 * stride)))


@njit(void(WORDS, int64, int64, WORDS, int64), cache=True, nogil=True)
def _forward2(data: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Joins two transforms of ``stride`` points."""
    for k in range(0, stride, 8):
        p = start + k
        v0 = load(data, p)
        v1 = mul(load(data, p + stride), load(table, offset + k))
        store(data, p, add(v0, v1))
        store(data, p + stride, sub(v0, v1))


@njit(void(WORDS, int64, WORDS, int64, int64, WORDS, int64), cache=True, nogil=True)
def _inverse2(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any) -> None:
    """Splits a transform into two of ``stride`` points."""
    for k in range(0, stride, 8):
        v0, v1 = load(source, first + k), load(source, first + k + stride)
        store(target, start + k, add(v0, v1))
        store(target, start + k + stride, mul(sub(v0, v1), load(table, offset + k)))


@njit(void(WORDS, int64, WORDS, int64, int64, LEVELS, WORDS), cache=True, nogil=True)
def forward(source: Any, first: Any, target: Any, start: Any, size: Any, levels: Any, table: Any) -> None:
    """Bit-reversed coefficients ``source[first : first + size]`` to values ``target[start : start + size]``.

    Source and target may be the same words.
    """
    count = len(levels)
    for done in range(LEAF, size + 1, LEAF):
        _forward_leaf(source, first + done - LEAF, target, start + done - LEAF, table)
        for level in range(count):
            stride, radix, offset = levels[level, 0], levels[level, 1], levels[level, 2]
            span = stride * radix
            if done & (span - 1) != 0:
                break
            if radix == 8:
                _forward8(target, start + done - span, stride, table, offset)
            elif radix == 4:
                _forward4(target, start + done - span, stride, table, offset)
            else:
                _forward2(target, start + done - span, stride, table, offset)


@njit(void(WORDS, int64, WORDS, int64, int64, LEVELS, WORDS), cache=True, nogil=True)
def inverse(source: Any, first: Any, target: Any, start: Any, size: Any, levels: Any, table: Any) -> None:
    """Values ``source[first : first + size]`` to bit-reversed coefficients ``target[start : start + size]``.

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
