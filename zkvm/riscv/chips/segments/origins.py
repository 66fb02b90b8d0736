"""Where memory begins and ends when a run is proven in segments: the image's words and the zero-initialised ones, on the joint bus.

A proof of its own, with number 0, has these two chips: each row produces its word as of segment 0, before the run, and consumes it as the
last segment left it that accessed it, segment 0 if none did. Its number is 0, so the joint bus's relative numbers are absolute ones here.

Soundness. Addresses have one origin for the reasons that :mod:`zkvm.riscv.chips.ram_image` and :mod:`zkvm.riscv.chips.zero_init` give. No
segment's machine has these chips, so no segment can open a word again. ``last`` and ``last_segment`` are consumed, and need no check.
"""

from __future__ import annotations

from zkvm.riscv.chips.buses import SEGMENT_WORD
from zkvm.riscv.chips.ram_image import RamImageChip
from zkvm.riscv.chips.zero_init import connect_list, fill_list
from zkvm.riscv.records import Image, LastMemory
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb, word


class RamOriginsChip(Chip):
    """Opens and closes every word of the image, the registers included."""

    name = RamImageChip.name
    mandatory = True
    early = 3
    preprocessed = RamImageChip.preprocessed
    columns = Columns(
        last=word("value after the run"),
        last_segment=cell("number of the segment that accessed the word last, 0 if none did"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Padding receives what it sends: (0, 0, 0)."""
        air.assert_zero("padding has no last value", (1 - row.real) * row.last)
        air.assert_zero("padding has no last segment", (1 - row.real) * row.last_segment)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """One pair."""
        buses.pair("path", SEGMENT_WORD, receive=(row.last_segment, row.address, row.last), send=(0, row.address, row.value))

    def rows(self, memory: LastMemory) -> int:
        """Every word of the image."""
        return len(memory.ram_last)

    def fill(self, memory: LastMemory, trace: Trace) -> None:
        """Copy the final memory."""
        count = len(memory.ram_last)
        trace["last"][:count] = memory.ram_last
        trace["last_segment"][:count] = memory.ram_segment

    def preprocessed_rows(self, image: Image) -> int:
        """Every word of the image."""
        return len(image.ram_address)

    def fill_preprocessed(self, image: Image, trace: Trace) -> None:
        """Copy the initial memory."""
        RamImageChip().fill_preprocessed(image, trace)


class ZeroOriginsChip(Chip):
    """Opens and closes every touched word of the gaps, which are a list as in :mod:`zkvm.riscv.chips.zero_init`."""

    name = "zero_init"
    mandatory = True
    early = 3
    columns = Columns(
        word=limb(30, "this word's index (byte address / 4), or the gap's end"),
        last=word("value after the run"),
        last_segment=cell("number of the segment that accessed the word last"),
        previous=cell("word before this one in the gap, or the gap's start - 1"),
        step_low=limb(16, "low limb of word - previous - 1"),
        real=bit("the row opens a word"),
        close=bit("the row closes a gap"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Exclusive kinds, and neutral pairs where they are 0."""
        kinds = row.real + row.close
        air.assert_bool("real is boolean", row.real)
        air.assert_bool("close is boolean", row.close)
        air.assert_bool("kinds are exclusive", kinds)
        air.assert_zero("padding does not step", (1 - kinds) * (row.word - row.previous))
        air.assert_zero("only a word has a last value", (1 - row.real) * row.last)
        air.assert_zero("only a word has a last segment", (1 - row.real) * row.last_segment)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The list step, its range check, and the word."""
        connect_list(buses, row)
        buses.pair("path", SEGMENT_WORD, receive=(row.last_segment, 4 * row.word, row.last), send=(0, 4 * row.word, 0))

    def rows(self, memory: LastMemory) -> int:
        """Touched words and one closing row per gap."""
        return len(memory.zero_address) + len(memory.image.gaps)

    def fill(self, memory: LastMemory, trace: Trace) -> None:
        """Walk each gap in ascending order."""
        places = fill_list(memory.zero_address, memory.image.gaps, trace)
        trace["last"][places] = memory.zero_last
        trace["last_segment"][places] = memory.zero_segment
