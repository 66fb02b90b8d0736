"""Vanishing-polynomial divisions of the quotient."""

from __future__ import annotations

from zkvm.kernels.source.combine import combine_groups

__all__ = ["combine_groups"]
