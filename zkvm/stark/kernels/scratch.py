"""Work arrays that a thread keeps: fresh pages from the operating system cost more than the arithmetic on them."""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.arrays: dict[str, U64] = {}


_scratch = _Scratch()


def scratch(name: str, shape: int | tuple[int, ...]) -> U64:
    """An uninitialised contiguous array of this thread, valid until the same thread asks for the same name again."""
    size = shape if isinstance(shape, int) else math.prod(shape)
    array = _scratch.arrays.get(name)
    if array is None or array.size < size:
        array = np.empty(size, np.uint64)
        _scratch.arrays[name] = array
    return array[:size].reshape(shape)
