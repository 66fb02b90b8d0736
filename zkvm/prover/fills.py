"""Filling and counting with kernels. Numpy twins of the same names: :mod:`zkvm.tables`."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from zkvm.chips.common import InstructionChip
from zkvm.chips.recorded import fill_code
from zkvm.kernels import fills, trace
from zkvm.prover.scratch import scratch
from zkvm.records import Execution


def fill_rows(chip: InstructionChip, execution: Execution, positions: NDArray[np.int64], out: NDArray[np.uint64]) -> None:
    """Write the chip's rows of these steps.

    Args:
        out: (columns, len(positions)), a view of consecutive rows of a contiguous trace.
    """
    if not len(positions):
        return
    recorded = fill_code(chip)
    stride = out.strides[0] // out.itemsize
    flat = as_strided(out, ((out.shape[0] - 1) * stride + out.shape[1],), (out.itemsize,))
    steps, program = (array.view(np.uint64).reshape(len(array), -1) for array in (execution.steps, execution.image.program))
    registers = scratch("fill registers", len(recorded.code) * fills.BLOCK)
    fills.fill_rows(recorded.code, recorded.constants, steps, program, positions, flat, stride, registers)


def merge_tuples(values: NDArray[np.uint64], counts: NDArray[np.uint64], slots: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """See :func:`zkvm.tables.merge_tuples`. The result is valid until this thread's next call."""
    merged = scratch("merged tuples", (values.shape[1], len(values) + 1))
    return merged[: trace.merge_tuples(values, counts, slots, merged)]
