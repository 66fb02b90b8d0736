"""Search for a proof of work."""

from __future__ import annotations

from zkvm.kernels.source.blake3 import grind

__all__ = ["grind"]
