"""Filling tables: counting how often each value is looked up. Numpy twin: :func:`zkvm.tables.count_values`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, int64, uint64

from zkvm.kernels.source.entry import entry, readonly

WORDS = uint64[::1]


@entry(int64(readonly(uint64), readonly(uint64), readonly(boolean), WORDS))
def count_values(values: Any, counts: Any, known: Any, histogram: Any) -> Any:
    """histogram[v] += 1 for the value of every row whose count is not zero; the first row with an unknown value ends it, else -1."""
    limit = np.uint64(len(known))
    for row in range(len(values)):
        if counts[row] != np.uint64(0):
            value = values[row]
            if value >= limit or not known[value]:
                return row
            histogram[value] += np.uint64(1)
    return -1
