"""Recorded fills run by the kernel, against the chips' own numpy code."""

from __future__ import annotations

import numpy as np
import pytest

from tests.riscv.chips.rows import execution
from zkvm.riscv import fills
from zkvm.riscv.chips.steps import StepChip
from zkvm.riscv.kernels.source import fills as kernel
from zkvm.riscv.machine import machine
from zkvm.riscv.records import PROGRAM_ROW, STEP, Execution
from zkvm.stark import tables
from zkvm.stark.field.goldilocks import P

CHIPS = [chip for chip in machine().chips if isinstance(chip, StepChip)]
WORDS = [0, 1, 2, 31, 32, 0x7FFF_FFFF, 1 << 31, 0xFFFF_FFFF]
LONG = [0, 1, 2**32 - 1, 2**32, 2**60]


def random_run(chip: StepChip, count: int) -> Execution:
    """Steps of the chip's operations whose fields hold anything, edge values among them, and as many of no operation."""
    random = np.random.default_rng(count)
    program, steps = np.zeros(64, PROGRAM_ROW), np.zeros(2 * count, STEP)
    for record in (program, steps):
        for name in record.dtype.names or ():
            edges, bound = (WORDS, 1 << 32) if record.dtype[name].itemsize == 4 or name == "imm" else (LONG, 1 << 60)
            values = random.integers(0, bound, len(record), dtype=np.uint64)
            some = random.integers(0, 2, len(record)) == 0
            record[name] = np.where(some, random.choice(np.array(edges, np.uint64), len(record)), values)
    program["op"] = random.choice([*chip.operations, 0], 64)
    program["op"][0], steps["row"] = next(iter(chip.operations)), random.integers(0, 64, 2 * count)
    steps["rom"] = random.integers(0, 2, 2 * count) if chip.rom is not None or "in_ram" in chip.columns else 0
    return execution(program, steps)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
@pytest.mark.parametrize("count", [1, 40, 1500])
def test_fill_rows(chip: StepChip, count: int) -> None:
    """The kernel and its numpy twin fill the same cells of a larger trace, and no others."""
    run = random_run(chip, count)
    positions = chip.positions(run)
    found = [np.full((len(chip.columns) + 1, len(positions) + 9), 7, np.uint64) for _ in range(2)]
    for fill, matrix in zip((tables.fill_rows, fills.fill_rows), found, strict=True):
        fill(chip, run, positions, matrix[:-1, 4 : 4 + len(positions)])
    assert np.array_equal(found[0], found[1])
    assert (found[0][-1] == 7).all()


def test_the_field_inverse_of_edge_values() -> None:
    values = np.array([0, 1, 2, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1, 0], np.uint64)
    registers = np.concatenate([values, np.zeros_like(values)])
    kernel._inverses(registers, np.uint64(0), np.uint64(len(values)), np.uint64(len(values)))
    assert registers[len(values) :].tolist() == [pow(value, -1, P) if value else 0 for value in values.tolist()]
