"""The readable interpreter: what ``kernels/interpreter.py`` must do, one step at a time, from the program rows themselves.

It shares the arrays of :class:`zkvm.riscv.vm.state.MachineState` with the kernel, so either can drive a run; a test compares all records.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zkvm.riscv.isa import opcodes, semantics
from zkvm.riscv.kernels import interpreter as kernel
from zkvm.riscv.records import STEP
from zkvm.riscv.vm.memory import LAZY, OUTSIDE, PAGE_WORDS, ROM
from zkvm.riscv.vm.state import MachineState


class _Stop(Exception):
    """The current instruction cannot be executed here: carries the status and the address that it is about."""

    def __init__(self, status: int, fault: int = 0) -> None:
        self.status = status
        self.fault = fault


def run_reference(state: MachineState, cycle_limit: int) -> int:
    """Execute until the host is needed or ``cycle_limit`` is reached; the status, as the kernel's ``run``."""
    rows = state.image.program
    row_of_pc = {int(pc): row for row, pc in enumerate(rows["pc"])}
    try:
        while state.cycles < cycle_limit:
            target = _step(state, rows[state.row])
            state.counters[kernel.TIME] += np.uint64(opcodes.TIME_STEP)
            state.counters[kernel.CYCLES] += np.uint64(1)
            if target not in row_of_pc:
                raise _Stop(kernel.NO_INSTRUCTION, target)
            state.counters[kernel.ROW] = row_of_pc[target]
    except _Stop as stop:
        state.counters[kernel.FAULT] = stop.fault
        return stop.status
    return kernel.LIMIT


def _step(state: MachineState, row: Any) -> int:
    """Execute and record one instruction; the pc of the next."""
    op, pc, imm = int(row["op"]), int(row["pc"]), int(row["imm"])
    if op == opcodes.ECALL:
        raise _Stop(kernel.CALLED)
    if op == opcodes.TRAP:
        raise _Stop(kernel.STOPPED)
    full = int(state.counters[kernel.STEPS]) == len(state.steps) or int(state.counters[kernel.REFRESHES]) + 4 > len(state.refreshes)
    if state.trace and full:
        raise _Stop(kernel.BUFFER_FULL)
    uses = {name: int(row[name]) - opcodes.REGISTER_BASE for name in ("rs1", "rs2", "rd") if row[name] >= opcodes.REGISTER_BASE}
    values = {name: int(state.registers[index]) for name, index in uses.items()}
    v1, v2 = values.get("rs1", 0), values.get("rs2", 0)
    step = np.zeros((), STEP)
    step["row"], step["time"], step["v1"], step["v2"] = state.row, state.time, v1, v2
    result, target = 0, pc + 4
    position, word, new_word = -1, 0, 0
    if op in semantics.COMPUTE:
        result = semantics.COMPUTE[op](v1, v2)
    elif op in semantics.REGISTER_FORM:
        result = semantics.COMPUTE[semantics.REGISTER_FORM[op]](v1, imm)
    elif op in semantics.TAKEN:
        target = imm if semantics.TAKEN[op](v1, v2) else target
    elif op == opcodes.JAL:
        result, target = int(row["rs1"]), imm
    elif op == opcodes.JALR:
        result, target = int(row["rs2"]), semantics.jalr_target(v1, imm)
    else:
        address = (v1 + imm) & semantics.MASK32
        position = _find(state, op, address)
        word = new_word = int(state.memory.values[position])
        step["address"], step["mem"] = address, word
        if op in semantics.LOADS:
            result = semantics.load(op, word, address)
        else:
            new_word = semantics.store(op, word, address, v2)
    if state.trace:
        _record(state, step, uses, position, result)
    if position >= 0:
        state.memory.values[position] = new_word
    if "rd" in uses:
        state.registers[uses["rd"]] = result
    return target


def _find(state: MachineState, op: int, address: int) -> int:
    """Position in the page arrays of the word that a load or store at byte ``address`` uses."""
    memory = state.memory
    size = semantics.LOADS[op][0] if op in semantics.LOADS else semantics.STORES[op]
    if address % size:
        raise _Stop(kernel.MISALIGNED, address)
    slot = int(memory.page_table[address // (4 * PAGE_WORDS)])
    if slot == LAZY:
        raise _Stop(kernel.NEED_PAGE, address)
    position = slot * PAGE_WORDS + address // 4 % PAGE_WORDS
    if slot < 0 or memory.origins[position] == OUTSIDE:
        raise _Stop(kernel.OUTSIDE_MEMORY, address)
    if op in semantics.STORES and memory.origins[position] == ROM:
        raise _Stop(kernel.READ_ONLY, address)
    return position


def _record(state: MachineState, step: Any, uses: dict[str, int], position: int, result: int) -> None:
    """Access the registers and the word of a step, and append it. Registers and memory are still as before the step."""
    for name, time_field, delay in (("rs1", "t1", 0), ("rs2", "t2", 1), ("rd", "td", 3)):
        if name in uses:
            step[time_field] = state.access_register(uses[name], state.time + delay)
    if "rd" in uses:
        step["vd_prev"], step["vd"] = state.registers[uses["rd"]], result
    if position >= 0 and state.memory.origins[position] == ROM:
        step["rom"] = 1
    elif position >= 0:
        word = np.array([int(step["address"]) // 4], np.int64)
        step["tm"] = state.access_words(np.array([position], np.int64), word, state.time + 2)[0]
    count = int(state.counters[kernel.STEPS])
    state.steps[count] = step
    state.counters[kernel.STEPS] = count + 1
