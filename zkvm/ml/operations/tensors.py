"""What tensor calls compute: layers, and the ways from RAM into a tensor and back. See ``docs/tensors.md``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.layout import LANES, Layout
from zkvm.ml.operations.move import Move
from zkvm.ml.value import Value

SHIFT = 32
"""A layer's scaled sums are divided by 2 to this power."""
TILE = 2 * LANES
"""Positions and channels of a tile, which has a row of products for each tap."""
CELLS = 40
"""Cells of an instruction: in what follows a call's cells are counted in instructions."""
TILE_CELLS, TAP_CELLS, VECTOR_CELLS, CONSTANT_CELLS, CALL_CELLS = 49, 55, 142, 11, 400
"""Of a tile, a tap of it, a vector of a result, a constant vector, and a call with its instructions."""


def layer_cost(layout: Layout, taps: int) -> int:
    """Instructions that cost what a layer does whose result has this layout."""
    halves = -(-layout.channels // LANES)
    tiles = -(-layout.blocks // 2) * -(-layout.channels // TILE)
    cells = tiles * (TILE_CELLS + taps * TAP_CELLS) + layout.vectors * VECTOR_CELLS + halves * taps * CONSTANT_CELLS + CALL_CELLS
    return cells // CELLS


def moving_cost(layout: Layout) -> int:
    """The same of moving a tensor from RAM, or to it: a word, and if it is not in order a copy, for each element."""
    return layout.vectors * layout.words * (1 if layout.positions == 1 else 5) + CALL_CELLS // CELLS


def layout_of(value: Value) -> Layout:
    """The layout of a value that a tensor holds."""
    assert value.layout is not None
    return value.layout


@dataclass(eq=False)
class TensorLinear(Operation):
    """y[c, p] = floor(((sum over taps of x[k, p] w[k, c] + bias[c]) multiplier[c] + 2^31) / 2^32), cut to the output's limits.

    ``x`` are the elements of the tensor: the integers of the value less its origin.

    Attributes:
        weights: (channels, taps), int16.
        bias: (channels,) below 2^48. multipliers: (channels,) from 1 to 2^31 - 1; taps times the largest is at most 2^32.
    """

    weights: IntArray
    bias: IntArray
    multipliers: IntArray

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return self.weights.size * layout_of(self.output).positions

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return layer_cost(layout_of(self.output), self.weights.shape[1])

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`; the float64 product is exact, because sums stay below 2^53."""
        x = layout_of(self.inputs[0]).matrix(inputs[0].reshape(-1) - self.inputs[0].origin)
        sums = (x.astype(np.float64) @ self.weights.T.astype(np.float64)).astype(np.int64)
        scaled = ((sums + self.bias) * self.multipliers + (1 << (SHIFT - 1))) >> SHIFT
        return layout_of(self.output).flat(np.clip(scaled, *self.output.limits)).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        channels, taps = self.weights.shape
        blocks = -(-channels // LANES)
        vectors = np.zeros((blocks * LANES, taps), np.int64)
        vectors[:channels] = self.weights
        weights = code.vectors(vectors.reshape(blocks, LANES, taps).swapaxes(1, 2).reshape(-1, LANES))
        scales = code.channels(self.bias, self.multipliers)
        low, high = self.output.limits
        layer = code.descriptor(
            "linear",
            f".blocks = {layout_of(self.output).blocks}, .channels = {channels}, .taps = {taps}, .x_stride = {taps}, "
            f".w = ZKVM_AT({weights}), .w_stride = {taps}, .channel_list = ZKVM_AT({scales}), .bounds = ZKVM_BOUNDS({low}, {high})",
        )
        source, target = code.tensor(self.inputs[0]), code.tensor(self.output)
        code.line(f"{target} = zkvm_tensor_linear(&{layer}, {source}, ZKVM_CONSTANT_VECTORS);")


@dataclass(eq=False)
class TensorLoad(Operation):
    """A tensor of words in RAM that lie as the machine takes them: by vector, all lanes, or of a single position the first."""

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return self.inputs[0].size + CALL_CELLS // CELLS

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return inputs[0].reshape(-1)[layout_of(self.output).places()].reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout = layout_of(self.output)
        load = code.descriptor("load", f".vectors = {layout.vectors}, .words = {layout.words}")
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_load(&{load}, {code.pointer(self.inputs[0])});")


@dataclass(eq=False)
class TensorExport(Operation):
    """The words of a tensor in RAM, as they lie there: lanes without a position hold what nobody reads, here 0 or what is next to it."""

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return self.output.size + CALL_CELLS // CELLS

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        words = np.full(self.output.size, np.clip(0, self.output.lo, self.output.hi), np.int64)
        words[layout_of(self.inputs[0]).places()] = inputs[0].reshape(-1)
        return words.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        layout = layout_of(self.inputs[0])
        export = code.descriptor("export", f".vectors = {layout.vectors}, .words = {layout.words}, .x_stride = 1")
        code.line(f"zkvm_tensor_export(&{export}, {code.tensor(self.inputs[0])}, {code.pointer(self.output)});")


Fresh = Callable[[tuple[int, ...], Value], Value]
"""A new value of this shape, with bounds, scale and kind of another one, in RAM."""


def loaded(name: str, value: Value, layout: Layout, fresh: Fresh) -> list[Operation]:
    """The operations that make a tensor of a value in RAM; the last one's output is it."""
    operations: list[Operation] = []
    places, words = layout.places(), layout.vectors * layout.words
    source = value
    if words != value.size or (places != np.arange(words)).any():
        index = np.full(words, -1, np.int64)
        index[places] = np.arange(value.size)
        source = fresh((words,), value)
        source.lo, source.hi = min(value.lo, 0), max(value.hi, 0)
        operations.append(Move(name, (value,), source, index))
    tensor = fresh(value.shape, value)
    tensor.layout = layout
    return [*operations, TensorLoad(name, (source,), tensor)]


def exported(name: str, value: Value, fresh: Fresh) -> list[Operation]:
    """The operations that bring a tensor to RAM; the last one's output is there."""
    layout = layout_of(value)
    places, words = layout.places(), layout.vectors * layout.words
    if words == value.size and (places == np.arange(words)).all():
        return [TensorExport(name, (value,), fresh(value.shape, value))]
    lanes = fresh((words,), value)
    return [TensorExport(name, (value,), lanes), Move(name, (lanes,), fresh(value.shape, value), places)]
