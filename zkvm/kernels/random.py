"""Uniform field elements."""

from __future__ import annotations

from zkvm.kernels.source.random import GROUP_ELEMENTS, fill_random

__all__ = ["GROUP_ELEMENTS", "fill_random"]
