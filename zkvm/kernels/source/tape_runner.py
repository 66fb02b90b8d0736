"""Runs a tape (see :mod:`zkvm.air.tape`) over blocks of rows, one vector of rows at a time.

A column set is a flat array with a stride between columns and an offset of its first row, so that one coset of an LDE array
(w, B, n) is a column set without a copy. The reference twin is :func:`zkvm.prover.tape_reference.run_tape`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, int32, int64, njit, uint64, void
from numpy.typing import NDArray

from zkvm.kernels.source.dots import cut, extend_sums, reduced
from zkvm.kernels.source.entry import entry, readonly
from zkvm.kernels.source.extension import ext_mul, ext_scale, ext_sub
from zkvm.kernels.source.vectors import add, load, mul, splat, store, sub
from zkvm.kernels.source.words import LANES
from zkvm.kernels.tape_runner import BLOCK, GROUPS, SUMS

Flat = NDArray[np.uint64]
WORDS, COLUMNS = uint64[::1], readonly(uint64)

OP_MAIN, OP_PRE, OP_BUS, OP_NEXT = 0, 1, 2, 3
OP_ADD, OP_SUB, OP_MUL, OP_ADDK, OP_MULK, OP_RSUBK = 4, 5, 6, 7, 8, 9
OP_FILL, OP_SUBMULK, OP_COPY, OP_ACC, OP_OUT = 10, 11, 12, 13, 14
OP_EXT_MUL, OP_EXT_STEP, OP_EXT_FIRST = 15, 16, 17
"""Operations of :mod:`zkvm.air.tape`, which this layer does not import; a test holds the two lists equal."""


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


@njit(inline="always")
def _add_terms(sums: Flat, base: Any, value: Any, limbs: Any) -> None:
    """One coordinate's three sums at ``base`` take a vector of cells times a factor cut into limbs (:mod:`zkvm.kernels.source.dots`)."""
    s0, s1, s2 = extend_sums(load(sums, base), load(sums, base + BLOCK), load(sums, base + 2 * BLOCK), value, limbs)
    store(sums, base, s0)
    store(sums, base + BLOCK, s1)
    store(sums, base + 2 * BLOCK, s2)


@njit(nogil=True)
def _accumulate(registers: Flat, source: Any, powers: Flat, number: Any, accumulators: Flat, group: Any, width: Any) -> None:
    """accumulators[group] += register times the challenge power ``number``, without reduction."""
    first = cut(splat(powers[3 * number]))
    second = cut(splat(powers[3 * number + 1]))
    third = cut(splat(powers[3 * number + 2]))
    base = group * SUMS * BLOCK
    for k in range(0, width, LANES):
        value = load(registers, source + k)
        _add_terms(accumulators, base + k, value, first)
        _add_terms(accumulators, base + 3 * BLOCK + k, value, second)
        _add_terms(accumulators, base + 6 * BLOCK + k, value, third)


@njit(nogil=True)
def _write_sums(accumulators: Flat, out: Flat, out_stride: Any, row: Any, width: Any) -> None:
    """Reduce the sums of every group and coordinate and write them to rows [row, row + width) of the nine outputs."""
    for number in range(GROUPS * 3):
        for k in range(0, width, LANES):
            at = 3 * number * BLOCK + k
            value = reduced(load(accumulators, at), load(accumulators, at + BLOCK), load(accumulators, at + 2 * BLOCK))
            store(out, number * out_stride + row + k, value)


