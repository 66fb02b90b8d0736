"""Indirect jumps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.riscv.chips.rows import (
    FIRST_PC,
    RD_TIME,
    RS1_TIME,
    check_columns,
    check_honest,
    check_idle,
    check_padding,
    check_times,
    fill,
    one_row,
    operand_pairs,
    run,
    shape,
)
from zkvm.riscv.chips.jump_register import JumpRegisterChip
from zkvm.riscv.isa.opcodes import JALR
from zkvm.stark.field.goldilocks import P

CHIP = JumpRegisterChip()
TWO_32 = 1 << 32


def test_results_and_every_cell_counts() -> None:
    v1, imm = operand_pairs(2400, JALR)
    pcs = FIRST_PC + 4 * np.arange(2400, dtype=np.uint64)
    run_ = run(JALR, v1, v1, pcs + 4, imm=imm)
    filled = fill(CHIP, run_)
    check_honest(filled, run_)
    expected = [((a + b) % TWO_32) & ~1 for a, b in zip(v1.tolist(), imm.tolist(), strict=True)]
    assert filled.tuples()["state send"][0].tolist() == expected
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (7, 3, 3, 24)


@pytest.mark.parametrize(("v1", "imm"), [(0x2_0000, 8), (0x2_0001, 8), (4, TWO_32 - 4), (8, TWO_32 - 7), (TWO_32 - 4, 8), (0, 0), (1, 0)])
def test_only_one_target_can_be_an_instruction(v1: int, imm: int) -> None:
    filled = one_row(CHIP, JALR, v1, 0, FIRST_PC + 4, imm=imm)
    honest = ((v1 + imm) % TWO_32) & ~1
    targets = set()
    for carry, low_bit in itertools.product((0, 1), (0, 1)):
        assert filled.forged(carry=carry, low_bit=low_bit) == set()
        targets.add((v1 + imm - TWO_32 * carry - low_bit) % P)
    # The program table holds multiples of 4 below 2^32.
    assert [target for target in sorted(targets) if target < TWO_32 and target % 2 == 0] == [honest]


def test_forgeries() -> None:
    filled = one_row(CHIP, JALR, 0x2_0000, 0, FIRST_PC + 4, imm=8)
    assert "carry is boolean" in filled.forged(carry=pow(TWO_32, -1, P) * 4)
    assert filled.forged(low_bit=4) == {"low_bit is boolean"}
    assert filled.forged(imm=12) == {"instruction"}
    assert "real is boolean" in filled.forged(real=2)
    check_idle(filled, ["real"])
    time = int(filled.column("t")[0])
    assert filled.forged(real=0, t1=time, td=time, vd_prev=FIRST_PC) == {"a padding row stays at its pc", "consumes"}
    check_times(filled, 0, RS1_TIME, RD_TIME)
