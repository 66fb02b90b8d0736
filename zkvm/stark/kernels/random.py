"""Uniform field elements from the BLAKE3 keystream (definition: ``source/random.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

BLOCK_ELEMENTS = 8
"""Words of one 64-byte output block."""
GROUP_BLOCKS = 16
GROUP_ELEMENTS = BLOCK_ELEMENTS * GROUP_BLOCKS
"""Elements of a group: ranges filled separately start at multiples of it."""

fill_random = kernel("random.fill_random")
