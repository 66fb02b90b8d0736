"""Runs a tape (see :mod:`zkvm.stark.air.tape`) over blocks of rows, one vector of rows at a time.

A column set is a flat array with a stride between columns and an offset of its first row, so that one coset of an LDE array
(w, B, n) is a column set without a copy. The readable twin is :func:`zkvm.stark.prover.tape_twin.run_tape`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, int32, int64, njit, uint64, void
from numpy.typing import NDArray

from zkvm.stark.air.operations import (
    OP_ACC,
    OP_ADD,
    OP_ADDK,
    OP_BUS,
    OP_COPY,
    OP_EXT_MUL,
    OP_EXT_SUM,
    OP_FILL,
    OP_MAIN,
    OP_MUL,
    OP_MULK,
    OP_NEXT,
    OP_OUT,
    OP_PRE,
    OP_RSUBK,
    OP_SUB,
    OP_SUBMULK,
)
from zkvm.stark.kernels.source import goldilocks as gl
from zkvm.stark.kernels.source.entry import entry, readonly
from zkvm.stark.kernels.source.extension import ext_mul
from zkvm.stark.kernels.source.tiles import load6, store6
from zkvm.stark.kernels.source.vectors import add, add_product32, limbs22, load, mul, reduce_sums, splat, store, sub
from zkvm.stark.kernels.source.words import LANES
from zkvm.stark.kernels.tape_runner import BLOCK, CUT, GROUPS, SUMS

Flat = NDArray[np.uint64]
WORDS, COLUMNS = uint64[::1], readonly(uint64)
TWO_22 = np.uint64(2**22)


@njit(nogil=True)
def _load_next(columns: Flat, base: Any, row: Any, height: Any, shift: Any, registers: Flat, target: Any, width: Any) -> None:
    """Rows ``row + shift ...`` of a column, cyclically."""
    for k in range(0, width, LANES):
        position = row + k + shift
        if position + LANES <= height:
            store(registers, target + k, load(columns, base + position))
        else:
            for lane in range(LANES):
                wrapped = position + lane
                registers[target + k + lane] = columns[base + (wrapped - height if wrapped >= height else wrapped)]


@njit(nogil=True)
def _copy(source: Flat, first: Any, target: Flat, start: Any, width: Any) -> None:
    """A block of words."""
    for k in range(0, width, LANES):
        store(target, start + k, load(source, first + k))


@njit(nogil=True)
def _fill(value: Any, target: Flat, start: Any, width: Any) -> None:
    """The same word everywhere in a block."""
    for k in range(0, width, LANES):
        store(target, start + k, splat(value))


@entry(void(readonly(uint64), WORDS))
def cut_words(words: Flat, out: Flat) -> None:
    """Every word c as six vectors: low and high half of c, 2^22 c and 2^44 c in all lanes.

    A cell in pieces of 22 bits, f = f0 + f1 2^22 + f2 2^44, times c is then l + 2^32 h with sums l and h of three products below 2^54.

    Args:
        words: (k,) uint64, canonical.
        out: (k * CUT * LANES,) uint64.
    """
    for number in range(words.shape[0]):
        factor = words[number]
        for piece in range(3):
            at = (CUT * number + 2 * piece) * LANES
            store(out, at, splat(factor & gl.EPSILON))
            store(out, at + LANES, splat(factor >> gl.SHIFT))
            factor = gl.mul(factor, TWO_22)


@njit(inline="always")
def _add_product(low: Any, high: Any, pieces: Any, factors: Flat, at: Any) -> Any:
    """low + 2^32 high plus a cell in pieces times the cut factor at ``at``."""
    low, high = add_product32(low, pieces[0], load(factors, at)), add_product32(high, pieces[0], load(factors, at + LANES))
    at += 2 * LANES
    low, high = add_product32(low, pieces[1], load(factors, at)), add_product32(high, pieces[1], load(factors, at + LANES))
    at += 2 * LANES
    return add_product32(low, pieces[2], load(factors, at)), add_product32(high, pieces[2], load(factors, at + LANES))


@njit(inline="always")
def _add_term(sums: Any, registers: Flat, source: Any, factors: Flat, at: Any) -> Any:
    """The six sums of an extension element, low and high by coordinate, plus a cell times the cut triple of factors at ``at``."""
    pieces = limbs22(load(registers, source))
    l0, h0 = _add_product(sums[0], sums[1], pieces, factors, at)
    l1, h1 = _add_product(sums[2], sums[3], pieces, factors, at + CUT * LANES)
    l2, h2 = _add_product(sums[4], sums[5], pieces, factors, at + 2 * CUT * LANES)
    return l0, h0, l1, h1, l2, h2


@njit(inline="always")
def _term(code: Any, row: Any, scale: Any) -> Any:
    """Where the register and the cut factor of a term are; ``scale``: distance between two factors that a term may name, in cut words."""
    return np.int64(code[row, 1]) * BLOCK, np.int64(code[row, 2]) * (scale * CUT * LANES)


@njit(nogil=True)
def _accumulate(code: Any, step: Any, registers: Flat, powers: Flat, accumulators: Flat, width: Any) -> None:
    """The accumulator of a group takes registers times challenge powers, without reduction.

    Four terms at once, so that their places are known before the loop over the rows; what is left one by one.
    """
    base = np.int64(code[step, 2]) * (SUMS * BLOCK)
    term, last = step + 1, step + 1 + np.int64(code[step, 1])
    while term + 4 <= last:
        (a, at), (b, bt) = _term(code, term, 3), _term(code, term + 1, 3)
        (c, ct), (d, dt) = _term(code, term + 2, 3), _term(code, term + 3, 3)
        for k in range(0, width, LANES):
            sums = _add_term(load6(accumulators, base + k, BLOCK), registers, a + k, powers, at)
            sums = _add_term(_add_term(sums, registers, b + k, powers, bt), registers, c + k, powers, ct)
            store6(accumulators, base + k, BLOCK, _add_term(sums, registers, d + k, powers, dt))
        term += 4
    while term < last:
        a, at = _term(code, term, 3)
        for k in range(0, width, LANES):
            sums = load6(accumulators, base + k, BLOCK)
            store6(accumulators, base + k, BLOCK, _add_term(sums, registers, a + k, powers, at))
        term += 1


@njit(inline="always")
def _store_sums(registers: Flat, targets: Any, k: Any, sums: Any) -> None:
    store(registers, targets[0] + k, reduce_sums(sums[0], sums[1]))
    store(registers, targets[1] + k, reduce_sums(sums[2], sums[3]))
    store(registers, targets[2] + k, reduce_sums(sums[4], sums[5]))


@njit(nogil=True)
def _extension_sum(code: Any, step: Any, registers: Flat, pool: Flat, factors: Flat, width: Any) -> None:
    """An extension constant plus registers times extension constants, with one reduction; up to three terms have loops of their own."""
    count, b = np.int64(code[step, 1]), np.int64(code[step, 2])
    targets = np.int64(code[step, 3]) * BLOCK, np.int64(code[step, 8]) * BLOCK, np.int64(code[step, 9]) * BLOCK
    first, second, third = pool[b], pool[b + 1], pool[b + 2]
    start = (
        splat(first & gl.EPSILON), splat(first >> gl.SHIFT), splat(second & gl.EPSILON), splat(second >> gl.SHIFT),
        splat(third & gl.EPSILON), splat(third >> gl.SHIFT),
    )  # fmt: skip
    a, at = _term(code, step + 1, 1)
    if count == 1:
        for k in range(0, width, LANES):
            _store_sums(registers, targets, k, _add_term(start, registers, a + k, factors, at))
        return
    b, bt = _term(code, step + 2, 1)
    if count == 2:
        for k in range(0, width, LANES):
            sums = _add_term(start, registers, a + k, factors, at)
            _store_sums(registers, targets, k, _add_term(sums, registers, b + k, factors, bt))
        return
    c, ct = _term(code, step + 3, 1)
    for k in range(0, width, LANES):
        sums = _add_term(_add_term(start, registers, a + k, factors, at), registers, b + k, factors, bt)
        sums = _add_term(sums, registers, c + k, factors, ct)
        for term in range(step + 4, step + 1 + count):
            d, dt = _term(code, term, 1)
            sums = _add_term(sums, registers, d + k, factors, dt)
        _store_sums(registers, targets, k, sums)


@njit(nogil=True)
def _add_sums(accumulators: Flat, out: Flat, out_stride: Any, row: Any, width: Any) -> None:
    """Reduce the sums of every group and coordinate and add them to rows [row, row + width) of the nine outputs."""
    for number in range(GROUPS * 3):
        for k in range(0, width, LANES):
            at, place = 2 * number * BLOCK + k, number * out_stride + row + k
            store(out, place, add(load(out, place), reduce_sums(load(accumulators, at), load(accumulators, at + BLOCK))))


@njit(nogil=True)
def _arithmetic(operation: Any, registers: Flat, left: Any, right: Any, pool: Flat, constant: Any, target: Any, width: Any) -> None:
    """One arithmetic operation on a block; operation numbers as in :mod:`zkvm.stark.air.tape`."""
    if operation == OP_ADD:
        for k in range(0, width, LANES):
            store(registers, target + k, add(load(registers, left + k), load(registers, right + k)))
    elif operation == OP_SUB:
        for k in range(0, width, LANES):
            store(registers, target + k, sub(load(registers, left + k), load(registers, right + k)))
    elif operation == OP_MUL:
        for k in range(0, width, LANES):
            store(registers, target + k, mul(load(registers, left + k), load(registers, right + k)))
    elif operation == OP_ADDK:
        value = splat(pool[constant])
        for k in range(0, width, LANES):
            store(registers, target + k, add(load(registers, left + k), value))
    elif operation == OP_MULK:
        value = splat(pool[constant])
        for k in range(0, width, LANES):
            store(registers, target + k, mul(load(registers, left + k), value))
    elif operation == OP_RSUBK:
        value = splat(pool[constant])
        for k in range(0, width, LANES):
            store(registers, target + k, sub(value, load(registers, left + k)))
    elif operation == OP_SUBMULK:
        value = splat(pool[constant])
        for k in range(0, width, LANES):
            store(registers, target + k, sub(load(registers, target + k), mul(load(registers, left + k), value)))


@njit(nogil=True)
def _extension_product(row: Any, registers: Flat, width: Any) -> None:
    """One product of extension elements on a block."""
    a, a1, a2 = np.int64(row[1]) * BLOCK, np.int64(row[4]) * BLOCK, np.int64(row[5]) * BLOCK
    b, b1, b2 = np.int64(row[2]) * BLOCK, np.int64(row[6]) * BLOCK, np.int64(row[7]) * BLOCK
    d0, d1, d2 = np.int64(row[3]) * BLOCK, np.int64(row[8]) * BLOCK, np.int64(row[9]) * BLOCK
    for k in range(0, width, LANES):
        left = (load(registers, a + k), load(registers, a1 + k), load(registers, a2 + k))
        right = (load(registers, b + k), load(registers, b1 + k), load(registers, b2 + k))
        product = ext_mul(left, right)
        store(registers, d0 + k, product[0])
        store(registers, d1 + k, product[1])
        store(registers, d2 + k, product[2])


@entry(
    void(
        readonly(int32, 2), readonly(uint64), readonly(uint64), readonly(uint64), COLUMNS, COLUMNS, COLUMNS, COLUMNS, readonly(int64, 2),
        int64, int64, int64, int64, WORDS, WORDS, WORDS, int64, int64, boolean,
    )
)  # fmt: skip
def run_tape(
    code: NDArray[np.int32],
    pool: Flat,
    factors: Flat,
    powers: Flat,
    main: Flat,
    pre: Flat,
    bus: Flat,
    following: Flat,
    places: NDArray[np.int64],
    shift: Any,
    height: Any,
    start: Any,
    stop: Any,
    registers: Flat,
    accumulators: Flat,
    out: Flat,
    out_stride: Any,
    out_start: Any,
    accumulating: bool,
) -> None:
    """Run a tape on rows [start, stop).

    Args:
        code: (t, 10) int32, the rows of :class:`zkvm.stark.air.tape.Tape`.
        pool: (k,) the constant pool.
        factors: the pool cut by :func:`cut_words`.
        powers: the (c, 3) challenge powers of an accumulating tape, cut likewise.
        main: main columns, flat.
        pre: preprocessed columns, flat.
        bus: bus columns, flat.
        following: bus columns at the next row, flat.
        places: (4, 2) int64, stride and offset of the column sets ``main``, ``pre``, ``bus`` and ``following``.
        shift: row r reads row r + shift of ``following``: 1 if these are the bus columns themselves, 0 if columns at the next point.
        height: rows of a column of ``following``, which is cyclic.
        start: first row, a multiple of 8.
        stop: row after the last, a multiple of 8.
        registers: (registers * BLOCK,) scratch.
        accumulators: (GROUPS * SUMS * BLOCK,) scratch.
        out: flat; an accumulating tape adds its GROUPS * 3 sums to it, another one writes its outputs.
        out_stride: words between two rows of ``out``.
        out_start: the row that the first word of each row of ``out`` belongs to.
        accumulating: whether the tape accumulates.
    """
    for row in range(start, stop, BLOCK):
        width = min(BLOCK, stop - row)
        if accumulating:
            accumulators[:] = np.uint64(0)
        step: Any = 0
        while step < code.shape[0]:
            operation = code[step, 0]
            a, b, number = np.int64(code[step, 1]), np.int64(code[step, 2]), np.int64(code[step, 3])
            target = number * BLOCK
            if operation <= OP_NEXT:
                column = places[operation, 1] + a * places[operation, 0]
                if operation == OP_MAIN:
                    _copy(main, column + row, registers, target, width)
                elif operation == OP_PRE:
                    _copy(pre, column + row, registers, target, width)
                elif operation == OP_BUS:
                    _copy(bus, column + row, registers, target, width)
                else:
                    _load_next(following, column, row, height, shift, registers, target, width)
            elif operation == OP_FILL:
                _fill(pool[a], registers, target, width)
            elif operation == OP_COPY:
                _copy(registers, a * BLOCK, registers, target, width)
            elif operation == OP_OUT:
                _copy(registers, a * BLOCK, out, number * out_stride + row - out_start, width)
            elif operation == OP_ACC:
                _accumulate(code, step, registers, powers, accumulators, width)
                step += a
            elif operation == OP_EXT_MUL:
                _extension_product(code[step], registers, width)
            elif operation == OP_EXT_SUM:
                _extension_sum(code, step, registers, pool, factors, width)
                step += a
            else:
                _arithmetic(operation, registers, a * BLOCK, b * BLOCK, pool, b, target, width)
            step += 1
        if accumulating:
            _add_sums(accumulators, out, out_stride, row - out_start, width)
