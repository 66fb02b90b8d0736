"""The kernel of the interpreter, and what an instruction computes (:mod:`zkvm.riscv.kernels.interpreter` has the constants)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, from_dtype, int32, int64, njit, uint8, uint32, uint64

from zkvm.riscv.isa import opcodes
from zkvm.riscv.kernels.interpreter import (
    BRANCH,
    BUFFER_FULL,
    CALL,
    CALLED,
    COMPUTE,
    CYCLES,
    DECODED,
    FAULT,
    JUMP,
    JUMP_REGISTER,
    LIMIT,
    LOAD,
    MISALIGNED,
    NEED_PAGE,
    NO_INSTRUCTION,
    NO_REGISTER,
    OUTSIDE_MEMORY,
    READ_ONLY,
    REFRESHES,
    ROW,
    STEPS,
    STOPPED,
    STORE,
    TIME,
)
from zkvm.riscv.records import REFRESH, STEP
from zkvm.stark.kernels.source.entry import entry, readonly

MASK32 = np.uint64(0xFFFF_FFFF)
MAX_GAP = np.uint64(1 << 16)
"""A time may be at most this much later than the previous time of its address."""
ZERO, ONE, TWO, THREE, FOUR = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
EIGHT, THIRTY_ONE, THIRTY_TWO = np.uint64(8), np.uint64(31), np.uint64(32)
BYTE, HALF, SIGN = np.uint64(0xFF), np.uint64(0xFFFF), np.uint64(0x8000_0000)
PAGE_SHIFT, PAGE_WORDS, PAGE_MASK = np.uint64(12), np.int64(1024), np.uint64(1023)
SHIFT32 = np.int64(32)
LAZY = -2
OUTSIDE, ROM = np.uint8(0), np.uint8(3)
NOTHING = np.int64(0)
READS_FIRST, READS_SECOND = np.uint8(1), np.uint8(2)
REGISTER_BASE = np.uint64(opcodes.REGISTER_BASE)


@njit("int64(uint64)", nogil=True, forceinline=True)
def _signed(value: Any) -> Any:
    """Two's complement reading of a 32-bit value."""
    return np.int64(np.int32(np.uint32(value)))


@njit("uint64(uint64, uint64, boolean)", nogil=True, forceinline=True)
def _divide_signed(a: Any, b: Any, remainder: Any) -> Any:
    """Quotient towards zero or remainder with the sign of a; b is not 0. MIN / -1 wraps to MIN by itself."""
    size_a = (~a + ONE) & MASK32 if a & SIGN != ZERO else a
    size_b = (~b + ONE) & MASK32 if b & SIGN != ZERO else b
    size = size_a % size_b if remainder else size_a // size_b
    negative = (a & SIGN != ZERO) if remainder else ((a ^ b) & SIGN != ZERO)
    return (~size + ONE) & MASK32 if negative else size


@njit("uint64(int64, uint64, uint64)", nogil=True, error_model="numpy", forceinline=True)
def compute(op: Any, a: Any, b: Any) -> Any:
    """Value of rd from two 32-bit operands."""
    if op == opcodes.ADD:
        return (a + b) & MASK32
    if op == opcodes.SUB:
        return (a - b) & MASK32
    if op == opcodes.SLT:
        return np.uint64(_signed(a) < _signed(b))
    if op == opcodes.SLTU:
        return np.uint64(a < b)
    if op == opcodes.MUL:
        return (a * b) & MASK32
    if op == opcodes.MULH:
        return np.uint64((_signed(a) * _signed(b)) >> SHIFT32) & MASK32
    if op == opcodes.MULHSU:
        return np.uint64((_signed(a) * np.int64(b)) >> SHIFT32) & MASK32
    if op == opcodes.MULHU:
        return (a * b) >> THIRTY_TWO
    if op == opcodes.SLL:
        return (a << (b & THIRTY_ONE)) & MASK32
    if op == opcodes.SRL:
        return a >> (b & THIRTY_ONE)
    if op == opcodes.SRA:
        return np.uint64(_signed(a) >> np.int64(b & THIRTY_ONE)) & MASK32
    if op == opcodes.AND:
        return a & b
    if op == opcodes.OR:
        return a | b
    if op == opcodes.DIV:
        return MASK32 if b == ZERO else _divide_signed(a, b, False)
    if op == opcodes.DIVU:
        return MASK32 if b == ZERO else a // b
    if op == opcodes.REM:
        return a if b == ZERO else _divide_signed(a, b, True)
    if op == opcodes.REMU:
        return a if b == ZERO else a % b
    return a ^ b


