"""Branches on order."""

from __future__ import annotations

import numpy as np
import pytest

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
    signed,
)
from zkvm.riscv.chips.branch_less import BranchLessChip
from zkvm.riscv.isa.opcodes import BGE, BGEU, BLT, BLTU

CHIP = BranchLessChip()
TWO_32 = 1 << 32
TARGET = 0x2_0000


def test_results() -> None:
    check_branches(CHIP, BLT, lambda a, b: signed(a) < signed(b))
    check_branches(CHIP, BGE, lambda a, b: signed(a) >= signed(b))
    check_branches(CHIP, BLTU, lambda a, b: a < b)
    check_branches(CHIP, BGEU, lambda a, b: a >= b)


def test_operations_share_the_table_and_every_cell_counts() -> None:
    a, b = np.array([0x8000_0000, 3, 7], np.uint64), np.array([1, 0xFFFF_FFFF, 7], np.uint64)
    targets = np.array([0x2_0000, 0x8000, 0xFFFF_FFFC], np.uint64)
    run_ = merged(*(run(op, a, b, imm=targets) for op in (BLT, BGE, BLTU, BGEU)))
    filled = fill(CHIP, run_)
    check_honest(filled, run_)
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (14, 3, 9, 40)


@pytest.mark.parametrize(
    ("op", "v1", "v2", "less"), [(BLTU, 5, 7, 1), (BGEU, 7, 7, 0), (BLT, 5, 7, 1), (BGE, TWO_32 - 1, 0, 1), (BLT, 0, TWO_32 - 1, 0)]
)
def test_flipped_decision(op: int, v1: int, v2: int, less: int) -> None:
    filled = one_row(CHIP, op, v1, v2, imm=TARGET)
    pc, taken = int(filled.column("pc")[0]), less ^ (op in (BGE, BGEU))
    assert int(filled.column("next_pc")[0]) == (TARGET if taken else pc + 4)
    flipped = pc + 4 if taken else TARGET
    assert filled.forged(next_pc=flipped) == {"next pc"}
    assert filled.forged(next_pc=flipped, less=1 - less) == {"difference: high limb"}
    assert filled.forged(next_pc=flipped, inverted=1 - (op in (BGE, BGEU))) == {"instruction"}


def test_partly_taken() -> None:
    filled = one_row(CHIP, BLTU, 5, 7, imm=TARGET)
    pc = int(filled.column("pc")[0])
    difference = 5 - 7 + 2 * TWO_32
    assert filled.forged(less=2, next_pc=pc + 4 + 2 * (TARGET - pc - 4), difference_low=difference % (1 << 16)) == {
        "less is boolean",
        "difference: high limb",
    }


def test_wrong_sign() -> None:
    # -1 < 0 is taken; with sign 0 it is not, and only the sign's limbs object.
    filled = one_row(CHIP, BLT, TWO_32 - 1, 0, imm=TARGET)
    after = int(filled.column("pc")[0]) + 4
    cells = {"sign1": 0, "less": 0, "next_pc": after, "difference_low": 0xFFFF}
    assert filled.forged(**cells) == {"sign 1: high limb less the sign"}
    assert filled.forged(**cells, low1=TWO_32 - 1 - 0x7FFF_0000) == {"sign 1: low limb"}
    assert filled.forged(**cells, unsigned=1) == {"instruction"}


def test_flags_and_target() -> None:
    filled = one_row(CHIP, BLT, 1, 2, imm=TARGET)
    assert filled.forged(target=TARGET + 4, next_pc=TARGET + 4) == {"instruction"}
    check_idle(filled, ["real", "unsigned", "inverted", "less"])
    # A row that is not real but branches: it would move the pc without consuming time.
    idle = {"real": 0, "t1": int(filled.column("t")[0]), "t2": int(filled.column("t")[0]), "next_pc": TARGET - 4}
    assert filled.forged(**idle) == {"less only on a real row", "consumes"}
    assert filled.forged(**idle, less=0, inverted=1) == {"inverted only on a real row", "consumes"}


def test_times() -> None:
    check_times(one_row(CHIP, BGEU, 5, 5, imm=TARGET), 0, RS1_TIME, RS2_TIME)
