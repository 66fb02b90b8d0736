"""Sorting steps by operation, counting how often each tuple is looked up. Numpy twins: :func:`zkvm.records.sort_steps`,
:func:`zkvm.tables.count_values`, :func:`zkvm.tables.merge_tuples`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, from_dtype, int64, uint8, uint64, void

from zkvm.kernels.source.entry import entry, readonly
from zkvm.records import STEP

WORDS = uint64[::1]
ZERO, ONE = np.uint64(0), np.uint64(1)
BYTE, WORD = np.uint64(8), np.uint64(16)


@entry(int64(readonly(uint64), readonly(uint64), readonly(boolean), WORDS))
def count_values(values: Any, counts: Any, known: Any, histogram: Any) -> Any:
    """histogram[v] += 1 for the value of every row whose count is not zero, and -1; or the first row with an unknown value, and nothing."""
    limit = np.uint64(len(known))
    for row in range(len(values)):
        if counts[row] != ZERO and (values[row] >= limit or not known[values[row]]):
            return row
    for row in range(len(values)):
        if counts[row] != ZERO:
            histogram[values[row]] += ONE
    return -1


@entry(void(readonly(from_dtype(STEP)), readonly(uint8), uint8[::1], int64[::1], int64[::1], int64[::1]))
def sort_steps(steps: Any, keys: Any, own: Any, counts: Any, places: Any, order: Any) -> None:
    """Sort steps by the key of their program row, plus 1 if they load from ROM.

    Args:
        steps: (n,). keys: (rows,), even. own: (n,) work space. counts, places: (256,), counts zero at first, then how many have each
            key; places are work space. order: (n,), the sorted steps' positions.
    """
    for position in range(len(steps)):
        key = keys[steps[position].row] | np.uint8(steps[position].rom)
        own[position] = key
        counts[key] += 1
    place = 0
    for key in range(len(counts)):
        places[key] = place
        place += counts[key]
    for position in range(len(steps)):
        key = own[position]
        order[places[key]] = position
        places[key] += 1


@entry(int64(readonly(uint64, 2), readonly(uint64), uint64[:, ::1], uint64[:, ::1]))
def merge_tuples(values: Any, counts: Any, slots: Any, merged: Any) -> Any:
    """Add the tuples of the rows whose count is not zero to those in the slots.

    Each tuple has one slot, given by its first two values, which is its own if they are bytes and there are 2^16 slots. Another tuple
    that is there moves out to ``merged``.

    Args:
        values: (a, n), a at least 2. slots: (2^s, a + 1), tuples and how often each was asked for, zero at first. merged: (n, a + 1).

    Returns:
        How many rows of ``merged`` were written.
    """
    arity, written, mask = values.shape[0], 0, np.uint64(slots.shape[0] - 1)
    for row in range(values.shape[1]):
        if counts[row] == ZERO:
            continue
        slot = values[0, row] + (values[1, row] << BYTE)
        slot = (slot ^ slot >> WORD) & mask
        same = True
        for k in range(arity):
            same = same and slots[slot, k] == values[k, row]
        if not same:
            if slots[slot, arity] != ZERO:
                for k in range(arity + 1):
                    merged[written, k] = slots[slot, k]
                written += 1
            for k in range(arity):
                slots[slot, k] = values[k, row]
            slots[slot, arity] = ZERO
        slots[slot, arity] += ONE
    return written
