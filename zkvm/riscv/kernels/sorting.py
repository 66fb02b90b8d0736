"""Sorting steps by operation (definition: ``source/sorting.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

sort_steps = kernel("sorting.sort_steps")
