"""permute (ecall 4098): Poseidon2 on 24 words of RAM, in place. One row a call.

**Sound.**

* The words are at a0, a0 + 4, ... The last address is range-checked as a multiple of 4 below 2^32, and a0 is a word, so all are
  addresses of memory, not of registers. They are distinct, and accessed once, at the time after the call's.
* Two words are an element, the low one first, mod p: what the words before are is anything below 2^64. In and out are one tuple of the
  permutation's bus, so what comes out is what the permutation makes of what was there.
* The words after are range-checked, and an element below 2^64 is canonical, that is, below p = 2^32 (2^32 - 1) + 1, exactly where
  its low word is 0 or its high word is not 2^32 - 1. The latter is shown by an inverse. So the words after are a function of those
  before.
* Padding: no flag, hence nothing is looked up, and every pair is neutral.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import PERMUTATION
from zkvm.riscv.chips.calls import SLOT_CHAIN, call_columns, fill_calls, register_access, select_calls
from zkvm.riscv.chips.common import (
    TWO_32,
    WORD_MAX,
    Access,
    assert_neutral,
    connect_accesses,
    connect_instruction,
    inverses,
    low16,
    low_limb,
    range_word,
    state_columns,
)
from zkvm.riscv.chips.memory_access import check_aligned
from zkvm.riscv.isa.calls import PERMUTE, numbers_of
from zkvm.riscv.isa.opcodes import ECALL
from zkvm.riscv.isa.poseidon2 import WIDTH, WORD_BYTES, WORDS
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb, word
from zkvm.stark.air.expression import const

LAST = WORD_BYTES * (WORDS - 1)
"""From the first word to the last, in bytes."""


class PermuteChip(Chip):
    """One call a row."""

    name = "permute"
    by_call = True
    columns = Columns(
        **state_columns(),
        **call_columns("a0"),
        t_a7=cell("previous access of a7"),
        address_low=limb(14, "bits 2 to 15 of the last word's address"),
        **{f"before{k}": word(f"word {k} before") for k in range(WORDS)},
        **{f"after{k}": word(f"word {k} after") for k in range(WORDS)},
        **{f"low{k}": low_limb(f"word {k} after") for k in range(WORDS)},
        **{f"t{k}": cell(f"previous access of word {k}") for k in range(WORDS)},
        **{f"inverse{k}": cell(f"of 2^32 - 1 less the high word of element {k} after; 0 if there is none") for k in range(WIDTH)},
        real=bit("the row is a call"),
    )

    def _accesses(self, row: Row) -> list[Access]:
        return [
            register_access(row, "a7", row.real, before=row.real * PERMUTE.number),
            register_access(row, "a0", row.real, const(0)),
            *(
                Access(f"word {k}", row.a0 + WORD_BYTES * k, row[f"before{k}"], row[f"after{k}"], row[f"t{k}"], SLOT_CHAIN, row.real)
                for k in range(WORDS)
            ),
        ]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Canonical elements, neutral padding."""
        air.assert_bool("real is boolean", row.real)
        for k in range(WIDTH):
            low, room = row[f"after{2 * k}"], WORD_MAX - row[f"after{2 * k + 1}"]
            air.assert_zero(f"element {k} after is canonical", low * (1 - room * row[f"inverse{k}"]))
        assert_neutral(air, row.t, self._accesses(row))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, registers, words, the permutation."""
        connect_instruction(buses, row, row.real, ECALL)
        connect_accesses(buses, row.t, self._accesses(row))
        check_aligned(buses, row.a0 + LAST, row.address_low, row.real)
        for k in range(WORDS):
            range_word(buses, f"word {k} after", row[f"after{k}"], row[f"low{k}"], row.real)
        elements = [row[f"{stem}{2 * k}"] + row[f"{stem}{2 * k + 1}"] * TWO_32 for stem in ("before", "after") for k in range(WIDTH)]
        buses.lookup("permutation", PERMUTATION, tuple(elements), row.real)

    def rows(self, execution: Execution) -> int:
        """One a call."""
        return len(select_calls(execution, numbers_of(self.name)))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        calls = select_calls(execution, numbers_of(self.name))
        count, words = len(calls), execution.permuted
        if not count:
            return
        fill_calls(trace, execution, calls, "a0")
        last = calls["a0"].astype(np.uint64) + np.uint64(LAST)
        columns = {"t_a7": calls["t_a7"], "address_low": low16(last) >> np.uint64(2), "real": np.ones(count, np.uint64)}
        for k in range(WORDS):
            after = words["new"][:, k].astype(np.uint64)
            columns |= {f"before{k}": words["old"][:, k], f"after{k}": after, f"low{k}": low16(after), f"t{k}": words["t_prev"][:, k]}
            if k % 2:
                columns[f"inverse{k // 2}"] = inverses(np.uint64(WORD_MAX) - after)
        for name, column in columns.items():
            trace[name][:count] = column
