"""Filling the rows of instruction chips."""

from __future__ import annotations

from zkvm.kernels.source.fills import BLOCK, fill_rows

__all__ = ["BLOCK", "fill_rows"]
