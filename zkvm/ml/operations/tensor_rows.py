"""Numbers that calls need for each row of a tensor, and that instructions compute: reciprocals of sums and of deviations."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.layout import LANES, Layout
from zkvm.ml.operations.tensor_combining import PART_BITS
from zkvm.ml.operations.tensors import SHIFT, layer_cost, layout_of

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


SQUARE_BITS = 4
"""How many bits a range of squares is wider than the one before."""
FRACTION_BITS = 16
"""Of a sum of squares before its root, which has 8 then."""
ROOT_INSTRUCTIONS = 100
"""Of a row's root and its reciprocal."""


@dataclass(eq=False)
class RowDeviations(Operation):
    """Of each position, 2^bits over the root of its channels' sum of squares over 2^halvings, plus epsilon; as its last 15 bits and those
    before. The position's sum comes in several ranges, each 16 times as wide as the one before, and the first that is not cut counts.

    A layer of a block of positions with itself has all products of two positions; on its diagonal are the squares.

    Attributes:
        bits: from 23 to 38. halvings: such that 2^halvings is at least the number of channels, and at least 1.
        epsilon: in units of 2^-16 of those of the first range, from 1 to below 2^31, so that no root is of 0.
        skipped: ranges that are not asked, in a private model: the units of epsilon are those of the range behind them.
        ranges: how many. first: the first one's unit is 16^first, below which all sums are little beside epsilon.
    """

    bits: int
    halvings: int
    epsilon: int
    ranges: int
    first: int = 0
    skipped: int = 0

    @property
    def least(self) -> int:
        """The least root, whose reciprocal has 30 bits; what is less is taken for it."""
        return (1 << max(0, self.bits + FRACTION_BITS // 2 - 2 * PART_BITS)) + 1

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        layout = layout_of(self.inputs[0])
        block = layer_cost(Layout(LANES * self.ranges, 1), layout.channels) + LANES * LANES * self.ranges
        return layout.blocks * block + layout.positions * (ROOT_INSTRUCTIONS + 8 * self.ranges)

    def _multipliers(self) -> IntArray:
        multipliers: IntArray = (1 << (SHIFT - self.halvings)) >> (SQUARE_BITS * (self.first + np.arange(self.ranges, dtype=np.int64)))
        return multipliers

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x = layout_of(self.inputs[0]).matrix(inputs[0].reshape(-1))
        sums = (((x * x).sum(axis=1)[:, None] * self._multipliers()) + (1 << (SHIFT - 1))) >> SHIFT
        rows = np.minimum(sums, FULL)
        uncut = np.concatenate([rows[:, :-1] < FULL, np.ones((len(rows), 1), np.bool_)], axis=1)
        places = np.argmax(uncut & (np.arange(self.ranges) >= self.skipped), axis=1)
        squares = np.take_along_axis(rows, places[:, None], axis=1)[:, 0] << FRACTION_BITS
        squares += self.epsilon >> (SQUARE_BITS * (places - self.skipped))
        roots = np.maximum([isqrt(int(square)) for square in squares], self.least)
        numbers = ((1 << (self.bits + FRACTION_BITS // 2)) // roots) >> (SQUARE_BITS // 2 * (self.first + places))
        return np.stack([numbers & FULL, numbers >> PART_BITS], axis=1).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout, channels = layout_of(self.inputs[0]), LANES * self.ranges
        scales = code.channels(np.zeros(channels, np.int64), np.repeat(self._multipliers(), LANES))
        export = code.descriptor("export", f".vectors = {channels}, .words = {LANES}, .x_stride = 1")
        code.line(f"static int32_t squares[{channels * LANES}];")
        source, target = code.tensor(self.inputs[0]), code.pointer(self.output)
        epsilon = f"((uint32_t){code.number(self.epsilon)} | 1)" if code.private_weights else f"{self.epsilon}u"
        skipped = code.number(self.skipped)
        for block in range(layout.blocks):
            start, rows = 2 * LANES * block * layout.channels, min(LANES, layout.positions - LANES * block)
            layer = code.descriptor(
                "linear",
                f".blocks = 1, .channels = {channels}, .taps = {layout.channels}, .x = {start}, .x_stride = 0, .w = {start}, "
                f".w_stride = 0, .channel_list = ZKVM_AT({scales}), .bounds = ZKVM_BOUNDS(0, {FULL})",
            )
            code.line(f"zkvm_tensor_export(&{export}, zkvm_tensor_linear(&{layer}, {source}, {source}), squares);")
            numbers = f"{rows}, {self.ranges}, {self.first}, {self.bits}, {epsilon}, {self.least}u, {skipped}"
            code.line(f"row_deviations(squares, {target} + {2 * LANES * block}, {numbers});")
