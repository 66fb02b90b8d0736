"""Runs a tape (see :mod:`zkvm.air.tape`) over blocks of rows, eight rows to a vector.

A column set is a flat array with a stride between columns and an offset of its first row, so that one coset of an LDE array
(w, B, n) is a column set without a copy. The reference twin is :func:`zkvm.prover.reference.run_tape`.
"""

from __future__ import annotations

from numba import njit

import numpy as np
from numpy.typing import NDArray

from zkvm.kernels.vectors import add, load, mul, splat, store, sub

BLOCK = 128
"""Rows per block: a register is 1 KiB, the registers of a chip stay in L2."""
LANES = 8
GROUPS = 3
"""Accumulators of an accumulating tape: active, start and terminal constraints."""

Flat = NDArray[np.uint64]


@njit(cache=True, nogil=True)
def _load_next(columns: Flat, base: int, row: int, height: int, shift: int, registers: Flat, target: int, width: int) -> None:
    """Rows ``row + shift ...`` of a column, cyclically."""
    for k in range(0, width, LANES):
        position = row + k + shift
        if position + LANES <= height:
            store(registers, target + k, load(columns, base + position))
        else:
            for lane in range(LANES):
                wrapped = position + lane
                registers[target + k + lane] = columns[base + (wrapped - height if wrapped >= height else wrapped)]


@njit(cache=True, nogil=True)
def _accumulate(registers: Flat, source: int, powers: Flat, number: int, accumulators: Flat, group: int, width: int) -> None:
    """accumulators[group] += register times the challenge power ``number``."""
    first = splat(powers[3 * number])
    second = splat(powers[3 * number + 1])
    third = splat(powers[3 * number + 2])
    base = group * 3 * BLOCK
    for k in range(0, width, LANES):
        value = load(registers, source + k)
        store(accumulators, base + k, add(load(accumulators, base + k), mul(value, first)))
        store(accumulators, base + BLOCK + k, add(load(accumulators, base + BLOCK + k), mul(value, second)))
        store(accumulators, base + 2 * BLOCK + k, add(load(accumulators, base + 2 * BLOCK + k), mul(value, third)))


@njit(cache=True, nogil=True)
def _arithmetic(operation: int, registers: Flat, left: int, right: int, pool: Flat, constant: int, target: int, width: int) -> None:
    """One arithmetic operation on a block; operation numbers as in :mod:`zkvm.air.tape`."""
    if operation == 4:
        for k in range(0, width, LANES):
            store(registers, target + k, add(load(registers, left + k), load(registers, right + k)))
    elif operation == 5:
        for k in range(0, width, LANES):
            store(registers, target + k, sub(load(registers, left + k), load(registers, right + k)))
    elif operation == 6:
        for k in range(0, width, LANES):
            store(registers, target + k, mul(load(registers, left + k), load(registers, right + k)))
    elif operation == 7:
        value = splat(pool[constant])
        for k in range(0, width, LANES):
            store(registers, target + k, add(load(registers, left + k), value))
    elif operation == 8:
        value = splat(pool[constant])
        for k in range(0, width, LANES):
            store(registers, target + k, mul(load(registers, left + k), value))
    elif operation == 9:
        value = splat(pool[constant])
        for k in range(0, width, LANES):
            store(registers, target + k, sub(value, load(registers, left + k)))
    elif operation == 11:
        value = splat(pool[constant])
        for k in range(0, width, LANES):
            store(registers, target + k, sub(load(registers, target + k), mul(load(registers, left + k), value)))


@njit(cache=True, nogil=True)
def run_tape(
    code: NDArray[np.int32],
    pool: Flat,
    powers: Flat,
    main: Flat,
    main_stride: int,
    main_offset: int,
    pre: Flat,
    pre_stride: int,
    pre_offset: int,
    bus: Flat,
    bus_stride: int,
    bus_offset: int,
    following: Flat,
    following_stride: int,
    following_offset: int,
    shift: int,
    height: int,
    start: int,
    stop: int,
    registers: Flat,
    accumulators: Flat,
    out: Flat,
    out_stride: int,
    accumulating: bool,
) -> None:
    """Run ``code`` on rows [start, stop), multiples of 8.

    Args:
        following, shift: bus columns at the next row: row + shift of these columns, cyclic in ``height`` (shift 1 on the bus columns
            themselves, shift 0 on columns already evaluated at the next point).
        registers: (registers * BLOCK,) scratch. accumulators: (GROUPS * 3 * BLOCK,) scratch.
        out: flat; an accumulating tape writes its GROUPS * 3 sums there, another one its outputs, ``out_stride`` apart.
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
            if operation == 0:
                for k in range(0, width, LANES):
                    store(registers, target + k, load(main, main_offset + a * main_stride + row + k))
            elif operation == 1:
                for k in range(0, width, LANES):
                    store(registers, target + k, load(pre, pre_offset + a * pre_stride + row + k))
            elif operation == 2:
                for k in range(0, width, LANES):
                    store(registers, target + k, load(bus, bus_offset + a * bus_stride + row + k))
            elif operation == 3:
                _load_next(following, following_offset + a * following_stride, row, height, shift, registers, target, width)
            elif operation == 10:
                value = splat(pool[a])
                for k in range(0, width, LANES):
                    store(registers, target + k, value)
            elif operation == 12:
                for k in range(0, width, LANES):
                    store(registers, target + k, load(registers, a * BLOCK + k))
            elif operation == 13:
                _accumulate(registers, a * BLOCK, powers, number, accumulators, b, width)
            elif operation == 14:
                for k in range(0, width, LANES):
                    store(out, number * out_stride + row + k, load(registers, a * BLOCK + k))
            else:
                _arithmetic(operation, registers, a * BLOCK, b * BLOCK, pool, b, target, width)
        if accumulating:
            for sum_number in range(GROUPS * 3):
                for k in range(0, width, LANES):
                    store(out, sum_number * out_stride + row + k, load(accumulators, sum_number * BLOCK + k))
