"""Store byte or halfword (SB, SH): a part of the aligned word around rs1 + imm becomes the low part of rs2.

``real`` is the sum of the selectors. Soundness: address and selector as in :mod:`zkvm.riscv.chips.memory_access`. v2 < 2^32 is
low_0 + 2^8 low_1 + 2^16 high with two bytes and a 16-bit limb: unique. The new word is the old one with the selected bytes
replaced: its neighbours are the bytes of the old word by the one equation that defines it, and it is below 2^32 because all bytes are.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import BYTES, RANGE16
from zkvm.riscv.chips.common import Access, high_limb
from zkvm.riscv.chips.memory_access import (
    BYTE_SELECTORS,
    BYTE_WEIGHTS,
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
from zkvm.riscv.isa.opcodes import SB, SH
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.columns import Row, limb, word
from zkvm.stark.air.expression import Expr, total


class StorePartChip(PartChip):
    """SB, SH."""

    name = "store_part"
    operations = dict.fromkeys((SB, SH), ())
    writes = False
    own = {
        **address_columns(ram=True),
        **selector_columns(),
        **byte_columns("byte", "the word before"),
        "low_0": limb(8, "byte 0 of v2"),
        "low_1": limb(8, "byte 1 of v2"),
        "new": word("the word after: bytes of the word before and of v2"),
    }

    def booleans(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("carry is boolean", row.carry)
        assert_selectors(air, row)

    def operation(self, row: Row) -> Expr:
        return is_byte(row) * SB + is_half(row) * SH

    def memory(self, row: Row) -> list[Access]:
        return [word_access(row, self.aligned(row), word_of(row, "byte"), row.new, self.real(row))]

    def relation(self, air: AirBuilder, row: Row) -> None:
        low = row.low_0 + row.low_1 * 256
        byte_change = [row[name] * (row.low_0 - row[f"byte_{k}"]) * BYTE_WEIGHTS[k] for k, name in enumerate(BYTE_SELECTORS)]
        half_change = [row[f"half_at_{k}"] * (low - row[f"byte_{k}"] - row[f"byte_{k + 1}"] * 256) * BYTE_WEIGHTS[k] for k in (0, 2)]
        air.assert_equal("only the part changes", row.new - word_of(row, "byte"), total(*byte_change, *half_change))

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        super().checks(buses, row, real)
        buses.lookup("low bytes of v2", BYTES, (row.low_0, row.low_1), real)
        buses.lookup("high half of v2", RANGE16, (high_limb(row.v2, row.low_0 + row.low_1 * 256),), real)

    def witness(self, steps: Steps) -> Values:
        half, old, v2 = steps.is_op(SH), steps.field("mem"), steps.field("v2")
        shift = np.uint64(8) * (steps.field("address") % np.uint64(4))
        mask = np.where(half, 0xFFFF, 0xFF).astype(np.uint64)
        return {
            **super().witness(steps),
            **selected(steps, half),
            **bytes_of("byte", old),
            "low_0": v2 & np.uint64(255),
            "low_1": v2 >> np.uint64(8) & np.uint64(255),
            "new": (old & ~(mask << shift)) | (v2 & mask) << shift,
        }
