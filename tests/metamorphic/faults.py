"""Faults of the executor: it goes wrong once, and records the rest of the run as if nothing had happened.

Whatever it records, the machine must refuse it, or the output must be the right one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.forge import forgery
from zkvm.errors import GuestTrap, LimitError, ProvingError
from zkvm.riscv.isa import opcodes, semantics
from zkvm.riscv.kernels import interpreter as kernel
from zkvm.riscv.records import Execution, Image
from zkvm.riscv.vm.executor import execute
from zkvm.riscv.vm.reference import run_reference
from zkvm.riscv.vm.state import MachineState

MAX_CYCLES = 40_000
Mistake = Callable[[MachineState, random.Random], None]


def flip(value: int, rng: random.Random) -> int:
    """The word with another bit, or another word."""
    return value ^ 1 << rng.randrange(32) if rng.random() < 0.8 else rng.getrandbits(32)


def wrong_register(state: MachineState, rng: random.Random) -> None:
    """A register changes by itself."""
    index = rng.randrange(1, 32)
    state.registers[index] = flip(int(state.registers[index]), rng)


def wrong_memory(state: MachineState, rng: random.Random) -> None:
    """A word of memory changes by itself."""
    live = np.flatnonzero(state.memory.values)
    position = int(rng.choice(live.tolist()))
    state.memory.values[position] = flip(int(state.memory.values[position]), rng)


def wrong_place(state: MachineState, rng: random.Random) -> None:
    """The next instruction is another one."""
    rows = len(state.image.program)
    state.counters[kernel.ROW] = (state.row + rng.choice((1, 2, rows - 1, rng.randrange(rows)))) % rows


def wrong_time(state: MachineState, rng: random.Random) -> None:
    """Time jumps, or stands still for one instruction."""
    state.counters[kernel.TIME] = max(4, state.time + rng.choice((-4, 4, 1, 400)))


def wrong_result(state: MachineState, rng: random.Random) -> None:
    """An instruction computes something else and records it."""
    count = int(state.counters[kernel.STEPS])
    if run_reference(state, state.cycles + 1) != kernel.LIMIT or int(state.counters[kernel.STEPS]) == count:
        return
    step = state.steps[count]
    rd = int(state.image.program["rd"][int(step["row"])])
    if rd >= opcodes.REGISTER_BASE:
        value = flip(int(step["vd"]), rng)
        step["vd"] = value
        state.registers[rd - opcodes.REGISTER_BASE] = value


def wrong_operand(state: MachineState, rng: random.Random) -> None:
    """An instruction reads a value that the register does not hold."""
    row = state.image.program[state.row]
    register = int(row[rng.choice(("rs1", "rs2"))]) - opcodes.REGISTER_BASE
    if 0 < register < 32:
        honest = int(state.registers[register])
        state.registers[register] = flip(honest, rng)
        run_reference(state, state.cycles + 1)
        if int(row["rd"]) - opcodes.REGISTER_BASE != register:
            state.registers[register] = honest


def wrong_record(state: MachineState, rng: random.Random) -> None:
    """An instruction is right and its record is not."""
    count = int(state.counters[kernel.STEPS])
    if count:
        step = state.steps[count - 1]
        name = rng.choice([name for name in step.dtype.names if name != "row"])
        step[name] = int(step[name]) ^ 1 << rng.randrange(16)


MISTAKES: dict[str, Mistake] = {
    mistake.__name__: mistake
    for mistake in (wrong_register, wrong_memory, wrong_place, wrong_time, wrong_result, wrong_operand, wrong_record)
}

WRONG_OPERATIONS: dict[int, Callable[[int, int], int]] = {
    opcodes.SRA: lambda a, b: a >> (b & 31),
    opcodes.SLT: lambda a, b: int(a < b),
    opcodes.SLL: lambda a, b: (a << b) & 0xFFFF_FFFF if b < 64 else 0,
    opcodes.MULH: lambda a, b: a * b >> 32,
    opcodes.REM: lambda a, b: a % b if b else 0,
    opcodes.DIV: lambda a, b: a // b if b else 0,
    opcodes.SUB: lambda a, b: max(a - b, 0),
}
"""Misunderstandings of an instruction, for a whole run."""


WRONG_OUTPUT = "wrong_output"
"""A byte on its way from memory to the journal changes, in the records and in the journal."""
KINDS = (*(3 * list(MISTAKES)), WRONG_OUTPUT, *(f"operation {number}" for number in WRONG_OPERATIONS))
"""All faults; single mistakes are drawn more often."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a faulty run ended: what refused it (empty: accepted), and its journal."""

    refused: frozenset[str]
    journal: bytes


def faulty_runner(name: str, cycle: int, rng: random.Random) -> Callable[[MachineState, int], int]:
    """An interpreter that makes the mistake once, before the instruction with this number."""
    waiting = True

    def runner(state: MachineState, limit: int) -> int:
        nonlocal waiting
        if waiting and cycle < limit:
            status = run_reference(state, cycle)
            if status != kernel.LIMIT:
                return status
            waiting = False
            MISTAKES[name](state, rng)
        return run_reference(state, limit)

    return runner


def with_wrong_output(execution: Execution, rng: random.Random) -> Execution:
    """Another bit of one journal byte, and of the word that it was written from."""
    row = execution.writes[rng.randrange(len(execution.writes))]
    byte, bit = rng.randrange(int(row["count"])), rng.randrange(8)
    at = int(row["address"]) % 4 + byte
    row["old"] ^= np.uint32(1 << 8 * at + bit)
    row["new"] = row["old"]
    journal = bytearray(execution.journal)
    journal[int(row["index"]) + byte] ^= 1 << bit
    return replace(execution, journal=bytes(journal))


def refusals(execution: Execution) -> frozenset[str]:
    """What the machine objects to in a run's records."""
    try:
        return frozenset(forgery(execution).refusals())
    except ProvingError as error:
        return frozenset({f"no witness: {str(error).partition(':')[0]}"})


def injected(image: Image, name: str, cycle: int, seed: int, stdin: bytes = b"") -> Outcome | None:
    """Run with one mistake and check the records; None if the mistake kept the run from ending.

    ``name`` is one of KINDS.
    """
    try:
        execution = faulty_execution(image, name, cycle, seed, stdin)
    except (GuestTrap, LimitError):
        return None
    return Outcome(refusals(execution), execution.journal)


def faulty_execution(image: Image, name: str, cycle: int, seed: int, stdin: bytes = b"") -> Execution:
    """The records of a run with a mistake.

    Raises:
        GuestTrap: it left the program. LimitError: it does not end.
    """
    if name == WRONG_OUTPUT:
        return with_wrong_output(execute(image, stdin), random.Random(seed))
    kind, _, number = name.partition(" ")
    if kind != "operation":
        return execute(image, stdin, max_cycles=MAX_CYCLES, runner=faulty_runner(name, cycle, random.Random(seed)))
    table: Any = semantics.COMPUTE
    honest = table[int(number)]
    table[int(number)] = WRONG_OPERATIONS[int(number)]
    try:
        return execute(image, stdin, max_cycles=MAX_CYCLES, runner=run_reference)
    finally:
        table[int(number)] = honest
