"""Direct jumps: ``JAL``.

**Sound.** Nothing is computed: the written value pc + 4 is a word because the program table holds it.
"""

from __future__ import annotations

from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.isa.opcodes import JAL
from zkvm.stark.air.builder import AirBuilder
from zkvm.stark.air.columns import Row, bit, word
from zkvm.stark.air.expression import Expr


class JumpChip(InstructionChip):
    """One direct jump a row."""

    name = "jump"
    operations = {JAL: ("real",)}
    reads = ()
    constant = "target"
    link = "rs1"
    own = {"target": word("where the jump goes, from the program table"), "real": bit("the row is used")}

    def relation(self, air: AirBuilder, row: Row) -> None:
        air.when(1 - row.real).assert_equal("a padding row stays at its pc", row.target, row.pc)

    def next_pc(self, row: Row) -> Expr:
        return row.target
