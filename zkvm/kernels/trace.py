"""Filling tables."""

from __future__ import annotations

from zkvm.kernels.source.trace import count_values

__all__ = ["count_values"]
