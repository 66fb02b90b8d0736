"""Poseidon2 as a sponge (definition: ``source/sponge.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

absorb = kernel("sponge.absorb")
