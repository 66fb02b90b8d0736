"""Store word (SW): the aligned word at rs1 + imm becomes rs2.

=======  ======  =====================================================================  =====
bus      kind    tuples                                                                 count
=======  ======  =====================================================================  =====
state    pair    (pc, t) -> (pc + 4, t + 4)
memory   pair    rs1 at t, rs2 at t + 1, the word at t + 2
program  lookup  (pc, SW, 0, rs1, rs2, imm)                                             real
range16  lookup  three times, the address's high limb                                   real
range14  lookup  the address's bits 2 to 15                                             real
=======  ======  =====================================================================  =====

Soundness: the address is the sum mod 2^32 and a multiple of 4 (:mod:`zkvm.riscv.chips.memory_access`), never a register's. The word
produced is the value consumed from rs2, hence below 2^32. ROM is not on the memory bus, so a store to it has nothing to consume.
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
    read_rs2,
    state_columns,
)
from zkvm.riscv.chips.memory_access import address_columns, byte_address, check_aligned, fill_address, word_access
from zkvm.riscv.isa.opcodes import SW
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, word


class StoreWordChip(InstructionChip):
    """SW."""

    name = "store_word"
    operations = (SW,)
    columns = Columns(
        **state_columns(),
        **read_columns(1),
        **read_columns(2),
        **address_columns(ram=True),
        old=word("the word before, consumed from memory"),
        real=bit("the row is an instruction"),
    )

    def _accesses(self, row: Row) -> list[Access]:
        memory = word_access(row, byte_address(row), row.old, row.v2, row.real)
        return [read_rs1(row, row.real), read_rs2(row, row.real), memory]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Booleans and neutral padding; the rest is in the tuples."""
        air.assert_bool("real is boolean", row.real)
        air.assert_bool("carry is boolean", row.carry)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, three accesses, the address."""
        connect_instruction(buses, row, row.real, SW, rs1=row.rs1, rs2=row.rs2, imm=row.imm)
        connect_accesses(buses, row.t, self._accesses(row))
        check_aligned(buses, byte_address(row), row.address_low, row.real)

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        """Copy the records."""
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rs2", "v2", "t2")
        fill_address(trace, steps, ram=True)
        steps.put(trace, old=steps.field("mem"))
        steps.put(trace, real=1)
