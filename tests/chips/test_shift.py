"""Shifts by a register."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.chips.rows import (
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
    limbs,
    merged,
    one_row,
    run,
    shape,
    signed,
)
from zkvm.chips.shift import ShiftChip
from zkvm.field.goldilocks import P
from zkvm.isa.opcodes import SLL, SRA, SRL

CHIP = ShiftChip()
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


def test_operations_share_the_table_and_every_cell_counts() -> None:
    a, b = np.array([0x8765_4321, 1, MAX], np.uint64), np.array([4, 31, 0xABCD_EF12], np.uint64)
    parts = []
    for op in (SLL, SRL, SRA):
        results = np.array([SHIFTS[op](int(x), int(y)) for x, y in zip(a, b, strict=True)], np.uint64)
        parts.append(run(op, a, b, results))
    run_ = merged(*parts)
    filled = fill(CHIP, run_)
    check_honest(filled, run_)
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (12, 4, 13, 50)


def shifted(op: int, v1: int, amount: int) -> dict[str, int]:
    """Cells of a row that shifts by ``amount``, whatever v2 is."""
    scale = pow(2, 31 - amount, P) if amount <= 31 else pow(pow(2, amount - 31, P), -1, P)
    product = (v1 << amount) if op == SLL else (signed(v1) if op == SRA else v1) * scale
    words = (product % TWO_32, product >> 32) if op == SLL else ((product >> 31) % TWO_32, product % (1 << 31))
    return {"amount": amount, "scale": scale} | limbs(vd=words[0], other=words[1])


@pytest.mark.parametrize("op", [SLL, SRL, SRA])
def test_amount_of_another_register_value(op: int) -> None:
    v1, v2 = 0x8765_4321, 0xABCD_EF05
    filled = one_row(CHIP, op, v1, v2, SHIFTS[op](v1, v2))
    for amount in (0, 4, 6, 31):
        # v2 = amount + 32 rest has a solution mod p for every amount, but no rest of 32 bits.
        rest = (v2 - amount) * pow(32, -1, P) % P
        assert filled.forged(**shifted(op, v1, amount), rest_low=rest % (1 << 16)) == {"rest of v2: high limb"}
        assert filled.forged(**shifted(op, v1, amount), rest_low=rest) == {"rest of v2: low limb"}


def test_amount_above_31() -> None:
    # v2 = 37 shifts by 5; shifting by 37 with rest 0 has no power of two.
    filled = one_row(CHIP, SLL, 3, 37, 96)
    assert filled.forged(**shifted(SLL, 3, 37), rest_low=0) >= {"scale"}
    filled = one_row(CHIP, SRL, MAX, 32, MAX)
    assert filled.forged(amount=32, scale=0, rest_low=0, **limbs(vd=0, other=0)) == {"scale"}
    # Another scale for the right amount.
    assert filled.forged(scale=1 << 30, **limbs(vd=MAX >> 1, other=1 << 30)) == {"scale"}


def test_left_shift_alias() -> None:
    filled = one_row(CHIP, SLL, 3, 4, 48)
    alias = 48 + P
    assert filled.forged(**limbs(vd=alias % TWO_32, other=alias // TWO_32)) == {"other part: high limb less the sign"}
    assert filled.forged(**limbs(vd=48 - TWO_32, other=1)) == {"result: high limb"}


@pytest.mark.parametrize("op", [SRL, SRA])
def test_right_shift_rounds_down(op: int) -> None:
    filled = one_row(CHIP, op, 0x7765_4321, 4, 0x7765_4321 >> 4)
    quotient, other = 0x7765_4321 >> 4, int(filled.column("other")[0])
    for k in (1, -1):
        assert filled.forged(**limbs(vd=quotient + k, other=other - k * (1 << 31))) == {"other part: high limb less the sign"}


def test_wrong_sign() -> None:
    filled = one_row(CHIP, SRA, 0x8000_0000, 4, 0xF800_0000)
    assert filled.forged(sign=0, **limbs(vd=0x0800_0000)) == {"sign: high limb less the sign"}
    assert filled.forged(sign=0, low1=0x8000_0000 - 0x7FFF_0000, **limbs(vd=0x0800_0000)) == {"sign: low limb"}
    assert filled.forged(sign=0, arithmetic=0, right=1, **limbs(vd=0x0800_0000)) == {"instruction"}
    filled = one_row(CHIP, SRA, 16, 4, 1)
    assert filled.forged(sign=1, **limbs(vd=0xF000_0001)) == {"sign: high limb less the sign"}
    filled = one_row(CHIP, SRL, 16, 4, 1)
    assert filled.forged(sign=1, **limbs(vd=0xF000_0001)) == {"sign is 0 unless arithmetic"}


def test_flags_and_times() -> None:
    filled = one_row(CHIP, SLL, 3, 2, 12)
    assert filled.forged(right=1) >= {"at most one operation"}
    check_idle(filled, ["left", "right", "arithmetic"])
    check_times(filled, 0, RS1_TIME, RS2_TIME, RD_TIME)
