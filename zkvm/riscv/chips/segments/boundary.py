"""The boundary of a segment: one row for each word or register that it accesses, with the value before and the value after.

On a joint bus the row takes the word over from the segment that accessed it last and hands it on; on the segment's own memory bus it
stands for everything that happened before and will happen after.

Soundness (one path a word).

* Between segments. The joint tuples of an address are (segment, address, value). A row of segment i consumes one of segment i - gap and
  produces one of segment i. ``gap`` is in [1, 2^16] where the row is real, and i at most 2^16: integers, so the edge goes up. The proof
  of memory has one row for each address: it produces the tuple of segment 0, and consumes some last one. It is the only edge that can go
  down, so a balanced bus is, for each address, one path up through the segments. Hence an address has at most one row in a segment, each
  row's ``before`` is the ``after`` of the row before, and the first one's is what memory holds at first.
* Within a segment. The row produces (address, before, first) and consumes (address, after, last) on the memory bus. Every access goes up
  in time, by a range-checked difference; all of them together by less than 2^60, so there is no circle without this row. An address that
  is accessed has a row, exactly one by the above, and its accesses are one path from ``before`` to ``after``.
* ``first`` and ``last`` are any field elements. The first access shows that it is later than ``first`` by at most 2^16, the second one
  that it is later than the first; only differences mean something. Times of accesses are state times, so the order on the path is that
  of the run.
* Values are words by induction: ``before`` is what memory or an earlier segment produced, ``after`` what this segment did.
* Padding (real = 0) has gap 0, and values and times stand still: both pairs are neutral, whatever the address.
"""

from __future__ import annotations

from zkvm.riscv.chips.buses import MEMORY, RANGE16, SEGMENT_WORD
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word


class BoundaryChip(Chip):
    """Takes over every word that the segment accesses, and hands it on."""

    name = "boundary"
    mandatory = True
    early = 4
    columns = Columns(
        address=cell("memory-bus address"),
        before=word("value where the segment begins"),
        after=word("value where it ends"),
        gap=cell("how many segments before this one the word was accessed last, at most 2^16; 0 on padding"),
        first=cell("a time before its first access in the segment"),
        last=cell("time of its last access"),
        real=bit("the row is used"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Padding is neutral."""
        air.assert_bool("real is boolean", row.real)
        air.assert_zero("padding comes from nowhere", (1 - row.real) * row.gap)
        air.assert_zero("padding keeps the value", (1 - row.real) * (row.after - row.before))
        air.assert_zero("padding keeps the time", (1 - row.real) * (row.last - row.first))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """Both pairs, and that the segment before is an earlier one."""
        buses.pair("path", SEGMENT_WORD, receive=(0 - row.gap, row.address, row.before), send=(0, row.address, row.after))
        buses.pair("word", MEMORY, receive=(row.address, row.after, row.last), send=(row.address, row.before, row.first))
        buses.lookup("an earlier segment", RANGE16, (row.gap - 1,), row.real)

    def rows(self, execution: Execution) -> int:
        """One for each word that the segment accesses."""
        return len(execution.boundary)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        count = len(execution.boundary)
        for name in ("address", "before", "after", "gap", "first", "last"):
            trace[name][:count] = execution.boundary[name]
        trace["real"][:count] = 1
