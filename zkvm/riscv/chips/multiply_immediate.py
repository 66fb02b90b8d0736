"""Shifts by a constant, as products with a power of two: ``MULI`` (slli), ``MULHUI`` (srli), ``MULHSUI`` (srai).

| bus | what |
|---|---|
| state | (pc, t) -> (pc + 4, t + 4) |
| program | the instruction with its power of two |
| memory | rs1 at t, rd at t + 3 |
| range | each access is later than what it consumes; result and remainder; the sign of v1 in MULHSUI |

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
from zkvm.riscv.chips.common import TWO_31, TWO_32, Access, InstructionChip, Steps
from zkvm.riscv.isa.opcodes import MULHSUI, MULHUI, MULI
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, word
from zkvm.stark.air.expression import Expr

OPERATIONS = (MULI, MULHUI, MULHSUI)


class MultiplyImmediateChip(InstructionChip):
    """One product with a constant power of two a row."""

    name = "multiply_immediate"
    operations = OPERATIONS
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.write_columns(),
        imm=word("power of two, from the program table"),
        vd_low=common.low_limb("vd"),
        other=word("high word of a left shift, remainder of a right shift scaled to 31 bits"),
        other_low=common.low_limb("other"),
        sign=bit("top bit of v1 in an arithmetic right shift, else 0"),
        low1=common.low_limb("v1 in an arithmetic right shift"),
        left=bit("the row shifts left"),
        right=bit("the row shifts right, filling with 0"),
        arithmetic=bit("the row shifts right, filling with the sign"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        common.assert_flags(air, row, "left", "right", "arithmetic")
        common.assert_neutral(air, row.t, self.accesses(row))
        air.assert_bool("sign is boolean", row.sign)
        air.assert_zero("sign is 0 unless arithmetic", (1 - row.arithmetic) * row.sign)
        air.assert_zero("left shift", row.left * (row.v1 * row.imm - row.other * TWO_32 - row.vd))
        value, result = row.v1 - row.sign * TWO_32, row.vd - row.sign * TWO_32
        air.assert_zero("right shift", (row.right + row.arithmetic) * (value * row.imm - result * TWO_32 - row.other * 2))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        real = self.real(row)
        op = common.selected(row, {"left": MULI, "right": MULHUI, "arithmetic": MULHSUI})
        common.connect_instruction(buses, row, real, op, rd=row.rd, rs1=row.rs1, imm=row.imm)
        common.connect_accesses(buses, row.t, self.accesses(row))
        common.range_word(buses, "result", row.vd, row.vd_low, real)
        common.range_signed(buses, "other part", row.other, row.other_low, 0, real)
        common.range_signed(buses, "sign", row.v1, row.low1, row.sign, row.arithmetic)

    def real(self, row: Row) -> Expr:
        """1 on used rows."""
        return row.left + row.right + row.arithmetic

    def accesses(self, row: Row) -> list[Access]:
        """The two register accesses."""
        real = self.real(row)
        return [common.read_rs1(row, real), common.write_rd(row, real)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rd", "vd", "vd_prev", "td", "imm")
        left, arithmetic = steps.is_op(MULI), steps.is_op(MULHSUI)
        v1, imm = steps.field("v1"), steps.field("imm")
        # The remainder of a right shift does not depend on the sign: 2^32 times imm / 2 is a multiple of 2^31.
        other = np.where(left, v1 * imm >> np.uint64(32), v1 * (imm >> np.uint64(1)) & np.uint64(TWO_31 - 1))
        steps.put(
            trace,
            vd_low=common.low16(steps.field("vd")),
            other=other,
            other_low=common.low16(other),
            sign=np.where(arithmetic, common.sign_bit(v1), np.uint64(0)),
            low1=np.where(arithmetic, common.low16(v1), np.uint64(0)),
            left=left,
            right=steps.is_op(MULHUI),
            arithmetic=arithmetic,
        )
