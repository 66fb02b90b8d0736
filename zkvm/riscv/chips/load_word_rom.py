"""Load word from ROM (LW): rd = the aligned read-only word at rs1 + imm.

=======  ======  =====================================================================  =====
bus      kind    tuples                                                                 count
=======  ======  =====================================================================  =====
state    pair    (pc, t) -> (pc + 4, t + 4)
memory   pair    rs1 at t, rd at t + 3
program  lookup  (pc, LW, rd, rs1, 0, imm)                                              real
range16  lookup  twice                                                                  real
rom      lookup  (rs1 + imm - 2^32 carry, vd)                                           real
=======  ======  =====================================================================  =====

Soundness: the ROM table holds aligned addresses below 2^32 only, so it is the address check: of the two values that carry
allows at most one is in [0, 2^32), and it is the sum mod 2^32. The loaded value is preprocessed, hence below 2^32. Which of
RAM and ROM holds the word is fixed by the image (one origin).
"""

from __future__ import annotations

from zkvm.riscv.chips.buses import ROM
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
from zkvm.riscv.chips.memory_access import address_columns, byte_address, fill_address
from zkvm.riscv.isa.opcodes import LW
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit


class LoadWordRomChip(InstructionChip):
    """LW from ROM."""

    name = "load_word_rom"
    operations = (LW,)
    rom = True
    columns = Columns(
        **state_columns(),
        **read_columns(1),
        **write_columns(),
        **address_columns(ram=False),
        real=bit("the row is an instruction"),
    )

    def _accesses(self, row: Row) -> list[Access]:
        return [read_rs1(row, row.real), write_rd(row, row.real)]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Booleans and neutral padding; the rest is in the tuples."""
        air.assert_bool("real is boolean", row.real)
        air.assert_bool("carry is boolean", row.carry)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, two accesses, the word."""
        connect_instruction(buses, row, row.real, LW, rd=row.rd, rs1=row.rs1, imm=row.imm)
        connect_accesses(buses, row.t, self._accesses(row))
        buses.lookup("word", ROM, (byte_address(row), row.vd), row.real)

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        """Copy the records."""
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rd", "vd", "vd_prev", "td")
        fill_address(trace, steps, ram=False)
        steps.put(trace, real=1)
