"""The search for a proof of work (definition: ``source/blake3.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

grind = kernel("blake3.grind")
