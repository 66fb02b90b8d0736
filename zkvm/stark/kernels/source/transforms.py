"""Number-theoretic transforms of one column, without any reordering between inverse and forward.

``inverse`` takes values in natural order and leaves coefficients in bit-reversed order (decimation in frequency);
``forward`` takes those and leaves values in natural order (decimation in time) on any coset: the powers of the shift
are part of its twiddles. The arithmetic of 8 points: :mod:`zkvm.stark.kernels.source.butterflies`.

A transform of n = 64 R_1 R_2 ... points is a row of *levels*, small to large: ``levels[i] = (stride, radix, offset)`` joins
``radix`` transforms of ``stride`` points; its twiddles begin at ``table[offset]``. Below all is the *leaf* of 64 contiguous points,
with its twiddles at ``table[0]``. The radix is 64 but for the level right above the leaf. A transform of radix 16, 32 or 64 is one of
radix 8 and one of radix 2, 4 or 8 with powers of two between them: one general product serves up to six layers. It works on
:data:`CHUNK` columns at a time, in a buffer that stays in the first-level cache. A leaf works on as many leaves as there are lanes,
transposed.
Levels are done depth-first: once all parts of a level are there, it is done, so that most find their data in the cache.

All products come before the sums, in either direction: ``forward`` has the twiddles of a level at its inputs, ``inverse`` those of the
level above, so that the topmost has none. Tables are in the order of use (:mod:`zkvm.stark.kernels.twiddles`). Between passes, words
may be p or more (any representative): ``forward`` leaves canonical values, ``inverse`` any words, and both take any words.
"""

from __future__ import annotations

from typing import Any

from numba import int64, njit, uint64, void

from zkvm.stark.kernels.source.butterflies import (
    join2,
    join2_after,
    join4,
    join4_after,
    join8,
    join8_after,
    split2,
    split2_after,
    split2_scaled,
    split4,
    split4_after,
    split4_scaled,
    split8,
    split8_after,
    split8_scaled,
)
from zkvm.stark.kernels.source.entry import entry, stack_array
from zkvm.stark.kernels.source.tiles import (
    canonical2,
    canonical4,
    canonical8,
    load2,
    load3,
    load4,
    load7,
    load8,
    load_lanes,
    store2,
    store4,
    store8,
    store_lanes,
    transpose,
)
from zkvm.stark.kernels.source.vectors import load
from zkvm.stark.kernels.source.words import LANES, WIDE
from zkvm.stark.kernels.twiddles import CHUNK, LEAF, LEAVES, TALL

WORDS = uint64[::1]
LEVELS = int64[:, ::1]
_buffer = stack_array(uint64, LEAF * CHUNK)
_AFTER = {
    8: (join8_after, split8_after, load8, store8, canonical8),
    4: (join4_after, split4_after, load4, store4, canonical4),
    2: (join2_after, split2_after, load2, store2, canonical2),
}
"""The second half of a step of 8 times so many points: join and split, each by its place, and what they need."""


def _join_part(groups: int, part: int) -> Any:
    joins, _, load_all, store_all, canonical = _AFTER[groups]
    join = joins[part]

    @njit(inline="always")
    def run(buffer: Any, count: Any, data: Any, start: Any, stride: Any, last: Any) -> None:
        """The second half, at results ``part``, 8 + ``part``, ...: ``count`` columns of the buffer to ``data``."""
        for k in range(0, count, LANES):
            w = join(load_all(buffer, part * count + k, 8 * count))
            if last:
                w = canonical(w)
            store_all(data, start + part * stride + k, 8 * stride, w)

    return run


def _split_part(groups: int, part: int) -> Any:
    _, splits, load_all, store_all, _ = _AFTER[groups]
    split = splits[part]

    @njit(inline="always")
    def run(buffer: Any, count: Any, data: Any, start: Any, stride: Any) -> None:
        """The second half, at results from ``groups part`` on: ``count`` columns of the buffer to ``data``."""
        for k in range(0, count, LANES):
            store_all(data, start + groups * part * stride + k, stride, split(load_all(buffer, groups * part * count + k, count)))

    return run


