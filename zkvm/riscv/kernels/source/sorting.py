"""Sorting steps by operation. Numpy twin: :func:`zkvm.riscv.records.sort_steps`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import from_dtype, int64, uint8, void

from zkvm.riscv.records import STEP
from zkvm.stark.kernels.source.entry import entry, readonly


@entry(void(readonly(from_dtype(STEP)), readonly(uint8), uint8[::1], int64[::1], int64[::1], int64[::1]))
def sort_steps(steps: Any, keys: Any, own: Any, counts: Any, places: Any, order: Any) -> None:
    """Sort steps by the key of their program row, plus 1 if they load from ROM.

    Args:
        steps: (n,) STEP, whose ``rom`` is 0 or 1.
        keys: (rows,) of the program rows, even.
        own: (n,) work space.
        counts: (256,), zero at first, then how many steps have each key.
        places: (256,) work space.
        order: (n,), written: the sorted steps' positions.
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
