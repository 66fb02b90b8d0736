"""Layers with constant weights: Gemm, Conv, ConvTranspose, BatchNormalization, and MatMul as far as one factor is constant.

In fixed point weights are quantized per output channel, as finely as ``weight_bits`` and the 32-bit accumulator allow: the sum is bounded
by |bias| + max|x| * sum|weight|, computed from the actual weights. See ``floatlinear.py`` for floats.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, FloatArray, IntArray, Rescale
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers, lowers_float
from zkvm.ml.node import Node
from zkvm.ml.operations.linear import Geometry, Linear
from zkvm.ml.operations.move import Move
from zkvm.ml.operators.common import fused_target, move, pad_value, spatial_pads
from zkvm.ml.operators.floatlinear import float_layer
from zkvm.ml.operators.tensors import gemm_weights, lower_to_tensors
from zkvm.ml.operators.transposed import transposed_begins

MIN_WEIGHT_MAGNITUDE = 31
"""A layer whose accumulator leaves its largest weight fewer steps than this is refused."""


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
    return integers, biases, context.rescale(steps * source.scale / output.scale, bound, output, name)


def _append(
    context: Context,
    node: Node,
    source: Value,
    weights: FloatArray,
    bias: FloatArray | None,
    shape: Geometry,
    *,
    groups: int = 1,
    samples: int = 1,
    rows: bool = False,
    order: IntArray | None = None,
) -> None:
    """Append the layer, merged with a Relu or Clip that follows it; samples one after the other. See ``float_layer``."""
    if source.kind is Kind.FLOAT:
        float_layer(context, node, source, weights, bias, shape, groups=groups, samples=samples, rows=rows, order=order)
        return
    bias = np.zeros(len(weights)) if bias is None else bias
    output = fused_target(context, node.outputs[0])
    integers, biases, rescaling = quantize_layer(context, node.name, source, weights, bias, output)
    grouped, biases = integers.reshape(groups, -1, integers.shape[1]), biases.reshape(groups, -1)
    if samples == 1:
        context.add(Linear(node.name, (source,), output, grouped, biases, shape, rescaling))
        return
    results = []
    for numbers in np.arange(source.size).reshape(samples, -1):
        sample = move(context, node.name, [source], numbers)
        part = context.fresh((output.size // samples,), output.lo, output.hi, output.scale, label=node.name)
        part.cut, part.guarded = output.cut, output.guarded
        results.append(context.add(Linear(node.name, (sample,), part, grouped, biases, shape, rescaling)))
    output.cut, output.guarded = None, (False, False)  # the parts are cut, and not what is made of them
    context.add(Move(node.name, tuple(results), output, np.arange(output.size).reshape(output.shape) if order is None else order))


def dense(context: Context, node: Node, source: Value, weights: FloatArray, bias: FloatArray | None, rows: int) -> None:
    """y (rows, channels) = x (rows, depth) times weights (channels, depth), plus bias."""
    channels, depth = weights.shape
    shape = Geometry((1, 1, depth), (0, 0, 1), (1, rows), (0, depth), (0, channels), 1)
    _append(context, node, source, weights, bias, shape, rows=True)


@lowers_float("Gemm")
@lowers("Gemm")
def lower_gemm(context: Context, node: Node) -> None:
    """alpha * A B + beta * C with constant B and C; anything else was rewritten before."""
    if lower_to_tensors(context, node):
        return
    weights, bias = gemm_weights(context, node)
    source = context.operand(node.inputs[0])
    dense(context, node, source, weights, bias, source.size // weights.shape[1])


def matmul_constant_right(context: Context, node: Node, matrix: NDArray[Any]) -> None:
    """x (..., depth) times a constant matrix (depth, channels)."""
    source = context.operand(node.inputs[0])
    dense(context, node, source, matrix.T.astype(np.float64), None, source.size // matrix.shape[0])


def matmul_constant_left(context: Context, node: Node, matrix: NDArray[Any]) -> None:
    """A constant matrix (channels, depth) times x (depth, columns)."""
    source = context.operand(node.inputs[1])
    channels, depth = matrix.shape
    columns = source.size // depth
    if source.kind is Kind.FLOAT:
        # Columns are aligned by themselves, so they become rows.
        turned = move(context, node.name, [source], np.arange(source.size).reshape(depth, columns).T.copy())
        shape = Geometry((1, 1, depth), (0, 0, 1), (1, columns), (0, depth), (0, channels), 1)
        back = np.arange(columns * channels).reshape(columns, channels).T.reshape(context.info(node.outputs[0]).shape)
        float_layer(context, node, turned, matrix.astype(np.float64), None, shape, rows=True, order=np.ascontiguousarray(back))
        return
    shape = Geometry((1, 1, depth), (0, 0, columns), (1, columns), (0, 1), (0, 1), columns)
    _append(context, node, source, matrix.astype(np.float64), None, shape)


@lowers_float("Conv")
@lowers("Conv")
def lower_conv(context: Context, node: Node) -> None:
    """Convolution over one to three dimensions: groups, strides, dilations, explicit padding."""
    if lower_to_tensors(context, node):
        return
    kernel = context.required_constant(node, 1).astype(np.float64)
    source = context.operand(node.inputs[0])
    dimensions = kernel.ndim - 2
    if dimensions not in (1, 2, 3):
        raise UsageError(f"Conv {node.name!r}: {dimensions} spatial dimensions; one to three are supported")
    strides = list(node.attributes.get("strides", [1] * dimensions))
    dilations = list(node.attributes.get("dilations", [1] * dimensions))
    pads = spatial_pads(node, source.shape[2:], kernel.shape[2:], strides, dilations)
    bias = context.required_constant(node, 2).astype(np.float64) if node.has(2) else None
    _convolve(context, node, source, kernel, bias, strides, dilations, pads, int(node.attributes.get("group", 1)))


def _convolve(
    context: Context,
    node: Node,
    source: Value,
    kernel: FloatArray,
    bias: FloatArray | None,
    strides: list[int],
    dilations: list[int],
    pads: list[int],
    groups: int,
) -> None:
    """Pad, treat a line as an image of height 1 and a volume as one image per plane of the output, and append the layer."""
    source = pad_value(context, node.name, source, [0, 0, *pads[: len(strides)], 0, 0, *pads[len(strides) :]], 0)
    samples, order = source.shape[0], None
    if len(strides) == 3:
        source = planes(context, node.name, source, kernel.shape[2], strides[0], dilations[0])
        images = source.shape[0]
        kernel = kernel.reshape(len(kernel), -1, *kernel.shape[3:])
        shape = context.info(node.outputs[0]).shape
        order = np.swapaxes(np.arange(prod(shape)).reshape(samples, images // samples, shape[1], *shape[3:]), 1, 2).reshape(shape)
        samples, strides, dilations = images, strides[1:], dilations[1:]
    sizes = list(source.shape[2:])
    taps = list(kernel.shape[2:])
    if len(strides) == 1:
        strides, dilations, sizes, taps = [1, *strides], [1, *dilations], [1, *sizes], [1, *taps]
    height, width = sizes
    positions = tuple(
        (size - dilation * (tap - 1) - 1) // stride + 1 for size, tap, stride, dilation in zip(sizes, taps, strides, dilations, strict=True)
    )
    per_group = kernel.shape[1]
    geometry = Geometry(
        taps=(per_group, taps[0], taps[1]),
        tap_steps=(height * width, dilations[0] * width, dilations[1]),
        positions=(positions[0], positions[1]),
        position_steps=(strides[0] * width, strides[1]),
        position_out=(positions[1], 1),
        channel_out=positions[0] * positions[1],
        group_step=per_group * height * width,
    )
    _append(context, node, source, kernel.reshape(len(kernel), -1), bias, geometry, groups=groups, samples=samples, order=order)


def planes(context: Context, name: str, source: Value, taps: int, stride: int, dilation: int) -> Value:
    """Volumes as images: one for each plane of the output, whose channels are the planes that its kernel reads, channel by channel."""
    samples, channels, depth, height, width = source.shape
    count = (depth - dilation * (taps - 1) - 1) // stride + 1
    numbers = np.arange(source.size).reshape(source.shape)
    read = np.arange(count)[:, None] * stride + np.arange(taps) * dilation
    windows = np.moveaxis(numbers[:, :, read], 2, 1)
    return move(context, name, [source], np.ascontiguousarray(windows).reshape(samples * count, channels * taps, height, width))


@lowers_float("ConvTranspose")
@lowers("ConvTranspose")
def lower_conv_transpose(context: Context, node: Node) -> None:
    """Transposed convolution: zeros between the inputs, then a convolution with the flipped kernel."""
    if lower_to_tensors(context, node):
        return
    kernel = context.required_constant(node, 1).astype(np.float64)
    source = context.operand(node.inputs[0])
    dimensions = kernel.ndim - 2
    if dimensions not in (1, 2, 3):
        raise UsageError(f"ConvTranspose {node.name!r}: {dimensions} spatial dimensions; one to three are supported")
    groups = int(node.attributes.get("group", 1))
    strides = list(node.attributes.get("strides", [1] * dimensions))
    dilations = list(node.attributes.get("dilations", [1] * dimensions))
    spread = pad_value(context, node.name, source, [0] * (2 * source_rank(source)), 0, gaps=[0, 0, *(stride - 1 for stride in strides)])
    reach = [dilation * (taps - 1) for taps, dilation in zip(kernel.shape[2:], dilations, strict=True)]
    wanted = context.info(node.outputs[0]).shape[2:]
    begins = transposed_begins(node, dimensions, source.shape[2:], strides, reach, wanted)
    pads_begin = [size - begin for size, begin in zip(reach, begins, strict=True)]
    pads_end = [wanted[i] - 1 + reach[i] - (spread.shape[2 + i] - 1) - pads_begin[i] for i in range(dimensions)]
    flipped = np.flip(kernel, axis=tuple(range(2, kernel.ndim)))
    # (in, out per group, ...) -> (groups * out per group, in per group, ...)
    split = flipped.reshape(groups, kernel.shape[0] // groups, *kernel.shape[1:])
    weights = np.swapaxes(split, 1, 2).reshape(groups * kernel.shape[1], kernel.shape[0] // groups, *kernel.shape[2:])
    bias = context.required_constant(node, 2).astype(np.float64) if node.has(2) else None
    _convolve(context, node, spread, weights, bias, [1] * dimensions, dilations, pads_begin + pads_end, groups)


def source_rank(source: Value) -> int:
    """Number of dimensions."""
    return len(source.shape)


@lowers("BatchNormalization")
def lower_batch_normalization(context: Context, node: Node) -> None:
    """x * factor + offset per channel: a depthwise convolution with one tap."""
    if lower_to_tensors(context, node):
        return
    scale, shift, mean, variance = (context.required_constant(node, position).astype(np.float64) for position in range(1, 5))
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    source = context.operand(node.inputs[0])
    samples, channels = source.shape[0], len(factor)
    pixels = source.size // (samples * channels)
    positions, steps = ((1, samples), (0, channels)) if pixels == 1 else ((samples, pixels), (channels * pixels, 1))
    geometry = Geometry((1, 1, 1), (0, 0, 0), positions, steps, steps, pixels, pixels)
    _append(context, node, source, factor[:, None], shift - mean * factor, geometry, groups=channels)
