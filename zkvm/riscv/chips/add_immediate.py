"""Addition of a constant: ``ADDI`` (also lui, auipc, li, mv, nop and shifts by 0).

| bus | what |
|---|---|
| state | (pc, t) -> (pc + 4, t + 4) |
| program | the instruction with its constant |
| memory | rs1 at t, rd at t + 3 |
| range | each access is later than what it consumes; the result is a word |

**Sound.** As in the add chip: the constant is a word because the program table holds nothing else.
"""

from __future__ import annotations

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import TWO_32, Access, InstructionChip, Steps
from zkvm.riscv.isa.opcodes import ADDI
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, word


class AddImmediateChip(InstructionChip):
    """One addition of a constant a row."""

    name = "add_immediate"
    operations = (ADDI,)
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.write_columns(),
        imm=word("constant, two's complement, from the program table"),
        vd_low=common.low_limb("vd"),
        real=bit("the row is used"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        common.assert_flags(air, row, "real")
        common.assert_neutral(air, row.t, self.accesses(row))
        carried = row.v1 + row.imm - row.vd
        air.assert_zero("v1 + imm is vd or vd + 2^32", row.real * carried * (carried - TWO_32))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        common.connect_instruction(buses, row, row.real, row.real * ADDI, rd=row.rd, rs1=row.rs1, imm=row.imm)
        common.connect_accesses(buses, row.t, self.accesses(row))
        common.range_word(buses, "result", row.vd, row.vd_low, row.real)

    def accesses(self, row: Row) -> list[Access]:
        """The two register accesses."""
        return [common.read_rs1(row, row.real), common.write_rd(row, row.real)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rd", "vd", "vd_prev", "td", "imm")
        steps.put(trace, vd_low=common.low16(steps.field("vd")))
        steps.put(trace, real=1)
