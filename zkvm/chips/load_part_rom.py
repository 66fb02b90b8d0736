"""Load byte or halfword from ROM (LB, LBU, LH, LHU): rd = the extended part of the read-only word around rs1 + imm.

=======  ======  =====================================================================  =====
bus      kind    tuples                                                                 count
=======  ======  =====================================================================  =====
state    pair    (pc, t) -> (pc + 4, t + 4)
memory   pair    rs1 at t, rd at t + 3
program  lookup  (pc, operation, rd, rs1, 0, imm)                                       real
range16  lookup  twice                                                                  real
rom      lookup  (rs1 + imm - 2^32 carry - offset, word)                                real
bytes    lookup  the word's bytes by twos                                               real
range7   lookup  the part's top byte without its top bit                                real
=======  ======  =====================================================================  =====

``real`` is the sum of the selectors. Soundness: the ROM table holds multiples of 4 below 2^32 only, so it checks the address:
the offset is the address mod 4 and carry the overflow. The word is preprocessed, hence below 2^32 and its bytes unique. Sign
and value: :mod:`zkvm.chips.part_load`.
"""

from __future__ import annotations

from zkvm.air.builder import AirBuilder, BusBuilder
from zkvm.air.chip import Chip, Trace
from zkvm.air.columns import Columns, Row
from zkvm.chips.buses import ROM
from zkvm.chips.common import (
    Access,
    assert_neutral,
    connect_accesses,
    connect_instruction,
    read_columns,
    read_rs1,
    state_columns,
    write_columns,
    write_rd,
)
from zkvm.chips.memory_access import address_columns, byte_address, fill_address, is_byte, is_half, offset, select_loads, word_of
from zkvm.chips.part_load import OPERATIONS, assert_part, connect_part, fill_part, part_columns, part_operation
from zkvm.records import Execution


class LoadPartRomChip(Chip):
    """LB, LBU, LH, LHU from ROM."""

    name = "load_part_rom"
    columns = Columns(
        **state_columns(),
        **read_columns(1),
        **write_columns(),
        **address_columns(ram=False),
        **part_columns(),
    )

    def _accesses(self, row: Row) -> list[Access]:
        real = is_byte(row) + is_half(row)
        return [read_rs1(row, real), write_rd(row, real)]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Booleans, the part, neutral padding."""
        air.assert_bool("carry is boolean", row.carry)
        assert_part(air, row)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, two accesses, the word, its bytes."""
        real = is_byte(row) + is_half(row)
        connect_instruction(buses, row, real, part_operation(row), rd=row.rd, rs1=row.rs1, imm=row.imm)
        connect_accesses(buses, row.t, self._accesses(row))
        buses.lookup("word", ROM, (byte_address(row) - offset(row), word_of(row, "byte")), real)
        connect_part(buses, row, real)

    def rows(self, execution: Execution) -> int:
        """One per executed load of a part from ROM."""
        return len(select_loads(execution, OPERATIONS, rom=True))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records and take the word apart."""
        steps = select_loads(execution, OPERATIONS, rom=True)
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rd", "vd", "vd_prev", "td")
        fill_address(trace, steps, ram=False)
        fill_part(trace, steps)
