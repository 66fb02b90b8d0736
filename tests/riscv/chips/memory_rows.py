"""Loads and stores without an executor: random addresses and words in, filled rows and what refuses them out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.forge import U64, Flags, RowModel
from tests.riscv.chips.rows import FIRST_PC, RD, RS1, RS2, SPECIAL, execution
from zkvm.riscv.chips.rom import RomChip
from zkvm.riscv.isa import opcodes
from zkvm.riscv.machine import machine
from zkvm.riscv.records import PROGRAM_ROW, STEP, Execution
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.layout import layout

LOADS: dict[int, Callable[[int, int], int]] = {
    opcodes.LB: lambda word, place: _extend(word >> 8 * place & 0xFF, 8),
    opcodes.LBU: lambda word, place: word >> 8 * place & 0xFF,
    opcodes.LH: lambda word, place: _extend(word >> 8 * place & 0xFFFF, 16),
    opcodes.LHU: lambda word, place: word >> 8 * place & 0xFFFF,
    opcodes.LW: lambda word, place: word,
}
"""The loaded value from the aligned word and the address mod 4, in plain Python."""
STORES: dict[int, Callable[[int, int, int], int]] = {
    opcodes.SB: lambda word, place, value: word & ~(0xFF << 8 * place) | (value & 0xFF) << 8 * place,
    opcodes.SH: lambda word, place, value: word & ~(0xFFFF << 8 * place) | (value & 0xFFFF) << 8 * place,
    opcodes.SW: lambda word, place, value: value,
}
ALIGNMENT = {opcodes.LH: 2, opcodes.LHU: 2, opcodes.SH: 2, opcodes.LW: 4, opcodes.SW: 4}


def _extend(value: int, bits: int) -> int:
    return value - (value >> bits - 1 << bits) & 0xFFFF_FFFF


def run(op: int, count: int = 2400, *, rom: bool = False, seed: int = 0) -> Execution:
    """``count`` executions of one load or store at random addresses, with immediates that overflow and that do not."""
    random = np.random.default_rng(seed + op)
    program, steps = np.zeros(count, PROGRAM_ROW), np.zeros(count, STEP)
    program["pc"], program["op"], program["rs1"] = FIRST_PC + 4 * np.arange(count), op, RS1
    step = ALIGNMENT.get(op, 1)
    address = random.permutation(1 << 20)[:count].astype(np.int64) * 4096 // 4 * 4 + random.integers(0, 4 // step, count) * step
    address[:4] = [0, 4, 0xFFFF_FFFC, 0x1_0000]
    imm = random.integers(-2048, 2048, count)
    program["imm"] = imm & 0xFFFF_FFFF
    steps["row"], steps["time"] = np.arange(count), (1 << 33) + 4 * np.arange(count)
    steps["address"], steps["v1"] = address, (address - imm) & 0xFFFF_FFFF
    words = random.integers(0, 1 << 32, count)
    words[4 : 4 + len(SPECIAL)] = SPECIAL
    steps["mem"], steps["rom"] = words, rom
    steps["t1"] = steps["time"] - random.integers(1, 1 << 16, count).astype(np.uint64)
    steps["tm"] = 0 if rom else steps["time"] + 2 - random.integers(1, 1 << 16, count).astype(np.uint64)
    if op in LOADS:
        program["rd"] = RD
        steps["vd"] = [LOADS[op](word, place) for word, place in zip(words.tolist(), (address % 4).tolist(), strict=True)]
        steps["vd_prev"] = random.integers(0, 1 << 32, count)
        steps["td"] = steps["time"] + 3 - random.integers(1, 1 << 16, count).astype(np.uint64)
    else:
        program["rs2"] = RS2
        steps["v2"] = random.integers(0, 1 << 32, count)
        steps["t2"] = steps["time"] + 1 - random.integers(1, 1 << 16, count).astype(np.uint64)
    result = execution(program, steps)
    return with_rom(result) if rom else result


def with_rom(run_: Execution) -> Execution:
    """The same run on an image whose ROM holds every word that it reads."""
    aligned = run_.steps["address"].astype(np.uint64) & np.uint64(0xFFFF_FFFC)
    order = np.argsort(aligned)
    assert len(np.unique(aligned)) == len(aligned)
    values = run_.steps["mem"][order].astype(np.uint64)
    image = dataclasses.replace(run_.image, rom_address=aligned[order], rom_value=values)
    return dataclasses.replace(run_, image=image)


class Rows:
    """Filled rows of one chip."""

    def __init__(self, chip: Chip, run_: Execution) -> None:
        self.chip = chip
        self.model = RowModel(chip, [*machine().chips, RomChip()], run_.image)
        self.main: U64 = np.zeros((len(chip.main), chip.rows(run_)), np.uint64)
        chip.fill(run_, {name: self.main[k] for k, name in enumerate(chip.main)})

    @property
    def pre(self) -> U64:
        """No preprocessed columns."""
        return np.zeros((0, self.main.shape[1]), np.uint64)

    def column(self, name: str) -> U64:
        """A column."""
        view: U64 = self.main[self.chip.main.index(name)]
        return view

    def refused(self) -> Flags:
        """Rows that a constraint or a table refuses."""
        return self.model.refused(self.main, self.pre)

    def sent(self, label: str) -> U64:
        """(arity, rows) what a pair produces."""
        labels = [pair.label for pair in self.model.pairs]
        return self.model.pair_tuples(labels.index(label), self.main, self.pre)[1]

    def received(self, label: str) -> U64:
        """(arity, rows) what a pair consumes."""
        labels = [pair.label for pair in self.model.pairs]
        return self.model.pair_tuples(labels.index(label), self.main, self.pre)[0]


def check_load(chip: Chip, op: int, rom: bool) -> None:
    """Right values are accepted, at the right addresses; a value with any bit flipped is refused."""
    run_ = run(op, rom=rom)
    rows = Rows(chip, run_)
    assert rows.main.shape[1] == len(run_.steps)
    assert not rows.refused().any()
    aligned = run_.steps["address"].astype(np.uint64) & np.uint64(0xFFFF_FFFC)
    assert np.array_equal(rows.sent("rd access"), [np.full(len(aligned), RD), run_.steps["vd"], run_.steps["time"] + 3])
    if not rom:
        assert np.array_equal(rows.received("memory access"), [aligned, run_.steps["mem"], run_.steps["tm"]])
        assert np.array_equal(rows.sent("memory access"), [aligned, run_.steps["mem"], run_.steps["time"] + 2])
    if op != opcodes.LW or rom:
        flip_bits(rows, rows.column("vd"), lambda: rows.refused())


def check_store(chip: Chip, op: int) -> None:
    """The new word is right, at the right address; a word with any bit flipped is refused."""
    run_ = run(op)
    rows = Rows(chip, run_)
    assert not rows.refused().any()
    steps = run_.steps
    aligned = steps["address"].astype(np.uint64) & np.uint64(0xFFFF_FFFC)
    columns = [steps[name].tolist() for name in ("mem", "address", "v2")]
    new = np.array([STORES[op](word, address % 4, value) for word, address, value in zip(*columns, strict=True)], np.uint64)
    assert np.array_equal(rows.received("memory access"), [aligned, steps["mem"], steps["tm"]])
    assert np.array_equal(rows.sent("memory access"), np.stack([aligned, new, steps["time"] + 2]))
    if op != opcodes.SW:
        flip_bits(rows, rows.column("new"), lambda: rows.refused())


def flip_bits(rows: Rows, column: U64, refused: Callable[[], NDArray[np.bool_]]) -> None:
    """Every single-bit change of the column is refused on every row."""
    for bit in range(33):
        column ^= np.uint64(1 << bit)
        assert refused().all()
        column ^= np.uint64(1 << bit)
    assert not refused().any()


def shape(chip: Chip) -> tuple[int, int, int, int]:
    """Constraints, pairs, look-ups and committed base columns: a line that is not registered any more changes them."""
    buses = chip.air_buses
    return len(chip.air_constraints), len(buses.pairs), len(buses.lookups), len(chip.main) + layout(buses).base_columns
