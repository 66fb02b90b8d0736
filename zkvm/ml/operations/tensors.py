"""What tensor calls compute: layers, and the ways from RAM into a tensor and back. See ``docs/tensors.md``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import PRIVATE_TENSOR, CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.layout import LANES, OFFSET, Layout
from zkvm.ml.value import Value

SHIFT = 32
"""A layer's scaled sums are divided by 2 to this power."""
BIAS_UNIT = 1 << 29
"""Times what a step of a private bias counts it is the layer's limit."""
TILE = 2 * LANES
"""Positions and channels of a tile, which has a row of products for each tap."""
CELLS = 40
"""Cells of an instruction: in what follows a call's cells are counted in instructions."""
TILE_CELLS, TAP_CELLS, VECTOR_CELLS, CONSTANT_CELLS, CALL_CELLS = 55, 55, 144, 11, 400
"""Of a tile, a tap of it, a vector of a result, a constant vector, and a call with its instructions."""
FOUR, WIDE_LEAST, WIDE_CELLS = 4 * LANES, 1 << 14, 104
"""Positions and channels of four tiles that are proven together, taps of them that a layer must have for that, and cells of such a tap."""


def layer_cost(layout: Layout, taps: int) -> int:
    """Instructions that cost what a layer does whose result has this layout."""
    halves = -(-layout.channels // LANES)
    tiles = -(-layout.blocks // 2) * -(-layout.channels // TILE)
    fours = (LANES * layout.blocks // FOUR) * (layout.channels // FOUR)
    saved = fours * taps * (4 * TAP_CELLS - WIDE_CELLS) if fours * taps >= WIDE_LEAST else 0
    cells = tiles * (TILE_CELLS + taps * TAP_CELLS) + layout.vectors * VECTOR_CELLS + halves * taps * CONSTANT_CELLS + CALL_CELLS
    return (cells - saved) // CELLS


def moving_cost(size: int) -> int:
    """The same of moving so many elements between a tensor and RAM, a gather that puts them in order included."""
    return 3 * size + CALL_CELLS // CELLS


def private_channels(bias: IntArray, multipliers: IntArray, limit: int) -> IntArray:
    """The vectors of private channels: bias in lanes 0 and 1, multiplier in lane 2.

    Args:
        bias: (channels,), multiples of 2^29 / limit.
        multipliers: (channels,), multiples of limit / 2^15.
        limit: of the layer.
    """
    lanes = np.zeros((len(bias), LANES), np.int64)
    steps = bias // (BIAS_UNIT // limit)
    lanes[:, 1] = (steps + OFFSET) >> 16
    lanes[:, 0] = steps - (lanes[:, 1] << 16)
    lanes[:, 2] = multipliers // (limit // OFFSET)
    return lanes


def layout_of(value: Value) -> Layout:
    """The layout of a value that a tensor holds."""
    assert value.layout is not None
    return value.layout


@dataclass(eq=False)
class RescalingCall(Operation):
    """A call whose results are sums, rescaled and cut to the output's limits. The machine counts what it cuts.

    Attributes:
        watched: whether a result below the limits, or above them, is a saturated one: limits that follow from data are watched, those that
            the model sets, as a Relu does, are not.
    """

    watched: tuple[bool, bool] = field(default=(False, False), kw_only=True)

    @abstractmethod
    def uncut(self, *inputs: IntArray) -> IntArray:
        """The output's integers before they are cut, of its shape."""

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return np.clip(self.uncut(*inputs), *self.output.limits)

    @property
    def bounds(self) -> str:
        """The bounds of the call, of what the output's tensor holds."""
        low, high = (limit - self.output.origin for limit in self.output.limits)
        return f".bounds = ZKVM_BOUNDS({low}, {high})"

    def saturated(self, inputs: Sequence[IntArray], result: IntArray) -> int:
        """See :class:`Operation`."""
        if not any(watched and (result == limit).any() for watched, limit in zip(self.watched, self.output.limits, strict=True)):
            return 0
        numbers, (low, high) = self.uncut(*inputs), self.output.limits
        return int(self.watched[0] * np.count_nonzero(numbers < low) + self.watched[1] * np.count_nonzero(numbers > high))

    def emit_watch(self, code: CodeWriter) -> None:
        """Append what remembers that the call cut results that are watched."""
        counts = [f"zkvm_tensor_cuts.{side}" for side, watched in zip(("below", "above"), self.watched, strict=True) if watched]
        if counts and code.goes_on:  # nobody may count by its steps in which layers values saturated
            code.line(f"saturated |= ({' | '.join(counts)}) != 0;")
        elif counts:
            code.lines += [f"    watch_count({count});" for count in counts]


@dataclass(eq=False)
class TensorLinear(RescalingCall):
    """y[c, p] = floor(((sum over taps of x[k, p] w[k, c] + bias[c]) multiplier[c] + 2^31) / 2^32), cut to the output's limits.

    ``x`` are the elements of the tensor: the integers of the value less its origin.

    Attributes:
        weights: (channels, taps), int16.
        bias: (channels,) below 2^48. multipliers: (channels,) from 1 to 2^31 - 1; taps times the largest is at most 2^32.
        limit: of a layer whose weights and channels are private: the multipliers count limit / 2^15, the biases 2^29 / limit. 0: of others.
        small: whether private weights are bytes, 2^8 times.
    """

    weights: IntArray
    bias: IntArray
    multipliers: IntArray
    limit: int = 0
    small: bool = False

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return self.weights.size * layout_of(self.output).positions

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return layer_cost(layout_of(self.output), self.weights.shape[1])

    def uncut(self, *inputs: IntArray) -> IntArray:
        """See :class:`RescalingCall`; the float64 product is exact, because sums stay below 2^53."""
        x = layout_of(self.inputs[0]).matrix(inputs[0].reshape(-1) - self.inputs[0].origin)
        sums = (x.astype(np.float64) @ self.weights.T.astype(np.float64)).astype(np.int64)
        scaled = ((sums + self.bias) * self.multipliers + (1 << (SHIFT - 1))) >> SHIFT
        return layout_of(self.output).flat(scaled).reshape(self.output.shape) + self.output.origin

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        channels, taps = self.weights.shape
        blocks = -(-channels // LANES)
        vectors = np.zeros((blocks * LANES, taps), np.int64)
        vectors[:channels] = self.weights
        lanes = vectors.reshape(blocks, LANES, taps).swapaxes(1, 2).reshape(-1, LANES)
        shape = f".blocks = {layout_of(self.output).blocks}, .channels = {channels}, .taps = {taps}, .x_stride = {taps}, .w_stride = {taps}"
        shape += f", {self.bounds}"
        source, target = code.tensor(self.inputs[0]), code.tensor(self.output)
        if self.limit:
            listed = code.private_vectors(private_channels(self.bias, self.multipliers, self.limit))
            where = f".w = {code.private_vectors(lanes, small=self.small)}, .channel_list = {listed}, .limit = {self.limit}"
            layer = code.descriptor("scaled_linear", f"{shape}, {where}")
            code.line(f"{target} = zkvm_tensor_scaled_linear(&{layer}, {source}, {PRIVATE_TENSOR});")
            self.emit_watch(code)
            return
        where = f".w = ZKVM_AT({code.vectors(lanes)}), .channel_list = ZKVM_AT({code.channels(self.bias, self.multipliers)})"
        layer = code.descriptor("linear", f"{shape}, {where}")
        code.line(f"{target} = zkvm_tensor_linear(&{layer}, {source}, ZKVM_CONSTANT_VECTORS);")
        self.emit_watch(code)


@dataclass(eq=False)
class TensorLoad(Operation):
    """A tensor of words in RAM, which lie as the machine takes them: all lanes of every vector, or of a single position the first."""

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return self.inputs[0].size + CALL_CELLS // CELLS

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return inputs[0].reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout = layout_of(self.output)
        load = code.descriptor("load", f".vectors = {layout.vectors}, .words = {layout.words}")
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_load(&{load}, {code.pointer(self.inputs[0])});")


@dataclass(eq=False)
class TensorExport(Operation):
    """The elements of a tensor in RAM, whose words lie there as the elements of the value do."""

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return self.output.size + CALL_CELLS // CELLS

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return inputs[0].reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout = layout_of(self.inputs[0])
        export = code.descriptor("export", f".vectors = {layout.vectors}, .words = {layout.words}, .x_stride = 1")
        code.line(f"zkvm_tensor_export(&{export}, {code.tensor(self.inputs[0])}, {code.pointer(self.output)});")
