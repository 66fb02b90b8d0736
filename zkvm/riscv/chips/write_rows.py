"""Words whose bytes a write to fd 3 puts in the journal.

``real`` is in_ram + in_rom. Soundness: mask, address and chain as in :mod:`zkvm.riscv.chips.chain`; the call fixes shift = journal pointer
- first address, so the byte at address x has the index pointer + (x - first address). The pointer starts at 0 and grows by the length of
each write, so indices are distinct and ascending; the verifier answers each (index, byte) of the journal it was given once, so the bytes
written are exactly that journal. The word's value comes from the memory bus or from the ROM table: each address has one origin, which
decides the flag.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import CHAIN_WRITE, JOURNAL, ROM
from zkvm.riscv.chips.calls import SLOT_CHAIN
from zkvm.riscv.chips.chain import MASK, aligned_address, assert_mask, chain_columns, connect_chain, fill_chain
from zkvm.riscv.chips.common import Access, assert_flags, assert_neutral, connect_accesses
from zkvm.riscv.chips.memory_access import byte_columns, bytes_of, check_bytes, word_of
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.field import goldilocks


class WriteRowsChip(Chip):
    """Chain rows of journal writes."""

    name = "write_rows"
    columns = Columns(
        **chain_columns(),
        shift=cell("journal index less byte address"),
        **byte_columns("byte", "the word"),
        in_ram=bit("the word is in RAM"),
        in_rom=bit("the word is in ROM"),
    )

    def _accesses(self, row: Row) -> list[Access]:
        value = word_of(row, "byte")
        return [Access("word", aligned_address(row), value, value, row.tm, SLOT_CHAIN, row.in_ram)]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The origin, the mask, neutral padding."""
        assert_flags(air, row, "in_ram", "in_rom")
        assert_mask(air, row, row.in_ram + row.in_rom)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The chain, the word, its bytes, the journal."""
        real = row.in_ram + row.in_rom
        connect_chain(buses, row, CHAIN_WRITE, row.shift, real)
        connect_accesses(buses, row.t, self._accesses(row))
        buses.lookup("word in ROM", ROM, (aligned_address(row), word_of(row, "byte")), row.in_rom)
        check_bytes(buses, row, "byte", real)
        for k, name in enumerate(MASK):
            buses.lookup(f"journal byte {k}", JOURNAL, (aligned_address(row) + k + row.shift, row[f"byte_{k}"]), row[name])

    def rows(self, execution: Execution) -> int:
        """One per word."""
        return len(execution.writes)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records; the shift wraps mod p where the address is above the index."""
        rows = execution.writes
        fill_chain(trace, rows)
        columns = {
            **bytes_of("byte", rows["old"].astype(np.uint64)),
            "shift": goldilocks.sub(rows["index"].astype(np.uint64), rows["address"].astype(np.uint64)),
            "in_ram": rows["rom"] == 0,
            "in_rom": rows["rom"] == 1,
        }
        for name, column in columns.items():
            trace[name][: len(rows)] = column
