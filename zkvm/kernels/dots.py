"""Sums of many columns times extension factors."""

from __future__ import annotations

from zkvm.kernels.source.dots import BLOCK, accumulate_rows, dot_columns

__all__ = ["BLOCK", "accumulate_rows", "dot_columns"]
