"""Rows of one instruction chip without an executor: random operands in, filled table out, and what refuses each row.

The rest of the machine is modelled by what it can know of a row: constraints, look-ups that no table answers, and the tuples that
the row consumes and produces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import AND, MEMORY, POWER, PROGRAM, RANGE7, RANGE14, RANGE15, RANGE16, STATE
from zkvm.riscv.isa import opcodes
from zkvm.riscv.records import CHAIN_ROW, ECALL, PROGRAM_ROW, REFRESH, STEP, Execution, Image
from zkvm.stark.air.builder import Argument, Bus
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import straighten
from zkvm.stark.air.layout import layout
from zkvm.stark.field.goldilocks import P

Words = NDArray[np.uint64]
FIRST_PC = 0x1_0000
RD, RS1, RS2 = (opcodes.REGISTER_BASE + number for number in (5, 6, 7))
SPECIAL = [0, 1, 2, 3, 31, 32, 0x7FFF, 0xFFFF, 1 << 16, 0x7FFF_FFFF, 1 << 31, (1 << 31) + 1, 0xFFFF_0000, 0xFFFF_FFFE, 0xFFFF_FFFF]
RANGES = {RANGE16: 16, RANGE15: 15, RANGE14: 14, RANGE7: 7}


def operand_pairs(count: int, seed: int) -> tuple[Words, Words]:
    """Every pair of special words, then random pairs: a quarter equal, a quarter small, a quarter with one special word."""
    random = np.random.default_rng(seed)
    pairs = np.array([(a, b) for a in SPECIAL for b in SPECIAL], np.uint64)
    values = random.integers(0, 1 << 32, (count - len(pairs), 2), dtype=np.uint64)
    kind = random.integers(0, 4, len(values))
    values[kind == 0, 1] = values[kind == 0, 0]
    values[kind == 1] >>= random.integers(0, 32, (int(np.sum(kind == 1)), 2)).astype(np.uint64)
    special = np.array(SPECIAL, np.uint64)[random.integers(0, len(SPECIAL), len(values))]
    values[kind == 2, random.integers(0, 2)] = special[kind == 2]
    both = np.concatenate([pairs, values])
    return both[:, 0].copy(), both[:, 1].copy()


def signed(value: int) -> int:
    """Two's complement reading of a word."""
    return value - (1 << 32) if value >= 1 << 31 else value


def run(op: int, v1: Words, v2: Words, results: Words | None = None, *, imm: Words | None = None, seed: int = 0) -> Execution:
    """An execution of ``op`` once per operand pair; ``imm`` makes it register-immediate, ``results`` gives it a destination.

    Each step has a program row of its own. For branches ``imm`` is the target and both registers are read.
    """
    random = np.random.default_rng(seed)
    count = len(v1)
    program, steps = np.zeros(count, PROGRAM_ROW), np.zeros(count, STEP)
    program["pc"] = FIRST_PC + 4 * np.arange(count)
    program["op"] = op
    reads_two = imm is None or op in (opcodes.BEQ, opcodes.BNE, opcodes.BLT, opcodes.BGE, opcodes.BLTU, opcodes.BGEU)
    program["rs1"] = program["pc"] + 4 if op == opcodes.JAL else RS1
    program["rs2"] = program["pc"] + 4 if op == opcodes.JALR else RS2 if reads_two else 0
    program["imm"] = 0 if imm is None else imm
    steps["row"] = np.arange(count)
    steps["time"] = (1 << 33) + 4 * np.arange(count)
    gap = random.integers(8, 1 << 16, (3, count))
    if count > 1:
        gap[:, :2] = [1, 1 << 16]  # the nearest and the farthest write that an access may consume
    steps["v1"], steps["t1"] = v1, steps["time"] - gap[0].astype(np.uint64)
    if reads_two:
        steps["v2"], steps["t2"] = v2, steps["time"] + 1 - gap[1].astype(np.uint64)
    if results is not None:
        program["rd"] = RD
        steps["vd"], steps["vd_prev"] = results, random.integers(0, 1 << 32, count)
        steps["td"] = steps["time"] + 3 - gap[2].astype(np.uint64)
    return execution(program, steps)


