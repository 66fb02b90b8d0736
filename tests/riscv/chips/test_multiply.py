"""Unsigned products of registers."""

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
from zkvm.riscv.chips.multiply import MultiplyChip
from zkvm.riscv.isa.opcodes import MUL, MULHU
from zkvm.stark.field.goldilocks import P

CHIP = MultiplyChip()
TWO_32 = 1 << 32
MAX = TWO_32 - 1
ALIAS = {MUL: "other is not 2^32 - 1 if high", MULHU: "vd is not 2^32 - 1 if high"}


def test_results() -> None:
    check_results(CHIP, MUL, lambda a, b: a * b % TWO_32)
    check_results(CHIP, MULHU, lambda a, b: a * b // TWO_32)


def test_operations_share_the_table_and_every_cell_counts() -> None:
    a, b = np.array([MAX, 3, 70000], np.uint64), np.array([MAX, MAX, 70001], np.uint64)
    product = [int(x) * int(y) for x, y in zip(a, b, strict=True)]
    low, high = np.array([x % TWO_32 for x in product], np.uint64), np.array([x // TWO_32 for x in product], np.uint64)
    run_ = merged(run(MUL, a, b, low), run(MULHU, a, b, high))
    filled = fill(CHIP, run_)
    check_honest(filled, run_)
    check_columns(filled)


def test_padding_and_shape() -> None:
    check_padding(CHIP)
    assert shape(CHIP) == (11, 4, 8, 36)


def words(op: int, low: int, high: int) -> dict[str, int]:
    """Cells of a row whose product has these words."""
    return limbs(vd=low, other=high) if op == MUL else limbs(vd=high, other=low)


@pytest.mark.parametrize("op", [MUL, MULHU])
@pytest.mark.parametrize("product", [0, 1, 6, MAX - 1])
def test_product_plus_p(op: int, product: int) -> None:
    # Both words of product + p fit 32 bits exactly when the product is below 2^32 - 1: high = 2^32 - 1.
    filled = one_row(CHIP, op, product, 1, product if op == MUL else 0)
    low, high = (product + P) % TWO_32, (product + P) // TWO_32
    assert high == MAX
    for inverse in (0, 1, int(filled.column("inverse")[0])):
        assert filled.forged(**words(op, low, high), inverse=inverse) == {ALIAS[op]}


@pytest.mark.parametrize("op", [MUL, MULHU])
def test_largest_product_minus_p(op: int) -> None:
    # (2^32 - 1)^2 = p - 2^32: the words (0, -1) hold mod p.
    filled = one_row(CHIP, op, MAX, MAX, 1 if op == MUL else MAX - 1)
    forged = filled.forged(**words(op, 0, -1), inverse=pow(-TWO_32, -1, P))
    assert forged == ({"other word: high limb"} if op == MUL else {"result: high limb"})


@pytest.mark.parametrize("op", [MUL, MULHU])
def test_shifted_words(op: int) -> None:
    filled = one_row(CHIP, op, 70000, 70001, 70000 * 70001 % TWO_32 if op == MUL else 1)
    low, high = 70000 * 70001 % TWO_32, 70000 * 70001 // TWO_32
    for k in (1, -1):
        cells = words(op, low + k * TWO_32, high - k)
        inverse = pow(high - k - MAX, -1, P)
        label = "result" if op == MUL else "other word"
        assert filled.forged(**cells, inverse=inverse) == {f"{label}: high limb"}
    # The wrong half.
    assert filled.forged(**words(op, high, low)) >= {"product with vd low" if op == MUL else "product with vd high"}
    assert filled.forged(**words(MULHU if op == MUL else MUL, low, high), low=int(op != MUL), high=int(op == MUL)) == {"instruction"}


def test_flags_and_times() -> None:
    filled = one_row(CHIP, MUL, 3, 3, 9)
    assert filled.forged(high=1) >= {"at most one operation"}
    check_idle(filled, ["low", "high"])
    check_times(filled, 0, RS1_TIME, RS2_TIME, RD_TIME)
