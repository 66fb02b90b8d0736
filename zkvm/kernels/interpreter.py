# ruff: noqa: F401
"""The interpreter."""

from __future__ import annotations

from zkvm.kernels.source.interpreter import (
    BRANCH,
    BUFFER_FULL,
    CALL,
    CALLED,
    COMPUTE,
    CYCLES,
    DECODED,
    FAULT,
    JUMP,
    JUMP_REGISTER,
    LIMIT,
    LOAD,
    MISALIGNED,
    NEED_PAGE,
    NO_INSTRUCTION,
    NO_REGISTER,
    OUTSIDE_MEMORY,
    READ_ONLY,
    REFRESHES,
    ROW,
    STEPS,
    STOP,
    STOPPED,
    STORE,
    TIME,
    compute,
    loaded,
    run,
    stored,
    taken,
)