@njit("boolean(int64, uint64, uint64)", nogil=True)
def taken(op: Any, a: Any, b: Any) -> Any:
    """Whether a branch jumps."""
    if op == opcodes.BEQ:
        return a == b
    if op == opcodes.BNE:
        return a != b
    if op == opcodes.BLT:
        return _signed(a) < _signed(b)
    if op == opcodes.BGE:
        return _signed(a) >= _signed(b)
    if op == opcodes.BLTU:
        return a < b
    return a >= b  # BGEU


@njit("uint64(int64)", nogil=True, forceinline=True)
def _alignment_mask(op: Any) -> Any:
    """Address bits that must be zero for a load or store."""
    if op in (opcodes.LW, opcodes.SW):
        return THREE
    if op in (opcodes.LB, opcodes.LBU, opcodes.SB):
        return ZERO
    return ONE


@njit("uint64(int64, uint64, uint64)", nogil=True)
def loaded(op: Any, word: Any, address: Any) -> Any:
    """Value of rd after a load at byte ``address`` from the aligned ``word``."""
    shifted = word >> (EIGHT * (address & THREE))
    if op == opcodes.LW:
        return word
    if op == opcodes.LBU:
        return shifted & BYTE
    if op == opcodes.LB:
        return np.uint64(np.int64(np.int8(np.uint8(shifted & BYTE)))) & MASK32
    if op == opcodes.LH:
        return np.uint64(np.int64(np.int16(np.uint16(shifted & HALF)))) & MASK32
    return shifted & HALF  # LHU


@njit("uint64(int64, uint64, uint64, uint64)", nogil=True)
def stored(op: Any, word: Any, address: Any, value: Any) -> Any:
    """The aligned word after a store of ``value`` at byte ``address``."""
    if op == opcodes.SW:
        return value
    shift = EIGHT * (address & THREE)
    mask = (BYTE if op == opcodes.SB else HALF) << shift
    return (word & ~mask) | ((value << shift) & mask)


@njit(nogil=True, forceinline=True)
def _access(times: Any, index: Any, address: Any, value: Any, time: Any, refreshes: Any, counters: Any) -> Any:
    """Move a last-access time to ``time`` and return the one before, a refresh between them if they are too far apart."""
    last = times[index]
    times[index] = time
    if time - last <= MAX_GAP:
        return last
    count = counters[REFRESHES]
    refreshes[count].address = address
    refreshes[count].value = value
    refreshes[count].t_prev = last
    refreshes[count].time = time - ONE
    counters[REFRESHES] = count + ONE
    return time - ONE


@njit(nogil=True, forceinline=True)
def _find_word(page_table: Any, origins: Any, op: Any, is_store: Any, address: Any) -> Any:
    """Position of the word of a load or store in the page arrays, or minus the status that stops the run."""
    if address & _alignment_mask(op) != ZERO:
        return -np.int64(MISALIGNED)
    slot = np.int64(page_table[address >> PAGE_SHIFT])
    if slot < NOTHING:
        return -np.int64(NEED_PAGE if slot == LAZY else OUTSIDE_MEMORY)
    position = slot * PAGE_WORDS + np.int64((address >> TWO) & PAGE_MASK)
    if origins[position] == OUTSIDE:
        return -np.int64(OUTSIDE_MEMORY)
    if is_store and origins[position] == ROM:
        return -np.int64(READ_ONLY)
    return position


@njit(nogil=True, forceinline=True)
def _find_row(code_pages: Any, code_rows: Any, pc: Any) -> Any:
    """Program row of an instruction address, -1 if there is none."""
    page = np.int64(code_pages[pc >> PAGE_SHIFT])
    if page < NOTHING or pc & THREE != ZERO:
        return np.int32(-1)
    return code_rows[page, (pc >> TWO) & PAGE_MASK]


@njit(nogil=True, forceinline=True)
def _successor(ins: Any, a: Any, b: Any, code_pages: Any, code_rows: Any) -> Any:
    """(row, pc) of the next instruction; row -1 if there is none."""
    imm = np.uint64(ins.imm)
    if ins.kind == BRANCH and taken(np.int64(ins.op), a, b):
        return ins.target, imm
    if ins.kind == JUMP:
        return ins.target, imm
    if ins.kind == JUMP_REGISTER:
        goal = (a + imm) & MASK32 & ~ONE
        return _find_row(code_pages, code_rows, goal), goal
    return ins.next, np.uint64(ins.pc) + FOUR


