"""Load byte or halfword (LB, LBU, LH, LHU): rd = the extended part of the aligned word around rs1 + imm, in RAM or in ROM.

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
from zkvm.riscv.chips.common import TWO_32, Access
from zkvm.riscv.chips.memory_access import (
    BYTE_SELECTORS,
    PartChip,
    address_columns,
    assert_selectors,
    byte_columns,
    bytes_of,
    is_byte,
    is_half,
    selected,
    selector_columns,
    word_access,
    word_of,
)
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import LB, LBU, LH, LHU
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, bit, limb
from zkvm.stark.air.expression import Expr, total


class LoadPartChip(PartChip):
    """LB, LBU, LH, LHU."""

    name = "load_part"
    operations = dict.fromkeys((LB, LBU, LH, LHU), ())
    reads = (1,)
    own = {
        **address_columns(ram=True),
        **selector_columns(),
        "unsigned": bit("LBU or LHU: the part is extended with zeros"),
        "in_ram": bit("the word is in RAM"),
        **byte_columns("byte", "the word"),
        "sign": bit("top bit of the part"),
        "rest": limb(7, "the part's top byte without that bit"),
    }

    def booleans(self, air: AirBuilder, row: Row) -> None:
        assert_selectors(air, row)
        for name in ("carry", "unsigned", "in_ram", "sign"):
            air.assert_bool(f"{name} is boolean", row[name])
        air.when(1 - self.real(row)).assert_zero("only a real row is in RAM", row.in_ram)

    def operation(self, row: Row) -> Expr:
        return is_byte(row) * LB + is_half(row) * LH + row.unsigned

    def memory(self, row: Row) -> list[Access]:
        word = word_of(row, "byte")
        return [word_access(row, self.aligned(row), word, word, row.in_ram)]

    def relation(self, air: AirBuilder, row: Row) -> None:
        byte = total(*(row[name] * row[f"byte_{k}"] for k, name in enumerate(BYTE_SELECTORS)))
        half_top = row.half_at_0 * row.byte_1 + row.half_at_2 * row.byte_3
        half_low = row.half_at_0 * row.byte_0 + row.half_at_2 * row.byte_2
        air.assert_equal("top byte is sign and rest", byte + half_top, row.sign * 128 + row.rest)
        ones = is_byte(row) * (TWO_32 - (1 << 8)) + is_half(row) * (TWO_32 - (1 << 16))
        air.assert_equal("vd is the extended part", row.vd, byte + half_low + half_top * 256 + (1 - row.unsigned) * row.sign * ones)

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        buses.lookup("word in ROM", ROM, (self.aligned(row), word_of(row, "byte")), real - row.in_ram)
        super().checks(buses, row, real)
        buses.lookup("rest of the top byte", RANGE7, (row.rest,), real)

    def witness(self, steps: Steps) -> Values:
        half, in_rom, word = steps.is_op(LH, LHU), steps.field("rom") == 1, steps.field("mem")
        top_place = steps.field("address") % np.uint64(4) + half.astype(np.uint64)
        top = word >> np.uint64(8) * top_place & np.uint64(255)
        return {
            **super().witness(steps),
            **selected(steps, half),
            **bytes_of("byte", word),
            "unsigned": steps.is_op(LBU, LHU),
            "in_ram": ~in_rom,
            # A word in ROM has no access: its pair on the memory bus is neutral.
            "tm": np.where(in_rom, steps.field("t"), steps.field("tm")),
            "sign": top >> np.uint64(7),
            "rest": top & np.uint64(127),
        }
