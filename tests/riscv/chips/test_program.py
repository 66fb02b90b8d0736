"""The program table."""

from __future__ import annotations

import numpy as np

from tests.forge import forgery
from tests.riscv.chips.memory_rows import shape
from tests.sample import sample_run
from zkvm.riscv.chips.buses import PROGRAM
from zkvm.riscv.chips.program import FIELDS, ProgramChip

CHIP = ProgramChip()


def test_shape() -> None:
    assert shape(CHIP) == (2, 0, 1, 6)
    assert CHIP.mandatory
    assert CHIP.serves == (PROGRAM,)
    assert FIELDS == ("pc", "op", "rd", "rs1", "rs2", "imm")


def test_every_instruction_has_its_row_and_its_count() -> None:
    forged, run = forgery(sample_run()), sample_run()
    program, table = run.image.program, forged.tables["program"]
    assert table.used == len(program)
    for name in FIELDS:
        assert np.array_equal(forged[f"program.{name}"][: table.used], program[name])
        assert not forged[f"program.{name}"][table.used :].any()
    assert forged["program.real"].tolist() == [1] * table.used + [0] * (table.active - table.used)
    executed = np.concatenate([run.steps["row"], run.ecalls["row"]])
    assert np.array_equal(forged["program.multiplicity"][: table.used], np.bincount(executed, minlength=table.used))


def test_only_whole_rows_are_found() -> None:
    program = sample_run().image.program
    columns = [program[name].copy() for name in FIELDS]
    ((column, rows, mask),) = CHIP.serve_row(sample_run().image, PROGRAM, columns)
    assert column == "multiplicity"
    assert mask.all()
    assert np.array_equal(rows, np.arange(len(program)))
    for field in range(6):
        changed = [values.copy() for values in columns]
        changed[field] += np.uint64(1)
        ((_, _, mask),) = CHIP.serve_row(sample_run().image, PROGRAM, changed)
        assert not mask.any()
    nothing = [np.zeros(1, np.uint64)] * 6  # padding's tuple
    assert not CHIP.serve_row(sample_run().image, PROGRAM, nothing)[0][2].any()
