"""Filling the rows of instruction chips with a kernel. Numpy twin of the same name: :func:`zkvm.stark.tables.fill_rows`."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from zkvm.riscv.chips.recorded import fill_code
from zkvm.riscv.chips.steps import StepChip
from zkvm.riscv.kernels import fills
from zkvm.riscv.records import Execution
from zkvm.stark import tables
from zkvm.stark.air.chip import Chip
from zkvm.stark.kernels.scratch import scratch


def fill_rows(chip: Chip, execution: Execution, positions: NDArray[np.int64], out: NDArray[np.uint64]) -> None:
    """Write the chip's rows that come from these positions: an instruction chip's by its recorded code, another's by its own.

    Args:
        chip: whose rows they are.
        execution: where they come from.
        positions: (rows,) int64 as ``chip.positions(execution)`` gives them: of an instruction chip, positions in ``execution.steps``.
        out: (columns, len(positions)), a view of consecutive rows of a contiguous trace.
    """
    if not isinstance(chip, StepChip):
        tables.fill_rows(chip, execution, positions, out)
    if not isinstance(chip, StepChip) or not len(positions):
        return
    recorded = fill_code(chip)
    stride = out.strides[0] // out.itemsize
    flat = as_strided(out, ((out.shape[0] - 1) * stride + out.shape[1],), (out.itemsize,))
    steps, program = (array.view(np.uint64).reshape(len(array), -1) for array in (execution.steps, execution.image.program))
    registers = scratch("fill registers", len(recorded.code) * fills.BLOCK)
    fills.fill_rows(recorded.code, recorded.constants, steps, program, positions, flat, stride, registers)
