"""Addition of a constant."""

from __future__ import annotations

from tests.riscv.chips.rows import (
    RD_TIME,
    RS1_TIME,
    check_columns,
    check_idle,
    check_padding,
    check_results,
    check_times,
    limbs,
    one_row,
    operand_pairs,
    shape,
)
from zkvm.riscv.chips.add_immediate import AddImmediateChip
from zkvm.riscv.isa.opcodes import ADDI
from zkvm.stark.field.goldilocks import P

CHIP = AddImmediateChip()
TWO_32 = 1 << 32


def test_results_and_every_cell_counts() -> None:
    check_columns(check_results(CHIP, ADDI, lambda a, b: (a + b) % TWO_32, imm=operand_pairs(2400, ADDI)[1]))


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (5, 3, 5, 27)


def test_forged_results() -> None:
    filled = one_row(CHIP, ADDI, 0xFFFF_FFFF, vd=4, imm=5)
    assert filled.forged(**limbs(vd=TWO_32 + 4)) == {"result: high limb"}
    for carry in (2, 3, pow(TWO_32, -1, P)):
        assert "v1 + imm is vd or vd + 2^32" in filled.forged(**limbs(vd=4 - carry * TWO_32))
    # Another constant with the result that belongs to it.
    assert filled.forged(imm=6, **limbs(vd=5)) == {"instruction"}
    # The same constant mod 2^32, and its negative reading.
    assert filled.forged(imm=5 + TWO_32) == {"instruction", "v1 + imm is vd or vd + 2^32"}
    assert filled.forged(imm=5 - TWO_32) == {"instruction"}


def test_flag_and_times() -> None:
    filled = one_row(CHIP, ADDI, 1, vd=6, imm=5)
    assert "real is boolean" in filled.forged(real=2)
    check_idle(filled, ["real"])
    check_times(filled, 0, RS1_TIME, RD_TIME)
