"""Branches on equality."""

from __future__ import annotations

import numpy as np

from tests.riscv.chips.rows import (
    RS1_TIME,
    RS2_TIME,
    check_branches,
    check_columns,
    check_honest,
    check_idle,
    check_padding,
    check_times,
    fill,
    merged,
    one_row,
    run,
    shape,
)
from zkvm.riscv.chips.branch_equal import BranchEqualChip
from zkvm.riscv.isa.opcodes import BEQ, BNE
from zkvm.stark.field.goldilocks import P

CHIP = BranchEqualChip()
TARGET = 0x2_0000


def test_results() -> None:
    check_branches(CHIP, BEQ, lambda a, b: a == b)
    check_branches(CHIP, BNE, lambda a, b: a != b)


def test_operations_share_the_table_and_every_cell_counts() -> None:
    a, b = np.array([1, 3, 7], np.uint64), np.array([1, 0xFFFF_FFFF, 7], np.uint64)
    targets = np.array([0x2_0000, 0x8000, 0xFFFF_FFFC], np.uint64)
    run_ = merged(run(BEQ, a, b, imm=targets), run(BNE, a, b, imm=targets))
    filled = fill(CHIP, run_)
    check_honest(filled, run_)
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (8, 3, 3, 26)


def test_equal_operands_taken_for_different() -> None:
    filled = one_row(CHIP, BEQ, 5, 5, imm=TARGET)
    after = int(filled.column("pc")[0]) + 4
    for inverse in (0, 1, P - 1):
        assert filled.forged(equal=0, next_pc=after, inverse=inverse) == {"operands that are not equal differ"}


def test_different_operands_taken_for_equal() -> None:
    filled = one_row(CHIP, BNE, 5, 7, imm=TARGET)
    after = int(filled.column("pc")[0]) + 4
    assert filled.forged(equal=1, next_pc=after, inverse=0) == {"equal operands do not differ"}
    # Partly equal: a fraction of the way to the target.
    half = pow(2, -1, P)
    halfway = (after + (TARGET - after) * half) % P
    assert filled.forged(equal=half, inverse=half * pow(5 - 7, -1, P), next_pc=halfway) == {"equal operands do not differ"}


def test_flags_and_target() -> None:
    filled = one_row(CHIP, BNE, 1, 2, imm=TARGET)
    after = int(filled.column("pc")[0]) + 4
    assert filled.forged(if_equal=1, if_different=0, next_pc=after) == {"instruction"}
    assert filled.forged(target=TARGET + 4, next_pc=TARGET + 4) == {"instruction"}
    assert filled.forged(next_pc=after) == {"next pc"}
    check_idle(filled, ["if_equal", "if_different"])
    time = int(filled.column("t")[0])
    assert filled.forged(if_different=0, t1=time, t2=time, inverse=0) == {"next pc", "consumes"}


def test_times() -> None:
    check_times(one_row(CHIP, BEQ, 5, 5, imm=TARGET), 0, RS1_TIME, RS2_TIME)
