"""Sorting steps, counting how often tuples are looked up (definition: ``source/trace.py``)."""

from __future__ import annotations

from zkvm.kernels.library import kernel

count_values = kernel("trace.count_values")
merge_tuples = kernel("trace.merge_tuples")
sort_steps = kernel("trace.sort_steps")
