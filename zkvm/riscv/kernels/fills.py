"""Filling the rows of instruction chips (definition: ``source/fills.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

BLOCK = 256
"""Rows at a time: a value of a block is 2 KiB, and those of a chip stay in L2."""

fill_rows = kernel("fills.fill_rows")
