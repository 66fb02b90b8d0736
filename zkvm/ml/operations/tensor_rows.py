"""Numbers that calls need for each row of a tensor, and that instructions compute: reciprocals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.operations.tensor_combining import PART_BITS

FULL = (1 << 15) - 1
"""A sum that may have been cut."""
RANGE_BITS = 2
"""How many bits a range of sums is wider than the one before."""
RECIPROCAL_BITS = 43
"""Of a dividend, so that the reciprocal of 2^13 has 30 bits."""
ROW_INSTRUCTIONS = 40
"""Of a reciprocal, and less than this for each range."""


@dataclass(eq=False)
class RowReciprocals(Operation):
    """Of each row's sum in several ranges, each four times as wide as the one before, the reciprocal of the first that is not cut:
    floor(floor(2^43 / sum) / 4^range), as its last 15 bits and those before.

    Sums are at least 2^13 in this range, because the one before is cut, or all sums are.
    """

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return ROW_INSTRUCTIONS * self.output.shape[0] + 8 * self.inputs[0].size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(self.inputs[0].shape)
        places = np.argmax(np.concatenate([rows[:, :-1] < FULL, np.ones((len(rows), 1), np.bool_)], axis=1), axis=1)
        sums = np.take_along_axis(rows, places[:, None], axis=1)[:, 0]
        numbers = ((1 << RECIPROCAL_BITS) // sums) >> (RANGE_BITS * places)
        return np.stack([numbers & FULL, numbers >> PART_BITS], axis=1).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        rows, ranges = self.inputs[0].shape
        code.line(f"row_reciprocals({code.pointer(self.inputs[0])}, {code.pointer(self.output)}, {rows}, {ranges});")