def _join_parts(groups: int) -> Any:
    run0, run1, run2, run3, run4, run5, run6, run7 = (_join_part(groups, part) for part in range(8))

    @njit(inline="always")
    def run(buffer: Any, count: Any, data: Any, start: Any, stride: Any, last: Any) -> None:
        run0(buffer, count, data, start, stride, last)
        run1(buffer, count, data, start, stride, last)
        run2(buffer, count, data, start, stride, last)
        run3(buffer, count, data, start, stride, last)
        run4(buffer, count, data, start, stride, last)
        run5(buffer, count, data, start, stride, last)
        run6(buffer, count, data, start, stride, last)
        run7(buffer, count, data, start, stride, last)

    return run


def _split_parts(groups: int) -> Any:
    run0, run1, run2, run3, run4, run5, run6, run7 = (_split_part(groups, part) for part in range(8))

    @njit(inline="always")
    def run(buffer: Any, count: Any, data: Any, start: Any, stride: Any) -> None:
        run0(buffer, count, data, start, stride)
        run1(buffer, count, data, start, stride)
        run2(buffer, count, data, start, stride)
        run3(buffer, count, data, start, stride)
        run4(buffer, count, data, start, stride)
        run5(buffer, count, data, start, stride)
        run6(buffer, count, data, start, stride)
        run7(buffer, count, data, start, stride)

    return run


_join_parts8, _split_parts8 = _join_parts(8), _split_parts(8)


def _forward_step(groups: int) -> Any:
    join_parts = _join_parts8 if groups == 8 else _join_parts(groups)

    @njit(inline="always")
    def run(data: Any, start: Any, stride: Any, table: Any, offset: Any, buffer: Any, last: Any) -> None:
        """Joins ``8 groups`` transforms of ``stride`` points."""
        for column in range(start, start + stride, CHUNK):
            for group in range(groups):
                first = column + 8 * group * stride
                for k in range(0, CHUNK, LANES):
                    w = join8(load8(data, first + k, stride), load8(table, offset, LANES))
                    store8(buffer, 8 * CHUNK * group + k, CHUNK, w)
                    offset += 8 * LANES
            join_parts(buffer, CHUNK, data, column, stride, last)

    return run


def _inverse_step(groups: int) -> Any:
    split_parts = _split_parts8 if groups == 8 else _split_parts(groups)

    @njit(inline="always")
    def run(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any, buffer: Any, top: Any) -> None:
        """Splits a transform into ``8 groups`` of ``stride`` points."""
        for column in range(0, stride, CHUNK):
            for part in range(groups):
                begin = first + column + part * stride
                for k in range(0, CHUNK, LANES):
                    v = load8(source, begin + k, groups * stride)
                    w = split8(v) if top else split8_scaled(v, load8(table, offset, LANES))
                    store8(buffer, CHUNK * part + k, groups * CHUNK, w)
                    offset += 8 * LANES
            split_parts(buffer, CHUNK, target, start + column, stride)

    return run


_forward64, _forward32, _forward16 = _forward_step(8), _forward_step(4), _forward_step(2)
_inverse64, _inverse32, _inverse16 = _inverse_step(8), _inverse_step(4), _inverse_step(2)


@njit(inline="always")
def _forward8(data: Any, start: Any, stride: Any, table: Any, offset: Any, last: Any) -> None:
    """Joins eight transforms of ``stride`` points."""
    for k in range(0, stride, LANES):
        w = join8(load8(data, start + k, stride), load7(table, offset + 7 * k, LANES))
        if last:
            w = canonical8(w)
        store8(data, start + k, stride, w)


@njit(inline="always")
def _inverse8(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any, top: Any) -> None:
    """Splits a transform into eight of ``stride`` points."""
    for k in range(0, stride, LANES):
        v = load8(source, first + k, stride)
        w = split8(v) if top else split8_scaled(v, load8(table, offset + 8 * k, LANES))
        store8(target, start + k, stride, w)


