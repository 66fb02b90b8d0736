"""Branches on equality: ``BEQ``, ``BNE``.

| bus | what |
|---|---|
| state | (pc, t) -> (target or pc + 4, t + 4) |
| program | the instruction with its absolute target |
| memory | rs1 at t, rs2 at t + 1 |
| range | each access is later than what it consumes |

**Sound.** ``equal`` is 0 if the operands differ (its product with the difference vanishes) and 1 if they do not (nothing else
makes ``difference * inverse = 1 - equal`` hold). The operands are words, so equal mod p is equal.
"""

from __future__ import annotations

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import Access, InstructionChip, Steps
from zkvm.riscv.isa.opcodes import BEQ, BNE
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr
from zkvm.stark.field.goldilocks import sub


class BranchEqualChip(InstructionChip):
    """One branch on equality a row."""

    name = "branch_equal"
    operations = (BEQ, BNE)
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.read_columns(2),
        target=word("where the branch goes if taken, from the program table"),
        next_pc=cell("address of the next instruction"),
        if_equal=bit("the row is beq"),
        if_different=bit("the row is bne"),
        equal=cell("1 if the operands are equal, else 0"),
        inverse=cell("1 / (v1 - v2), or anything if they are equal"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        real = self.real(row)
        common.assert_flags(air, row, "if_equal", "if_different")
        common.assert_neutral(air, row.t, self.accesses(row))
        difference = row.v1 - row.v2
        air.assert_zero("equal operands do not differ", difference * row.equal)
        air.assert_equal("operands that are not equal differ", difference * row.inverse, real - row.equal)
        taken = row.if_equal * row.equal + row.if_different * (1 - row.equal)
        air.assert_equal("next pc", row.next_pc, row.pc + real * 4 + taken * (row.target - row.pc - 4))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        op = common.selected(row, {"if_equal": BEQ, "if_different": BNE})
        common.connect_instruction(buses, row, self.real(row), op, rs1=row.rs1, rs2=row.rs2, imm=row.target, next_pc=row.next_pc)
        common.connect_accesses(buses, row.t, self.accesses(row))

    def real(self, row: Row) -> Expr:
        """1 on used rows."""
        return row.if_equal + row.if_different

    def accesses(self, row: Row) -> list[Access]:
        """The two register reads."""
        real = self.real(row)
        return [common.read_rs1(row, real), common.read_rs2(row, real)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rs2", "v2", "t2")
        if_equal, equal = steps.is_op(BEQ), steps.field("v1") == steps.field("v2")
        steps.put(
            trace,
            target=steps.field("imm"),
            next_pc=common.next_pcs(steps, if_equal == equal),
            if_equal=if_equal,
            if_different=~if_equal,
            equal=equal,
            inverse=steps.inverses(sub(steps.field("v1"), steps.field("v2"))),
        )
