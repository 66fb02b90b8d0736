"""Store byte or halfword (SB, SH): a part of the aligned word around rs1 + imm becomes the low part of rs2.

=======  ======  =====================================================================  =====
bus      kind    tuples                                                                 count
=======  ======  =====================================================================  =====
state    pair    (pc, t) -> (pc + 4, t + 4)
memory   pair    rs1 at t, rs2 at t + 1, the word at t + 2
program  lookup  (pc, operation, 0, rs1, rs2, imm)                                      real
range16  lookup  three times, the address's high limb, the high half of v2              real
range14  lookup  the address's bits 2 to 15                                             real
bytes    lookup  the old word's bytes by twos, the two low bytes of v2                  real
=======  ======  =====================================================================  =====

``real`` is the sum of the selectors. Soundness: address and selector as in :mod:`zkvm.riscv.chips.memory_access`. v2 < 2^32 is
low_0 + 2^8 low_1 + 2^16 high with two bytes and a 16-bit limb: unique. The new word is the old one with the selected bytes
replaced: its neighbours are the bytes of the old word by the one equation that defines it, and it is below 2^32 because all bytes are.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import BYTES, RANGE16
from zkvm.riscv.chips.common import (
    Access,
    InstructionChip,
    Steps,
    assert_neutral,
    connect_accesses,
    connect_instruction,
    high_limb,
    read_columns,
    read_rs1,
    read_rs2,
    state_columns,
)
from zkvm.riscv.chips.memory_access import (
    BYTE_SELECTORS,
    BYTE_WEIGHTS,
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
from zkvm.riscv.isa.opcodes import SB, SH
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, limb, word
from zkvm.stark.air.expression import Expr, total


class StorePartChip(InstructionChip):
    """SB, SH."""

    name = "store_part"
    operations = (SB, SH)
    columns = Columns(
        **state_columns(),
        **read_columns(1),
        **read_columns(2),
        **address_columns(ram=True),
        **selector_columns(),
        **byte_columns("byte", "the word before"),
        low_0=limb(8, "byte 0 of v2"),
        low_1=limb(8, "byte 1 of v2"),
        new=word("the word after: bytes of the word before and of v2"),
    )

    def _aligned(self, row: Row) -> Expr:
        return byte_address(row) - offset(row)

    def _accesses(self, row: Row) -> list[Access]:
        real = is_byte(row) + is_half(row)
        memory = word_access(row, self._aligned(row), word_of(row, "byte"), row.new, real)
        return [read_rs1(row, real), read_rs2(row, real), memory]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Booleans, the new word, neutral padding."""
        air.assert_bool("carry is boolean", row.carry)
        assert_selectors(air, row)
        low = row.low_0 + row.low_1 * 256
        byte_change = [row[name] * (row.low_0 - row[f"byte_{k}"]) * BYTE_WEIGHTS[k] for k, name in enumerate(BYTE_SELECTORS)]
        half_change = [row[f"half_at_{k}"] * (low - row[f"byte_{k}"] - row[f"byte_{k + 1}"] * 256) * BYTE_WEIGHTS[k] for k in (0, 2)]
        air.assert_equal("only the part changes", row.new - word_of(row, "byte"), total(*byte_change, *half_change))
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, three accesses, the address, the bytes."""
        real = is_byte(row) + is_half(row)
        operation = is_byte(row) * SB + is_half(row) * SH
        connect_instruction(buses, row, real, operation, rs1=row.rs1, rs2=row.rs2, imm=row.imm)
        connect_accesses(buses, row.t, self._accesses(row))
        check_aligned(buses, self._aligned(row), row.address_low, real)
        check_bytes(buses, row, "byte", real)
        buses.lookup("low bytes of v2", BYTES, (row.low_0, row.low_1), real)
        buses.lookup("high half of v2", RANGE16, (high_limb(row.v2, row.low_0 + row.low_1 * 256),), real)

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        """Copy the records and put the new word together."""
        steps.fill(trace, "pc", "t", "rs1", "v1", "t1", "rs2", "v2", "t2")
        fill_address(trace, steps, ram=True)
        half = steps.is_op(SH)
        fill_selectors(trace, steps, half)
        old, v2 = steps.field("mem"), steps.field("v2")
        steps.put(trace, **bytes_of("byte", old))
        shift = np.uint64(8) * (steps.field("address") % np.uint64(4))
        mask = np.where(half, 0xFFFF, 0xFF).astype(np.uint64)
        new = (old & ~(mask << shift)) | (v2 & mask) << shift
        steps.put(trace, low_0=v2 & np.uint64(255), low_1=v2 >> np.uint64(8) & np.uint64(255), new=new)
