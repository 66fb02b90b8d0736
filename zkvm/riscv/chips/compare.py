"""Set if less: ``SLT SLTU`` of registers and ``SLTI SLTIU`` with a constant.

The second operand is ``v2 + imm``: for a constant no register is read and v2 is 0; for a register the program table says imm = 0.
Soundness of the comparison: :mod:`zkvm.riscv.chips.comparison`. The result is a bit, so it is a word.
"""

from __future__ import annotations

from zkvm.riscv.chips.comparison import assert_comparison, compared, comparison_columns, connect_comparison
from zkvm.riscv.chips.instruction import InstructionChip
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import SLT, SLTI, SLTIU, SLTU
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, bit, word
from zkvm.stark.air.expression import Expr


class CompareChip(InstructionChip):
    """One comparison into a register a row."""

    name = "compare"
    operations = {SLT: ("real",), SLTU: ("real", "unsigned"), SLTI: ("real", "immediate"), SLTIU: ("real", "unsigned", "immediate")}
    constant = "imm"
    immediate = "immediate"
    own = {
        "imm": word("constant from the program table, 0 for a register"),
        "real": bit("the row is used"),
        "unsigned": bit("operands are unsigned"),
        "immediate": bit("the second operand is a constant"),
        **comparison_columns(),
    }

    def relation(self, air: AirBuilder, row: Row) -> None:
        assert_comparison(air, row, row.vd, row.real - row.unsigned)

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        connect_comparison(buses, row, row.v1, row.v2 + row.imm, row.vd, real=real, signed=real - row.unsigned)

    def witness(self, steps: Steps) -> Values:
        values = compared(steps, steps.field("v2") + steps.field("imm"), ~steps.is_op(SLTU, SLTIU))
        return {"vd" if name == "less" else name: column for name, column in values.items()}
