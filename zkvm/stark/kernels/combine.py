"""Vanishing-polynomial divisions of the quotient (definition: ``source/combine.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

combine_groups = kernel("combine.combine_groups")
