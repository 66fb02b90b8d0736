"""blake3 (ecall 4099): compresses the 28 words at a0 and writes the new chaining value over the first eight; returns 0.

**Sound.** The words' rows (:mod:`zkvm.riscv.chips.blake3.words`) are a path with the call's time and address, whose ends are here. The
address of the last word is 2^16 hi + 4 lo, an integer in [0, 2^32): so a0, a word, is a multiple of 4, and no address reaches the
registers. Padding: no call, both tuples of the path are equal.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.blake3.words import PARTS, WORD
from zkvm.riscv.chips.buses import BLAKE3_PATH
from zkvm.riscv.chips.calls import call_columns, fill_calls, register_access, select_calls
from zkvm.riscv.chips.common import Access, assert_neutral, connect_accesses, connect_instruction, low16, state_columns
from zkvm.riscv.chips.memory_access import check_aligned
from zkvm.riscv.isa.calls import BLAKE3, BLAKE3_WORDS, numbers_of
from zkvm.riscv.isa.opcodes import ECALL
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb
from zkvm.stark.air.expression import lift

LAST_WORD = WORD * (BLAKE3_WORDS - 1)
"""Bytes from the address to the last word."""


class CompressionCallChip(Chip):
    """One call a row."""

    name = "blake3_call"
    by_call = True
    columns = Columns(
        **state_columns(),
        **call_columns("a0"),
        t_a7=cell("previous access of a7"),
        address_low=limb(14, "bits 2 to 15 of the last word's address"),
        real=bit("the row is a call"),
    )

    def _accesses(self, row: Row) -> list[Access]:
        return [
            register_access(row, "a7", row.real, before=row.real * BLAKE3.number),
            register_access(row, "a0", row.real, lift(0)),
        ]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Neutral padding."""
        air.assert_bool("real is boolean", row.real)
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, two accesses, the path's ends, the address."""
        connect_instruction(buses, row, row.real, ECALL)
        connect_accesses(buses, row.t, self._accesses(row))
        buses.pair("path", BLAKE3_PATH, receive=(row.t, row.real * PARTS, row.a0), send=(row.t, 0, row.a0))
        check_aligned(buses, row.a0 + row.real * LAST_WORD, row.address_low, row.real)

    def rows(self, execution: Execution) -> int:
        """One a call."""
        return len(select_calls(execution, numbers_of(self.name)))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        calls = select_calls(execution, numbers_of(self.name))
        fill_calls(trace, execution, calls, "a0")
        last = calls["a0"].astype(np.uint64) + np.uint64(LAST_WORD)
        columns = {"t_a7": calls["t_a7"], "address_low": low16(last) >> np.uint64(2), "real": np.ones(len(calls), np.uint64)}
        for name, column in columns.items():
            trace[name][: len(calls)] = column