@njit(nogil=True)
def _arithmetic(operation: Any, registers: Flat, left: Any, right: Any, pool: Flat, constant: Any, target: Any, width: Any) -> None:
    """One arithmetic operation on a block; operation numbers as in :mod:`zkvm.air.tape`."""
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
def _extension(operation: Any, registers: Flat, row: Any, pool: Flat, width: Any) -> None:
    """One extension operation on a block."""
    a, b = np.int64(row[1]) * BLOCK, np.int64(row[2]) * BLOCK
    d0, d1, d2 = np.int64(row[3]) * BLOCK, np.int64(row[8]) * BLOCK, np.int64(row[9]) * BLOCK
    a1, a2 = np.int64(row[4]) * BLOCK, np.int64(row[5]) * BLOCK
    if operation == OP_EXT_MUL:
        b1, b2 = np.int64(row[6]) * BLOCK, np.int64(row[7]) * BLOCK
        for k in range(0, width, LANES):
            left = (load(registers, a + k), load(registers, a1 + k), load(registers, a2 + k))
            right = (load(registers, b + k), load(registers, b1 + k), load(registers, b2 + k))
            product = ext_mul(left, right)
            store(registers, d0 + k, product[0])
            store(registers, d1 + k, product[1])
            store(registers, d2 + k, product[2])
        return
    first = np.int64(row[6])
    factor = (splat(pool[first]), splat(pool[first + 1]), splat(pool[first + 2]))
    if operation == OP_EXT_STEP:
        for k in range(0, width, LANES):
            start = (load(registers, a + k), load(registers, a1 + k), load(registers, a2 + k))
            value = ext_sub(start, ext_scale(factor, load(registers, b + k)))
            store(registers, d0 + k, value[0])
            store(registers, d1 + k, value[1])
            store(registers, d2 + k, value[2])
        return
    first = np.int64(row[1])
    constant = (splat(pool[first]), splat(pool[first + 1]), splat(pool[first + 2]))
    for k in range(0, width, LANES):
        value = ext_sub(constant, ext_scale(factor, load(registers, b + k)))
        store(registers, d0 + k, value[0])
        store(registers, d1 + k, value[1])
        store(registers, d2 + k, value[2])


@entry(
    void(
        readonly(int32, 2), readonly(uint64), readonly(uint64),
        COLUMNS, int64, int64, COLUMNS, int64, int64, COLUMNS, int64, int64, COLUMNS, int64, int64, int64, int64, int64, int64,
        WORDS, WORDS, WORDS, int64, int64, boolean,
    )
)  # fmt: skip
def run_tape(
    code: NDArray[np.int32],
    pool: Flat,
    powers: Flat,
    main: Flat,
    main_stride: Any,
    main_offset: Any,
    pre: Flat,
    pre_stride: Any,
    pre_offset: Any,
    bus: Flat,
    bus_stride: Any,
    bus_offset: Any,
    following: Flat,
    following_stride: Any,
    following_offset: Any,
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
    """Run ``code`` on rows [start, stop), multiples of 8.

    Args:
        following, shift: bus columns at the next row: row + shift of these columns, cyclic in ``height`` (shift 1 on the bus columns
            themselves, shift 0 on columns already evaluated at the next point).
        registers: (registers * BLOCK,) scratch. accumulators: (GROUPS * SUMS * BLOCK,) scratch.
        out: flat; an accumulating tape writes its GROUPS * 3 sums there, another one its outputs, ``out_stride`` apart. Its first row is
            row ``out_start``.
    """
    for row in range(start, stop, BLOCK):
        width = min(BLOCK, stop - row)
        if accumulating:
            accumulators[:] = np.uint64(0)
        for step in range(code.shape[0]):
            operation = code[step, 0]
            a = np.int64(code[step, 1])
            b = np.int64(code[step, 2])
            number = np.int64(code[step, 3])
            target = number * BLOCK
            if operation == OP_MAIN:
                for k in range(0, width, LANES):
                    store(registers, target + k, load(main, main_offset + a * main_stride + row + k))
            elif operation == OP_PRE:
                for k in range(0, width, LANES):
                    store(registers, target + k, load(pre, pre_offset + a * pre_stride + row + k))
            elif operation == OP_BUS:
                for k in range(0, width, LANES):
                    store(registers, target + k, load(bus, bus_offset + a * bus_stride + row + k))
            elif operation == OP_NEXT:
                _load_next(following, following_offset + a * following_stride, row, height, shift, registers, target, width)
            elif operation == OP_FILL:
                value = splat(pool[a])
                for k in range(0, width, LANES):
                    store(registers, target + k, value)
            elif operation == OP_COPY:
                for k in range(0, width, LANES):
                    store(registers, target + k, load(registers, a * BLOCK + k))
            elif operation == OP_ACC:
                _accumulate(registers, a * BLOCK, powers, number, accumulators, b, width)
            elif operation == OP_OUT:
                for k in range(0, width, LANES):
                    store(out, number * out_stride + row - out_start + k, load(registers, a * BLOCK + k))
            elif operation >= OP_EXT_MUL:
                _extension(operation, registers, code[step], pool, width)
            else:
                _arithmetic(operation, registers, a * BLOCK, b * BLOCK, pool, b, target, width)
        if accumulating:
            _write_sums(accumulators, out, out_stride, row - out_start, width)
