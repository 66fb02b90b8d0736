"""Refresh: writes a value again at a later time, so that its next access is less than 2^16 after the last one.

Accesses check t - t_prev - 1 with one 16-bit look-up. Where a word rests longer the executor inserts one of these rows,
whose difference takes two limbs.

Soundness: the row is an access that changes nothing: address and value are the same columns on both sides, and the time
grows by 1 to 2^32. It needs no link to the state: wherever it is put on an address's path of increasing times, the accesses after it still
read the value of the last write before them. Times stay below 2^60 by the heights (2^40 + 2^32 * refresh rows).
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import MEMORY, RANGE16
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb, word
from zkvm.stark.field.goldilocks import P


class RefreshChip(Chip):
    """Moves a word's last access forward in time."""

    name = "refresh"
    columns = Columns(
        address=cell("memory-bus address"),
        value=word("value, unchanged"),
        t_prev=cell("time of the access before"),
        time=cell("new time of the last access"),
        gap_low=limb(16, "low limb of time - t_prev - 1"),
        real=bit("the row is a refresh"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Padding is neutral."""
        air.assert_bool("real is boolean", row.real)
        air.assert_zero("padding keeps the time", (1 - row.real) * (row.time - row.t_prev))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The pair and the two limbs of the time difference."""
        gap = row.time - row.t_prev - 1
        buses.pair("word", MEMORY, receive=(row.address, row.value, row.t_prev), send=(row.address, row.value, row.time))
        buses.lookup("gap low limb", RANGE16, (row.gap_low,), row.real)
        buses.lookup("gap high limb", RANGE16, ((gap - row.gap_low) * pow(1 << 16, -1, P),), row.real)

    def rows(self, execution: Execution) -> int:
        """One per refresh."""
        return len(execution.refreshes)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        records = execution.refreshes
        count = len(records)
        for name in ("address", "value", "t_prev", "time"):
            trace[name][:count] = records[name]
        trace["gap_low"][:count] = (records["time"] - records["t_prev"] - np.uint64(1)) & np.uint64(0xFFFF)
        trace["real"][:count] = 1
