"""Runs a tape over blocks of rows (definition: ``source/tape_runner.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

BLOCK = 256
"""Rows per block: a register is 2 KiB, the registers of a chip stay in L2, and decoding a step costs little beside it."""
GROUPS = 3
"""Accumulators of an accumulating tape: active, start and terminal constraints."""
SUMS = 6
"""Unreduced sums of an accumulator: two for each coordinate."""
CUT = 6
"""Vectors of a factor cut for products with vectors of cells."""
MAX_TERMS = 455
"""Terms that a sum can take: a cell's pieces times 32 bits add up to less than 2.25 2^54."""

cut_words = kernel("tape_runner.cut_words")
run_tape = kernel("tape_runner.run_tape")
