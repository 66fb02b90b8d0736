"""Load word from RAM (LW): rd = the aligned word at rs1 + imm.

=======  ======  =====================================================================  =====
bus      kind    tuples                                                                 count
=======  ======  =====================================================================  =====
state    pair    (pc, t) -> (pc + 4, t + 4)
memory   pair    rs1 at t, the word at t + 2, rd at t + 3
program  lookup  (pc, LW, rd, rs1, 0, imm)                                              real
range16  lookup  three times, the address's high limb                                   real
range14  lookup  the address's bits 2 to 15                                             real
=======  ======  =====================================================================  =====

Soundness: the address is the sum mod 2^32 and a multiple of 4 (:mod:`zkvm.riscv.chips.memory_access`), so the word is the one that
RAM holds there: an address below 2^32 is never a register. The value goes to rd in the same column, hence below 2^32. An
address without origin, or in ROM, has no tuple to consume.
"""

from __future__ import annotations

from zkvm.riscv.chips.common import (
    Access,
    InstructionChip,
    Steps,
    assert_neutral,
    connect_accesses,
    connect_instruction,
    read_columns,
    read_rs1,
    state_columns,
    write_columns,
    write_rd,
)
from zkvm.riscv.chips.memory_access import address_columns, byte_address, check_aligned, fill_address, word_access
from zkvm.riscv.isa.opcodes import LW
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit


class LoadWordChip(InstructionChip):
    """LW from RAM."""

    name = "load_word"
    operations = (LW,)
    rom = False
    columns = Columns(
        **state_columns(),
        **read_columns(1),
        **write_columns(),
        **address_columns(ram=True),
        real=bit("the row is an instruction"),
    )

    def _accesses(self, row: Row) -> list[Access]:
        memory = word_access(row, byte_address(row), row.vd, row.vd, row.real)
        return [read_rs1(row, row.real), memory, write_rd(row, row.real)]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Booleans and neutral padding; the rest is in the tuples."""
        air.assert_bool("real is boolean", row.real)
        air.assert_bool("carry is boolean", row.carry)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, three accesses, the address."""
        connect_instruction(buses, row, row.real, LW, rd=row.rd, rs1=row.rs1, imm=row.imm)
        connect_accesses(buses, row.t, self._accesses(row))
        check_aligned(buses, byte_address(row), row.address_low, row.real)

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        """Copy the records."""
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rd", "vd", "vd_prev", "td")
        fill_address(trace, steps, ram=True)
        steps.put(trace, real=1)
