"""One constant table for every range view, the byte AND and the powers of two.

A table of 2^16 entries does not fit 2^16 rows whose last rows are random, so 2^15 rows hold three entries ("slots") each: slot
k of row i holds v = k * SLOT + i while v < 2^16. The preprocessed columns are the bytes x = v mod 256 and y = v div 256;
v = x + 256 y is a linear expression of them.

A view needs as many slots as its entries fill: all three for 2^16 entries (range16, bytes, and), slot 0 alone for 2^14 and fewer (range14,
range7, power). The 2^15 entries of range15 need slot 1 too, because a slot ends before the random rows.

Soundness: every tuple and every 0/1 factor is preprocessed; the table is the same for all images, so its Merkle root is a
constant of the machine. Each view is a bus of its own: a multiplicity of one never answers another. Rows from SLOT on are free
for the random rows of every parameter set; where a set uses fewer, ``real`` = 0 mutes them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import AND, BYTES, POWER, RANGE7, RANGE14, RANGE15, RANGE16
from zkvm.riscv.records import Execution, Image
from zkvm.stark.air.builder import AirBuilder, Bus, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb, word
from zkvm.stark.air.expression import Expr
from zkvm.stark.protocol.params import EXEMPT_MAX

HEIGHT = 1 << 15
SLOT = HEIGHT - EXEMPT_MAX
"""Entries of a full slot, and used rows of the table."""
SLOTS = 3
ENTRIES = 1 << 16

VIEWS: tuple[tuple[Bus, str, int, int], ...] = (
    (RANGE16, "sixteen", ENTRIES, 3),
    (RANGE15, "fifteen", 1 << 15, 2),
    (RANGE14, "fourteen", 1 << 14, 1),
    (RANGE7, "seven", 1 << 7, 1),
    (BYTES, "bytes", ENTRIES, 3),
    (AND, "and", ENTRIES, 3),
    (POWER, "power", 32, 1),
)
"""Bus, stem of its multiplicity columns, number of entries, slots that hold them."""


def _main_columns() -> Columns:
    columns = {}
    for bus, stem, _, slots in VIEWS:
        for k in range(slots):
            columns[f"{stem}_count_{k}"] = cell(f"times slot {k} answers {bus.name}")
    return Columns(**columns)


def _preprocessed_columns() -> Columns:
    columns = {}
    for k in range(SLOTS):
        columns[f"x_{k}"] = limb(8, f"low byte of v in slot {k}")
        columns[f"y_{k}"] = limb(8, f"high byte of v in slot {k}")
        columns[f"and_{k}"] = limb(8, "bitwise and of both")
    columns["real"] = bit("1 on used rows: slots 0 and 1 hold an entry")
    columns["real_2"] = bit("1 where slot 2 holds an entry")
    columns["below_15"] = bit("1 where v of slot 1 is below 2^15")
    columns["below_14"] = bit("1 where v of slot 0 is below 2^14")
    columns["below_7"] = bit("1 where v of slot 0 is below 2^7")
    columns["below_5"] = bit("1 where v of slot 0 is below 32")
    columns["power"] = word("2^v of slot 0 where v is below 32")
    return Columns(**columns)


def _present(row: Row, bus: Bus, slot: int) -> Expr:
    """The preprocessed 0/1 that says whether a slot holds an entry of a view."""
    special = {(RANGE15, 1): "below_15", (RANGE14, 0): "below_14", (RANGE7, 0): "below_7", (POWER, 0): "below_5"}
    return row[special.get((bus, slot), "real_2" if slot == 2 else "real")]


class RangeChip(Chip):
    """Serves RANGE16, RANGE15, RANGE14, RANGE7, BYTES, AND and POWER."""

    name = "range"
    mandatory = True
    columns = _main_columns()
    preprocessed = _preprocessed_columns()

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """None: everything but the multiplicities is preprocessed."""

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """Every view of every slot."""
        for bus, stem, _, slots in VIEWS:
            for k in range(slots):
                x, y = row[f"x_{k}"], row[f"y_{k}"]
                value = x + 256 * y
                tuples = {BYTES: (x, y), AND: (x, y, row[f"and_{k}"]), POWER: (value, row.power)}
                buses.serve(f"{bus.name} slot {k}", bus, tuples.get(bus, (value,)), _present(row, bus, k) * row[f"{stem}_count_{k}"])

    def rows(self, execution: Execution) -> int:
        """Always the same."""
        return SLOT

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Nothing: multiplicities are counted from the other tables."""

    def preprocessed_rows(self, image: Image) -> int:
        """Always the same."""
        return SLOT

    def fill_preprocessed(self, image: Image, trace: Trace) -> None:
        """Write the entries; independent of the image."""
        for k in range(SLOTS):
            values = np.arange(k * SLOT, min((k + 1) * SLOT, ENTRIES), dtype=np.uint64)
            x, y = values & np.uint64(255), values >> np.uint64(8)
            for name, column in (("x", x), ("y", y), ("and", x & y)):
                trace[f"{name}_{k}"][: len(values)] = column
        trace["real"][:SLOT] = 1
        trace["real_2"][: ENTRIES - 2 * SLOT] = 1
        trace["below_15"][: (1 << 15) - SLOT] = 1
        trace["below_14"][: 1 << 14] = 1
        trace["below_7"][: 1 << 7] = 1
        trace["below_5"][:32] = 1
        trace["power"][:32] = np.uint64(1) << np.arange(32, dtype=np.uint64)

    def serve_row(self, image: Image, bus: Bus, values: list[NDArray[np.uint64]]) -> list[tuple[str, NDArray[np.int64], NDArray[np.bool_]]]:
        """The entry v is row v mod SLOT of slot v div SLOT."""
        stem, entries, slots = next((stem, entries, slots) for view, stem, entries, slots in VIEWS if view is bus)
        first = values[0]
        if bus in (BYTES, AND):
            in_range = (first < 256) & (values[1] < 256)
            index = np.where(in_range, (first & np.uint64(255)) + np.uint64(256) * (values[1] & np.uint64(255)), 0)
            if bus is AND:
                in_range &= values[2] == (first & values[1])
        else:
            in_range = first < np.uint64(entries)
            index = np.where(in_range, first, 0)
            if bus is POWER:
                in_range &= values[1] == np.uint64(1) << index
        rows, slot = (index % np.uint64(SLOT)).astype(np.int64), index // np.uint64(SLOT)
        return [(f"{stem}_count_{k}", rows, in_range & (slot == k)) for k in range(slots)]
