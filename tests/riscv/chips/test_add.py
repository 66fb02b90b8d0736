"""Addition and subtraction of registers."""

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
    limbs,
    merged,
    one_row,
    run,
    shape,
)
from zkvm.riscv.chips.add import AddChip
from zkvm.riscv.isa.opcodes import ADD, SUB
from zkvm.stark.field.goldilocks import P

CHIP = AddChip()
TWO_32 = 1 << 32


def test_results() -> None:
    check_results(CHIP, ADD, lambda a, b: (a + b) % TWO_32)
    check_results(CHIP, SUB, lambda a, b: (a - b) % TWO_32)


def test_both_operations_share_the_table_and_every_cell_counts() -> None:
    words = np.array([5, 7, 0xFFFF_FFFF], np.uint64)
    both = merged(run(ADD, words, words, words * 2 % TWO_32), run(SUB, words, words, words * 0))
    filled = fill(CHIP, both)
    check_honest(filled, both)
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (9, 4, 6, 30)


@pytest.mark.parametrize("op", [ADD, SUB])
def test_unreduced_result_has_no_limbs(op: int) -> None:
    v1, v2 = (0xFFFF_FFFF, 0x1_0001) if op == ADD else (1, 2)
    unreduced = v1 + v2 if op == ADD else v1 - v2
    filled = one_row(CHIP, op, v1, v2, unreduced % TWO_32)
    assert filled.forged(**limbs(vd=unreduced)) == {"result: high limb"}
    assert filled.forged(vd=unreduced, vd_low=unreduced) == {"result: low limb"}
    # Limbs shifted against each other: (low + 2^16 k, high - k) is the same word and leaves a range.
    for k in (1, -1, P // 2):
        assert filled.forged(vd_low=int(filled.column("vd_low")[0]) + (k << 16)) & {"result: low limb", "result: high limb"}


def test_carry_other_than_a_bit() -> None:
    filled = one_row(CHIP, ADD, 5, 6, 11)
    for carry in (-1, 2, 3, pow(TWO_32, -1, P)):
        assert "v1 + v2 is vd or vd + 2^32" in filled.forged(**limbs(vd=11 - carry * TWO_32))


def test_flags() -> None:
    filled = one_row(CHIP, ADD, 5, 5, 10)
    assert filled.forged(add=0, sub=1) == {"vd + v2 is v1 or v1 + 2^32", "instruction"}
    assert filled.forged(sub=1) >= {"at most one operation", "instruction"}
    # Half of one and half of the other: the sum is a bit, the flags are not.
    half = pow(2, -1, P)
    assert filled.forged(add=half, sub=half) >= {"add is boolean", "sub is boolean"}
    check_idle(filled, ["add", "sub"])


def test_times() -> None:
    check_times(one_row(CHIP, ADD, 5, 5, 10), 0, RS1_TIME, RS2_TIME, RD_TIME)
