"""Set if less: ``SLT SLTU`` of registers and ``SLTI SLTIU`` with a constant.

| bus | what |
|---|---|
| state | (pc, t) -> (pc + 4, t + 4) |
| program | the instruction |
| memory | rs1 at t, rs2 at t + 1 (neutral for a constant), rd at t + 3 |
| range | each access is later than what it consumes; the comparison |

The second operand is ``v2 + imm``: for a constant no register is read and v2 is 0; for a register the program table says imm = 0.
Soundness of the comparison: :mod:`zkvm.riscv.chips.comparison`. The result is a bit, so it is a word.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import Access, InstructionChip, Steps
from zkvm.riscv.chips.comparison import assert_comparison, comparison_columns, connect_comparison, fill_comparison
from zkvm.riscv.isa.opcodes import SLT, SLTI, SLTIU, SLTU
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, word
from zkvm.stark.air.expression import Expr

OPERATIONS = (SLT, SLTU, SLTI, SLTIU)


class CompareChip(InstructionChip):
    """One comparison into a register a row."""

    name = "compare"
    operations = OPERATIONS
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.read_columns(2),
        **common.write_columns(),
        imm=word("constant from the program table, 0 for a register"),
        real=bit("the row is used"),
        unsigned=bit("operands are unsigned"),
        immediate=bit("the second operand is a constant"),
        **comparison_columns(),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        for name in ("real", "unsigned", "immediate"):
            air.assert_bool(f"{name} is boolean", row[name])
        air.assert_zero("an unsigned row is real", row.unsigned * (1 - row.real))
        air.assert_zero("an immediate row is real", row.immediate * (1 - row.real))
        common.assert_neutral(air, row.t, self.accesses(row))
        air.assert_zero("a constant reads no register", row.immediate * row.v2)
        assert_comparison(air, row, row.vd, self.signed(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        op = common.selected(row, {"real": SLT, "unsigned": SLTU - SLT, "immediate": SLTI - SLT})
        common.connect_instruction(buses, row, row.real, op, rd=row.rd, rs1=row.rs1, rs2=row.rs2, imm=row.imm)
        common.connect_accesses(buses, row.t, self.accesses(row))
        connect_comparison(buses, row, row.v1, row.v2 + row.imm, row.vd, real=row.real, signed=self.signed(row))

    def signed(self, row: Row) -> Expr:
        """1 on rows that compare signed values."""
        return row.real - row.unsigned

    def accesses(self, row: Row) -> list[Access]:
        """The register accesses; the second read only for a register operand."""
        reads = [common.read_rs1(row, row.real), common.read_rs2(row, row.real - row.immediate)]
        return [*reads, common.write_rd(row, row.real)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rs2", "v2", "rd", "vd_prev", "td", "imm")
        unsigned, immediate = steps.is_op(SLTU, SLTIU), steps.is_op(SLTI, SLTIU)
        less = fill_comparison(steps, trace, steps.field("v2") + steps.field("imm"), ~unsigned)
        steps.put(trace, t2=np.where(immediate, steps.field("t"), steps.field("t2")), vd=less, unsigned=unsigned, immediate=immediate)
        steps.put(trace, real=1)
