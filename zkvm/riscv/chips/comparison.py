"""What the comparing chips share: ``left < right`` for two words, read as signed or as unsigned.

With ``sign`` the top bit of a word (0 for an unsigned comparison), its value is ``word - 2^32 sign``. The difference of the two
values lies in (-2^32, 2^32), so ``left - right + 2^32 less`` is in [0, 2^32) for exactly one bit ``less``: the result.

**Sound.** A sign bit is right because the word less 2^31 sign is range-checked to 31 bits; unsigned rows force both signs to 0. The
checked difference is an integer below 2^33 in absolute value, so no alias mod p is in the range.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import TWO_31, TWO_32
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Column, Row, bit
from zkvm.stark.air.expression import Expr


def comparison_columns() -> dict[str, Column]:
    """Witness of one comparison."""
    return {
        "sign1": bit("top bit of the left operand if signed, else 0"),
        "sign2": bit("top bit of the right operand if signed, else 0"),
        "low1": common.low_limb("the left operand, if signed"),
        "low2": common.low_limb("the right operand, if signed"),
        "difference_low": common.low_limb("left - right + 2^32 less"),
    }


def assert_comparison(air: AirBuilder, row: Row, less: Expr, signed: Expr) -> None:
    """``less`` and the signs are bits; signs are 0 unless ``signed`` (a boolean)."""
    air.assert_bool("less is boolean", less)
    for number in (1, 2):
        sign = row[f"sign{number}"]
        air.assert_bool(f"sign {number} is boolean", sign)
        air.assert_zero(f"sign {number} is 0 if unsigned", (1 - signed) * sign)


def connect_comparison(buses: BusBuilder, row: Row, left: Expr, right: Expr, less: Expr, *, real: Expr, signed: Expr) -> None:
    """Range checks of the signs and of the difference."""
    common.range_signed(buses, "sign 1", left, row.low1, row.sign1, signed)
    common.range_signed(buses, "sign 2", right, row.low2, row.sign2, signed)
    difference = left - right + (less - row.sign1 + row.sign2) * TWO_32
    common.range_word(buses, "difference", difference, row.difference_low, real)


def compared(steps: Steps, right: NDArray[np.uint64], signed: NDArray[np.bool_]) -> Values:
    """The witness of ``v1 < right``: the columns of :func:`comparison_columns`, and ``less``, the result.

    Args:
        steps: the rows.
        right: (k,) words.
        signed: (k,) how to read both operands.
    """
    left, zero = steps.field("v1"), np.uint64(0)
    flip = np.where(signed, np.uint64(TWO_31), zero)  # order of signed words = order of words with the top bit flipped
    less = (left ^ flip) < (right ^ flip)
    difference = (left ^ flip) + np.where(less, np.uint64(TWO_32), zero) - (right ^ flip)
    return {
        "less": less,
        "sign1": np.where(signed, common.sign_bit(left), zero),
        "sign2": np.where(signed, common.sign_bit(right), zero),
        "low1": np.where(signed, common.low16(left), zero),
        "low2": np.where(signed, common.low16(right), zero),
        "difference_low": common.low16(difference),
    }
