"""Shifts by a constant."""

from __future__ import annotations

import numpy as np
import pytest

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
    shape,
    signed,
)
from zkvm.riscv.chips.multiply_immediate import MultiplyImmediateChip
from zkvm.riscv.isa.opcodes import MULHSUI, MULHUI, MULI
from zkvm.stark.field.goldilocks import P

CHIP = MultiplyImmediateChip()
TWO_32 = 1 << 32
MAX = TWO_32 - 1
AMOUNTS = np.random.default_rng(5).integers(1, 32, 2400).astype(np.uint64)
AMOUNTS[:225] = np.resize([1, 31, 16], 225)


def test_results_and_every_cell_counts() -> None:
    left, right = np.uint64(1) << AMOUNTS, np.uint64(1) << (np.uint64(32) - AMOUNTS)
    check_results(CHIP, MULI, lambda a, b: a * b % TWO_32, imm=left)
    check_results(CHIP, MULHUI, lambda a, b: a * b // TWO_32, imm=right)
    check_columns(check_results(CHIP, MULHSUI, lambda a, b: signed(a) * b // TWO_32 % TWO_32, imm=right))


def test_results_are_shifts() -> None:
    v1 = 0x8765_4321
    for amount in range(1, 32):
        rows = {
            MULI: (1 << amount, (v1 << amount) % TWO_32),
            MULHUI: (1 << (32 - amount), v1 >> amount),
            MULHSUI: (1 << (32 - amount), (signed(v1) >> amount) % TWO_32),
        }
        for op, (imm, result) in rows.items():
            assert one_row(CHIP, op, v1, vd=result, imm=imm).labels() == set()


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (11, 3, 9, 39)


def test_left_shift_product_plus_p() -> None:
    for v1, imm in ((0, 2), (3, 4), (1, 1 << 31)):
        filled = one_row(CHIP, MULI, v1, vd=v1 * imm, imm=imm)
        alias = v1 * imm + P
        assert filled.forged(**limbs(vd=alias % TWO_32, other=alias // TWO_32)) == {"other part: high limb less the sign"}
    filled = one_row(CHIP, MULI, MAX, vd=MAX * 4 % TWO_32, imm=4)
    low, high = MAX * 4 % TWO_32, MAX * 4 // TWO_32
    assert filled.forged(**limbs(vd=low + TWO_32, other=high - 1)) == {"result: high limb"}
    assert filled.forged(**limbs(vd=low - TWO_32, other=high + 1)) == {"result: high limb"}


@pytest.mark.parametrize("op", [MULHUI, MULHSUI])
def test_right_shift_rounds_down(op: int) -> None:
    filled = one_row(CHIP, op, 0x7765_4321, vd=0x7765_4321 >> 4, imm=1 << 28)
    quotient, other = 0x7765_4321 >> 4, (0x7765_4321 << 27) % (1 << 31)
    assert int(filled.column("other")[0]) == other
    for k in (1, -1):
        assert filled.forged(**limbs(vd=quotient + k, other=other - k * (1 << 31))) == {"other part: high limb less the sign"}
    # With half a remainder the quotient is a fraction.
    half = pow(2, -1, P)
    assert filled.forged(**limbs(vd=quotient + half, other=other - half * (1 << 31))) >= {"result: high limb"}


def test_right_shift_plus_p() -> None:
    # The constraint is twice the equation: the other solution of 2 y = 2 x + p is no integer below 2^63.
    filled = one_row(CHIP, MULHUI, 2, vd=1, imm=1 << 31)
    alias = 2 * (1 << 30) + P
    assert alias >= 1 << 63
    assert filled.forged(**limbs(vd=alias >> 31, other=alias % (1 << 31))) == {"result: high limb"}


def test_wrong_sign() -> None:
    # -2 >> 1 filled with 0, and 2 >> 1 filled with 1: all limbs of the result fit, the sign's do not.
    filled = one_row(CHIP, MULHSUI, TWO_32 - 2, vd=MAX, imm=1 << 31)
    assert filled.forged(sign=0, **limbs(vd=MAX >> 1)) == {"sign: high limb less the sign"}
    assert filled.forged(sign=0, low1=TWO_32 - 2 - 0x7FFF_0000, **limbs(vd=MAX >> 1)) == {"sign: low limb"}
    filled = one_row(CHIP, MULHSUI, 2, vd=1, imm=1 << 31)
    assert filled.forged(sign=1, **limbs(vd=1 + (1 << 31))) == {"sign: high limb less the sign"}
    filled = one_row(CHIP, MULHUI, 2, vd=1, imm=1 << 31)
    assert filled.forged(sign=1, **limbs(vd=1 + (1 << 31))) == {"sign is 0 unless arithmetic"}
    assert filled.forged(sign=1, right=0, arithmetic=1, **limbs(vd=1 + (1 << 31))) >= {"instruction"}


def test_flags_and_times() -> None:
    filled = one_row(CHIP, MULI, 3, vd=12, imm=4)
    assert filled.forged(left=0, right=1, **limbs(vd=0, other=6)) == {"instruction"}
    assert filled.forged(imm=8, **limbs(vd=24)) == {"instruction"}
    assert filled.forged(right=1) >= {"at most one operation"}
    check_idle(filled, ["left", "right", "arithmetic"])
    check_times(filled, 0, RS1_TIME, RD_TIME)
