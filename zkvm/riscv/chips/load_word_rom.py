"""Load word from ROM (LW): rd = the aligned read-only word at rs1 + imm.

Soundness: the ROM table holds aligned addresses below 2^32 only, so it is the address check: of the two values that carry
allows at most one is in [0, 2^32), and it is the sum mod 2^32. The loaded value is preprocessed, hence below 2^32. Which of
RAM and ROM holds the word is fixed by the image (one origin).
"""

from __future__ import annotations

from zkvm.riscv.chips.buses import ROM
from zkvm.riscv.chips.memory_access import WordChip, address_columns, byte_address
from zkvm.riscv.isa.opcodes import LW
from zkvm.stark.air.builder import BusBuilder
from zkvm.stark.air.columns import Row, bit
from zkvm.stark.air.expression import Expr


class LoadWordRomChip(WordChip):
    """LW from ROM."""

    name = "load_word_rom"
    operations = {LW: ("real",)}
    rom = True
    reads = (1,)
    own = {**address_columns(ram=False), "real": bit("the row is an instruction")}

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        buses.lookup("word", ROM, (byte_address(row), row.vd), real)
