"""Addition and subtraction of registers: ``ADD``, ``SUB``.

**Sound.** Operands are words (memory carries nothing else) and the result is range-checked, so ``v1 + v2 - vd`` lies in
(-2^32, 2^33): it equals 0 or 2^32 mod p only as an integer. The result is then the one word congruent to the sum mod 2^32. A
subtraction is the addition ``vd + v2 = v1``.
"""

from __future__ import annotations

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import TWO_32
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import ADD, SUB
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, bit
from zkvm.stark.air.expression import Expr


class AddChip(InstructionChip):
    """One register addition or subtraction a row."""

    name = "add"
    operations = {ADD: ("add",), SUB: ("sub",)}
    own = {"vd_low": common.low_limb("vd"), "add": bit("the row is an addition"), "sub": bit("the row is a subtraction")}

    def relation(self, air: AirBuilder, row: Row) -> None:
        carried, borrowed = row.v1 + row.v2 - row.vd, row.vd + row.v2 - row.v1
        air.assert_zero("v1 + v2 is vd or vd + 2^32", row.add * carried * (carried - TWO_32))
        air.assert_zero("vd + v2 is v1 or v1 + 2^32", row.sub * borrowed * (borrowed - TWO_32))

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        common.range_word(buses, "result", row.vd, row.vd_low, real)

    def witness(self, steps: Steps) -> Values:
        return {"vd_low": common.low16(steps.field("vd"))}
