"""Branches on order: ``BLT BGE BLTU BGEU``.

| bus | what |
|---|---|
| state | (pc, t) -> (target or pc + 4, t + 4) |
| program | the instruction with its absolute target |
| memory | rs1 at t, rs2 at t + 1 |
| range | each access is later than what it consumes; the comparison |

Soundness of the comparison: :mod:`zkvm.riscv.chips.comparison`. The branch is taken if ``less`` differs from ``inverted``; both are 0 on
padding rows, so those keep their pc.
"""

from __future__ import annotations

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import Access, InstructionChip, Steps
from zkvm.riscv.chips.comparison import assert_comparison, comparison_columns, connect_comparison, fill_comparison
from zkvm.riscv.isa.opcodes import BGE, BGEU, BLT, BLTU
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr

OPERATIONS = (BLT, BGE, BLTU, BGEU)


class BranchLessChip(InstructionChip):
    """One branch on order a row."""

    name = "branch_less"
    operations = OPERATIONS
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.read_columns(2),
        target=word("where the branch goes if taken, from the program table"),
        next_pc=cell("address of the next instruction"),
        real=bit("the row is used"),
        unsigned=bit("operands are unsigned"),
        inverted=bit("the row is bge or bgeu"),
        less=bit("v1 < v2"),
        **comparison_columns(),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        for name in ("real", "unsigned", "inverted"):
            air.assert_bool(f"{name} is boolean", row[name])
        for name in ("unsigned", "inverted", "less"):
            air.assert_zero(f"{name} only on a real row", row[name] * (1 - row.real))
        common.assert_neutral(air, row.t, self.accesses(row))
        assert_comparison(air, row, row.less, self.signed(row))
        taken = row.less + row.inverted - row.less * row.inverted * 2
        air.assert_equal("next pc", row.next_pc, row.pc + row.real * 4 + taken * (row.target - row.pc - 4))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        op = common.selected(row, {"real": BLT, "inverted": BGE - BLT, "unsigned": BLTU - BLT})
        common.connect_instruction(buses, row, row.real, op, rs1=row.rs1, rs2=row.rs2, imm=row.target, next_pc=row.next_pc)
        common.connect_accesses(buses, row.t, self.accesses(row))
        connect_comparison(buses, row, row.v1, row.v2, row.less, real=row.real, signed=self.signed(row))

    def signed(self, row: Row) -> Expr:
        """1 on rows that compare signed values."""
        return row.real - row.unsigned

    def accesses(self, row: Row) -> list[Access]:
        """The two register reads."""
        return [common.read_rs1(row, row.real), common.read_rs2(row, row.real)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rs2", "v2", "t2")
        unsigned, inverted = steps.is_op(BLTU, BGEU), steps.is_op(BGE, BGEU)
        less = fill_comparison(steps, trace, steps.field("v2"), ~unsigned)
        next_pc = common.next_pcs(steps, less != inverted)
        steps.put(trace, target=steps.field("imm"), next_pc=next_pc, unsigned=unsigned, inverted=inverted, less=less)
        steps.put(trace, real=1)
