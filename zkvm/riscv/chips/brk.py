"""brk (ecall 214): moves the program break within the heap, else leaves it; returns the break then.

Soundness: asked, old break and the bounds are consumed from memory, hence in [0, 2^32), and each difference below is in
(-2^32, 2^32): a range check decides its sign. Exactly one of three flags is 1 on a real row and proves its own case:
``inside`` asked - start and limit - asked, ``below`` start - asked - 1, ``above`` asked - limit - 1, each in [0, 2^32). The image has
start <= limit, so the cases exclude each other: the result is a function. It is a copy of asked or of the old break. Nothing
writes the bounds: their accesses produce what they consume.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import RANGE16
from zkvm.riscv.chips.calls import call_columns, fill_calls, register_access, select_calls
from zkvm.riscv.chips.common import (
    Access,
    assert_flags,
    assert_neutral,
    connect_accesses,
    connect_instruction,
    high_limb,
    low16,
    low_limb,
    range_word,
    state_columns,
)
from zkvm.riscv.isa.calls import BRK, numbers_of
from zkvm.riscv.isa.opcodes import ECALL
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr


class BrkChip(Chip):
    """The brk call."""

    name = "brk"
    columns = Columns(
        **state_columns(),
        **call_columns("a0", "break_", "heap_start", "heap_limit"),
        t_a7=cell("previous access of a7"),
        after=word("break and a0 after the call"),
        inside=bit("heap start <= asked <= heap limit"),
        below=bit("asked < heap start"),
        above=bit("asked > heap limit"),
        first=word("asked - start, start - asked - 1 or asked - limit - 1"),
        first_low=low_limb("first"),
        second_low=low_limb("limit - asked"),
    )

    def _real(self, row: Row) -> Expr:
        return row.inside + row.below + row.above

    def _accesses(self, row: Row) -> list[Access]:
        real = self._real(row)
        return [
            register_access(row, "a7", real, before=real * BRK.number),
            register_access(row, "a0", real, row.after),
            register_access(row, "break_", real, row.after),
            register_access(row, "heap_start", real),
            register_access(row, "heap_limit", real),
        ]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The case, the difference that proves it, the new break."""
        assert_flags(air, row, "inside", "below", "above")
        air.when(row.inside).assert_zero("inside moves the break", row.after - row.a0)
        air.when(row.below + row.above).assert_zero("outside keeps the break", row.after - row.break_)
        air.when(row.inside).assert_zero("inside: first is asked - start", row.first - row.a0 + row.heap_start)
        air.when(row.below).assert_zero("below: first is start - asked - 1", row.first - row.heap_start + row.a0 + 1)
        air.when(row.above).assert_zero("above: first is asked - limit - 1", row.first - row.a0 + row.heap_limit + 1)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, five accesses, two range checks."""
        real = self._real(row)
        connect_instruction(buses, row, real, ECALL)
        connect_accesses(buses, row.t, self._accesses(row))
        range_word(buses, "first", row.first, row.first_low, real)
        buses.lookup("limit - asked: low limb", RANGE16, (row.second_low,), row.inside)
        buses.lookup("limit - asked: high limb", RANGE16, (high_limb(row.heap_limit - row.a0, row.second_low),), row.inside)

    def rows(self, execution: Execution) -> int:
        """One per call."""
        return len(select_calls(execution, numbers_of(self.name)))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records and find the case."""
        calls = select_calls(execution, numbers_of(self.name))
        fill_calls(trace, execution, calls, "a0", "break_", "heap_start", "heap_limit")
        asked, start, limit = (calls[name].astype(np.int64) for name in ("a0", "heap_start", "heap_limit"))
        below, above = asked < start, asked > limit
        inside = ~below & ~above
        first = np.select([below, above], [start - asked - 1, asked - limit - 1], asked - start).astype(np.uint64)
        second = np.where(inside, limit - asked, 0).astype(np.uint64)
        columns = {
            "t_a7": calls["t_a7"],
            "after": calls["result"],
            "inside": inside,
            "below": below,
            "above": above,
            "first": first,
            "first_low": low16(first),
            "second_low": low16(second),
        }
        for name, column in columns.items():
            trace[name][: len(calls)] = column
