"""The program table: one preprocessed row per simplified instruction.

Every row that consumes the state looks its instruction up here, so what a run executes is fixed by the image.

Soundness: all columns but the multiplicity are preprocessed (their Merkle root is part of the image ID). A padding row would
offer the tuple of zeros; the preprocessed ``real`` = 0 takes it off the bus whatever its multiplicity. The multiplicity is
any field element: a tuple that is not in the table has no row that could cancel its fraction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import PROGRAM
from zkvm.riscv.records import PROGRAM_ROW, Execution, Image
from zkvm.stark.air.builder import AirBuilder, Bus, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word

FIELDS = PROGRAM_ROW.names or ()
"""Columns of a program row in the order of the tuple."""


class ProgramChip(Chip):
    """Serves PROGRAM."""

    name = "program"
    mandatory = True
    columns = Columns(multiplicity=cell("times the instruction is executed"))
    preprocessed = Columns(
        pc=word("address of the instruction"),
        op=cell("operation id"),
        rd=cell("memory-bus address of the destination register"),
        rs1=cell("memory-bus address of the first source register"),
        rs2=cell("memory-bus address of the second source register, or a link value"),
        imm=word("immediate, power of two or target pc"),
        real=bit("1 on instructions, 0 on padding"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """None: everything but the multiplicity is preprocessed."""

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """One served tuple."""
        buses.serve("program", PROGRAM, tuple(row[name] for name in FIELDS), row.real * row.multiplicity)

    def rows(self, execution: Execution) -> int:
        """All instructions of the image."""
        return len(execution.image.program)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Nothing: the multiplicity is counted from the other tables."""

    def preprocessed_rows(self, image: Image) -> int:
        """All instructions of the image."""
        return len(image.program)

    def fill_preprocessed(self, image: Image, trace: Trace) -> None:
        """Copy the program rows."""
        count = len(image.program)
        for name in FIELDS:
            trace[name][:count] = image.program[name]
        trace["real"][:count] = 1

    def serve_row(self, image: Image, bus: Bus, values: list[NDArray[np.uint64]]) -> list[tuple[str, NDArray[np.int64], NDArray[np.bool_]]]:
        """Find the row by its pc and compare the other fields."""
        pcs = image.program["pc"]
        rows = np.minimum(np.searchsorted(pcs, values[0]), max(len(pcs) - 1, 0)).astype(np.int64)
        found = np.full(len(rows), len(pcs) > 0)
        for name, column in zip(FIELDS, values, strict=True):
            found &= image.program[name][rows] == column if len(pcs) else found
        return [("multiplicity", rows, found)]
