"""Counting how often tuples are looked up (definition: ``source/counting.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

count_values = kernel("counting.count_values")
merge_tuples = kernel("counting.merge_tuples")
