"""Branches on equality: ``BEQ``, ``BNE``.

**Sound.** ``equal`` is 0 if the operands differ (its product with the difference vanishes) and 1 if they do not (nothing else
makes ``difference * inverse = 1 - equal`` hold). The operands are words, so equal mod p is equal.
"""

from __future__ import annotations

from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values, next_pcs
from zkvm.riscv.isa.opcodes import BEQ, BNE
from zkvm.stark.air.builder import AirBuilder
from zkvm.stark.air.columns import Row, bit, cell, word
from zkvm.stark.air.expression import Expr
from zkvm.stark.field.goldilocks import sub


class BranchEqualChip(InstructionChip):
    """One branch on equality a row."""

    name = "branch_equal"
    operations = {BEQ: ("if_equal",), BNE: ("if_different",)}
    writes = False
    constant = "target"
    own = {
        "target": word("where the branch goes if taken, from the program table"),
        "next_pc": cell("address of the next instruction"),
        "if_equal": bit("the row is beq"),
        "if_different": bit("the row is bne"),
        "equal": cell("1 if the operands are equal, else 0"),
        "inverse": cell("1 / (v1 - v2), or anything if they are equal"),
    }

    def relation(self, air: AirBuilder, row: Row) -> None:
        difference, real = row.v1 - row.v2, self.real(row)
        air.assert_zero("equal operands do not differ", difference * row.equal)
        air.assert_equal("operands that are not equal differ", difference * row.inverse, real - row.equal)
        taken = row.if_equal * row.equal + row.if_different * (1 - row.equal)
        air.assert_equal("next pc", row.next_pc, row.pc + real * 4 + taken * (row.target - row.pc - 4))

    def next_pc(self, row: Row) -> Expr:
        return row.next_pc

    def witness(self, steps: Steps) -> Values:
        v1, v2 = steps.field("v1"), steps.field("v2")
        equal = v1 == v2
        return {"next_pc": next_pcs(steps, steps.is_op(BEQ) == equal), "equal": equal, "inverse": steps.inverses(sub(v1, v2))}
