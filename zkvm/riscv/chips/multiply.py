"""Unsigned products of registers: ``MUL`` (low word), ``MULHU`` (high word).

| bus | what |
|---|---|
| state | (pc, t) -> (pc + 4, t + 4) |
| program | the instruction |
| memory | rs1 at t, rs2 at t + 1, rd at t + 3 |
| range | each access is later than what it consumes; both words of the product |

**Sound.** ``v1 v2`` is at most (2^32 - 1)^2 = p - 2^32, so it does not wrap. ``2^32 high + low`` of two range-checked words is at most
2^64 - 1 < 2p, and reaches p only if high = 2^32 - 1. No product has that high word, and the inverse of ``high - (2^32 - 1)`` excludes it:
what is left is an equation of integers, and division by 2^32 has one quotient and one remainder.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import TWO_32, WORD_MAX, Access, InstructionChip, Steps
from zkvm.riscv.isa.opcodes import MUL, MULHU
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr
from zkvm.stark.field.goldilocks import sub


class MultiplyChip(InstructionChip):
    """One unsigned product a row."""

    name = "multiply"
    operations = (MUL, MULHU)
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.read_columns(2),
        **common.write_columns(),
        vd_low=common.low_limb("vd"),
        other=word("the word of the product that is not the result"),
        other_low=common.low_limb("other"),
        inverse=cell("1 / (high word - (2^32 - 1))"),
        low=bit("the result is the low word"),
        high=bit("the result is the high word"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        common.assert_flags(air, row, "low", "high")
        common.assert_neutral(air, row.t, self.accesses(row))
        product = row.v1 * row.v2
        air.assert_zero("product with vd low", row.low * (product - row.other * TWO_32 - row.vd))
        air.assert_zero("product with vd high", row.high * (product - row.vd * TWO_32 - row.other))
        air.assert_zero("other is not 2^32 - 1 if high", row.low * ((row.other - WORD_MAX) * row.inverse - 1))
        air.assert_zero("vd is not 2^32 - 1 if high", row.high * ((row.vd - WORD_MAX) * row.inverse - 1))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        real = self.real(row)
        op = common.selected(row, {"low": MUL, "high": MULHU})
        common.connect_instruction(buses, row, real, op, rd=row.rd, rs1=row.rs1, rs2=row.rs2)
        common.connect_accesses(buses, row.t, self.accesses(row))
        common.range_word(buses, "result", row.vd, row.vd_low, real)
        common.range_word(buses, "other word", row.other, row.other_low, real)

    def real(self, row: Row) -> Expr:
        """1 on used rows."""
        return row.low + row.high

    def accesses(self, row: Row) -> list[Access]:
        """The three register accesses."""
        real = self.real(row)
        return [common.read_rs1(row, real), common.read_rs2(row, real), common.write_rd(row, real)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rs2", "v2", "t2", "rd", "vd", "vd_prev", "td")
        product, low = steps.field("v1") * steps.field("v2"), steps.is_op(MUL)
        low_word, high_word = product & np.uint64(WORD_MAX), product >> np.uint64(32)
        other = np.where(low, high_word, low_word)
        steps.put(
            trace,
            vd_low=common.low16(steps.field("vd")),
            other=other,
            other_low=common.low16(other),
            inverse=steps.inverses(sub(high_word, np.uint64(WORD_MAX))),
            low=low,
            high=~low,
        )
