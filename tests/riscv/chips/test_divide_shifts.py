"""Shifts by a register, in the divide chip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.riscv.chips.rows import (
    RD_TIME,
    RS1_TIME,
    RS2_TIME,
    check_honest,
    check_idle,
    check_results,
    check_times,
    fill,
    limbs,
    merged,
    one_row,
    run,
    signed,
)
from zkvm.riscv.chips.divide import DivideChip
from zkvm.riscv.isa.opcodes import SLL, SRA, SRL
from zkvm.stark.field.goldilocks import P

CHIP = DivideChip()
TWO_32 = 1 << 32
MAX = TWO_32 - 1
SHIFTS: dict[int, Callable[[int, int], int]] = {
    SLL: lambda a, b: (a << (b % 32)) % TWO_32,
    SRL: lambda a, b: a >> (b % 32),
    SRA: lambda a, b: (signed(a) >> (b % 32)) % TWO_32,
}


@pytest.mark.parametrize("op", [SLL, SRL, SRA])
def test_results(op: int) -> None:
    check_results(CHIP, op, SHIFTS[op])


@pytest.mark.parametrize("op", [SLL, SRL, SRA])
def test_every_amount(op: int) -> None:
    for v1 in (0, 1, MAX, 0x8000_0000, 0x7FFF_FFFF, 0x8765_4321):
        for amount in (*range(33), 63, 64, MAX):
            assert one_row(CHIP, op, v1, amount, SHIFTS[op](v1, amount)).labels() == set()


def test_operations_share_the_table() -> None:
    a, b = np.array([0x8765_4321, 1, MAX], np.uint64), np.array([4, 31, 0xABCD_EF12], np.uint64)
    parts = []
    for op in (SLL, SRL, SRA):
        results = np.array([SHIFTS[op](int(x), int(y)) for x, y in zip(a, b, strict=True)], np.uint64)
        parts.append(run(op, a, b, results))
    run_ = merged(*parts)
    filled = fill(CHIP, run_)
    check_honest(filled, run_)


def words(q: int, r: int, **cells: int) -> dict[str, int]:
    """Cells of a row with these words, q not negative."""
    return {"vd": q % P, "negative": 0, "magnitude_q": q % P} | limbs(q=q, r=r) | cells


def negative_words(q: int, r: int, **cells: int) -> dict[str, int]:
    """Cells of a row with these words, q and r negative."""
    return words(q, r, **cells) | {"negative": 1, "magnitude_q": (TWO_32 - q) % P, "negative_remainder": int(r != 0)}


def shifted(op: int, v1: int, amount: int) -> dict[str, int]:
    """Cells of a row that shifts by ``amount``, whatever v2 is."""
    scale = pow(2, 31 - amount, P) if amount <= 31 else pow(pow(2, amount - 31, P), -1, P)
    product = (v1 << amount) if op == SLL else (signed(v1) if op == SRA else v1) * scale
    q, r = (product % TWO_32, product >> 32) if op == SLL else ((product >> 31) % TWO_32, product % (1 << 31))
    build = negative_words if op == SRA and signed(v1) < 0 else words
    return build(q, r, amount=amount, factor=scale)


@pytest.mark.parametrize("op", [SLL, SRL, SRA])
def test_amount_of_another_register_value(op: int) -> None:
    v1, v2 = 0x8765_4321, 0xABCD_EF05
    filled = one_row(CHIP, op, v1, v2, SHIFTS[op](v1, v2))
    for amount in (0, 4, 6, 31):
        # v2 = amount + 32 gap has a solution mod p for every amount, but none of 32 bits.
        gap = (v2 - amount) * pow(32, -1, P) % P
        assert filled.forged(**shifted(op, v1, amount), **limbs(gap=gap)) == {"gap: high limb"}
        assert filled.forged(**shifted(op, v1, amount), gap=gap, gap_low=gap) == {"gap: low limb"}
        assert filled.forged(**shifted(op, v1, amount)) == {"amount is v2 mod 32"}


def test_amount_above_31() -> None:
    # v2 = 37 shifts by 5; shifting by 37 with gap 0 has no power of two.
    filled = one_row(CHIP, SLL, 3, 37, 96)
    assert filled.forged(**shifted(SLL, 3, 37), **limbs(gap=0)) >= {"factor of a shift"}
    filled = one_row(CHIP, SRL, MAX, 32, MAX)
    assert filled.forged(**words(0, 0, amount=32, factor=0), **limbs(gap=0)) == {"factor of a shift"}
    # Another factor for the right amount.
    assert filled.forged(**words(MAX >> 1, 1 << 30, factor=1 << 30)) == {"factor of a shift"}


def test_left_shift_alias() -> None:
    filled = one_row(CHIP, SLL, 3, 4, 48)
    alias = 48 + P
    assert filled.forged(**words(alias % TWO_32, alias // TWO_32)) == {"r of a shift: high limb"}
    assert filled.forged(**words(48 - TWO_32, 1)) == {"q: high limb"}
    assert filled.forged(**words(48 + TWO_32, -1)) >= {"q: high limb", "r: high limb"}


@pytest.mark.parametrize("op", [SRL, SRA])
def test_right_shift_rounds_down(op: int) -> None:
    filled = one_row(CHIP, op, 0x7765_4321, 4, 0x7765_4321 >> 4)
    quotient, other = 0x7765_4321 >> 4, int(filled.column("r")[0])
    assert filled.forged(**words(quotient, other)) == set()
    assert filled.forged(**words(quotient - 1, other + (1 << 31))) == {"r of a shift: high limb"}
    assert filled.forged(**words(quotient + 1, other - (1 << 31))) >= {"r of a shift: high limb", "r: high limb"}


def test_wrong_sign() -> None:
    filled = one_row(CHIP, SRA, 0x8000_0000, 4, 0xF800_0000)
    assert filled.forged(sign1=0, **words(0x0800_0000, 0)) == {"sign 1: high limb less the sign"}
    assert filled.forged(sign1=0, low1=0x8000_0000 - 0x7FFF_0000, **words(0x0800_0000, 0)) == {"sign 1: low limb"}
    assert filled.forged(sign1=0, arithmetic=0, right=1, **words(0x0800_0000, 0)) == {"instruction"}
    # The right sign, but a result called non-negative: the quotient + 2^32 or + p has no words.
    assert filled.forged(negative=0, magnitude_q=0xF800_0000) == {"q is negative if signs differ, or 0", "right shift"}
    assert filled.forged(**words(0x0800_0000, 0)) == {"q is negative if signs differ, or 0", "right shift"}
    assert filled.forged(**words(0, signed(0x8000_0000) << 27), negative_remainder=1) == {"r: high limb", "r of a shift: high limb"}
    filled = one_row(CHIP, SRA, 16, 4, 1)
    assert filled.forged(sign1=1, **negative_words(0xF000_0001, 0)) == {"sign 1: high limb less the sign"}
    assert filled.forged(**negative_words(0xF000_0001, 0)) >= {"q is negative only if signs differ"}
    filled = one_row(CHIP, SRL, 16, 4, 1)
    assert filled.forged(sign1=1, **negative_words(0xF000_0001, 0)) == {"sign 1 is 0 if unsigned"}


def test_flags_and_times() -> None:
    filled = one_row(CHIP, SLL, 3, 2, 12)
    assert filled.forged(right=1) >= {"at most one operation"}
    assert filled.forged(divide=1) >= {"at most one operation"}
    assert filled.forged(left=0, right=1, **words(0, 3 << 29)) == {"instruction"}
    check_idle(filled, ["left", "right", "arithmetic"])
    check_times(filled, 0, RS1_TIME, RS2_TIME, RD_TIME)
