"""Runs tapes."""

from __future__ import annotations

from zkvm.kernels.source.tape_runner import BLOCK, GROUPS, MAX_TERMS, SUMS, run_tape

__all__ = ["BLOCK", "GROUPS", "MAX_TERMS", "SUMS", "run_tape"]
