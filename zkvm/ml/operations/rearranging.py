"""Tensor calls on elements: gathers, sums and maxima of a few vectors, functions, constants. See ``docs/tensors.md``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import PRIVATE_TENSOR, CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.layout import LANES, OFFSET, Layout
from zkvm.ml.operations.tensors import (
    CALL_CELLS,
    CELLS,
    SHIFT,
    TAP_CELLS,
    TILE_CELLS,
    VECTOR_CELLS,
    RescalingCall,
    layout_of,
    private_channels,
)

GATHER_CELLS, SERVE_CELLS, MAXIMUM_CELLS, APPLY_CELLS, FUNCTION_CELLS = 60, 35, 64, 60, 200_000
"""Of a vector that is gathered, one whose elements are, one that is compared, one that a function is applied to, and a function."""
LAST_ENTRY = (1 << 16) - 1
"""Place of the entry for the difference 0."""
SECOND_OPERAND = 1 << 31
"""Added to the places of a row that takes its elements from the second operand."""


def gathering_cost(vectors: int, served: int) -> int:
    """Instructions that cost what a gather does of so many vectors from a tensor of so many."""
    return (vectors * GATHER_CELLS + served * SERVE_CELLS + CALL_CELLS) // CELLS


def summing_cost(vectors: int, taps: int) -> int:
    """The same of sums of so many vectors each."""
    return (-(-vectors // 2) * (TILE_CELLS + taps * TAP_CELLS) + vectors * VECTOR_CELLS + CALL_CELLS) // CELLS


def applying_cost(vectors: int, shared: bool = False) -> int:
    """The same of a function, with its table unless that is shared with another call."""
    return (vectors * APPLY_CELLS + (0 if shared else FUNCTION_CELLS) + CALL_CELLS) // CELLS


def sources_of(index: IntArray, sizes: list[int], layout: Layout) -> IntArray:
    """For each lane of a tensor that is to hold such elements of sources laid end to end, (n, 8), the number of the source; -1 of zeros."""
    ends = np.cumsum(sizes)
    lanes = index.reshape(-1)[layout.filled()]
    return np.where(lanes < 0, -1, np.searchsorted(ends, lanes, side="right"))


def is_pure(sources: IntArray) -> bool:
    """Whether no vector takes elements from two sources."""
    least = np.where(sources < 0, np.iinfo(np.int64).max, sources).min(axis=1)
    return bool((sources.max(axis=1) <= least).all())


@dataclass(eq=False)
class TensorMove(Operation):
    """output[i] = element ``index[i]`` of one or two tensors laid end to end, or 0 where the index is -1; no vector reads both tensors.

    Lanes without a position are copies of one with a position, as everywhere.
    """

    index: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return gathering_cost(layout_of(self.output).vectors, sum(layout_of(value).vectors for value in self.inputs))

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        pool = np.concatenate([*(array.reshape(-1) for array in inputs), np.zeros(1, np.int64)])
        return pool[self.index.reshape(-1)].reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout, sizes = layout_of(self.output), [value.size for value in self.inputs]
        sources = sources_of(self.index, sizes, layout)
        assert is_pure(sources)
        cells = np.concatenate([*(layout_of(value).cells() + 1 for value in self.inputs), np.zeros(1, np.int64)])
        places = cells[self.index.reshape(-1)[layout.filled()]]
        places[sources.max(axis=1) == 1] += SECOND_OPERAND
        pattern = code.pattern(places)
        call = code.descriptor("gather", f".vectors = {layout.vectors}, .pattern = ZKVM_AT({pattern})")
        operands = [*(code.tensor(value) for value in self.inputs), "ZKVM_CONSTANT_VECTORS"][:2]
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_gather(&{call}, {', '.join(operands)});")


@dataclass(eq=False)
class TensorSums(RescalingCall):
    """y[c, p] = floor(((sum over taps of x[c taps + k, p] w[k] + bias) multiplier + 2^31) / 2^32), cut to the output's limits: the same sum
    of vectors for every channel.

    Attributes:
        weights: (taps,), int16. bias, multiplier, limit: as in a layer.
    """

    weights: IntArray
    bias: int
    multiplier: int
    limit: int = 0

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return self.inputs[0].size

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return summing_cost(layout_of(self.output).vectors, len(self.weights))

    def uncut(self, *inputs: IntArray) -> IntArray:
        """See :class:`RescalingCall`."""
        x = layout_of(self.inputs[0]).matrix(inputs[0].reshape(-1) - self.inputs[0].origin)
        sums = x.reshape(len(x), -1, len(self.weights)) @ self.weights
        scaled = ((sums + self.bias) * self.multiplier + (1 << (SHIFT - 1))) >> SHIFT
        return layout_of(self.output).flat(scaled).reshape(self.output.shape) + self.output.origin

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        taps = len(self.weights)
        weights = np.zeros((taps, LANES), np.int64)
        weights[:, 0] = self.weights
        if self.limit:
            self._emit_secretly(code, weights)
        else:
            _emit_sums(code, self, code.vectors(weights), taps, (self.bias, self.multiplier))
        self.emit_watch(code)

    def _emit_secretly(self, code: CodeWriter, weights: IntArray) -> None:
        taps = len(weights)
        channel = private_channels(np.array([self.bias]), np.array([self.multiplier]), self.limit)
        call = code.descriptor(
            "scaled_linear",
            f".blocks = {layout_of(self.output).vectors}, .channels = 1, .taps = {taps}, .x_stride = {taps}, .w_stride = {taps}, "
            f"{self.bounds}, .w = {code.private_vectors(weights)}, .channel_list = {code.private_vectors(channel)}, .limit = {self.limit}",
        )
        operands = f"{code.tensor(self.inputs[0])}, {PRIVATE_TENSOR}"
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_scaled_linear(&{call}, {operands});")


def _emit_sums(code: CodeWriter, operation: Operation, weights: str, taps: int, scale: tuple[int, int], constants: str = "") -> None:
    """A layer of one channel whose blocks are the vectors of the result; its operand are constants if these are named."""
    low, high = operation.output.limits
    scales = code.channels(np.array(scale[:1]), np.array(scale[1:]))
    call = code.descriptor(
        "linear",
        f".blocks = {layout_of(operation.output).vectors}, .channels = 1, .taps = {taps}, "
        f"{f'.x = ZKVM_AT({constants}), ' if constants else ''}.x_stride = {taps}, .w = ZKVM_AT({weights}), .w_stride = {taps}, "
        f".channel_list = ZKVM_AT({scales}), .bounds = ZKVM_BOUNDS({low}, {high})",
    )
    source = "ZKVM_CONSTANT_VECTORS" if constants else code.tensor(operation.inputs[0])
    code.line(f"{code.tensor(operation.output)} = zkvm_tensor_linear(&{call}, {source}, ZKVM_CONSTANT_VECTORS);")


EXACT_WEIGHT, EXACT_MULTIPLIER = 4, 1 << 30
"""A factor of one, of which nothing is rounded."""


@dataclass(eq=False)
class TensorConstant(Operation):
    """A tensor of known integers."""

    elements: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return summing_cost(layout_of(self.output).vectors, 1)

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        del inputs
        return self.elements.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        vectors = code.vectors(self.elements.reshape(-1)[layout_of(self.output).filled()])
        one = code.vectors(np.array([[EXACT_WEIGHT] + [0] * (LANES - 1)]))
        _emit_sums(code, self, one, 1, (0, EXACT_MULTIPLIER), vectors)


@dataclass(eq=False)
class TensorMaximum(Operation):
    """y[c, p] = the largest of x[c taps + k, p], k < taps."""

    taps: int

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return (layout_of(self.inputs[0]).vectors * MAXIMUM_CELLS + CALL_CELLS) // CELLS

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x = layout_of(self.inputs[0]).matrix(inputs[0].reshape(-1))
        return layout_of(self.output).flat(x.reshape(len(x), -1, self.taps).max(axis=2)).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        call = code.descriptor(
            "maximum", f".vectors = {layout_of(self.output).vectors}, .taps = {self.taps}, .x_stride = {self.taps}, .step = 1"
        )
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_maximum(&{call}, {code.tensor(self.inputs[0])});")


@dataclass(eq=False)
class TensorPeaks(Operation):
    """The largest elements of a tensor, lane by lane: 8 numbers, or one of a tensor of one position."""

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return (layout_of(self.inputs[0]).vectors * MAXIMUM_CELLS + CALL_CELLS) // CELLS

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        lanes = inputs[0].reshape(-1)[layout_of(self.inputs[0]).filled()]
        return np.asarray(lanes.max(axis=0)[: self.output.size]).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        call = code.descriptor("maximum", f".vectors = 1, .taps = {layout_of(self.inputs[0]).vectors}, .x_stride = 0, .step = 1")
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_maximum(&{call}, {code.tensor(self.inputs[0])});")


@dataclass(eq=False)
class TensorApply(Operation):
    """y = ``entries[x + 2^15]``, of the int16 that the tensor holds for x.

    Attributes:
        entries: of all int16.
        shared: whether an operation before has the same.
    """

    entries: IntArray
    shared: bool = False

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return applying_cost(layout_of(self.output).vectors, self.shared)

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return self.entries[inputs[0].reshape(self.output.shape) - self.inputs[0].origin + OFFSET]

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        function = code.function(self.entries)
        call = code.descriptor("apply", f".vectors = {layout_of(self.output).vectors}, .x_stride = 1, .function = ZKVM_AT({function})")
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_apply(&{call}, {code.tensor(self.inputs[0])});")


@dataclass(eq=False)
class TensorRelative(Operation):
    """y[c, p] = ``entries[x[c, p] - w[p] + 2^16 - 1]``: a function of the elements less that of their position, which is not smaller.

    Attributes:
        entries: of all differences of two int16 from -2^16 + 1 to 0.
        shared: whether an operation before has the same.
    """

    entries: IntArray
    shared: bool = False

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return applying_cost(layout_of(self.output).vectors, self.shared)

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x, w = (layout_of(value).matrix(array.reshape(-1)) for value, array in zip(self.inputs, inputs, strict=True))
        return layout_of(self.output).flat(self.entries[x - w + LAST_ENTRY]).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout = layout_of(self.output)
        fields = (
            f".blocks = {layout.blocks}, .channels = {layout.channels}, .x_stride = 1, .function = ZKVM_AT({code.function(self.entries)})"
        )
        operands = ", ".join(map(code.tensor, self.inputs))
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_relative(&{code.descriptor('relative', fields)}, {operands});")
