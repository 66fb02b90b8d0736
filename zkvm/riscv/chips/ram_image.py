"""The RAM image: first and last value of every initialised word, the registers included.

Soundness (memory is consistent). Every preprocessed row, touched or not, produces its word once, at time 0, and consumes it
once, at the end. Every access of another chip consumes a tuple of its address and produces one of a strictly later time: times
are integers below 2^60 (bounded by the heights), and each difference is range-checked, so no difference wraps mod p. A
balanced bus therefore splits into paths of increasing time and no cycles; each path starts where something is produced
without being consumed. An address has exactly one origin (here, or in a gap), so it has one path, which contains every
access: each reads what the one before it wrote. ``last`` and ``last_time`` need no check of their own: they are consumed.
A padding row sends (0, 0, 0) and must receive the same.
"""

from __future__ import annotations

from zkvm.riscv.chips.buses import MEMORY
from zkvm.riscv.records import Execution, Image
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word


class RamImageChip(Chip):
    """Opens and closes every initialised word on the memory bus."""

    name = "ram_image"
    mandatory = True
    columns = Columns(
        last=word("value after the run"),
        last_time=cell("time of the last access, 0 if there was none"),
    )
    preprocessed = Columns(
        address=cell("byte address of the word, or a register"),
        value=word("value before the run"),
        real=bit("1 on words, 0 on padding"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Padding receives what it sends: (0, 0, 0)."""
        air.assert_zero("padding has no last value", (1 - row.real) * row.last)
        air.assert_zero("padding has no last time", (1 - row.real) * row.last_time)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """One pair."""
        buses.pair("word", MEMORY, receive=(row.address, row.last, row.last_time), send=(row.address, row.value, 0))

    def rows(self, execution: Execution) -> int:
        """Every word of the image."""
        return len(execution.image.ram_address)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the final memory."""
        count = len(execution.image.ram_address)
        trace["last"][:count] = execution.ram_last
        trace["last_time"][:count] = execution.ram_last_time

    def preprocessed_rows(self, image: Image) -> int:
        """Every word of the image."""
        return len(image.ram_address)

    def fill_preprocessed(self, image: Image, trace: Trace) -> None:
        """Copy the initial memory."""
        count = len(image.ram_address)
        trace["address"][:count] = image.ram_address
        trace["value"][:count] = image.ram_value
        trace["real"][:count] = 1
