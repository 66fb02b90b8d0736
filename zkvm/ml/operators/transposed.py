"""Transposed convolutions as layers of tensor calls: without the zeros between the inputs.

Outputs that lie ``stride`` apart along every axis are one *phase*: they have the same taps. So a transposed convolution is a convolution of
its input whose channels are those of every phase, and the output interleaves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.ir import Kind
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operators.convolutions import block_diagonal, of_channels, of_samples, windows
from zkvm.ml.operators.layers import Layer
from zkvm.ml.small_weights import WHOLE, in_small_integers


@dataclass(frozen=True, slots=True)
class _Axis:
    """A transposed convolution along one axis: inputs, taps, outputs, and how much of the full result lies before these."""

    size: int
    taps: int
    stride: int
    dilation: int
    begin: int
    outputs: int

    @property
    def positions(self) -> int:
        """Outputs of a phase, at most."""
        return -(-self.outputs // self.stride)

    @property
    def offsets(self) -> list[int]:
        """How far from its own number the inputs lie that an output of some phase reads."""
        return sorted({offset for phase in range(self.stride) for offset in self.read_by(phase)})

    def read_by(self, phase: int) -> dict[int, int]:
        """The tap of each offset that a phase has."""
        reached = {tap: phase + self.begin - tap * self.dilation for tap in range(self.taps)}
        return {number // self.stride: tap for tap, number in reached.items() if number % self.stride == 0}


def transposed_of(context: Context, node: Node) -> Layer | None:
    """The layer that a transposed convolution is, if it is one of real numbers with constant weights."""
    if node.operator != "ConvTranspose" or node.domain or node.inputs[0] in context.constants:
        return None
    info = context.info(node.inputs[0])
    if info.kind is not Kind.REAL or any(name and name not in context.constants for name in node.inputs[1:]):
        return None
    kernel = context.required_constant(node, 1).astype(np.float64)
    rank, groups = kernel.ndim - 2, int(node.attributes.get("group", 1))
    if rank < 1 or not np.isfinite(kernel).all():
        return None
    axes = _axes(node, info.shape[2:], kernel.shape[2:], context.info(node.outputs[0]).shape[2:])
    samples, channels, size = info.shape[0], groups * kernel.shape[1], prod(axis.positions for axis in axes)
    places = [np.array(axis.offsets)[:, None] + np.arange(axis.positions)[None, :] for axis in axes]
    index = of_samples(of_channels(windows(info.shape[2:], places), info.shape[1], prod(info.shape[2:])), info.shape)
    phases = list(product(*(range(axis.stride) for axis in axes)))
    parts = np.zeros((channels, len(phases), kernel.shape[0] // groups, *(len(axis.offsets) for axis in axes)))
    # (in, out of a group, ...) -> (out, in of a group, ...)
    own = np.swapaxes(kernel.reshape(groups, -1, *kernel.shape[1:]), 1, 2).reshape(channels, -1, *kernel.shape[2:])
    for number, phase in enumerate(phases):
        read = [axis.read_by(part) for axis, part in zip(axes, phase, strict=True)]
        for taps in product(*(found.items() for found in read)):
            at = tuple(axis.offsets.index(offset) for axis, (offset, _) in zip(axes, taps, strict=True))
            target: tuple[Any, ...] = (slice(None), number, slice(None), *at)
            source: tuple[Any, ...] = (slice(None), slice(None), *(tap for _, tap in taps))
            parts[target] = own[source]
    weights = block_diagonal(parts.reshape(channels * len(phases), kernel.shape[0] // groups, -1), groups)
    bias = context.required_constant(node, 2).astype(np.float64) if node.has(2) else np.zeros(channels)
    order = _interleaved(axes, samples, channels, size)
    index = np.ascontiguousarray(index).reshape(weights.shape[1], -1)
    small = in_small_integers(context.scaled, node.inputs[1], 1 if groups == 1 else WHOLE)
    return Layer(node.inputs[0], node.outputs[0], weights, np.repeat(bias, len(phases)), True, index, own[0].size, order, small=small)


def _axes(node: Node, sizes: tuple[int, ...], taps: tuple[int, ...], outputs: tuple[int, ...]) -> list[_Axis]:
    rank = len(taps)
    strides, dilations = (list(node.attributes.get(name, [1] * rank)) for name in ("strides", "dilations"))
    reach = [dilation * (count - 1) for count, dilation in zip(taps, dilations, strict=True)]
    begins = transposed_begins(node, rank, sizes, strides, reach, outputs)
    return [_Axis(*numbers) for numbers in zip(sizes, taps, strides, dilations, begins, outputs, strict=True)]


def _interleaved(axes: list[_Axis], samples: int, channels: int, size: int) -> IntArray:
    """Which results (channels and phases, positions of all samples) the outputs (samples, channels, ...) are, in order."""
    phase, position = np.zeros([1] * len(axes), np.int64), np.zeros([1] * len(axes), np.int64)
    for number, axis in enumerate(axes):
        along = np.arange(axis.outputs).reshape([-1 if other == number else 1 for other in range(len(axes))])
        phase, position = phase * axis.stride + along % axis.stride, position * axis.positions + along // axis.stride
    phases = prod(axis.stride for axis in axes)
    channel = np.arange(channels)[:, None] * phases + phase.reshape(-1)
    return (channel * (samples * size) + np.arange(samples)[:, None, None] * size + position.reshape(-1)).reshape(-1)


def transposed_begins(
    node: Node, dimensions: int, sizes: tuple[int, ...], strides: list[int], reach: list[int], wanted: tuple[int, ...]
) -> list[int]:
    """How much of the full result is cut at the beginning of each axis."""
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic == "NOTSET" and "output_shape" not in node.attributes:
        return list(node.attributes.get("pads", [0] * (2 * dimensions)))[:dimensions]
    if automatic == "VALID":
        return [0] * dimensions
    extra = list(node.attributes.get("output_padding", [0] * dimensions))
    totals = [strides[i] * (sizes[i] - 1) + extra[i] + reach[i] + 1 - wanted[i] for i in range(dimensions)]
    return [total // 2 if automatic == "SAME_UPPER" else total - total // 2 for total in totals]
