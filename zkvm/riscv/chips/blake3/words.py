"""What a BLAKE3 call reads and writes: eight rows a call, so that no row of a mixing pays for memory.

Row ``part`` of a call has word ``part`` of the chaining value, words 2 part and 2 part + 1 of the block, and word 8 + part of the state
before the first round: one of four constants, or of the counter, the block length and the flags. It sends them to the mixings, and takes
back words ``part`` and 8 + ``part`` of the state after the last, whose exclusive or takes the place of the chaining value's word: **what is
compressed and what comes of it meet on the row**, and in between each wire is named by the call's time.

**Sound.**

* The rows of a call are a path (time, part, address) from 0 to 8, whose ends the call's row holds. Flags fix the part of a row, which grows
  by one: each part is there once.
* Addresses: that of the last word is a multiple of 4 below 2^32, by the call's row, so all are addresses of words and distinct.
* What is written is a word: the table of conjunctions makes both words of the state four bytes.
* A constant is proven where the part is one of the first four; elsewhere the word is that of an access.
* The mixings hand message words on after the last round, too: they come back at the slot that the permutation gives an eighth round.
* Padding: no flag, hence every pair is neutral; both words of the state that it would take back are those that it would send.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.blake3.bytewise import (
    CHAINING_WORDS,
    MESSAGE_SLOT,
    STAGES,
    bytes_of_row,
    check_conjunction,
    connect_word,
    exclusive,
    word_of_bytes,
)
from zkvm.riscv.chips.buses import BLAKE3_PATH
from zkvm.riscv.chips.calls import SLOT_CHAIN
from zkvm.riscv.chips.common import Access, assert_flags, assert_neutral, connect_accesses
from zkvm.riscv.chips.memory_access import byte_columns, bytes_of
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr, lift, total, weighted_sum
from zkvm.stark.crypto.compression import INITIAL_VECTOR, MESSAGE_PERMUTATION, ROUNDS

PARTS = 8
"""Rows of a call."""
FLAGS = tuple(f"part_{k}" for k in range(PARTS))
CONSTANT, READ = FLAGS[:4], FLAGS[4:]
"""Parts whose second word of the state is a constant, and those that read it."""
WORD = 4
BLOCK_AT, TAIL_AT = WORD * 8, WORD * 24
"""Bytes from the call's address."""
FINAL_SLOT = tuple(MESSAGE_SLOT + MESSAGE_PERMUTATION[k] for k in range(16))
"""Where word k of the block comes back: seven steps of a permutation whose eighth power is the identity are one step back."""
READS = ("chaining", "first", "second", "last")


class CompressedWordsChip(Chip):
    """One word of the chaining value a row, and what else is read beside it."""

    name = "blake3_words"
    by_call = True
    columns = Columns(
        t=cell("time of the call"),
        address=cell("of its first word"),
        **{name: bit(f"the row is part {name[-1]} of the call") for name in FLAGS},
        chaining=word("word of the chaining value"),
        first=word("first word of the block"),
        second=word("second word of the block"),
        last=word("constant, or word of counter, block length and flags"),
        **{f"t_{name}": cell(f"previous access of {name}") for name in READS},
        **byte_columns("upper", "the state's word of this part after the last round"),
        **byte_columns("lower", "the state's word eight after it"),
        **byte_columns("both", "upper & lower"),
    )

    def _part(self, row: Row) -> Expr:
        return weighted_sum([row[name] for name in FLAGS], list(range(PARTS)))

    def _output(self, row: Row) -> Expr:
        return word_of_bytes(exclusive(*(bytes_of_row(row, stem) for stem in ("upper", "lower", "both"))))

    def _accesses(self, row: Row) -> list[Access]:
        real, part = total(*(row[name] for name in FLAGS)), self._part(row)
        at, block = row.address + part * WORD, row.address + part * (2 * WORD) + BLOCK_AT
        reads = total(*(row[name] for name in READ))
        places = {
            "chaining": (at, real),
            "first": (block, real),
            "second": (block + WORD, real),
            "last": (at + (TAIL_AT - 4 * WORD), reads),
        }
        after = {"chaining": self._output(row)}
        return [
            Access(name, place, row[name], after.get(name, row[name]), row[f"t_{name}"], SLOT_CHAIN, live)
            for name, (place, live) in places.items()
        ]

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The part, its constant, neutral padding."""
        assert_flags(air, row, *FLAGS)
        constants = [row[name] * (row.last - value) for name, value in zip(CONSTANT, INITIAL_VECTOR[:4], strict=True)]
        air.assert_zero("last is the part's constant", total(*constants))
        assert_neutral(air, row.t, self._accesses(row))
        idle = 1 - total(*(row[name] for name in FLAGS))
        for name, stem in (("chaining", "upper"), ("last", "lower")):
            air.when(idle).assert_equal(f"{name} stays on padding", word_of_bytes(bytes_of_row(row, stem)), row[name])

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, four accesses, two words of the state, two of the message, one exclusive or."""
        flags, part = [row[name] for name in FLAGS], self._part(row)
        real = total(*flags)
        buses.pair("path", BLAKE3_PATH, receive=(row.t, part, row.address), send=(row.t, part + real, row.address))
        connect_accesses(buses, row.t, self._accesses(row))
        for name, stem, slot in (("chaining", "upper", part), ("last", "lower", part + real * CHAINING_WORDS)):
            final = word_of_bytes(bytes_of_row(row, stem))
            connect_word(buses, f"path of {name}", row.t, receive=(slot, real * STAGES, final), send=(slot, lift(0), row[name]))
        for number, name in enumerate(("first", "second")):
            back = weighted_sum(flags, [FINAL_SLOT[2 * k + number] for k in range(PARTS)])
            slot = part * 2 + real * (MESSAGE_SLOT + number)
            connect_word(buses, f"path of {name}", row.t, receive=(back, real * ROUNDS, row[name]), send=(slot, lift(0), row[name]))
        upper, lower, both = (bytes_of_row(row, stem) for stem in ("upper", "lower", "both"))
        check_conjunction(buses, "output", upper, lower, both, real)

    def rows(self, execution: Execution) -> int:
        """Eight a call."""
        return PARTS * len(execution.blake3_calls)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records; the rows of one part of all calls lie together."""
        calls = execution.blake3_calls
        words, times, final = calls["words"].astype(np.uint64), calls["t_prev"], calls["final"].astype(np.uint64)
        for part, flag in enumerate(FLAGS):
            rows = slice(part * len(calls), (part + 1) * len(calls))
            places = {"chaining": part, "first": 8 + 2 * part, "second": 9 + 2 * part, "last": 20 + part}
            columns = {"t": calls["time"], "address": calls["address"], flag: np.ones(len(calls), np.uint64)}
            for name, place in places.items():
                there = name != "last" or flag in READ
                columns[name] = words[:, place] if there else np.full(len(calls), INITIAL_VECTOR[part], np.uint64)
                columns[f"t_{name}"] = times[:, place] if there else calls["time"]
            upper, lower = final[:, part], final[:, 8 + part]
            for stem, values in (("upper", upper), ("lower", lower), ("both", upper & lower)):
                columns |= bytes_of(stem, values)
            for name, column in columns.items():
                trace[name][rows] = column
