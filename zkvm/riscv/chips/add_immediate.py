"""Addition of a constant: ``ADDI`` (also lui, auipc, li, mv, nop and shifts by 0).

**Sound.** As in the add chip: the constant is a word because the program table holds nothing else.
"""

from __future__ import annotations

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import TWO_32
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import ADDI
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, bit, word
from zkvm.stark.air.expression import Expr


class AddImmediateChip(InstructionChip):
    """One addition of a constant a row."""

    name = "add_immediate"
    operations = {ADDI: ("real",)}
    reads = (1,)
    constant = "imm"
    own = {
        "imm": word("constant, two's complement, from the program table"),
        "vd_low": common.low_limb("vd"),
        "real": bit("the row is used"),
    }

    def relation(self, air: AirBuilder, row: Row) -> None:
        carried = row.v1 + row.imm - row.vd
        air.assert_zero("v1 + imm is vd or vd + 2^32", row.real * carried * (carried - TWO_32))

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        common.range_word(buses, "result", row.vd, row.vd_low, real)

    def witness(self, steps: Steps) -> Values:
        return {"vd_low": common.low16(steps.field("vd"))}