@njit(inline="always")
def _forward4(data: Any, start: Any, stride: Any, table: Any, offset: Any, last: Any) -> None:
    """Joins four transforms of ``stride`` points (blocks in the order of residues 0, 2, 1, 3)."""
    for k in range(0, stride, LANES):
        w = join4(load4(data, start + k, stride), load3(table, offset + 3 * k, LANES))
        if last:
            w = canonical4(w)
        store4(data, start + k, stride, w)


@njit(inline="always")
def _inverse4(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any, top: Any) -> None:
    """Splits a transform into four of ``stride`` points."""
    for k in range(0, stride, LANES):
        v = load4(source, first + k, stride)
        w = split4(v) if top else split4_scaled(v, load4(table, offset + 4 * k, LANES))
        store4(target, start + k, stride, w)


@njit(inline="always")
def _forward2(data: Any, start: Any, stride: Any, table: Any, offset: Any, last: Any) -> None:
    """Joins two transforms of ``stride`` points."""
    for k in range(0, stride, LANES):
        w = join2(load2(data, start + k, stride), (load(table, offset + k),))
        if last:
            w = canonical2(w)
        store2(data, start + k, stride, w)


@njit(inline="always")
def _inverse2(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any, top: Any) -> None:
    """Splits a transform into two of ``stride`` points."""
    for k in range(0, stride, LANES):
        v = load2(source, first + k, stride)
        w = split2(v) if top else split2_scaled(v, load2(table, offset + 2 * k, LANES))
        store2(target, start + k, stride, w)


@njit(inline="always")
def _load_columns(source: Any, first: Any, stride: Any) -> Any:
    """Eight words of every leaf, as eight vectors with one lane a leaf."""
    if WIDE:
        return transpose(load8(source, first, stride))
    return transpose(load4(source, first, stride)) + transpose(load4(source, first + 4, stride))


@njit(inline="always")
def _forward_leaf(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, buffer: Any, last: Any) -> None:
    """64 points of as many leaves as there are lanes: from bit-reversed coefficients to values.

    The leaves are ``stride`` words apart (0: the same leaf in all lanes).
    """
    for i in range(0, LEAF, 8):
        w = join8(_load_columns(source, first + i, stride), load8(table, LANES * i, LANES))
        store8(buffer, LANES * i, LANES, w)
    _join_parts8(buffer, LANES, buffer, 0, LANES, last)
    for i in range(0, LEAF, LANES):
        store_lanes(target, start + i, stride, transpose(load_lanes(buffer, LANES * i, LANES)))


@njit(inline="always")
def _inverse_leaf(source: Any, first: Any, target: Any, start: Any, stride: Any, table: Any, offset: Any, buffer: Any) -> None:
    """64 points of as many leaves as there are lanes: from values to bit-reversed coefficients. ``stride`` as in :func:`_forward_leaf`."""
    for i in range(0, LEAF, LANES):
        store_lanes(buffer, LANES * i, LANES, transpose(load_lanes(source, first + i, stride)))
    for part in range(8):
        w = split8_scaled(load8(buffer, LANES * part, 8 * LANES), load8(table, offset + 8 * LANES * part, LANES))
        store8(buffer, LANES * part, 8 * LANES, w)
    _split_parts8(buffer, LANES, buffer, 0, LANES)
    for i in range(0, LEAF, LANES):
        store_lanes(target, start + i, stride, transpose(load_lanes(buffer, LANES * i, LANES)))


