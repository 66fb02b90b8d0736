"""Counting how often each tuple is looked up. Numpy twins of the same names: :mod:`zkvm.stark.multiplicities`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, int64, uint64

from zkvm.stark.kernels.source.entry import entry, readonly

WORDS = uint64[::1]
ZERO, ONE = np.uint64(0), np.uint64(1)
BYTE, WORD = np.uint64(8), np.uint64(16)


@entry(int64(readonly(uint64), readonly(uint64), readonly(boolean), WORDS))
def count_values(values: Any, counts: Any, known: Any, histogram: Any) -> Any:
    """histogram[v] += 1 for the value v of every row whose count is not zero; nothing is added if one of these values is unknown.

    Args:
        values: (k,) uint64.
        counts: (k,) uint64.
        known: (m,) bool, which values there are.
        histogram: (m,) uint64.

    Returns:
        The first row with an unknown value, or -1.
    """
    limit = np.uint64(len(known))
    for row in range(len(values)):
        if counts[row] != ZERO and (values[row] >= limit or not known[values[row]]):
            return row
    for row in range(len(values)):
        if counts[row] != ZERO:
            histogram[values[row]] += ONE
    return -1


@entry(int64(readonly(uint64, 2), readonly(uint64), uint64[:, ::1], uint64[:, ::1]))
def merge_tuples(values: Any, counts: Any, slots: Any, merged: Any) -> Any:
    """Add the tuples of the rows whose count is not zero to those in the slots.

    Each tuple has one slot, given by its first two values, which is its own if they are bytes and there are 2^16 slots. If another tuple
    stands there, that one moves out to ``merged``.

    Args:
        values: (a, n) uint64, a at least 2: a tuple a row.
        counts: (n,) uint64.
        slots: (2^s, a + 1) uint64, tuples and how often each was asked for, zero at first.
        merged: (n, a + 1) uint64, takes the tuples that move out, with how often each was asked for.

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