@njit(nogil=True, forceinline=True)
def _record_registers(
    step: Any, ins: Any, a: Any, b: Any, vd: Any, registers: Any, times: Any, time: Any, refreshes: Any, counters: Any
) -> None:
    """Register accesses of one step, in the order rs1, rs2, rd. Memory is another address, so its place does not matter."""
    step.v1, step.t1, step.v2, step.t2, step.vd, step.vd_prev, step.td = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    if ins.reads & READS_FIRST:
        step.v1 = a
        step.t1 = _access(times, ins.rs1, REGISTER_BASE + np.uint64(ins.rs1), a, time, refreshes, counters)
    if ins.reads & READS_SECOND:
        step.v2 = b
        step.t2 = _access(times, ins.rs2, REGISTER_BASE + np.uint64(ins.rs2), b, time + ONE, refreshes, counters)
    if ins.rd != NO_REGISTER:
        before = np.uint64(registers[ins.rd])
        step.vd = vd
        step.vd_prev = before
        step.td = _access(times, ins.rd, REGISTER_BASE + np.uint64(ins.rd), before, time + THREE, refreshes, counters)


@entry(
    int64(
        readonly(from_dtype(DECODED)), readonly(int32), readonly(int32, 2), uint32[::1], uint64[::1], readonly(int32), uint32[::1],
        uint64[::1], readonly(uint8), from_dtype(STEP)[::1], from_dtype(REFRESH)[::1], uint64[::1], uint64, boolean,
    )
)  # fmt: skip
def run(
    program: Any, code_pages: Any, code_rows: Any, registers: Any, register_times: Any, page_table: Any, values: Any, times: Any,
    origins: Any, steps: Any, refreshes: Any, counters: Any, cycle_limit: Any, trace: Any,
) -> Any:  # fmt: skip
    """Execute from ``counters[ROW]`` until the host is needed; return why (a status).

    Args:
        program: (n,) DECODED.
        code_pages: (2^20,) int32, by pc >> 12 the page's place in ``code_rows``, -1 if it holds no code.
        code_rows: (k, 1024) int32, by word of the page the row in ``program``, -1 if there is none.
        registers: (38,) uint32 values, the last one scratch.
        register_times: (38,) uint64 times of last access.
        page_table: (2^20,) int32, see :class:`zkvm.riscv.vm.memory.PagedMemory`, as the next three.
        values: (m,) uint32 words of memory.
        times: (m,) uint64 times of last access; empty without ``trace``.
        origins: (m,) uint8 origins.
        steps: buffer of STEP records.
        refreshes: buffer of REFRESH records.
        counters: (6,) uint64, updated.
        cycle_limit: how many instructions may have been executed in all.
        trace: whether to record.
    """
    row, time, cycles, count = np.int64(counters[ROW]), counters[TIME], counters[CYCLES], np.int64(counters[STEPS])
    status = np.int64(LIMIT)
    while cycles < cycle_limit:
        ins = program[row]
        kind, op = ins.kind, np.int64(ins.op)
        if kind >= CALL:
            status = np.int64(CALLED if kind == CALL else STOPPED)
            break
        if trace and (count == steps.size or counters[REFRESHES] + FOUR > refreshes.size):
            status = np.int64(BUFFER_FULL)
            break
        a, b, imm = np.uint64(registers[ins.rs1]), np.uint64(registers[ins.rs2]), np.uint64(ins.imm)
        vd, address, word, position = np.uint64(ins.pc) + FOUR, ZERO, ZERO, -np.int64(1)
        if kind == COMPUTE:
            vd = compute(op, a, b + imm)  # a register form has imm 0, an immediate form reads x0 for b
        elif kind == LOAD or kind == STORE:
            address = (a + imm) & MASK32
            position = _find_word(page_table, origins, op, kind == STORE, address)
            if position < NOTHING:
                status = -position
                counters[FAULT] = address
                break
            word = np.uint64(values[position])
            if kind == LOAD:
                vd = loaded(op, word, address)
            else:
                values[position] = stored(op, word, address, b)
        following, goal = _successor(ins, a, b, code_pages, code_rows)
        if trace:
            step = steps[count]
            step.row, step.time = row, time
            _record_registers(step, ins, a, b, vd, registers, register_times, time, refreshes, counters)
            # In line: as a helper of its own this part slows the whole traced run down (docs/performance.md says by how much).
            step.address, step.mem, step.rom, step.tm = address, word, ZERO, ZERO
            if position >= NOTHING and origins[position] == ROM:
                step.rom = ONE
            elif position >= NOTHING:
                step.tm = _access(times, position, address & ~THREE, word, time + TWO, refreshes, counters)
            count += 1
        registers[ins.rd] = vd
        time += FOUR
        cycles += ONE
        if following < 0:
            status = np.int64(NO_INSTRUCTION)
            counters[FAULT] = goal
            break
        row = np.int64(following)
    counters[ROW], counters[TIME], counters[CYCLES], counters[STEPS] = np.uint64(row), time, cycles, np.uint64(count)
    return status
