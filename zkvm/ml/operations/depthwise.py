"""Convolutions of single channels as tensor calls: sums over windows. See ``docs/tensors.md``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import PRIVATE_TENSOR, CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.layout import LANES, Layout
from zkvm.ml.operations.tensors import CALL_CELLS, CELLS, CONSTANT_CELLS, SHIFT, VECTOR_CELLS, layout_of, private_channels

WINDOW_ROWS, WINDOW_TAPS = 3, 5
"""Rows of a window, and elements that it reads of each for one result."""
WINDOW_PRODUCTS = WINDOW_ROWS * WINDOW_TAPS
WINDOW_VECTORS = 2
"""Vectors of its weights."""
PAIR_BLOCKS = 2
"""Blocks that are made together."""
WINDOW_CELLS = 161
"""Of a window of a channel for two blocks."""


def windows_cost(layout: Layout, windows: int) -> int:
    """Instructions that cost what so many windows of each channel do, whose results have this layout."""
    cells = layout.vectors // PAIR_BLOCKS * windows * WINDOW_CELLS + layout.vectors * VECTOR_CELLS + CALL_CELLS
    return (cells + layout.channels * windows * WINDOW_VECTORS * CONSTANT_CELLS) // CELLS


@dataclass(frozen=True, slots=True)
class Windows:
    """Which parts of a tensor the windows of a channel read, in blocks of positions.

    Attributes:
        count: of the windows.
        step: from one window to the next.
        second, third: from a window's first row to its second, and to its third.
    """

    count: int
    step: int
    second: int
    third: int

    def starts(self) -> list[tuple[int, int]]:
        """For each tap of each window: its first element, of the first block, and the place of its weight."""
        return [
            ((window * self.step + row) * LANES + tap, (window * WINDOW_ROWS + number) * WINDOW_TAPS + tap)
            for window in range(self.count)
            for number, row in enumerate((0, self.second, self.third))
            for tap in range(WINDOW_TAPS)
        ]


@dataclass(eq=False)
class TensorDepthwise(Operation):
    """y[c, p] = floor(((sum over taps of x[c, p + start] w[c, place] + bias[c]) multiplier[c] + 2^31) / 2^32), cut to the output's limits.

    Attributes:
        weights: (channels, 15 windows), int16.
        bias, multipliers, limit, small: as of a layer; 15 windows times the largest multiplier is at most 2^32.
        windows: which elements they meet.
        products: of one channel at one position that are not with zeros by construction.
    """

    weights: IntArray
    bias: IntArray
    multipliers: IntArray
    windows: Windows
    products: int
    limit: int = 0
    small: bool = False

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return self.products * self.output.size

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return windows_cost(layout_of(self.output), self.windows.count)

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x, layout = layout_of(self.inputs[0]).matrix(inputs[0].reshape(-1) - self.inputs[0].origin), layout_of(self.output)
        sums = np.zeros((layout.positions, layout.channels), np.int64)
        for start, place in self.windows.starts():
            weights = self.weights[:, place]
            if weights.any():
                sums += x[start : start + layout.positions] * weights
        scaled = ((sums + self.bias) * self.multipliers + (1 << (SHIFT - 1))) >> SHIFT
        return np.clip(layout.flat(scaled) + self.output.origin, *self.output.limits).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        channels, own = len(self.weights), self.windows
        lanes = np.zeros((channels * own.count, WINDOW_VECTORS * LANES), np.int64)
        lanes[:, :WINDOW_PRODUCTS] = self.weights.reshape(-1, WINDOW_PRODUCTS)
        lanes = lanes.reshape(-1, LANES)
        low, high = (limit - self.output.origin for limit in self.output.limits)
        begin = f".blocks = {layout_of(self.output).blocks}, .channels = {channels}, .windows = {own.count}, "
        begin += f".window_stride = {own.step * channels}, .w = "
        middle, end = f", .second_row = {own.second * channels}, .channel_list = ", f", .bounds = ZKVM_BOUNDS({low}, {high})"
        third = f", .third_row = {own.third * channels}"
        source, target = code.tensor(self.inputs[0]), code.tensor(self.output)
        if self.limit:
            listed = code.private_vectors(private_channels(self.bias, self.multipliers, self.limit))
            fields = f"{begin}{code.private_vectors(lanes, small=self.small)}{middle}{listed}{end}, .limit = {self.limit}{third}"
            call, weights = code.descriptor("depthwise", fields, "scaled_depthwise"), PRIVATE_TENSOR
        else:
            listed = code.channels(self.bias, self.multipliers)
            fields = f"{begin}ZKVM_AT({code.vectors(lanes)}){middle}ZKVM_AT({listed}){end}{third}"
            call, weights = code.descriptor("depthwise", fields), "ZKVM_CONSTANT_VECTORS"
        code.line(f"{target} = zkvm_tensor_depthwise(&{call}, {source}, {weights});")
