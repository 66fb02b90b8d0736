"""Shifts by a constant, as products with a power of two: ``MULI`` (slli), ``MULHUI`` (srli), ``MULHSUI`` (srai).

The program table holds ``imm = 2^s`` for MULI and ``imm = 2^(32 - s)`` for the others, 1 <= s <= 31, so imm is even and at most 2^31.

**Sound.** All sides below are integers in [0, 2^63), hence equal mod p only if equal. ``other`` is range-checked to 31 bits.

* MULI: ``v1 imm = 2^32 other + vd``: other is the high word (below 2^31), vd the low word.
* MULHUI: ``v1 (imm / 2) = 2^31 vd + other`` (the constraint is twice that; 2 is invertible): vd = v1 imm / 2^32, rounded down.
* MULHSUI: ``(v1 - 2^32 sign) (imm / 2) + 2^63 sign = 2^31 vd + other`` with the proven sign bit of v1: the left side is in [0, 2^63) since
  the product is in [-2^62, 2^62) and negative exactly if sign = 1. So vd - 2^32 sign is the rounded-down quotient.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import TWO_31, TWO_32
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import MULHSUI, MULHUI, MULI
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, bit, word
from zkvm.stark.air.expression import Expr


class MultiplyImmediateChip(InstructionChip):
    """One product with a constant power of two a row."""

    name = "multiply_immediate"
    operations = {MULI: ("left",), MULHUI: ("right",), MULHSUI: ("arithmetic",)}
    reads = (1,)
    constant = "imm"
    own = {
        "imm": word("power of two, from the program table"),
        "vd_low": common.low_limb("vd"),
        "other": word("high word of a left shift, remainder of a right shift scaled to 31 bits"),
        "other_low": common.low_limb("other"),
        "sign": bit("top bit of v1 in an arithmetic right shift, else 0"),
        "low1": common.low_limb("v1 in an arithmetic right shift"),
        "left": bit("the row shifts left"),
        "right": bit("the row shifts right, filling with 0"),
        "arithmetic": bit("the row shifts right, filling with the sign"),
    }

    def relation(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("sign is boolean", row.sign)
        air.when(1 - row.arithmetic).assert_zero("sign is 0 unless arithmetic", row.sign)
        air.when(row.left).assert_zero("left shift", row.v1 * row.imm - row.other * TWO_32 - row.vd)
        value, result = row.v1 - row.sign * TWO_32, row.vd - row.sign * TWO_32
        air.when(row.right + row.arithmetic).assert_zero("right shift", value * row.imm - result * TWO_32 - row.other * 2)

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        common.range_word(buses, "result", row.vd, row.vd_low, real)
        common.range_signed(buses, "other part", row.other, row.other_low, 0, real)
        common.range_signed(buses, "sign", row.v1, row.low1, row.sign, row.arithmetic)

    def witness(self, steps: Steps) -> Values:
        left, arithmetic = steps.is_op(MULI), steps.is_op(MULHSUI)
        v1, imm = steps.field("v1"), steps.field("imm")
        # The remainder of a right shift does not depend on the sign: 2^32 times imm / 2 is a multiple of 2^31.
        other = np.where(left, v1 * imm >> np.uint64(32), v1 * (imm >> np.uint64(1)) & np.uint64(TWO_31 - 1))
        return {
            "vd_low": common.low16(steps.field("vd")),
            "other": other,
            "other_low": common.low16(other),
            "sign": np.where(arithmetic, common.sign_bit(v1), np.uint64(0)),
            "low1": np.where(arithmetic, common.low16(v1), np.uint64(0)),
        }
