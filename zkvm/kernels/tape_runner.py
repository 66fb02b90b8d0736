"""Runs a tape over blocks of rows (definition: ``source/tape_runner.py``)."""

from __future__ import annotations

from zkvm.kernels.library import kernel

BLOCK = 256
"""Rows per block: a register is 2 KiB, the registers of a chip stay in L2, and decoding a step costs little beside it."""
GROUPS = 3
"""Accumulators of an accumulating tape: active, start and terminal constraints."""
SUMS = 9
"""Unreduced sums of an accumulator: three for each coordinate."""
MAX_TERMS = 512
"""Constraints that one accumulator can take before a sum could overflow (:data:`zkvm.kernels.source.dots.TERMS`)."""

run_tape = kernel("tape_runner.run_tape")
