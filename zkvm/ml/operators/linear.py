"""Layers with constant weights: Gemm, MatMul, Conv, ConvTranspose. One operation: taps, positions and channels with strides.

    y[channel, position] = requantize(bias[channel] + sum over taps of x[position, tap] * weight[channel, tap])

Weights are quantized per output channel, as finely as ``weight_bits`` and the 32-bit accumulator allow: the sum is bounded by
|bias| + max|x| * sum|weight|, computed from the actual weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, FloatArray, IntArray, Rescale, rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operators.move import Move, move, pad_value

MIN_WEIGHT_MAGNITUDE = 31
"""A layer whose accumulator leaves its largest weight fewer steps than this is refused."""
MAX_ACCUMULATORS = 18
MAX_CHANNELS_AT_ONCE = 16
MAX_POSITIONS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where taps and positions lie, in words: extents (planes, lines, columns), (rows, positions), and strides in x and y."""

    taps: tuple[int, int, int]
    tap_steps: tuple[int, int, int]
    positions: tuple[int, int]
    position_steps: tuple[int, int]
    position_out: tuple[int, int]
    channel_out: int
    group_step: int = 0


@dataclass(eq=False)
class Linear(Operation):
    """See the module. ``weights`` (groups, channels per group, taps) and ``bias`` (groups, channels per group) are integers."""

    weights: IntArray
    bias: IntArray
    geometry: Geometry
    rescaling: Rescale

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return self.weights.size * prod(self.geometry.positions)

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`; the float64 product is exact, because sums stay below 2^31."""
        groups, channels, taps = self.weights.shape
        shape = self.geometry
        flat = np.ascontiguousarray(inputs[0].reshape(-1), dtype=np.float64)
        word = flat.strides[0]
        steps = (shape.group_step, *shape.position_steps, *shape.tap_steps)
        windows = np.lib.stride_tricks.as_strided(flat, (groups, *shape.positions, *shape.taps), tuple(step * word for step in steps))
        columns = windows.reshape(groups, prod(shape.positions), taps)
        sums = np.matmul(columns, self.weights.transpose(0, 2, 1).astype(np.float64)).astype(np.int64)
        result = self.rescaling.apply((sums + self.bias[:, None, :]).transpose(1, 0, 2).reshape(-1, groups * channels), 1)
        result = result.reshape(*shape.positions, groups * channels)
        output = np.zeros(self.output.size, np.int64)
        steps_out = (*shape.position_out, shape.channel_out)
        target = np.lib.stride_tricks.as_strided(output, result.shape, tuple(step * output.strides[0] for step in steps_out))
        target[...] = result
        return output.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        groups, channels, taps = self.weights.shape
        shape = self.geometry
        at_once, positions_at_once = blocking(channels, shape.positions[1])
        many = len(self.rescaling.multipliers) > 1
        code.line(
            f"const struct linear g = {{{_commas(shape.taps)}, {_commas(shape.tap_steps)}, {_commas(shape.positions)}, "
            f"{_commas(shape.position_steps)}, {_commas(shape.position_out)}, {shape.channel_out}, "
            f"{self.rescaling.arguments()}, {int(many)}}};"
        )
        multipliers = np.array(self.rescaling.multipliers, np.int64).reshape(groups if many else 1, -1)
        source, target = code.pointer(self.inputs[0]), code.pointer(self.output)
        for group in range(groups):
            weights = code.constant(_blocked(self.weights[group], at_once), label="weights")
            bias = code.constant(self.bias[group], label="bias")
            multiplier = code.constant(multipliers[group if many else 0], label="multiplier")
            code.line(
                f"linear(g, {source} + {group * shape.group_step}, {weights}, {bias}, {multiplier}, "
                f"{target} + {group * channels * shape.channel_out}, {channels}, {positions_at_once}, {at_once});"
            )


def blocking(channels: int, positions: int) -> tuple[int, int]:
    """Channels and positions at once with the fewest instructions: a load per input and weight, two per product."""

    def cost(at_once: int, together: int) -> int:
        blocks = [min(at_once, channels - start) for start in range(0, channels, at_once)]
        return -(-positions // together) * sum(together + block + 2 * together * block for block in blocks)

    choices = [
        (at_once, together)
        for at_once in range(1, min(MAX_CHANNELS_AT_ONCE, channels) + 1)
        for together in range(1, min(MAX_POSITIONS_AT_ONCE, positions) + 1)
        if at_once * together <= MAX_ACCUMULATORS
    ]
    return min(choices, key=lambda choice: (cost(*choice), choice))


def _commas(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def _blocked(weights: IntArray, at_once: int) -> IntArray:
    """(channels, taps) -> blocks of ``at_once`` channels, each (taps, channels), the last block smaller."""
    blocks = [weights[start : start + at_once].T.reshape(-1) for start in range(0, len(weights), at_once)]
    return np.concatenate(blocks)


def quantize_layer(
    context: Context, name: str, source: Value, weights: FloatArray, bias: FloatArray, output: Value
) -> tuple[IntArray, IntArray, Rescale]:
    """Integer weights (channels, taps), integer biases (channels,) and the rescaling to the output's scale.

    Raises:
        UsageError: the 32-bit accumulator leaves too few bits for the weights.
    """
    top = (1 << (context.precision.weight_bits - 1)) - 1
    largest, total = np.abs(weights).max(axis=1), np.abs(weights).sum(axis=1)
    taps = weights.shape[1]
    # Rounding moves every weight by up to half a step; what that can add to the sum comes off the room.
    room = INT32_MAX - 2 - source.magnitude * (taps + 1) // 2
    if room <= 0:
        raise UsageError(f"{name}: {taps} products of {source.magnitude} do not fit a 32-bit accumulator; use 8-bit activations")
    steps = np.maximum(largest / top, (total * source.magnitude + np.abs(bias) / source.scale) / room)
    steps = np.where(steps == 0, 1.0, steps)
    limiting = (largest > 0) & (largest / steps < min(top, MIN_WEIGHT_MAGNITUDE)) & (np.abs(bias) / source.scale < total * source.magnitude)
    if limiting.any():
        raise UsageError(
            f"{name}: channel {int(np.argmax(limiting))} leaves its weights only {int((largest / steps)[limiting][0])} steps before "
            "32-bit sums could overflow; use 8-bit activations"
        )
    integers = np.round(weights / steps[:, None]).astype(np.int64)
    biases = np.round(bias / (steps * source.scale)).astype(np.int64)
    bound = int((np.abs(integers).sum(axis=1) * source.magnitude + np.abs(biases)).max())
    return integers, biases, rescale(steps * source.scale / output.scale, bound, output.lo, output.hi, name)


def _append(
    context: Context, node: Node, source: Value, weights: FloatArray, bias: FloatArray, shape: Geometry, groups: int, batch: int = 1
) -> None:
    """Quantize and append the layer, merged with a Relu or Clip that follows it; a batch one sample after the other."""
    output = fused_target(context, node.outputs[0])
    integers, biases, rescaling = quantize_layer(context, node.name, source, weights, bias, output)
    grouped, biases = integers.reshape(groups, -1, integers.shape[1]), biases.reshape(groups, -1)
    if batch == 1:
        context.add(Linear(node.name, (source,), output, grouped, biases, shape, rescaling))
        return
    results = []
    for numbers in np.arange(source.size).reshape(batch, -1):
        sample = move(context, node.name, [source], numbers)
        part = context.fresh((output.size // batch,), output.lo, output.hi, output.scale, label=node.name)
        results.append(context.add(Linear(node.name, (sample,), part, grouped, biases, shape, rescaling)))
    context.add(Move(node.name, tuple(results), output, np.arange(output.size).reshape(output.shape)))


def fused_target(context: Context, name: str) -> Value:
    """A new value for a tensor; if its only reader cuts it to a range, for that reader's output, with the cut as bounds."""
    if name not in context.fused:
        output = context.target(name)
        context.bind(name, output)
        return output
    final, low, high = context.fused[name]
    output = context.target(final)
    output.lo, output.hi = max(output.lo, _edge(low, output)), min(output.hi, _edge(high, output))
    context.bind(final, output)
    context.done.add(final)
    return output


def _edge(bound: float, output: Value) -> int:
    return int(np.clip(np.round(bound / output.scale), -INT32_MAX, INT32_MAX))


def dense(context: Context, node: Node, source: Value, weights: FloatArray, bias: FloatArray, rows: int) -> None:
    """y (rows, channels) = x (rows, depth) times weights (channels, depth), plus bias."""
    channels, depth = weights.shape
    shape = Geometry((1, 1, depth), (0, 0, 1), (1, rows), (0, depth), (0, channels), 1)
    _append(context, node, source, weights, bias, shape, 1)


@lowers("Gemm")
def lower_gemm(context: Context, node: Node) -> None:
    """alpha * A B + beta * C with constant B and C; anything else was rewritten before."""
    matrix = context.required_constant(node, 1).astype(np.float64)
    weights = (matrix if node.attributes.get("transB", 0) else matrix.T) * node.attributes.get("alpha", 1.0)
    source = context.operand(node.inputs[0])
    bias = np.zeros(len(weights))
    if node.has(2):
        bias = np.broadcast_to(context.required_constant(node, 2).astype(np.float64) * node.attributes.get("beta", 1.0), (1, len(weights)))[
            0
        ]
    dense(context, node, source, weights, bias, source.size // weights.shape[1])


def matmul_constant_right(context: Context, node: Node, matrix: NDArray[Any]) -> None:
    """x (..., depth) times a constant matrix (depth, channels)."""
    source = context.operand(node.inputs[0])
    dense(context, node, source, matrix.T.astype(np.float64), np.zeros(matrix.shape[1]), source.size // matrix.shape[0])


def matmul_constant_left(context: Context, node: Node, matrix: NDArray[Any]) -> None:
    """A constant matrix (channels, depth) times x (depth, columns)."""
    source = context.operand(node.inputs[1])
    channels, depth = matrix.shape
    columns = source.size // depth
    shape = Geometry((1, 1, depth), (0, 0, columns), (1, columns), (0, 1), (0, 1), columns)
    _append(context, node, source, matrix.astype(np.float64), np.zeros(channels), shape, 1)


@lowers("Conv")
def lower_conv(context: Context, node: Node) -> None:
    """One- and two-dimensional convolution: groups, strides, dilations, explicit padding."""
    kernel = context.required_constant(node, 1).astype(np.float64)
    source = context.operand(node.inputs[0])
    dimensions = kernel.ndim - 2
    if dimensions not in (1, 2):
        raise UsageError(f"Conv {node.name!r}: {dimensions} spatial dimensions; one and two are supported")
    strides = list(node.attributes.get("strides", [1] * dimensions))
    dilations = list(node.attributes.get("dilations", [1] * dimensions))
    pads = spatial_pads(node, source.shape[2:], kernel.shape[2:], strides, dilations)
    bias = context.required_constant(node, 2).astype(np.float64) if node.has(2) else np.zeros(kernel.shape[0])
    _convolve(context, node, source, kernel, bias, strides, dilations, pads, int(node.attributes.get("group", 1)))


def _convolve(
    context: Context,
    node: Node,
    source: Value,
    kernel: FloatArray,
    bias: FloatArray,
    strides: list[int],
    dilations: list[int],
    pads: list[int],
    groups: int,
) -> None:
    """Pad, treat a line as an image of height 1, and append the layer."""
    source = pad_value(context, node.name, source, [0, 0, *pads[: len(strides)], 0, 0, *pads[len(strides) :]], 0)
    sizes = list(source.shape[2:])
    taps = list(kernel.shape[2:])
    if len(strides) == 1:
        strides, dilations, sizes, taps = [1, *strides], [1, *dilations], [1, *sizes], [1, *taps]
    height, width = sizes
    positions = tuple(
        (size - dilation * (tap - 1) - 1) // stride + 1 for size, tap, stride, dilation in zip(sizes, taps, strides, dilations, strict=True)
    )
    per_group = kernel.shape[1]
    shape = Geometry(
        taps=(per_group, taps[0], taps[1]),
        tap_steps=(height * width, dilations[0] * width, dilations[1]),
        positions=(positions[0], positions[1]),
        position_steps=(strides[0] * width, strides[1]),
        position_out=(positions[1], 1),
        channel_out=positions[0] * positions[1],
        group_step=per_group * height * width,
    )
    _append(context, node, source, kernel.reshape(kernel.shape[0], -1), bias, shape, groups, source.shape[0])


def spatial_pads(node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...], strides: list[int], dilations: list[int]) -> list[int]:
    """Explicit padding (begins, ends) of a convolution or pooling, from ``pads`` or ``auto_pad``."""
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic in ("NOTSET", "VALID"):
        return list(node.attributes.get("pads", [0] * (2 * len(sizes)))) if automatic == "NOTSET" else [0] * (2 * len(sizes))
    begins, ends = [], []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + dilation * (taps - 1) + 1 - size)
        small = total // 2
        begins.append(small if automatic == "SAME_UPPER" else total - small)
        ends.append(total - small if automatic == "SAME_UPPER" else small)
    return begins + ends


@lowers("ConvTranspose")
def lower_conv_transpose(context: Context, node: Node) -> None:
    """Transposed convolution: zeros between the inputs, then a convolution with the flipped kernel."""
    kernel = context.required_constant(node, 1).astype(np.float64)
    source = context.operand(node.inputs[0])
    dimensions = kernel.ndim - 2
    if dimensions not in (1, 2):
        raise UsageError(f"ConvTranspose {node.name!r}: {dimensions} spatial dimensions; one and two are supported")
    groups = int(node.attributes.get("group", 1))
    strides = list(node.attributes.get("strides", [1] * dimensions))
    dilations = list(node.attributes.get("dilations", [1] * dimensions))
    spread = pad_value(context, node.name, source, [0] * (2 * source_rank(source)), 0, gaps=[0, 0, *(stride - 1 for stride in strides)])
    reach = [dilation * (taps - 1) for taps, dilation in zip(kernel.shape[2:], dilations, strict=True)]
    wanted = context.info(node.outputs[0]).shape[2:]
    begins = _transposed_begins(node, dimensions, source.shape[2:], strides, reach, wanted)
    pads_begin = [size - begin for size, begin in zip(reach, begins, strict=True)]
    pads_end = [wanted[i] - 1 + reach[i] - (spread.shape[2 + i] - 1) - pads_begin[i] for i in range(dimensions)]
    flipped = np.flip(kernel, axis=tuple(range(2, kernel.ndim)))
    # (in, out per group, ...) -> (groups * out per group, in per group, ...)
    split = flipped.reshape(groups, kernel.shape[0] // groups, *kernel.shape[1:])
    weights = np.swapaxes(split, 1, 2).reshape(groups * kernel.shape[1], kernel.shape[0] // groups, *kernel.shape[2:])
    bias = context.required_constant(node, 2).astype(np.float64) if node.has(2) else np.zeros(len(weights))
    _convolve(context, node, spread, weights, bias, [1] * dimensions, dilations, pads_begin + pads_end, groups)


def source_rank(source: Value) -> int:
    """Number of dimensions."""
    return len(source.shape)


def _transposed_begins(
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
