"""The ROM table: aligned words of read-only memory (text and constants), two to a row.

ROM needs no times: a word has one value for ever, so a look-up is a read. It also is the address check of a ROM load.

Soundness: addresses and values are preprocessed, part of the image ID; the image builder checks that no ROM word is a RAM
word or in a gap (one origin), so a load from ROM can not be confused with memory that changes. Two entries a row: a row needs
three main cells for the random start of its running sum anyway.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import ROM
from zkvm.riscv.records import Execution, Image
from zkvm.stark.air.builder import AirBuilder, Bus, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word


class RomChip(Chip):
    """Serves ROM. Entry 2 i + k of the image is entry k of row i. Present exactly when the image has ROM words."""

    name = "rom"
    columns = Columns(
        multiplicity_0=cell("times the first word is read"),
        multiplicity_1=cell("times the second word is read"),
    )
    preprocessed = Columns(
        address_0=word("byte address of the first word"),
        value_0=word("its value"),
        real_0=bit("1 if the first entry is a word, 0 on padding"),
        address_1=word("byte address of the second word"),
        value_1=word("its value"),
        real_1=bit("1 if the second entry is a word, 0 on padding"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """None: everything but the multiplicities is preprocessed."""

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """Two served tuples."""
        for k in range(2):
            buses.serve(f"word {k}", ROM, (row[f"address_{k}"], row[f"value_{k}"]), row[f"real_{k}"] * row[f"multiplicity_{k}"])

    def rows(self, execution: Execution) -> int:
        """Half of the ROM words, rounded up."""
        return self.preprocessed_rows(execution.image)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Nothing: multiplicities are counted from the other tables."""

    def preprocessed_rows(self, image: Image) -> int:
        """Half of the ROM words, rounded up."""
        return (len(image.rom_address) + 1) // 2

    def fill_preprocessed(self, image: Image, trace: Trace) -> None:
        """Deal the words out: even entries first, odd entries second."""
        for k in range(2):
            count = len(image.rom_address[k::2])
            trace[f"address_{k}"][:count] = image.rom_address[k::2]
            trace[f"value_{k}"][:count] = image.rom_value[k::2]
            trace[f"real_{k}"][:count] = 1

    def serve_row(self, image: Image, bus: Bus, values: list[NDArray[np.uint64]]) -> list[tuple[str, NDArray[np.int64], NDArray[np.bool_]]]:
        """Find the entry by its address and compare the value."""
        words = len(image.rom_address)
        if not words:
            nothing = np.zeros(len(values[0]), np.int64)
            return [("multiplicity_0", nothing, nothing.astype(np.bool_))]
        entries = np.minimum(np.searchsorted(image.rom_address, values[0]), words - 1).astype(np.int64)
        found = (image.rom_address[entries] == values[0]) & (image.rom_value[entries] == values[1])
        return [(f"multiplicity_{k}", entries // 2, found & (entries % 2 == k)) for k in range(2)]
