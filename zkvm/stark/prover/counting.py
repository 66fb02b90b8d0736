"""Counting look-ups with kernels. Numpy twins of the same names: :mod:`zkvm.stark.multiplicities`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.kernels import counting
from zkvm.stark.kernels.counting import count_values
from zkvm.stark.kernels.scratch import scratch

__all__ = ["count_values", "merge_tuples"]


def merge_tuples(values: NDArray[np.uint64], counts: NDArray[np.uint64], slots: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """See :func:`zkvm.stark.multiplicities.merge_tuples`. The result is valid until this thread's next call."""
    merged = scratch("merged tuples", (values.shape[1], len(values) + 1))
    return merged[: counting.merge_tuples(values, counts, slots, merged)]
