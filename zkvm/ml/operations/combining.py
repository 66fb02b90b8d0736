"""Elementwise tensor calls: sums and products of two tensors, and products with constants. See ``docs/tensors.md``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.layout import LANES
from zkvm.ml.operations.tensors import CALL_CELLS, CELLS, SHIFT, VECTOR_CELLS, layout_of

COMBINE_CELLS = 79
"""Of a vector of sums, beside those of the result."""


def combining_cost(vectors: int) -> int:
    """Instructions that cost what an elementwise call does on so many vectors."""
    return (vectors * (COMBINE_CELLS + VECTOR_CELLS) + CALL_CELLS) // CELLS


@dataclass(eq=False)
class Elementwise(Operation):
    """floor(((sums + bias) multiplier + 2^31) / 2^32), cut to the output's limits; operands and result have one layout.

    Attributes:
        multiplier: from -2^31 + 1 to 2^31 - 1.
    """

    multiplier: int

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return self.output.size

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return combining_cost(layout_of(self.output).vectors)

    def _elements(self, number: int, inputs: tuple[IntArray, ...]) -> IntArray:
        """What the tensor of an input holds."""
        return inputs[number].reshape(self.output.shape) - self.inputs[number].origin

    def _rescaled(self, sums: IntArray) -> IntArray:
        scaled = (sums * self.multiplier + (1 << (SHIFT - 1))) >> SHIFT
        return np.asarray(np.clip(scaled, *self.output.limits), np.int64)

    def _emit(self, code: CodeWriter, kind: str, operands: str, words: str, bias: int = 0) -> None:
        layout, (low, high) = layout_of(self.output), self.output.limits
        scales = code.channels(np.full(layout.channels, bias), np.full(layout.channels, self.multiplier))
        call = code.descriptor(
            kind,
            f".blocks = {layout.blocks}, .channels = {layout.channels}, .x_stride = {layout.channels}, {words}, "
            f".channel_list = ZKVM_AT({scales}), .bounds = ZKVM_BOUNDS({low}, {high})",
        )
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_{kind}(&{call}, {operands});")


@dataclass(eq=False)
class TensorWeightedSum(Elementwise):
    """y = x w[0] + z w[1] + bias, rescaled, of the elements of two tensors.

    Attributes:
        weights: (2,), int16. bias: below 2^48.
    """

    weights: IntArray = field(default_factory=lambda: np.zeros(2, np.int64))
    bias: int = 0

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        first, second = (self._elements(number, inputs) * int(self.weights[number]) for number in (0, 1))
        return self._rescaled(first + second + self.bias)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        channels = layout_of(self.output).channels
        factors = code.vectors(np.repeat(self.weights[:, None], LANES, axis=1))
        words = f".weight = 1, .w = ZKVM_AT({factors}), .v = ZKVM_AT({factors}) + 16, .y_stride = {channels}, .steps = ZKVM_Y_STEPS"
        self._emit(code, "combine", f"{code.tensor(self.inputs[0])}, {code.tensor(self.inputs[1])}", words, self.bias)


@dataclass(eq=False)
class TensorProduct(Elementwise):
    """y = x z, rescaled, of the elements of two tensors."""

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return self._rescaled(self._elements(0, inputs) * self._elements(1, inputs))

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        channels = layout_of(self.output).channels
        words = f".w_stride = {channels}, .y_stride = {channels}, .steps = ZKVM_Y_STEPS | ZKVM_W_STEPS"
        self._emit(code, "multiply", f"{code.tensor(self.inputs[0])}, {code.tensor(self.inputs[1])}", words)


@dataclass(eq=False)
class TensorScaled(Elementwise):
    """y = x factors, rescaled: each element of a tensor has a factor.

    Attributes:
        factors: of the output's shape, int16.
    """

    factors: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return self._rescaled(self._elements(0, inputs) * self.factors)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout = layout_of(self.output)
        vectors = self.factors.reshape(-1)[layout.filled()].reshape(layout.blocks, layout.channels, LANES)
        stride = 0 if (vectors == vectors[:1]).all() else layout.channels  # blocks with the same factors share them
        factors = code.vectors((vectors[:1] if not stride else vectors).reshape(-1, LANES))
        words = f".w = ZKVM_AT({factors}), .w_stride = {stride}, .v = ZKVM_AT({factors}), .y_stride = {layout.channels}, "
        words += ".steps = ZKVM_Y_STEPS | ZKVM_W_STEPS"
        self._emit(code, "combine", f"{code.tensor(self.inputs[0])}, {code.tensor(self.inputs[0])}", words)
