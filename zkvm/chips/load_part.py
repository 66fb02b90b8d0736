"""Load byte or halfword from RAM (LB, LBU, LH, LHU): rd = the extended part of the aligned word around rs1 + imm.

=======  ======  =====================================================================  =====
bus      kind    tuples                                                                 count
=======  ======  =====================================================================  =====
state    pair    (pc, t) -> (pc + 4, t + 4)
memory   pair    rs1 at t, the word at t + 2, rd at t + 3
program  lookup  (pc, operation, rd, rs1, 0, imm)                                       real
range16  lookup  three times, the address's high limb                                   real
range14  lookup  the address's bits 2 to 15                                             real
bytes    lookup  the word's bytes by twos                                               real
range7   lookup  the part's top byte without its top bit                                real
=======  ======  =====================================================================  =====

``real`` is the sum of the selectors. Soundness: the selector's offset is the address mod 4, because what is left of the address
is checked to be a multiple of 4 in [0, 2^32); its kind and ``unsigned`` are tied to the operation by the program table. Bytes,
sign and value: :mod:`zkvm.chips.memory_access` and :mod:`zkvm.chips.part_load`.
"""

from __future__ import annotations

from zkvm.air.builder import AirBuilder, BusBuilder
from zkvm.air.chip import Chip, Trace
from zkvm.air.columns import Columns, Row
from zkvm.air.expression import Expr
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
from zkvm.chips.memory_access import (
    address_columns,
    byte_address,
    check_aligned,
    fill_address,
    is_byte,
    is_half,
    offset,
    select_loads,
    word_access,
    word_of,
)
from zkvm.chips.part_load import OPERATIONS, assert_part, connect_part, fill_part, part_columns, part_operation
from zkvm.records import Execution


class LoadPartChip(Chip):
    """LB, LBU, LH, LHU from RAM."""

    name = "load_part"
    columns = Columns(
        **state_columns(),
        **read_columns(1),
        **write_columns(),
        **address_columns(ram=True),
        **part_columns(),
    )

    def _aligned(self, row: Row) -> Expr:
        return byte_address(row) - offset(row)

    def _accesses(self, row: Row) -> list[Access]:
        real, word = is_byte(row) + is_half(row), word_of(row, "byte")
        return [read_rs1(row, real), word_access(row, self._aligned(row), word, word, real), write_rd(row, real)]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Booleans, the part, neutral padding."""
        air.assert_bool("carry is boolean", row.carry)
        assert_part(air, row)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, three accesses, the address, the bytes."""
        real = is_byte(row) + is_half(row)
        connect_instruction(buses, row, real, part_operation(row), rd=row.rd, rs1=row.rs1, imm=row.imm)
        connect_accesses(buses, row.t, self._accesses(row))
        check_aligned(buses, self._aligned(row), row.address_low, real)
        connect_part(buses, row, real)

    def rows(self, execution: Execution) -> int:
        """One per executed load of a part from RAM."""
        return len(select_loads(execution, OPERATIONS, rom=False))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records and take the word apart."""
        steps = select_loads(execution, OPERATIONS, rom=False)
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rd", "vd", "vd_prev", "td")
        fill_address(trace, steps, ram=True)
        fill_part(trace, steps)
