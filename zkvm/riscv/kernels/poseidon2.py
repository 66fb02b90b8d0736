"""Poseidon2 permutations with all that a row holds, and as a sponge (definition: ``source/poseidon2.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

permute = kernel("poseidon2.permute")
absorb = kernel("poseidon2.absorb")
