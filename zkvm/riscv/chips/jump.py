"""Direct jumps: ``JAL``.

| bus | what |
|---|---|
| state | (pc, t) -> (target, t + 4) |
| program | the instruction with its absolute target and its link value pc + 4 |
| memory | rd at t + 3 |
| range | the access is later than what it consumes |

**Sound.** Nothing is computed: the written value pc + 4 is a word because the program table holds it.
"""

from __future__ import annotations

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import Access, InstructionChip, Steps
from zkvm.riscv.isa.opcodes import JAL
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, word


class JumpChip(InstructionChip):
    """One direct jump a row."""

    name = "jump"
    operations = (JAL,)
    columns = Columns(
        **common.state_columns(),
        **common.write_columns(value=False),
        target=word("where the jump goes, from the program table"),
        real=bit("the row is used"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        common.assert_flags(air, row, "real")
        common.assert_neutral(air, row.t, self.accesses(row))
        air.assert_zero("a padding row stays at its pc", (1 - row.real) * (row.target - row.pc))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        common.connect_instruction(buses, row, row.real, row.real * JAL, rd=row.rd, rs1=row.pc + 4, imm=row.target, next_pc=row.target)
        common.connect_accesses(buses, row.t, self.accesses(row))

    def accesses(self, row: Row) -> list[Access]:
        """The write of the link value."""
        return [common.write_rd(row, row.real, value=row.pc + row.real * 4)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rd", "vd_prev", "td")
        steps.put(trace, target=steps.field("imm"))
        steps.put(trace, real=1)
