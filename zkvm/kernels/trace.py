"""Filling tables: counting lookups (definition: ``source/trace.py``)."""

from __future__ import annotations

from zkvm.kernels.library import kernel

count_values = kernel("trace.count_values")
