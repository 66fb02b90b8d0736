"""Unsigned products of registers: ``MUL`` (low word), ``MULHU`` (high word).

**Sound.** ``v1 v2`` is at most (2^32 - 1)^2 = p - 2^32, so it does not wrap. ``2^32 high + low`` of two range-checked words is at most
2^64 - 1 < 2p, and reaches p only if high = 2^32 - 1. No product has that high word, and the inverse of ``high - (2^32 - 1)`` excludes it:
what is left is an equation of integers, and division by 2^32 has one quotient and one remainder.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import TWO_32, WORD_MAX
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import MUL, MULHU
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, bit, cell, word
from zkvm.stark.air.expression import Expr
from zkvm.stark.field.goldilocks import sub


class MultiplyChip(InstructionChip):
    """One unsigned product a row."""

    name = "multiply"
    operations = {MUL: ("low",), MULHU: ("high",)}
    own = {
        "vd_low": common.low_limb("vd"),
        "other": word("the word of the product that is not the result"),
        "other_low": common.low_limb("other"),
        "inverse": cell("1 / (high word - (2^32 - 1))"),
        "low": bit("the result is the low word"),
        "high": bit("the result is the high word"),
    }

    def relation(self, air: AirBuilder, row: Row) -> None:
        product = row.v1 * row.v2
        air.when(row.low).assert_zero("product with vd low", product - row.other * TWO_32 - row.vd)
        air.when(row.high).assert_zero("product with vd high", product - row.vd * TWO_32 - row.other)
        air.when(row.low).assert_zero("other is not 2^32 - 1 if high", (row.other - WORD_MAX) * row.inverse - 1)
        air.when(row.high).assert_zero("vd is not 2^32 - 1 if high", (row.vd - WORD_MAX) * row.inverse - 1)

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        common.range_word(buses, "result", row.vd, row.vd_low, real)
        common.range_word(buses, "other word", row.other, row.other_low, real)

    def witness(self, steps: Steps) -> Values:
        product = steps.field("v1") * steps.field("v2")
        low_word, high_word = product & np.uint64(WORD_MAX), product >> np.uint64(32)
        other = np.where(steps.is_op(MUL), high_word, low_word)
        return {
            "vd_low": common.low16(steps.field("vd")),
            "other": other,
            "other_low": common.low16(other),
            "inverse": steps.inverses(sub(high_word, np.uint64(WORD_MAX))),
        }
