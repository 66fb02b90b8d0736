"""Branches on order: ``BLT BGE BLTU BGEU``.

Soundness of the comparison: :mod:`zkvm.riscv.chips.comparison`. The branch is taken if ``less`` differs from ``inverted``; both are 0 on
padding rows, so those keep their pc.
"""

from __future__ import annotations

from zkvm.riscv.chips.comparison import assert_comparison, compared, comparison_columns, connect_comparison
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values, next_pcs
from zkvm.riscv.isa.opcodes import BGE, BGEU, BLT, BLTU
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, bit, cell, word
from zkvm.stark.air.expression import Expr


class BranchLessChip(InstructionChip):
    """One branch on order a row."""

    name = "branch_less"
    operations = {BLT: ("real",), BGE: ("real", "inverted"), BLTU: ("real", "unsigned"), BGEU: ("real", "unsigned", "inverted")}
    writes = False
    constant = "target"
    own = {
        "target": word("where the branch goes if taken, from the program table"),
        "next_pc": cell("address of the next instruction"),
        "real": bit("the row is used"),
        "unsigned": bit("operands are unsigned"),
        "inverted": bit("the row is bge or bgeu"),
        "less": bit("v1 < v2"),
        **comparison_columns(),
    }

    def booleans(self, air: AirBuilder, row: Row) -> None:
        super().booleans(air, row)
        air.assert_zero("less only on a real row", row.less * (1 - row.real))  # a boolean by the comparison

    def relation(self, air: AirBuilder, row: Row) -> None:
        assert_comparison(air, row, row.less, row.real - row.unsigned)
        taken = row.less + row.inverted - row.less * row.inverted * 2
        air.assert_equal("next pc", row.next_pc, row.pc + row.real * 4 + taken * (row.target - row.pc - 4))

    def next_pc(self, row: Row) -> Expr:
        return row.next_pc

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        connect_comparison(buses, row, row.v1, row.v2, row.less, real=real, signed=real - row.unsigned)

    def witness(self, steps: Steps) -> Values:
        values = compared(steps, steps.field("v2"), ~steps.is_op(BLTU, BGEU))
        return {**values, "next_pc": next_pcs(steps, values["less"] != steps.is_op(BGE, BGEU))}
