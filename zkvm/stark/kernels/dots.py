"""Sums of many base-field columns times extension factors (definition: ``source/dots.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel
from zkvm.stark.kernels.width import WORD_LANES

BLOCK = 64 * WORD_LANES
"""Rows per block of :func:`accumulate_rows`: the nine sums of one block are 36 KiB and stay in the first-level cache."""
DOT_WORDS = 9 * WORD_LANES
"""Scratch words of :func:`dot_columns` for every column."""

accumulate_rows = kernel("dots.accumulate_rows")
dot_columns = kernel("dots.dot_columns")