def execution(program: NDArray[Any], steps: NDArray[Any]) -> Execution:
    """An execution that holds nothing but these steps."""
    none: Words = np.zeros(0, np.uint64)
    image = Image(program, none, none, none, none, (), FIRST_PC, 0, 0, 0, bytes)
    refreshes, ecalls, chain = np.zeros(0, REFRESH), np.zeros(0, ECALL), np.zeros(0, CHAIN_ROW)
    return Execution(image, len(steps), 0, b"", steps, refreshes, ecalls, chain, chain, none, none, none, none, none)


def merged(*executions: Execution) -> Execution:
    """One execution with the steps of all."""
    program = np.concatenate([item.image.program for item in executions])
    program["pc"] = FIRST_PC + 4 * np.arange(len(program))
    link = np.isin(program["op"], (opcodes.JAL, opcodes.JALR))
    program["rs1"] = np.where(program["op"] == opcodes.JAL, program["pc"] + 4, program["rs1"])
    program["rs2"] = np.where(link & (program["op"] == opcodes.JALR), program["pc"] + 4, program["rs2"])
    steps = np.concatenate([item.steps for item in executions])
    steps["row"] = np.arange(len(steps))
    return execution(program, steps)


@dataclass
class Filled:
    """A chip's filled rows."""

    chip: Chip
    program: NDArray[Any]
    main: Words

    def column(self, name: str) -> Words:
        """View of a main column."""
        view: Words = self.main[self.chip.main.index(name)]
        return view

    def refusals(self) -> dict[str, NDArray[np.bool_]]:
        """For each constraint and each look-up: the rows on which it fails."""
        constraints = self.chip.air_constraints
        empty = np.zeros((0, self.main.shape[1]), np.uint64)
        values = evaluate_columns(straighten([constraint.expr for constraint in constraints]), self.main, empty)
        result = {constraint.label: value != 0 for constraint, value in zip(constraints, values, strict=True)}
        for lookup in self.chip.air_buses.lookups:
            *items, count = evaluate_columns(straighten([*lookup.message.values, lookup.count]), self.main, empty)
            result[lookup.label] = (count > 1) | ((count == 1) & ~self._answered(lookup.message.bus, items))
        return result

    def _answered(self, bus: Bus, items: list[Words]) -> NDArray[np.bool_]:
        """Which tuples the bus's table holds."""
        number = ((items[0] - np.uint64(FIRST_PC)) // np.uint64(4)) % np.uint64(len(self.program))
        match bus:
            case _ if bus in RANGES:
                held = [items[0] < 1 << RANGES[bus]]
            case _ if bus is AND:
                held = [items[0] < 256, items[1] < 256, items[2] == items[0] & items[1]]
            case _ if bus is POWER:
                held = [items[0] < 32, items[1] == np.uint64(1) << (items[0] & np.uint64(31))]
            case _:
                assert bus is PROGRAM
                held = [self.program[name][number] == item for name, item in zip(self.program.dtype.names or (), items, strict=True)]
        return np.asarray(np.logical_and.reduce(held), np.bool_)

    def refused(self) -> NDArray[np.bool_]:
        """Rows that some constraint or look-up refuses."""
        return np.asarray(np.logical_or.reduce(list(self.refusals().values())), np.bool_)

    def labels(self, row: int = 0) -> set[str]:
        """What refuses one row."""
        return {label for label, rows in self.refusals().items() if rows[row]}

    def tuples(self) -> dict[str, Words]:
        """Consumed and produced tuples by label and direction: (arity, rows)."""
        empty = np.zeros((0, self.main.shape[1]), np.uint64)
        result = {}
        for pair in self.chip.air_buses.pairs:
            for direction, item in (("receive", pair.receive), ("send", pair.send)):
                assert item is not None
                assert item.bus in (STATE, MEMORY)
                assert item.bus.argument is Argument.PRODUCT
                result[f"{pair.label} {direction}"] = np.stack(evaluate_columns(straighten(list(item.values)), self.main, empty))
        return result

    def forged(self, row: int = 0, **cells: int) -> set[str]:
        """What refuses ``row`` after some cells are replaced, mod p; 'consumes' if it no longer consumes the same tuples."""
        copy = Filled(self.chip, self.program, self.main[:, [row]].copy())
        before = copy.tuples()
        for name, value in cells.items():
            copy.column(name)[0] = value % P
        changed = any(np.any(before[name] != value) for name, value in copy.tuples().items() if name.endswith("receive"))
        return copy.labels() | ({"consumes"} if changed else set())


def fill(chip: Chip, run_: Execution) -> Filled:
    """The chip's rows for an execution."""
    main = np.zeros((len(chip.main), chip.rows(run_)), np.uint64)
    chip.fill(run_, {name: main[number] for number, name in enumerate(chip.main)})
    return Filled(chip, run_.image.program, main)


def check_honest(filled: Filled, run_: Execution) -> None:
    """Every row is accepted; reads keep, the write changes, all at the right times; the state's time advances by 4."""
    failing = {label: int(np.flatnonzero(rows)[0]) for label, rows in filled.refusals().items() if rows.any()}
    assert not failing
    assert len(run_.steps) == filled.main.shape[1]
    tuples, steps, program = filled.tuples(), run_.steps, run_.image.program
    assert np.array_equal(tuples["state receive"], [program["pc"], steps["time"]])
    assert np.array_equal(tuples["state send"][1], steps["time"] + 4)
    for name, value, previous, slot in (("rs1", "v1", "t1", 0), ("rs2", "v2", "t2", 1)):
        if f"{name} access receive" in tuples:
            live = program[name] >= opcodes.REGISTER_BASE
            assert np.array_equal(
                tuples[f"{name} access receive"][:, live], [program[name][live], steps[value][live], steps[previous][live]]
            )
            assert np.array_equal(
                tuples[f"{name} access send"][:, live], [program[name][live], steps[value][live], steps["time"][live] + slot]
            )
            assert np.array_equal(tuples[f"{name} access receive"][:, ~live], tuples[f"{name} access send"][:, ~live])
    if "rd access receive" in tuples:
        assert np.array_equal(tuples["rd access receive"], [program["rd"], steps["vd_prev"], steps["td"]])
        assert np.array_equal(tuples["rd access send"], [program["rd"], steps["vd"], steps["time"] + 3])


def check_results(chip: Chip, op: int, compute: Callable[[int, int], int], *, imm: Words | None = None, count: int = 2400) -> Filled:
    """Fill and check rows of a computing ``op``; ``compute`` maps two Python words to the result word. Returns the rows.

    A result with any bit flipped is refused on every row.
    """
    v1, v2 = operand_pairs(count, seed=op)
    second = v2 if imm is None else imm
    results = np.array([compute(a, b) for a, b in zip(v1.tolist(), second.tolist(), strict=True)], np.uint64)
    run_ = run(op, v1, v2, results, imm=imm, seed=op)
    filled = fill(chip, run_)
    check_honest(filled, run_)
    for bit in range(32):
        wrong = Filled(chip, filled.program, filled.main.copy())
        wrong.column("vd")[:] = results ^ np.uint64(1 << bit)
        if "vd_low" in chip.main:
            wrong.column("vd_low")[:] = wrong.column("vd") & np.uint64(0xFFFF)
        assert wrong.refused().all()
    return filled


def check_branches(chip: Chip, op: int, taken: Callable[[int, int], bool], *, count: int = 2400) -> Filled:
    """Fill and check rows of a branch; ``taken`` maps two Python words to whether it jumps. The other way out is refused."""
    v1, v2 = operand_pairs(count, seed=op)
    targets = np.random.default_rng(op).integers(0, 1 << 30, count, dtype=np.uint64) * np.uint64(4)
    run_ = run(op, v1, v2, imm=targets, seed=op)
    filled = fill(chip, run_)
    check_honest(filled, run_)
    jumps = np.array([taken(a, b) for a, b in zip(v1.tolist(), v2.tolist(), strict=True)])
    assert 0 < np.sum(jumps) < count
    straight = run_.image.program["pc"] + np.uint64(4)
    assert np.array_equal(filled.tuples()["state send"][0], np.where(jumps, targets, straight))
    filled.column("next_pc")[:] = np.where(jumps, straight, targets)
    assert filled.refusals()["next pc"].all()
    filled.column("next_pc")[:] = np.where(jumps, targets, straight)
    return filled


def check_columns(filled: Filled) -> None:
    """Every column has a row where a change of it alone is refused, or changes what the row consumes or produces."""
    tuples = filled.tuples()
    for number, name in enumerate(filled.chip.main):
        noticed = False
        for delta in (1, 1 << 16, P - 1):
            main = filled.main.copy()
            main[number] = (main[number].astype(object) + delta) % P
            changed = Filled(filled.chip, filled.program, main)
            moved = [np.any(tuples[key] != value, axis=0) for key, value in changed.tuples().items()]
            noticed |= bool(np.any(changed.refused() | np.logical_or.reduce(moved)))
        assert noticed, name


def check_times(filled: Filled, row: int, *registers: tuple[str, str, int]) -> None:
    """Reads of the same time, of the future, and of more than 2^16 ago are refused. ``registers``: (time column, label, slot)."""
    time = int(filled.column("t")[row])
    for name, label, slot in registers:
        now = time + slot
        for previous in (now, now + 1, now + P // 2, now - 1 - (1 << 16)):
            assert filled.forged(row, **{name: previous}) == {f"{label} is later", "consumes"}
        assert filled.forged(row, **{name: now - (1 << 16)}) | {"consumes"} == {"consumes"}


RS1_TIME, RS2_TIME, RD_TIME = ("t1", "rs1", 0), ("t2", "rs2", 1), ("td", "rd", 3)


def check_padding(chip: Chip) -> None:
    """The zero row is accepted, neutral and mute."""
    filled = Filled(chip, np.zeros(1, PROGRAM_ROW), np.zeros((len(chip.main), 1), np.uint64))
    assert filled.labels() == set()
    tuples = filled.tuples()
    for name in tuples:
        assert np.array_equal(tuples[name], tuples[name.replace("receive", "send")])


def check_idle(filled: Filled, flags: list[str], row: int = 0) -> None:
    """A row whose flags are all 0 but whose other cells are those of a used row is not neutral, and refused."""
    refused = filled.forged(row, **dict.fromkeys(flags, 0))
    assert any("unless live" in label for label in refused)


def one_row(chip: Chip, op: int, v1: int, v2: int = 0, vd: int | None = None, imm: int | None = None) -> Filled:
    """A single row."""
    words = [None if word is None else np.array([word], np.uint64) for word in (v1, v2, vd, imm)]
    assert words[0] is not None
    assert words[1] is not None
    return fill(chip, run(op, words[0], words[1], words[2], imm=words[3]))


def limbs(**values: int) -> dict[str, int]:
    """Cells of words and of their low limbs, mod p: ``limbs(vd=x)`` sets ``vd`` and ``vd_low``."""
    result = {name: value % P for name, value in values.items()}
    return result | {f"{name}_low": value % P % (1 << 16) for name, value in values.items()}


def shape(chip: Chip) -> tuple[int, int, int, int]:
    """Constraints, pairs, look-ups and committed base columns."""
    buses = chip.air_buses
    return len(chip.air_constraints), len(buses.pairs), len(buses.lookups), len(chip.main) + layout(buses).base_columns
