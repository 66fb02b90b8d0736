"""Bitwise logic."""

from __future__ import annotations

import numpy as np
import pytest

from tests.riscv.chips.rows import (
    RD_TIME,
    RS1_TIME,
    RS2_TIME,
    check_columns,
    check_honest,
    check_idle,
    check_padding,
    check_results,
    check_times,
    fill,
    merged,
    one_row,
    operand_pairs,
    run,
    shape,
)
from zkvm.riscv.chips.bitwise import BitwiseChip
from zkvm.riscv.isa.opcodes import AND, ANDI, OR, ORI, XOR, XORI
from zkvm.stark.field.goldilocks import P

CHIP = BitwiseChip()
FLAGS = ["conjunction", "disjunction", "exclusive"]


def test_results() -> None:
    imm = operand_pairs(2400, 9)[1]
    check_results(CHIP, AND, lambda a, b: a & b)
    check_results(CHIP, OR, lambda a, b: a | b)
    check_results(CHIP, XOR, lambda a, b: a ^ b)
    check_results(CHIP, ANDI, lambda a, b: a & b, imm=imm)
    check_results(CHIP, ORI, lambda a, b: a | b, imm=imm)
    check_results(CHIP, XORI, lambda a, b: a ^ b, imm=imm)


def test_operations_share_the_table_and_every_cell_counts() -> None:
    a, b = np.array([0x1234_5678, 0xFFFF_0000, 7], np.uint64), np.array([0x0F0F_F0F0, 0x8000_0001, 7], np.uint64)
    run_ = merged(run(AND, a, b, a & b), run(ORI, a, b, a | b, imm=b), run(XOR, a, b, a ^ b), run(ANDI, a, b, a & b, imm=b))
    filled = fill(CHIP, run_)
    check_honest(filled, run_)
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (12, 4, 8, 45)


@pytest.mark.parametrize("op", [AND, ANDI])
def test_bytes_that_are_none(op: int) -> None:
    v1, v2 = 0x0102_0304, 0xFFFF_FFFF
    filled = one_row(CHIP, op, v1, v2, v1, imm=v2 if op == ANDI else None)
    # Bytes of v1 shifted against each other: the sum is the same word.
    assert "conjunction of bytes 0" in filled.forged(x0=0x04 + 256, x1=0x03 - 1, z0=0x04 + 256, z1=0x02)
    assert "conjunction of bytes 0" in filled.forged(x0=0x04 - 256, x1=0x03 + 1, z0=P - 252, z1=0x04)
    # The top byte takes what is left: v1 + p in bytes does not exist.
    assert "conjunction of bytes 3" in filled.forged(x2=0x02 - 1, z2=0x01)
    # A conjunction that is not one, with the result that belongs to it.
    assert filled.forged(z0=0x05, vd=v1 + 1) == {"conjunction of bytes 0"}


def test_flags() -> None:
    filled = one_row(CHIP, AND, 6, 3, 2)
    assert filled.forged(conjunction=0, disjunction=1, vd=7) == {"instruction"}
    assert filled.forged(conjunction=0, exclusive=1, vd=5) == {"instruction"}
    assert filled.forged(exclusive=1, vd=7) >= {"at most one operation"}
    check_idle(filled, FLAGS)
    check_idle(one_row(CHIP, ORI, 6, 0, 7, imm=3), [*FLAGS, "immediate"])


def test_operand_is_either_a_register_or_a_constant() -> None:
    filled = one_row(CHIP, AND, 6, 3, 2)
    # A register row with a constant added, or read as an immediate row.
    assert filled.forged(imm=4, y0=7, z0=6, vd=6) == {"instruction"}
    assert filled.forged(immediate=1) >= {"a constant reads no register", "instruction", "rs2 keeps its time unless live"}
    constant = one_row(CHIP, ANDI, 6, 0, 2, imm=3)
    assert constant.forged(v2=4, y0=7, z0=6, vd=6) == {"a constant reads no register", "consumes"}
    assert constant.forged(immediate=0) >= {"instruction"}
    assert constant.forged(immediate=1, conjunction=0) >= {"immediate only on a real row"}


def test_times() -> None:
    check_times(one_row(CHIP, XOR, 5, 5, 0), 0, RS1_TIME, RS2_TIME, RD_TIME)
    check_times(one_row(CHIP, XORI, 5, 0, 0, imm=5), 0, RS1_TIME, RD_TIME)
