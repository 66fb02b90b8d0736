"""The interpreter: runs simplified instructions until something needs the host, and records every step.

Its readable twin is ``zkvm/riscv/vm/reference.py``; a test runs both and compares all records. The caller prepares the arrays
(``zkvm/riscv/vm/state.py`` describes them) and handles the status that :func:`run` returns. Definition: ``source/interpreter.py``.
"""

from __future__ import annotations

import numpy as np

from zkvm.stark.kernels.library import kernel

run = kernel("interpreter.run")

COMPUTE, LOAD, STORE, BRANCH, JUMP, JUMP_REGISTER, CALL, STOP = 0, 1, 2, 3, 4, 5, 6, 7
"""Kinds of instructions."""

DECODED = np.dtype(
    [
        ("op", np.uint8),  # operation; immediate forms carry the operation of their register form
        ("kind", np.uint8),
        ("rd", np.uint8),  # register index; NO_REGISTER if none is written
        ("rs1", np.uint8),  # register index; 0 if unused: x0 reads as zero
        ("rs2", np.uint8),
        ("reads", np.uint8),  # bit 0: rs1 is an access; bit 1: rs2 is
        ("imm", np.uint32),  # branches and jal: target pc
        ("pc", np.uint32),
        ("next", np.int32),  # row of pc + 4, -1 if there is none
        ("target", np.int32),  # row of the target of a branch or jal, -1 if there is none
    ],
    align=True,
)
"""A program row as the interpreter reads it. jal and jalr write pc + 4."""

NO_REGISTER = 37
"""Index of a scratch register that instructions without rd write, so that the write needs no branch."""

CALLED, STOPPED, NO_INSTRUCTION, MISALIGNED, OUTSIDE_MEMORY, READ_ONLY, NEED_PAGE, BUFFER_FULL, LIMIT = 1, 2, 3, 4, 5, 6, 7, 8, 9
"""Why :func:`run` returned. The instruction at ROW is then not executed (NO_INSTRUCTION: it is, but its successor is not there)."""

ROW, TIME, CYCLES, STEPS, REFRESHES, FAULT = 0, 1, 2, 3, 4, 5
"""Positions in the counters array: row of the next instruction, its state time, executed instructions, filled records, and the
address that a fault is about."""
