"""Store word (SW): the aligned word at rs1 + imm becomes rs2.

Soundness: the address is the sum mod 2^32 and a multiple of 4 (:mod:`zkvm.riscv.chips.memory_access`), never a register's. The word
produced is the value consumed from rs2, hence below 2^32. ROM is not on the memory bus, so a store to it has nothing to consume.
"""

from __future__ import annotations

from zkvm.riscv.chips.common import Access
from zkvm.riscv.chips.memory_access import WordChip, address_columns, byte_address, check_aligned, word_access
from zkvm.riscv.chips.steps import Steps, Values
from zkvm.riscv.isa.opcodes import SW
from zkvm.stark.air.builder import BusBuilder
from zkvm.stark.air.columns import Row, bit, word
from zkvm.stark.air.expression import Expr


class StoreWordChip(WordChip):
    """SW."""

    name = "store_word"
    operations = {SW: ("real",)}
    writes = False
    own = {
        **address_columns(ram=True),
        "old": word("the word before, consumed from memory"),
        "real": bit("the row is an instruction"),
    }

    def memory(self, row: Row) -> list[Access]:
        return [word_access(row, byte_address(row), row.old, row.v2, row.real)]

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        check_aligned(buses, byte_address(row), row.address_low, real)

    def witness(self, steps: Steps) -> Values:
        return {**super().witness(steps), "old": steps.field("mem")}