# Compiled here, not by their callers, so they have to be told that there is no numba runtime.
@njit(void(WORDS, int64, WORDS, int64, int64, int64, int64, LEVELS, WORDS), nogil=True, _nrt=False)  # type: ignore[call-overload]
def forward_part(source: Any, first: Any, target: Any, start: Any, begin: Any, end: Any, size: Any, levels: Any, table: Any) -> None:
    """The leaves ``begin`` to ``end`` of :func:`forward`, and all levels that they complete if the parts come one after the other."""
    buffer = _buffer()
    step = LEAVES if size >= LEAVES else LEAF
    for done in range(begin + step, end + 1, step):
        leaf = done - step
        _forward_leaf(source, first + leaf, target, start + leaf, LEAF if step == LEAVES else 0, table, buffer, size == LEAF)
        for level in range(len(levels)):
            stride, radix, offset = levels[level, 0], levels[level, 1], levels[level, 2]
            span = stride * radix
            if done & (span - 1) != 0:
                break
            last = span == size
            for place in range(start + done - max(span, step), start + done, span):
                if radix == 64:
                    _forward64(target, place, stride, table, offset, buffer, last)
                elif radix == 32:
                    _forward32(target, place, stride, table, offset, buffer, last)
                elif radix == 16:
                    _forward16(target, place, stride, table, offset, buffer, last)
                elif radix == 8:
                    _forward8(target, place, stride, table, offset, last)
                elif radix == 4:
                    _forward4(target, place, stride, table, offset, last)
                else:
                    _forward2(target, place, stride, table, offset, last)


@njit(void(WORDS, int64, WORDS, int64, int64, int64, int64, LEVELS, WORDS), nogil=True, _nrt=False)  # type: ignore[call-overload]
def inverse_part(source: Any, first: Any, target: Any, start: Any, begin: Any, end: Any, size: Any, levels: Any, table: Any) -> None:
    """Coefficients ``begin`` to ``end`` of :func:`inverse`, with all levels that begin there."""
    buffer = _buffer()
    count = len(levels)
    step = LEAVES if size >= LEAVES else LEAF
    leaf_period = levels[0, 0] * levels[0, 1] if count != 0 else step
    for done in range(begin, end, step):
        for level in range(count - 1, -1, -1):
            stride, radix = levels[level, 0], levels[level, 1]
            span = stride * radix
            if done & (span - 1) != 0:
                continue
            top = level == count - 1
            origin = source if top else target
            period = span if top else levels[level + 1, 0] * levels[level + 1, 1]
            for part in range(done, done + max(span, step), span):
                place = first + part if top else start + part
                offset = levels[level, 2] + (part & (period - 1))
                if radix == 64:
                    _inverse64(origin, place, target, start + part, stride, table, offset, buffer, top)
                elif radix == 32:
                    _inverse32(origin, place, target, start + part, stride, table, offset, buffer, top)
                elif radix == 16:
                    _inverse16(origin, place, target, start + part, stride, table, offset, buffer, top)
                elif radix == 8:
                    _inverse8(origin, place, target, start + part, stride, table, offset, top)
                elif radix == 4:
                    _inverse4(origin, place, target, start + part, stride, table, offset, top)
                else:
                    _inverse2(origin, place, target, start + part, stride, table, offset, top)
        stride = LEAF if step == LEAVES else 0
        offset = LANES * (done & (leaf_period - 1)) if stride == 0 else done & (max(leaf_period, step) - 1)
        origin = source if count == 0 else target
        place = first + done if count == 0 else start + done
        _inverse_leaf(origin, place, target, start + done, stride, table, offset, buffer)


@njit(nogil=True)
def forward(source: Any, first: Any, target: Any, start: Any, size: Any, levels: Any, table: Any) -> None:
    """Bit-reversed coefficients ``source[first : first + size]`` to values ``target[start : start + size]``.

    Source and target may be the same words.
    """
    forward_part(source, first, target, start, 0, size, size, levels, table)


@entry(void(WORDS, int64, WORDS, int64, int64, LEVELS, WORDS))
def inverse(source: Any, first: Any, target: Any, start: Any, size: Any, levels: Any, table: Any) -> None:
    """Values ``source[first : first + size]`` to bit-reversed coefficients ``target[start : start + size]``, any words.

    Source and target may be the same words; if they differ, the source is left as it is.
    """
    inverse_part(source, first, target, start, 0, size, size, levels, table)


@njit(inline="always")
def part_length(size: Any, levels: Any) -> Any:
    """What of a transform fits the second-level cache, as a multiple of all spans but the topmost: the length of its parts."""
    return size if size < TALL else levels[len(levels) - 1, 0]
