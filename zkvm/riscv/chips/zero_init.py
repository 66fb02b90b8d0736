"""Zero-initialised memory: a linked list of the touched words of each gap of the image.

The verifier sends (start - 1, 0) and receives (end, 1) for each gap [start, end), in words. A word row steps from the word
before to its own and opens it with value 0; a closing row steps to the gap's end and opens nothing.

Soundness. Each step is at least 1 and at most 2^30, so over the rows of a table (at most 2^24) positions are strictly increasing
integers that do not wrap mod p: there is no cycle, a word is opened at most once, and every row is on a path from some start
to some end. Gaps are sorted and disjoint (checked by the verifier), and a path only climbs: the path of the last start can reach
only the last end, that of the start before it only the end before, and so on down. So every word opened lies in a gap. A word that is not
opened can not be accessed at all, because nothing else produces its first tuple. Words are below 2^30, so that 4 word < 2^32 is no
register.
Padding (real = close = 0) has word = previous and last = last_time = 0: both pairs are neutral. A closing row's memory pair is
neutral in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import MEMORY, RANGE14, RANGE16, ZERO_LIST
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb, word
from zkvm.stark.field.goldilocks import P


class ZeroInitChip(Chip):
    """Opens and closes every touched word of the gaps."""

    name = "zero_init"
    mandatory = True
    columns = Columns(
        previous=cell("word before this one in the gap, or the gap's start - 1"),
        word=limb(30, "this word's index (byte address / 4), or the gap's end"),
        last=word("value after the run"),
        last_time=cell("time of the last access"),
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
        air.assert_zero("only a word has a last time", (1 - row.real) * row.last_time)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The list step, its range check, and the word."""
        connect_list(buses, row)
        buses.pair("word", MEMORY, receive=(4 * row.word, row.last, row.last_time), send=(4 * row.word, 0, 0))

    def rows(self, execution: Execution) -> int:
        """Touched words and one closing row per gap."""
        return len(execution.zero_address) + len(execution.image.gaps)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Walk each gap in ascending order."""
        places = fill_list(execution.zero_address, execution.image.gaps, trace)
        trace["last"][places] = execution.zero_last
        trace["last_time"][places] = execution.zero_last_time


def connect_list(buses: BusBuilder, row: Row) -> None:
    """The list step and its range check."""
    kinds = row.real + row.close
    step = row.word - row.previous - 1
    buses.pair("list", ZERO_LIST, receive=(row.previous, 0), send=(row.word, row.close))
    buses.lookup("step low limb", RANGE16, (row.step_low,), kinds)
    buses.lookup("step high limb", RANGE14, ((step - row.step_low) * pow(1 << 16, -1, P),), kinds)


def fill_list(words: NDArray[np.uint64], gaps: Sequence[tuple[int, int]], trace: Trace) -> NDArray[np.int64]:
    """Write the list's own columns: each gap's words, then its closing row.

    Args:
        words: (z,) touched words, ascending.
        gaps: [start, end) ranges of words.
        trace: of a table with this list.

    Returns:
        (z,) the words' rows.
    """
    first, places = 0, []
    for start, end in gaps:
        low, high = np.searchsorted(words, np.array([start, end], np.uint64)).tolist()
        count = high - low
        positions = np.concatenate([words[low:high], np.array([end], np.uint64)])
        before = np.concatenate([np.array([start - 1], np.uint64), words[low:high]])
        trace["previous"][first : first + count + 1] = before
        trace["word"][first : first + count + 1] = positions
        trace["step_low"][first : first + count + 1] = (positions - before - np.uint64(1)) & np.uint64(0xFFFF)
        trace["real"][first : first + count] = 1
        trace["close"][first + count] = 1
        places.append(np.arange(first, first + count))
        first += count + 1
    return np.concatenate([np.zeros(0, np.int64), *places])
