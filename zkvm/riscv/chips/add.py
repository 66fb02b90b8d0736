"""Addition and subtraction of registers: ``ADD``, ``SUB``.

| bus | what |
|---|---|
| state | (pc, t) -> (pc + 4, t + 4) |
| program | the instruction |
| memory | rs1 at t, rs2 at t + 1, rd at t + 3 |
| range | each access is later than what it consumes; the result is a word |

**Sound.** Operands are words (memory carries nothing else) and the result is range-checked, so ``v1 + v2 - vd`` lies in
(-2^32, 2^33): it equals 0 or 2^32 mod p only as an integer. The result is then the one word congruent to the sum mod 2^32. A
subtraction is the addition ``vd + v2 = v1``.
"""

from __future__ import annotations

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import TWO_32, Access, InstructionChip, Steps
from zkvm.riscv.isa.opcodes import ADD, SUB
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit
from zkvm.stark.air.expression import Expr


class AddChip(InstructionChip):
    """One register addition or subtraction a row."""

    name = "add"
    operations = (ADD, SUB)
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.read_columns(2),
        **common.write_columns(),
        vd_low=common.low_limb("vd"),
        add=bit("the row is an addition"),
        sub=bit("the row is a subtraction"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        common.assert_flags(air, row, "add", "sub")
        common.assert_neutral(air, row.t, self.accesses(row))
        carried = row.v1 + row.v2 - row.vd
        air.assert_zero("v1 + v2 is vd or vd + 2^32", row.add * carried * (carried - TWO_32))
        borrowed = row.vd + row.v2 - row.v1
        air.assert_zero("vd + v2 is v1 or v1 + 2^32", row.sub * borrowed * (borrowed - TWO_32))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        real = self.real(row)
        op = common.selected(row, {"add": ADD, "sub": SUB})
        common.connect_instruction(buses, row, real, op, rd=row.rd, rs1=row.rs1, rs2=row.rs2)
        common.connect_accesses(buses, row.t, self.accesses(row))
        common.range_word(buses, "result", row.vd, row.vd_low, real)

    def real(self, row: Row) -> Expr:
        """1 on used rows."""
        return row.add + row.sub

    def accesses(self, row: Row) -> list[Access]:
        """The three register accesses."""
        real = self.real(row)
        return [common.read_rs1(row, real), common.read_rs2(row, real), common.write_rd(row, real)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rs2", "v2", "t2", "rd", "vd", "vd_prev", "td")
        steps.put(trace, vd_low=common.low16(steps.field("vd")), add=steps.is_op(ADD), sub=steps.is_op(SUB))
