"""Tensor calls that compute element by element: weighted sums of two tensors, masks, products. See ``docs/tensors.md``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.layout import LANES
from zkvm.ml.operations.tensors import CALL_CELLS, CELLS, CONSTANT_CELLS, SHIFT, VECTOR_CELLS, RescalingCall, layout_of
from zkvm.ml.value import Value

COMBINE_CELLS = 86
"""Of a vector of products, without those of its rescaling."""
PART_BITS = 15
"""Of the first of two numbers that are one of 30 bits."""


def combining_cost(vectors: int, constants: int = 0) -> int:
    """Instructions that cost what so many vectors do, some of which read constant vectors."""
    return (vectors * (COMBINE_CELLS + VECTOR_CELLS) + constants * CONSTANT_CELLS + CALL_CELLS) // CELLS


def _rescaled(sums: IntArray, bias: int | IntArray, multiplier: int | IntArray, output: Value) -> IntArray:
    """Of sums as (positions, channels), the integers of the value, not cut."""
    scaled = ((sums + bias) * multiplier + (1 << (SHIFT - 1))) >> SHIFT
    return layout_of(output).flat(scaled).reshape(output.shape)


@dataclass(eq=False)
class TensorCombine(RescalingCall):
    """z = floor(((x w + y v + bias) multiplier + 2^31) / 2^32), cut to the output's limits; y has the channels of the output, or one.

    Tensors hold the integers of the values themselves.

    Attributes:
        x_factors, y_factors: w and v, int16: one number, or one for each element of the output.
        bias, multiplier: as in a layer; the multiplier is at most 2^31 - 1.
        constant: y where it is no tensor: one number, or one for each element.
    """

    x_factors: IntArray
    y_factors: IntArray
    bias: int
    multiplier: int
    constant: IntArray = field(default_factory=lambda: np.zeros(1, np.int64))

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        vectors = layout_of(self.output).vectors
        arrays = (self.x_factors, self.y_factors, self.constant)
        return combining_cost(vectors, vectors * sum(array.size > 1 for array in arrays))

    def _matrix(self, elements: IntArray) -> IntArray:
        layout = layout_of(self.output)
        return layout.matrix(elements.reshape(-1)) if elements.size == layout.channels * layout.positions else elements.reshape(1, 1)

    def uncut(self, *inputs: IntArray) -> IntArray:
        """See :class:`RescalingCall`."""
        x = layout_of(self.inputs[0]).matrix(inputs[0].reshape(-1))
        y = layout_of(self.inputs[1]).matrix(inputs[1].reshape(-1)) if len(inputs) > 1 else self._matrix(self.constant)
        sums = x * self._matrix(self.x_factors) + y * self._matrix(self.y_factors)
        return _rescaled(sums, self.bias, self.multiplier, self.output)

    def _vectors(self, code: CodeWriter, elements: IntArray, full: bool) -> str:
        rows = np.broadcast_to(elements.reshape(-1), (self.output.size,))[layout_of(self.output).filled()]
        return f"ZKVM_AT({code.vectors(rows if full else rows[:1])})"

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout = layout_of(self.output)
        full = max(self.x_factors.size, self.y_factors.size) > 1
        steps = ["ZKVM_W_STEPS"] if full else []
        if len(self.inputs) > 1:
            other = layout_of(self.inputs[1])
            y, y_stride, operand = "0", other.channels, code.tensor(self.inputs[1])
            steps += ["ZKVM_Y_STEPS"] if other.channels == layout.channels else []
        else:
            varied = self.constant.size > 1
            y, operand = self._vectors(code, self.constant, varied), "ZKVM_CONSTANT_VECTORS"
            y_stride = layout.channels if varied else 0
            steps += ["ZKVM_Y_STEPS"] if varied else []
        w, v = (self._vectors(code, factors, full) for factors in (self.x_factors, self.y_factors))
        scales = code.channels(np.full(layout.channels, self.bias), np.full(layout.channels, self.multiplier))
        low, high = self.output.limits
        call = code.descriptor(
            "combine",
            f".blocks = {layout.blocks}, .channels = {layout.channels}, .weight = 1, .x_stride = {layout.channels}, .w = {w}, "
            f".w_stride = {layout.channels if full else 0}, .channel_list = ZKVM_AT({scales}), .bounds = ZKVM_BOUNDS({low}, {high}), "
            f".y = {y}, .y_stride = {y_stride}, .v = {v}, .steps = {' | '.join(steps) or '0'}",
        )
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_combine(&{call}, {code.tensor(self.inputs[0])}, {operand});")
        self.emit_watch(code)


@dataclass(eq=False)
class TensorMultiply(RescalingCall):
    """z = floor(((x w + bias) multiplier + 2^31) / 2^32), cut to the output's limits; w has the channels of the output, or one.

    Tensors hold the integers of the values themselves.

    Attributes:
        multipliers, bias: one, or one for each channel, as in a layer; of numbers in parts multipliers are at most 2^17 - 4.
        parts: whether w is w[0] + 2^15 w[1], of two channels that are the same for all of the output's.
    """

    multipliers: IntArray
    bias: IntArray = field(default_factory=lambda: np.zeros(1, np.int64))
    parts: bool = False

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return combining_cost(layout_of(self.output).vectors)

    def uncut(self, *inputs: IntArray) -> IntArray:
        """See :class:`RescalingCall`."""
        x, w = (layout_of(value).matrix(array.reshape(-1)) for value, array in zip(self.inputs, inputs, strict=True))
        if self.parts:
            w = w[:, :1] + (w[:, 1:] << PART_BITS)
        return _rescaled(x * w, self.bias, self.multipliers, self.output)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout, other = layout_of(self.output), layout_of(self.inputs[1])
        assert other.channels == (2 if self.parts else other.channels)
        scales = code.channels(*(np.broadcast_to(numbers, (layout.channels,)) for numbers in (self.bias, self.multipliers)))
        low, high = self.output.limits
        stepping = not self.parts and other.channels == layout.channels
        call = code.descriptor(
            "combine",
            f".blocks = {layout.blocks}, .channels = {layout.channels}, .weight = {1 << PART_BITS if self.parts else 0}, "
            f".x_stride = {layout.channels}, .w_stride = {other.channels}, .channel_list = ZKVM_AT({scales}), "
            f".bounds = ZKVM_BOUNDS({low}, {high}), .y_stride = {layout.channels}, .v = {2 * LANES if self.parts else 0}, "
            f".steps = ZKVM_Y_STEPS{' | ZKVM_W_STEPS' if stepping else ''}",
            "multiply",
        )
        operands = ", ".join(map(code.tensor, self.inputs))
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_multiply(&{call}, {operands});")
        self.emit_watch(code)
