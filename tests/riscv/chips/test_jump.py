"""Direct jumps."""

from __future__ import annotations

import numpy as np

from tests.riscv.chips.rows import (
    FIRST_PC,
    RD_TIME,
    check_columns,
    check_honest,
    check_idle,
    check_padding,
    check_times,
    fill,
    one_row,
    run,
    shape,
)
from zkvm.riscv.chips.jump import JumpChip
from zkvm.riscv.isa.opcodes import JAL

CHIP = JumpChip()
TARGET = 0x2_0000


def test_results_and_every_cell_counts() -> None:
    targets = np.array([0, 0x2_0000, FIRST_PC, 0xFFFF_FFFC], np.uint64)
    pcs = FIRST_PC + 4 * np.arange(4, dtype=np.uint64)
    zero = np.zeros(4, np.uint64)
    run_ = run(JAL, zero, zero, pcs + 4, imm=targets)
    filled = fill(CHIP, run_)
    check_honest(filled, run_)
    assert np.array_equal(filled.tuples()["state send"][0], targets)
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (4, 2, 2, 13)


def test_forgeries() -> None:
    filled = one_row(CHIP, JAL, 0, 0, FIRST_PC + 4, imm=TARGET)
    assert filled.forged(target=TARGET + 4) == {"instruction"}
    assert "real is boolean" in filled.forged(real=2)
    check_idle(filled, ["real"])
    # Not real, but the pc moves.
    time = int(filled.column("t")[0])
    assert filled.forged(real=0, td=time, vd_prev=FIRST_PC) == {"a padding row stays at its pc", "consumes"}
    check_times(filled, 0, RD_TIME)
