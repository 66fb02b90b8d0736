"""Fills rows of instruction chips with the kernel. Numpy twin: :func:`zkvm.tables.fill_rows`."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from zkvm.chips.common import InstructionChip
from zkvm.chips.recorded import fill_code
from zkvm.kernels.fills import BLOCK
from zkvm.kernels.fills import fill_rows as run
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
    records = (array.view(np.uint64).reshape(len(array), -1) for array in (execution.steps, execution.image.program))
    registers = scratch("fill registers", len(recorded.code) * BLOCK)
    run(recorded.code, recorded.constants, *records, positions, flat, stride, registers)
