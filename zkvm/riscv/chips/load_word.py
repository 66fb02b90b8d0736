"""Load word from RAM (LW): rd = the aligned word at rs1 + imm.

Soundness: the address is the sum mod 2^32 and a multiple of 4 (:mod:`zkvm.riscv.chips.memory_access`), so the word is the one that
RAM holds there: an address below 2^32 is never a register. The value goes to rd in the same column, hence below 2^32. An
address without origin, or in ROM, has no tuple to consume.
"""

from __future__ import annotations

from zkvm.riscv.chips.common import Access
from zkvm.riscv.chips.memory_access import WordChip, address_columns, byte_address, check_aligned, word_access
from zkvm.riscv.isa.opcodes import LW
from zkvm.stark.air.builder import BusBuilder
from zkvm.stark.air.columns import Row, bit
from zkvm.stark.air.expression import Expr


class LoadWordChip(WordChip):
    """LW from RAM."""

    name = "load_word"
    operations = {LW: ("real",)}
    rom = False
    reads = (1,)
    own = {**address_columns(ram=True), "real": bit("the row is an instruction")}

    def memory(self, row: Row) -> list[Access]:
        return [word_access(row, byte_address(row), row.vd, row.vd, row.real)]

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        check_aligned(buses, byte_address(row), row.address_low, real)
