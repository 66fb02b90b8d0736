"""Shifts by a register: ``SLL SRL SRA``, by the low five bits of v2.

| bus | what |
|---|---|
| state | (pc, t) -> (pc + 4, t + 4) |
| program | the instruction |
| memory | rs1 at t, rs2 at t + 1, rd at t + 3 |
| power | scale = 2^(31 - amount), and amount is in [0, 32) |
| range | each access is later than what it consumes; amount; result and remainder; the sign of v1 in SRA |

**Sound.** ``(v2 - amount) / 32`` is range-checked to 32 bits, so ``v2 = amount + 32 rest`` holds for integers (below 2^38) and amount
is v2 mod 32. All products below are compared as integers in [0, 2^63), and ``other`` is range-checked to 31 bits.

* SLL: ``scale (2^32 other + vd) = 2^31 v1`` mod p. As scale 2^amount = 2^31 and scale is invertible, ``2^32 other + vd = v1 2^amount``
  mod p, and both sides are below 2^63.
* SRL, SRA: ``(v1 - 2^32 sign) scale + 2^63 sign = 2^31 vd + other``, with sign = 0 in SRL and the proven sign bit of v1 in SRA. The
  left side is in [0, 2^63), so vd - 2^32 sign is the quotient by 2^amount, rounded down.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zkvm.air.builder import AirBuilder, BusBuilder
from zkvm.air.chip import Chip, Trace
from zkvm.air.columns import Columns, Row, bit, cell, word
from zkvm.air.expression import Expr
from zkvm.chips import common
from zkvm.chips.buses import POWER
from zkvm.chips.common import TWO_31, TWO_32, Access
from zkvm.field.goldilocks import P
from zkvm.isa.opcodes import SLL, SRA, SRL

OPERATIONS = (SLL, SRL, SRA)
_INVERSE_32 = pow(32, -1, P)


class ShiftChip(Chip):
    """One shift by a register a row."""

    name = "shift"
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.read_columns(2),
        **common.write_columns(),
        amount=cell("v2 mod 32"),
        scale=cell("2^(31 - amount)"),
        rest_low=common.low_limb("v2 / 32"),
        vd_low=common.low_limb("vd"),
        other=word("high word of a left shift, remainder of a right shift scaled to 31 bits"),
        other_low=common.low_limb("other"),
        sign=bit("top bit of v1 in SRA, else 0"),
        low1=common.low_limb("v1 in SRA"),
        left=bit("the row is sll"),
        right=bit("the row is srl"),
        arithmetic=bit("the row is sra"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        common.assert_flags(air, row, "left", "right", "arithmetic")
        common.assert_neutral(air, row.t, self.accesses(row))
        air.assert_bool("sign is boolean", row.sign)
        air.assert_zero("sign is 0 unless arithmetic", (1 - row.arithmetic) * row.sign)
        air.assert_zero("left shift", row.left * (row.scale * (row.other * TWO_32 + row.vd) - row.v1 * TWO_31))
        value, result = row.v1 - row.sign * TWO_32, row.vd - row.sign * TWO_32
        air.assert_zero("right shift", (row.right + row.arithmetic) * (value * row.scale - result * TWO_31 - row.other))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        real = self.real(row)
        op = common.selected(row, {"left": SLL, "right": SRL, "arithmetic": SRA})
        common.connect_instruction(buses, row, real, op, rd=row.rd, rs1=row.rs1, rs2=row.rs2)
        common.connect_accesses(buses, row.t, self.accesses(row))
        buses.lookup("scale", POWER, (31 - row.amount, row.scale), real)
        common.range_word(buses, "rest of v2", (row.v2 - row.amount) * _INVERSE_32, row.rest_low, real)
        common.range_word(buses, "result", row.vd, row.vd_low, real)
        common.range_signed(buses, "other part", row.other, row.other_low, 0, real)
        common.range_signed(buses, "sign", row.v1, row.low1, row.sign, row.arithmetic)

    def real(self, row: Row) -> Expr:
        """1 on used rows."""
        return row.left + row.right + row.arithmetic

    def accesses(self, row: Row) -> list[Access]:
        """The three register accesses."""
        real = self.real(row)
        return [common.read_rs1(row, real), common.read_rs2(row, real), common.write_rd(row, real)]

    def rows(self, execution: Any) -> int:
        return common.count_steps(execution, OPERATIONS)

    def fill(self, execution: Any, trace: Trace) -> None:
        steps = common.select_steps(execution, OPERATIONS)
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rs2", "v2", "t2", "rd", "vd", "vd_prev", "td")
        left, arithmetic = steps.is_op(SLL), steps.is_op(SRA)
        v1, v2, zero = steps.field("v1"), steps.field("v2"), np.uint64(0)
        amount = v2 & np.uint64(31)
        scale = np.uint64(1) << (np.uint64(31) - amount)
        # The remainder of a right shift does not depend on the sign: 2^32 scale is a multiple of 2^31.
        other = np.where(left, (v1 << amount) >> np.uint64(32), v1 * scale & np.uint64(TWO_31 - 1))
        steps.put(
            trace,
            amount=amount,
            scale=scale,
            rest_low=common.low16(v2 >> np.uint64(5)),
            vd_low=common.low16(steps.field("vd")),
            other=other,
            other_low=common.low16(other),
            sign=np.where(arithmetic, common.sign_bit(v1), zero),
            low1=np.where(arithmetic, common.low16(v1), zero),
            left=left,
            right=steps.is_op(SRL),
            arithmetic=arithmetic,
        )
