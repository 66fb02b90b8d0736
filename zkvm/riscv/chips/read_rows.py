"""Words that a read fills with input bytes.

Soundness: mask, address and chain as in :mod:`zkvm.riscv.chips.chain`. Bytes under the mask are free: they are the private input. The
others are the old word's by constraint, and the old word's bytes are unique. The new word is below 2^32 because its bytes are
checked. On padding the mask is empty, so the new word is the old one and the pair is neutral.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import CHAIN_READ
from zkvm.riscv.chips.calls import SLOT_CHAIN
from zkvm.riscv.chips.chain import MASK, aligned_address, assert_mask, chain_columns, connect_chain, fill_chain
from zkvm.riscv.chips.common import Access, assert_neutral, connect_accesses
from zkvm.riscv.chips.memory_access import byte_columns, bytes_of, check_bytes, word_of
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit


class ReadRowsChip(Chip):
    """Chain rows of reads."""

    name = "read_rows"
    columns = Columns(
        **chain_columns(),
        **byte_columns("old", "the word before"),
        **byte_columns("new", "the word after"),
        real=bit("the row moves bytes"),
    )

    def _accesses(self, row: Row) -> list[Access]:
        return [Access("word", aligned_address(row), word_of(row, "old"), word_of(row, "new"), row.tm, SLOT_CHAIN, row.real)]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The mask, the bytes outside it, neutral padding."""
        air.assert_bool("real is boolean", row.real)
        assert_mask(air, row, row.real)
        for k, name in enumerate(MASK):
            air.assert_zero(f"byte {k} changes under the mask only", (1 - row[name]) * (row[f"new_{k}"] - row[f"old_{k}"]))
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The chain, the word, its bytes."""
        connect_chain(buses, row, CHAIN_READ, 0, row.real)
        connect_accesses(buses, row.t, self._accesses(row))
        check_bytes(buses, row, "old", row.real)
        check_bytes(buses, row, "new", row.real)

    def rows(self, execution: Execution) -> int:
        """One per word."""
        return len(execution.reads)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        fill_chain(trace, execution.reads)
        for stem in ("old", "new"):
            for name, values in bytes_of(stem, execution.reads[stem].astype(np.uint64)).items():
                trace[name][: len(values)] = values
        trace["real"][: len(execution.reads)] = 1
