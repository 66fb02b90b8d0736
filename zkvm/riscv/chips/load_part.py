"""Load byte or halfword (LB, LBU, LH, LHU): rd = the extended part of the aligned word around rs1 + imm, in RAM or in ROM.

=======  ======  =====================================================================  ======
bus      kind    tuples                                                                 count
=======  ======  =====================================================================  ======
state    pair    (pc, t) -> (pc + 4, t + 4)
memory   pair    rs1 at t, rd at t + 3
memory   pair    the word at t + 2, neutral unless in RAM
program  lookup  (pc, operation, rd, rs1, 0, imm)                                       real
range16  lookup  times of rs1 and rd, the address's high limb                           real
range16  lookup  time of the word                                                       in_ram
rom      lookup  (address of the word, word)                                            in_rom
range14  lookup  the address's bits 2 to 15                                             real
bytes    lookup  the word's bytes by twos                                               real
range7   lookup  the part's top byte without its top bit                                real
=======  ======  =====================================================================  ======

``real`` is the sum of six selectors, exactly one of them 1 on a real row: a byte at offset 0 to 3, a halfword at offset 0 or 2;
``in_rom`` is real - in_ram. Soundness:

* Address and offset: :mod:`zkvm.riscv.chips.memory_access`. Which of RAM and ROM holds the word is fixed by the image (one origin).
* ``unsigned`` says how the part is extended, so that the operation is 36 is_byte + 38 is_half + unsigned: the program table ties
  kind and signedness to the instruction.
* The bytes of the word are unique: it is below 2^32, consumed from memory or preprocessed. The part's top byte is 128 sign + rest
  with a boolean sign and 7 bits of rest: unique, too.
* The loaded value is the part, plus 2^32 - 2^8 (or 2^16) if it is signed and the sign is set: in [0, 2^32) by the ranges of its bytes.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import RANGE7, ROM
from zkvm.riscv.chips.common import (
    TWO_32,
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
from zkvm.riscv.chips.memory_access import (
    BYTE_SELECTORS,
    address_columns,
    assert_selectors,
    byte_address,
    byte_columns,
    bytes_of,
    check_aligned,
    check_bytes,
    fill_address,
    fill_selectors,
    is_byte,
    is_half,
    offset,
    selector_columns,
    word_access,
    word_of,
)
from zkvm.riscv.isa.opcodes import LB, LBU, LH, LHU
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, limb
from zkvm.stark.air.expression import Expr, total

OPERATIONS = (LB, LBU, LH, LHU)


class LoadPartChip(InstructionChip):
    """LB, LBU, LH, LHU."""

    name = "load_part"
    operations = OPERATIONS
    columns = Columns(
        **state_columns(),
        **read_columns(1),
        **write_columns(),
        **address_columns(ram=True),
        **selector_columns(),
        unsigned=bit("LBU or LHU: the part is extended with zeros"),
        in_ram=bit("the word is in RAM"),
        **byte_columns("byte", "the word"),
        sign=bit("top bit of the part"),
        rest=limb(7, "the part's top byte without that bit"),
    )

    def _real(self, row: Row) -> Expr:
        return is_byte(row) + is_half(row)

    def _aligned(self, row: Row) -> Expr:
        return byte_address(row) - offset(row)

    def _accesses(self, row: Row) -> list[Access]:
        real, word = self._real(row), word_of(row, "byte")
        return [read_rs1(row, real), word_access(row, self._aligned(row), word, word, row.in_ram), write_rd(row, real)]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Booleans, the value, neutral padding."""
        assert_selectors(air, row)
        for name in ("carry", "unsigned", "in_ram", "sign"):
            air.assert_bool(f"{name} is boolean", row[name])
        air.assert_zero("only a real row is in RAM", (1 - self._real(row)) * row.in_ram)
        byte = total(*(row[name] * row[f"byte_{k}"] for k, name in enumerate(BYTE_SELECTORS)))
        half_top = row.half_at_0 * row.byte_1 + row.half_at_2 * row.byte_3
        half_low = row.half_at_0 * row.byte_0 + row.half_at_2 * row.byte_2
        air.assert_equal("top byte is sign and rest", byte + half_top, row.sign * 128 + row.rest)
        ones = is_byte(row) * (TWO_32 - (1 << 8)) + is_half(row) * (TWO_32 - (1 << 16))
        air.assert_equal("vd is the extended part", row.vd, byte + half_low + half_top * 256 + (1 - row.unsigned) * row.sign * ones)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, three accesses, the address, the bytes."""
        real = self._real(row)
        operation = is_byte(row) * LB + is_half(row) * LH + row.unsigned
        connect_instruction(buses, row, real, operation, rd=row.rd, rs1=row.rs1, imm=row.imm)
        connect_accesses(buses, row.t, self._accesses(row))
        buses.lookup("word in ROM", ROM, (self._aligned(row), word_of(row, "byte")), real - row.in_ram)
        check_aligned(buses, self._aligned(row), row.address_low, real)
        check_bytes(buses, row, "byte", real)
        buses.lookup("rest of the top byte", RANGE7, (row.rest,), real)

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        """Copy the records and take the word apart."""
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rd", "vd", "vd_prev", "td")
        fill_address(trace, steps, ram=True)
        half, in_rom = steps.is_op(LH, LHU), steps.field("rom") == 1
        fill_selectors(trace, steps, half)
        steps.put(trace, **bytes_of("byte", steps.field("mem")))
        top_place = steps.field("address") % np.uint64(4) + half.astype(np.uint64)
        top = steps.field("mem") >> np.uint64(8) * top_place & np.uint64(255)
        steps.put(
            trace,
            unsigned=steps.is_op(LBU, LHU),
            in_ram=~in_rom,
            # A word in ROM has no access: its pair on the memory bus is neutral.
            tm=np.where(in_rom, steps.field("t"), steps.field("tm")),
            sign=top >> np.uint64(7),
            rest=top & np.uint64(127),
        )
