"""BLAKE3's mixing function G: one row for each of the 56 of a compression.

A round mixes the four columns of the 4 x 4 state, then its four diagonals, and each mixing takes two words of the message. A row consumes
four words of the state and produces them anew:

    a1 = a + b + first    d1 = (d ^ a1) >>> 16    c1 = c + d1    b1 = (b ^ c1) >>> 12
    a2 = a1 + b1 + second    d2 = (d1 ^ a2) >>> 8    c2 = c1 + d2    b2 = (b1 ^ c2) >>> 7

**Sound.**

* *Which row is which.* Words travel on pairs (time of the call, slot, stage, word). One of eight flags says which column or diagonal the
  row mixes, hence its slots. A message word arrives at its slot of this round and leaves for its slot of the next: the stage is the round.
  Of each call the words' chip sends every slot once at round 0 and takes every slot back at round 7, once. Rounds grow by 1 along a wire
  and tables are shorter than p, so no wire is a circle, and for each slot there is exactly one row of rounds 0 to 6: one for each mixing of
  the compression, and no other row of that time. The four words of the state then arrive at the stage that flags and round fix, 2 round
  for a column and one more for a diagonal, from the one row, or the words' chip, that sends them.
* *Values.* What arrives is a word: it comes from memory, is a constant of the function, or was produced here. The table of conjunctions
  makes b, d, a1, c1, a2, c2 and b1 four bytes each; so a sum less its word is 2^32 times a carry only as an integer.
* *Rotations* by 16 and 8 exchange bytes. Of the others one byte is split, by the same table: ``nibble`` is its lower half, ``low`` are its
  lower seven bits. The bytes of b1 are checked with the next exclusive or; those of b2 where the word arrives.
* *Padding* has no flag: nothing is looked up, and every pair is neutral, because slots are 0, stages stand still and words stay, by
  constraint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips import common
from zkvm.riscv.chips.blake3.bytewise import (
    BLOCK_WORDS,
    CHAINING_WORDS,
    MESSAGE_SLOT,
    NEXT_SLOT,
    bytes_of_row,
    check_conjunction,
    connect_word,
    exclusive,
    word_of_bytes,
)
from zkvm.riscv.chips.buses import AND
from zkvm.riscv.chips.memory_access import byte_columns, bytes_of
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb, word
from zkvm.stark.air.expression import Expr, total, weighted_sum
from zkvm.stark.crypto.compression import INITIAL_VECTOR, MESSAGE_PERMUTATION, ROUNDS
from zkvm.stark.field.goldilocks import P

Words = NDArray[np.uint64]

COLUMNS = tuple(f"column_{k}" for k in range(4))
DIAGONALS = tuple(f"diagonal_{k}" for k in range(4))
FLAGS = COLUMNS + DIAGONALS
MIXINGS = ROUNDS * len(FLAGS)
"""Rows of a compression."""
SLOTS = tuple(tuple(4 * part + (k + part * turned) % 4 for turned in (0, 1) for k in range(4)) for part in range(4))
"""Slots of a, b, c, d by flag: diagonal k takes word k + 1 of the second row of the state, k + 2 of the third, k + 3 of the fourth."""
INVERSE_TWO_7, INVERSE_TWO_12, INVERSE_TWO_24, INVERSE_TWO_32 = (pow(1 << bits, -1, P) for bits in (7, 12, 24, 32))
LOW_HALF, LOW_SEVEN = 15, 127
"""Masks of the two splits."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """The words of a row as expressions, in bytes but for the last one's.

    Attributes:
        a1: as in the equations above, likewise the next six.
        d1: also of columns that say what d & a1 is.
        c1: of columns.
        b1: of columns but for the top one.
        a2: of columns.
        d2: also of columns that say what d1 & a2 is.
        c2: of columns.
        b2: the word.
        first_mixed: b ^ c1.
        second_mixed: b1 ^ c2.
    """

    a1: list[Expr]
    d1: list[Expr]
    c1: list[Expr]
    b1: list[Expr]
    a2: list[Expr]
    d2: list[Expr]
    c2: list[Expr]
    b2: Expr
    first_mixed: list[Expr]
    second_mixed: list[Expr]


def mixing_of(row: Row) -> Mixing:
    """All words of a row."""
    b, d, a1, c1, a2, c2 = (bytes_of_row(row, stem) for stem in ("b", "d", "a1", "c1", "a2", "c2"))
    d1 = _rotated(exclusive(d, a1, bytes_of_row(row, "d_and_a1")), 2)
    first_mixed = exclusive(b, c1, bytes_of_row(row, "b_and_c1"))
    low = first_mixed[0] + row.nibble * 256
    b1_word = (word_of_bytes(first_mixed) - low) * INVERSE_TWO_12 + low * (1 << 20)
    lower = [row[f"b1_{k}"] for k in range(3)]
    b1 = [*lower, (b1_word - weighted_sum(lower, [1 << 8 * k for k in range(3)])) * INVERSE_TWO_24]
    d2 = _rotated(exclusive(d1, a2, bytes_of_row(row, "d1_and_a2")), 1)
    second_mixed = exclusive(b1, c2, bytes_of_row(row, "b1_and_c2"))
    b2 = (word_of_bytes(second_mixed) - row.low) * INVERSE_TWO_7 + row.low * (1 << 25)
    return Mixing(a1, d1, c1, b1, a2, d2, c2, b2, first_mixed, second_mixed)


def _rotated(parts: list[Expr], by: int) -> list[Expr]:
    """Bytes of a word that is rotated to the right by so many of them."""
    return parts[by:] + parts[:by]


class MixingChip(Chip):
    """One mixing a row."""

    name = "blake3_mixing"
    by_call = True
    columns = Columns(
        t=cell("time of the call"),
        round=cell("of the compression, from 0"),
        **{name: bit(f"the row mixes {name.replace('_', ' ')}") for name in FLAGS},
        a=word("first word of the state"),
        **byte_columns("b", "the second word"),
        c=word("third word of the state"),
        **byte_columns("d", "the fourth word"),
        first=word("first word of the message"),
        second=word("second word of the message"),
        **byte_columns("a1", "a + b + first"),
        **byte_columns("d_and_a1", "d & a1"),
        **byte_columns("c1", "c + d1"),
        **byte_columns("b_and_c1", "b & c1"),
        nibble=limb(4, "lower half of byte 1 of b ^ c1"),
        **{f"b1_{k}": limb(8, f"byte {k} of b1; the top one is a linear expression") for k in range(3)},
        **byte_columns("a2", "a1 + b1 + second"),
        **byte_columns("d1_and_a2", "d1 & a2"),
        **byte_columns("c2", "c1 + d2"),
        **byte_columns("b1_and_c2", "b1 & c2"),
        low=limb(7, "lower bits of byte 0 of b1 ^ c2"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Which mixing it is, its sums, neutral padding."""
        common.assert_flags(air, row, *FLAGS)
        words, real = mixing_of(row), total(*(row[name] for name in FLAGS))
        b, d = (word_of_bytes(bytes_of_row(row, stem)) for stem in ("b", "d"))
        a1, d1, c1, b1 = (word_of_bytes(part) for part in (words.a1, words.d1, words.c1, words.b1))
        a2, d2, c2 = (word_of_bytes(part) for part in (words.a2, words.d2, words.c2))
        for label, three, result in (
            ("a1 is a + b + first", row.a + b + row.first, a1),
            ("a2 is a1 + b1 + second", a1 + b1 + row.second, a2),
        ):
            carry = (three - result) * INVERSE_TWO_32
            air.assert_zero(f"{label} less at most two carries", carry * (carry - 1) * (carry - 2))
        for label, two, result in (("c1 is c + d1", row.c + d1, c1), ("c2 is c1 + d2", c1 + d2, c2)):
            air.assert_bool(f"{label} less at most one carry", (two - result) * INVERSE_TWO_32)
        for name, before, after in (("a", row.a, a2), ("b", b, words.b2), ("c", row.c, c2), ("d", d, d2)):
            air.when(1 - real).assert_equal(f"{name} stays on padding", after, before)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """Four words of the state, two of the message, four exclusive ors, two splits."""
        words, flags = mixing_of(row), [row[name] for name in FLAGS]
        real, turned = total(*flags), total(*(row[name] for name in DIAGONALS))
        b, d = bytes_of_row(row, "b"), bytes_of_row(row, "d")
        stage = row.round * 2 + turned
        state = (
            ("a", row.a, word_of_bytes(words.a2)),
            ("b", word_of_bytes(b), words.b2),
            ("c", row.c, word_of_bytes(words.c2)),
            ("d", word_of_bytes(d), word_of_bytes(words.d2)),
        )
        for (name, before, after), slots in zip(state, SLOTS, strict=True):
            slot = weighted_sum(flags, list(slots))
            connect_word(buses, f"path of {name}", row.t, receive=(slot, stage, before), send=(slot, stage + real, after))
        for number, name in enumerate(("first", "second")):
            taken = range(number, BLOCK_WORDS, 2)
            here, following = ([MESSAGE_SLOT + slot for slot in slots] for slots in (taken, [NEXT_SLOT[k] for k in taken]))
            connect_word(
                buses,
                f"path of {name}",
                row.t,
                receive=(weighted_sum(flags, here), row.round, row[name]),
                send=(weighted_sum(flags, following), row.round + real, row[name]),
            )
        for stem, left, right in (("d_and_a1", d, words.a1), ("b_and_c1", b, words.c1), ("d1_and_a2", words.d1, words.a2)):
            check_conjunction(buses, stem, left, right, bytes_of_row(row, stem), real)
        check_conjunction(buses, "b1_and_c2", words.b1, words.c2, bytes_of_row(row, "b1_and_c2"), real)
        buses.lookup("nibble of b ^ c1", AND, (words.first_mixed[1], LOW_HALF, row.nibble), real)
        buses.lookup("low bits of b1 ^ c2", AND, (words.second_mixed[0], LOW_SEVEN, row.low), real)

    def rows(self, execution: Execution) -> int:
        """One a mixing."""
        return MIXINGS * len(execution.blake3_calls)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Compress; rows of one half of a round of all calls lie together."""
        calls = execution.blake3_calls
        count = len(calls)
        if not count:
            return
        words = calls["words"].astype(np.uint64).T
        tail = CHAINING_WORDS + BLOCK_WORDS
        head = np.broadcast_to(np.array(INITIAL_VECTOR[:4], np.uint64)[:, None], (4, count))
        state, message = np.concatenate([words[:CHAINING_WORDS], head, words[tail:]]), words[CHAINING_WORDS:tail]
        for half in range(2 * ROUNDS):
            turned = half % 2
            which = slice(4 * turned, 4 * turned + 4)
            rows = slice(4 * half * count, 4 * (half + 1) * count)
            slots = [list(part[which]) for part in SLOTS]
            first, second = message[8 * turned : 8 * turned + 8 : 2], message[8 * turned + 1 : 8 * turned + 8 : 2]
            columns, after = _mixed([state[part] for part in slots], first, second)
            for part, values in zip(slots, after, strict=True):
                state[part] = values
            for name, values in columns.items():
                trace[name][rows] = values.reshape(-1)
            for k, name in enumerate(FLAGS[which]):
                trace[name][rows.start + k * count : rows.start + (k + 1) * count] = 1
            trace["t"][rows], trace["round"][rows] = np.tile(calls["time"], 4), half // 2
            if turned:
                message = message[list(MESSAGE_PERMUTATION)]


def _mixed(before: list[Words], first: Words, second: Words) -> tuple[dict[str, Words], tuple[Words, ...]]:
    """Columns of mixings, all of one shape, and the four words after them."""
    a, b, c, d = before
    mask = np.uint64(common.WORD_MAX)
    a1 = (a + b + first) & mask
    d1 = _right(d ^ a1, 16)
    c1 = (c + d1) & mask
    first_mixed = b ^ c1
    b1 = _right(first_mixed, 12)
    a2 = (a1 + b1 + second) & mask
    d2 = _right(d1 ^ a2, 8)
    c2 = (c1 + d2) & mask
    second_mixed = b1 ^ c2
    columns = {"a": a, "c": c, "first": first, "second": second}
    stems = {"b": b, "d": d, "a1": a1, "d_and_a1": d & a1, "c1": c1, "b_and_c1": b & c1}
    stems |= {"a2": a2, "d1_and_a2": d1 & a2, "c2": c2, "b1_and_c2": b1 & c2}
    for stem, values in stems.items():
        columns |= bytes_of(stem, values)
    columns |= {name: values for name, values in bytes_of("b1", b1).items() if name != "b1_3"}
    columns["nibble"] = first_mixed >> np.uint64(8) & np.uint64(LOW_HALF)
    columns["low"] = second_mixed & np.uint64(LOW_SEVEN)
    return columns, (a2, _right(second_mixed, 7), c2, d2)


def _right(words: Words, bits: int) -> Words:
    """Words rotated to the right."""
    return (words >> np.uint64(bits) | words << np.uint64(32 - bits)) & np.uint64(common.WORD_MAX)
