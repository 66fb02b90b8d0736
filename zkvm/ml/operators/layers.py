"""Layers as tensor calls take them: which elements meet which weights, and the integers of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.ir import Value
from zkvm.ml.layout import LANES, OFFSET, Layout
from zkvm.ml.operations.depthwise import Windows
from zkvm.ml.operations.tensors import SHIFT

MAX_CHANNELS, MAX_PRODUCT_LIMIT, MAX_MULTIPLIER, MAX_BIAS, MAX_SCALED_BIAS = 1 << 16, 1 << 32, (1 << 31) - 1, (1 << 48) - 1, 1 << 61
"""What a call takes: channels, taps times the largest multiplier, this, |bias|, |bias multiplier|."""
MARK_VALUES, MARKS = (OFFSET - 1, 1), (0, 0, 1)
"""What marks of positions hold, and for each of their channels which of these."""
MAX_MARKED_BIAS = (2 * OFFSET - 3) * MARK_VALUES[0]
"""What the weights of marks make of a bias, and a rounding step less."""


@dataclass(frozen=True, slots=True)
class Windowed:
    """How each channel of a layer has sums of its own.

    Attributes:
        windows: what they read of the operand's positions.
        blocks: of 8 positions of the result, an even number.
        kept: (samples, positions of one) which of its positions are those of the layer's output.
    """

    windows: Windows
    blocks: int
    kept: IntArray


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with constant weights.

    Attributes:
        source: name of its input. result: of its output, which is that of an Add that follows, if this adds the bias.
        weights: (channels, taps). bias: (channels,).
        channels_first: whether channels come first in both, as in images.
        index: (taps, positions): the element of the source that a tap reads, -1 for a zero; None: the taps are the source's channels.
        products: of an element of the result that are not with zeros by construction; 0: all taps.
        order: which of the call's results (channels, positions) the output's elements are; None: all of them, in order.
        windowed: of a layer whose channels have sums of their own: its taps are the weights of their windows, and the index is (channels,
            positions).
        marked: whether its bias is the weights of marks, channels behind its taps, so that it is 0 where all of these are.
        small: whether the model has the weights of each channel as integers of 8 bits times a scale.
    """

    source: str
    result: str
    weights: FloatArray
    bias: FloatArray
    channels_first: bool
    index: IntArray | None = None
    products: int = 0
    order: IntArray | None = None
    windowed: Windowed | None = None
    marked: bool = False
    small: bool = False

    @property
    def taps(self) -> int:
        """Of the call, those of marks included."""
        return int(self.weights.shape[1]) + (len(MARKS) if self.marked else 0)

    @property
    def rearranges(self) -> bool:
        """Whether its taps are not the elements of its input in their order."""
        return self.index is not None and bool((self.index.reshape(-1) != np.arange(self.index.size)).any())

    def read(self, positions: int) -> IntArray | None:
        """Which elements of the call's result (channels, positions) are those of the output, in order; None if it is the output."""
        if self.windowed is None:
            return self.order
        return (np.arange(len(self.weights))[:, None] * positions + self.windowed.kept[:, None, :]).reshape(-1)

    @property
    def result_layout(self) -> Layout:
        """Of the output of a layer with windows, without what nobody reads."""
        assert self.windowed is not None
        return Layout.of(len(self.weights), self.windowed.kept.size, True)

    def layouts(self, size: int) -> tuple[Layout, Layout]:
        """Of the operand, if the input has so many elements, and of the output."""
        channels, taps = len(self.weights), self.taps
        if self.windowed is not None and self.index is not None:
            return Layout.of(channels, self.index.shape[1], True), Layout.of(channels, self.windowed.blocks * LANES, True)
        if self.index is not None:
            return Layout.of(taps, self.index.shape[1], True), Layout.of(channels, self.index.shape[1], True)
        return Layout.of(taps, size // taps, self.channels_first), Layout.of(channels, size // taps, self.channels_first)


@dataclass(frozen=True, slots=True)
class Quantized:
    """Integers of a layer: weights (channels, taps), bias and multipliers (channels,)."""

    weights: IntArray
    bias: IntArray
    multipliers: IntArray

    def extremes(self, low: int, high: int) -> tuple[int, int]:
        """The least and the largest result before it is cut, of elements within these bounds."""
        above, below = np.maximum(self.weights, 0).sum(axis=1), np.minimum(self.weights, 0).sum(axis=1)
        least, most = above * low + below * high, above * high + below * low
        ends = [((sums + self.bias) * self.multipliers + (1 << (SHIFT - 1))) >> SHIFT for sums in (least, most)]
        return int(ends[0].min()), int(ends[1].max())

    def with_marks(self) -> Quantized:
        """The same layer with its bias, at most :data:`MAX_MARKED_BIAS` and half a mark, as weights of marks."""
        most = MARK_VALUES[0]
        count = (self.bias + most // 2) // most
        columns = np.stack([count // 2, count - count // 2, self.bias - count * most], axis=1)
        return Quantized(np.concatenate([self.weights, columns], axis=1), np.zeros_like(self.bias), self.multipliers)


def fits(low: int, high: int) -> bool:
    """Whether all integers between these are elements of a tensor."""
    return -OFFSET <= low <= high < OFFSET


def quantized(layer: Layer, source: Value, scale: float, weight_bits: int) -> Quantized | None:
    """The integers of a layer for the scale of its output; None if a call does not take them.

    Args:
        layer: the layer.
        source: its input.
        scale: of the output.
        weight_bits: of the weights, at most.
    """
    top, shift = (1 << (weight_bits - 1)) - 1, 16 - weight_bits
    unit = scale / (source.scale * 2.0**SHIFT)  # the step of weights with the multiplier 1
    needed = np.maximum(np.abs(layer.weights).max(axis=1) / (unit * (top << shift)), np.abs(layer.bias) / (scale * OFFSET))
    if layer.marked:
        needed = np.maximum(needed, np.abs(layer.bias) / (unit * source.scale * MAX_MARKED_BIAS))
    if not needed.max() * layer.taps < MAX_PRODUCT_LIMIT:
        return None
    multipliers = np.maximum(np.ceil(needed), 1).astype(np.int64)
    steps = multipliers * unit
    weights = np.clip(np.round(layer.weights / (steps * 2.0**shift)[:, None]), -top, top).astype(np.int64) << shift
    bias = np.round(layer.bias / (steps * source.scale)).astype(np.int64) + source.origin * weights.sum(axis=1)
    largest = max(abs(int(number)) for number in bias)
    scaled = max(abs(int(number) * int(multiplier)) for number, multiplier in zip(bias, multipliers, strict=True))
    most = int(multipliers.max())
    if layer.taps * most > MAX_PRODUCT_LIMIT or most > MAX_MULTIPLIER or largest > MAX_BIAS or scaled > MAX_SCALED_BIAS:
        return None
    return Quantized(weights, bias, multipliers)
