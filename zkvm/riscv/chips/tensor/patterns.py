"""Patterns and functions: preprocessed, so they are in the image ID; only multiplicities are the prover's.

Of a pattern's row the loader checks that all places are of one operand. A function has four entries a row: a row needs three main cells
for the random start of its running sum anyway.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import FUNCTION, PATTERN
from zkvm.riscv.chips.tensor.lanes import elements, lane_columns, lanes, vector
from zkvm.riscv.chips.tensor.uses import entry_uses, pattern_uses
from zkvm.riscv.isa.tensors import SECOND_OPERAND
from zkvm.riscv.records import Execution, Image
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell

ENTRIES = 4
"""Entries of a function in a row."""


class PatternsChip(Chip):
    """Serves rows of patterns. Present exactly when the image has some."""

    name = "patterns"
    columns = Columns(multiplicity=cell("times the row is read"))
    preprocessed = Columns(
        index=cell("address / 32"),
        second=bit("the places are of the second operand"),
        **lane_columns("place", "one more than the place of an element, 0 for zero"),
        present=bit("1 if the row is one of a pattern, 0 on padding"),
    )
    counted = (PATTERN,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """None: everything but the multiplicity is preprocessed."""

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """One served tuple."""
        buses.serve("row", PATTERN, (row.index, row.second, *vector(row, "place")), row.present * row.multiplicity)

    def rows(self, execution: Execution) -> int:
        """One a row of a pattern."""
        return self.preprocessed_rows(execution.image)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """How often each row is read."""
        uses = pattern_uses(execution)
        trace["multiplicity"][: len(uses)] = uses

    def preprocessed_rows(self, image: Image) -> int:
        """One a row of a pattern."""
        return 0 if image.tensors is None else len(image.tensors.patterns)

    def fill_preprocessed(self, image: Image, trace: Trace) -> None:
        """Write the rows."""
        if image.tensors is not None:
            rows = image.tensors.patterns
            trace["index"][: len(rows)] = image.tensors.first_pattern + np.arange(len(rows), dtype=np.uint64)
            trace["second"][: len(rows)] = rows[:, 0] >= SECOND_OPERAND
            for k, name in enumerate(lanes("place")):
                trace[name][: len(rows)] = rows[:, k] % SECOND_OPERAND
            trace["present"][: len(rows)] = 1


class FunctionsChip(Chip):
    """Serves entries of functions. Present exactly when the image has some."""

    name = "functions"
    columns = Columns(**{f"multiplicity{k}": cell(f"times entry {k} is read") for k in range(ENTRIES)})
    preprocessed = Columns(
        index=cell("address / 2 of the first entry"),
        **{f"entry{k}": cell(f"entry {k}") for k in range(ENTRIES)},
        present=bit("1 if the row holds entries, 0 on padding"),
    )
    counted = (FUNCTION,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """None: everything but the multiplicities is preprocessed."""

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """Four served tuples."""
        for k in range(ENTRIES):
            buses.serve(f"entry {k}", FUNCTION, (row.index + k, row[f"entry{k}"]), row.present * row[f"multiplicity{k}"])

    def rows(self, execution: Execution) -> int:
        """A quarter of the entries."""
        return self.preprocessed_rows(execution.image)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """How often each entry is read."""
        uses = entry_uses(execution).reshape(-1, ENTRIES)
        for k in range(ENTRIES):
            trace[f"multiplicity{k}"][: len(uses)] = uses[:, k]

    def preprocessed_rows(self, image: Image) -> int:
        """A quarter of the entries: a segment is a multiple of 16 bytes."""
        return 0 if image.tensors is None else len(image.tensors.entries) // ENTRIES

    def fill_preprocessed(self, image: Image, trace: Trace) -> None:
        """Write the entries."""
        if image.tensors is not None:
            rows = image.tensors.entries.reshape(-1, ENTRIES)
            trace["index"][: len(rows)] = image.tensors.first_entry + ENTRIES * np.arange(len(rows), dtype=np.uint64)
            for k in range(ENTRIES):
                trace[f"entry{k}"][: len(rows)] = elements(rows[:, k])
            trace["present"][: len(rows)] = 1
