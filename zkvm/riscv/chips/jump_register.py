"""Indirect jumps: ``JALR`` goes to (v1 + imm) mod 2^32 with its lowest bit cleared.

| bus | what |
|---|---|
| state | (pc, t) -> (target, t + 4) |
| program | the instruction with its constant and its link value pc + 4 |
| memory | rs1 at t, rd at t + 3 |
| range | each access is later than what it consumes |

**Sound.** The target ``v1 + imm - 2^32 carry - low_bit`` needs no range check: whoever consumes it from the state bus looks an
instruction up at that pc, and the program table holds only multiples of 4 below 2^32. So target + low_bit is in [0, 2^32), which
fixes the carry, and the target is even, which fixes the bit. A target that is not a multiple of 4 has no instruction.
The written value pc + 4 is a word because the program table holds it.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import TWO_32, Access, InstructionChip, Steps
from zkvm.riscv.isa.opcodes import JALR
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, word
from zkvm.stark.air.expression import Expr


class JumpRegisterChip(InstructionChip):
    """One indirect jump a row."""

    name = "jump_register"
    operations = (JALR,)
    columns = Columns(
        **common.state_columns(),
        **common.read_columns(1),
        **common.write_columns(value=False),
        imm=word("constant, two's complement, from the program table"),
        carry=bit("v1 + imm reaches 2^32"),
        low_bit=bit("lowest bit of v1 + imm"),
        real=bit("the row is used"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        for name in ("real", "carry", "low_bit"):
            air.assert_bool(f"{name} is boolean", row[name])
        common.assert_neutral(air, row.t, self.accesses(row))
        air.assert_zero("a padding row stays at its pc", (1 - row.real) * (self.target(row) - row.pc))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        common.connect_instruction(
            buses, row, row.real, row.real * JALR, rd=row.rd, rs1=row.rs1, rs2=row.pc + 4, imm=row.imm, next_pc=self.target(row)
        )
        common.connect_accesses(buses, row.t, self.accesses(row))

    def target(self, row: Row) -> Expr:
        """Address of the next instruction."""
        return row.v1 + row.imm - row.carry * TWO_32 - row.low_bit

    def accesses(self, row: Row) -> list[Access]:
        """The read of the base and the write of the link value."""
        return [common.read_rs1(row, row.real), common.write_rd(row, row.real, value=row.pc + row.real * 4)]

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rd", "vd_prev", "td", "imm")
        target = steps.field("v1") + steps.field("imm")
        steps.put(trace, carry=target >> np.uint64(32), low_bit=target & np.uint64(1))
        steps.put(trace, real=1)
