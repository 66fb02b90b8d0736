"""How often vectors and channels are read, from the records: millions of look-ups of ten values need not be merged to know it.

What these counts say wrongly, no proof survives: buses would not balance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.tensor.lanes import calls_of
from zkvm.riscv.isa.tensors import EXPORT, LINEAR, MAKERS, ROW_BYTES
from zkvm.riscv.records import Execution

Counts = NDArray[np.int64]
TILE_BLOCKS, TILE_HALVES = 2, 2
"""A tile reads up to two blocks of positions and twice eight channels."""


def vector_uses(execution: Execution) -> dict[int, Counts]:
    """Of each tensor, by id, how often each of its vectors is read."""
    constants = execution.image.tensors
    uses = {call.id: np.zeros(len(call.vectors), np.int64) for call in calls_of(execution, *MAKERS)}
    uses[0] = np.zeros(0 if constants is None else len(constants.vectors), np.int64)

    def read(handle: int, start: int, outer: int, stride: int, inner: int, times: int) -> None:
        first = start // ROW_BYTES - (constants.first_vector if handle == 0 and constants is not None else 0)
        index = first + stride * np.arange(outer)[:, None] + np.arange(inner)
        np.add.at(uses[handle], index, times)

    for call in calls_of(execution, LINEAR, EXPORT):
        d, first, second = call.descriptor, *operands(execution, call.ecall)
        if d.operation == EXPORT:
            read(first, d.x, d.blocks, d.x_stride, 1, 1)
        elif d.blocks:
            read(first, d.x, d.blocks, d.x_stride, d.taps, -(-d.halves // TILE_HALVES))
            read(second, d.w, d.halves, d.w_stride, d.taps, -(-d.blocks // TILE_BLOCKS))
    return uses


def channel_uses(execution: Execution) -> Counts:
    """How often each channel of the image is read: once for each block that it rescales."""
    constants = execution.image.tensors
    uses = np.zeros(0 if constants is None else len(constants.channels), np.int64)
    for call in calls_of(execution, LINEAR):
        d = call.descriptor
        if constants is not None and d.blocks:
            first = d.channel_list // ROW_BYTES - constants.first_channel
            uses[first : first + d.channels] += d.blocks
    return uses


def operands(execution: Execution, ecall: int) -> tuple[int, int]:
    """What a1 and a2 held."""
    record = execution.ecalls[ecall]
    return int(record["a1"]), int(record["a2"])
