"""The run's state at both ends of a segment: one row, which takes it over from the segment before and hands it to the next.

Soundness (one path of states). Joint tuples are (segment, pc, time). A real row of segment i consumes one of segment i - 1 and produces one
of segment i. The verifier produces (0, entry, first time) and consumes (S, LAST_PC + exit code, LAST_TIME), S the number of segments; no
other proof has this chip. So segment 1 has exactly one real row, therefore segment 2, and so on to S.

Within the segment the row produces (pc, t) on the state bus and consumes (next_pc, next_t). Nothing else comes from or goes to the
outside, and instructions go up in time, so the segment's states are one path from the one to the other. All segments together are one
path from the entry to the exit with that code. It may reach the exit's state in an earlier segment than the last: no row consumes it but
this one, so later segments execute nothing and hand it on.

Time goes on from segment to segment: at the k-th instruction of the run it is 4 + 4 k, as an integer, because the verifier bounds the
instructions of all segments together below 2^30 - 2. So the count of instructions and the number of a tensor are words, as in a whole run,
and channels in vectors have keys of their own (:mod:`zkvm.riscv.chips.tensor.channels`).

Padding (real = 0) has the same state on both sides, and is neutral on both buses.
"""

from __future__ import annotations

from zkvm.riscv.chips.buses import SEGMENT_STATE, STATE
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell


class HandOverChip(Chip):
    """Begins the segment with the state that the one before ended with, and ends it."""

    name = "hand_over"
    mandatory = True
    early = 5
    columns = Columns(
        pc=cell("address of the segment's first instruction"),
        t=cell("state time there"),
        next_pc=cell("address of the next segment's first instruction; after the exit LAST_PC plus its code"),
        next_t=cell("state time there; after the exit LAST_TIME"),
        real=bit("the row is used"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Padding is neutral."""
        air.assert_bool("real is boolean", row.real)
        air.assert_zero("padding keeps the pc", (1 - row.real) * (row.next_pc - row.pc))
        air.assert_zero("padding keeps the time", (1 - row.real) * (row.next_t - row.t))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """Both pairs."""
        buses.pair("run", SEGMENT_STATE, receive=(0 - row.real, row.pc, row.t), send=(0, row.next_pc, row.next_t))
        buses.pair("state", STATE, receive=(row.next_pc, row.next_t), send=(row.pc, row.t))

    def rows(self, execution: Execution) -> int:
        """One."""
        return 1

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Both states."""
        (trace["pc"][0], trace["t"][0]), (trace["next_pc"][0], trace["next_t"][0]) = execution.states
        trace["real"][0] = 1
