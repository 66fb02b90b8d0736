"""Convolutions as layers of tensor calls: which element every tap reads at every position. Samples of a batch are further positions."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.ir import Kind
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operators.common import spatial_pads
from zkvm.ml.operators.layers import Layer
from zkvm.ml.small_weights import in_small_integers

MAX_DIAGONAL = 1 << 11
"""Channels of a normalization whose weights are worth a matrix with nothing but a diagonal."""


def windows(sizes: tuple[int, ...], places: list[IntArray]) -> IntArray:
    """Elements that windows read of one channel: (taps, positions), -1 outside.

    Args:
        sizes: of the channel, by axis.
        places: by axis (taps, positions) along it, which may lie outside.
    """
    taps, positions = [len(axis) for axis in places], [axis.shape[1] for axis in places]
    rank = len(sizes)
    elements, inside = np.zeros((*taps, *positions), np.int64), np.ones((*taps, *positions), np.bool_)
    for axis, (size, along) in enumerate(zip(sizes, places, strict=True)):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = along.shape
        elements = elements * size + along.reshape(shape)
        inside &= ((along >= 0) & (along < size)).reshape(shape)
    return np.where(inside, elements, -1).reshape(prod(taps), prod(positions))


def steps(taps: int, positions: int, stride: int, dilation: int, begin: int) -> IntArray:
    """What a window reads along an axis: (taps, positions)."""
    return np.arange(taps)[:, None] * dilation + np.arange(positions)[None, :] * stride - begin


def of_channels(channel: IntArray, channels: int, size: int) -> IntArray:
    """The same for all channels of a value: (channels, taps, positions)."""
    return np.where(channel < 0, -1, channel + np.arange(channels)[:, None, None] * size)


def of_samples(index: IntArray, shape: tuple[int, ...]) -> IntArray:
    """The same for all samples of a value, whose positions follow one another: (..., positions of all samples).

    Args:
        index: (..., positions) elements of one sample, -1 for a zero.
        shape: of the value, samples first.
    """
    starts = np.arange(shape[0])[:, None] * prod(shape[1:])
    return np.where(index[..., None, :] < 0, -1, index[..., None, :] + starts).reshape(*index.shape[:-1], -1)


def order_of_samples(samples: int, channels: int, positions: int) -> IntArray | None:
    """Which results (channels, positions of all samples) are (samples, channels, positions), in order; None of one sample."""
    if samples == 1:
        return None
    index = np.arange(channels)[:, None] * (samples * positions) + np.arange(positions)
    return (np.arange(samples)[:, None, None] * positions + index).reshape(-1)


def block_diagonal(kernel: FloatArray, groups: int) -> FloatArray:
    """(channels, channels of a group, taps) -> (channels, all channels times taps), zero outside a channel's group."""
    channels, inner, taps = kernel.shape
    weights = np.zeros((groups, channels // groups, groups, inner * taps))
    for group, part in enumerate(kernel.reshape(groups, channels // groups, inner * taps)):
        weights[group, :, group] = part
    return weights.reshape(channels, groups * inner * taps)


def convolution_of(context: Context, node: Node) -> Layer | None:
    """The layer that a convolution or a normalisation with known statistics is, if it is one of real numbers."""
    if node.operator not in ("Conv", "BatchNormalization") or node.domain or node.inputs[0] in context.constants:
        return None
    info = context.info(node.inputs[0])
    if info.kind is not Kind.REAL or any(name and name not in context.constants for name in node.inputs[1:]):
        return None
    if node.operator == "BatchNormalization":
        return _normalization(context, node, info.shape)
    if len(info.shape) < 3:
        return None
    kernel = context.required_constant(node, 1).astype(np.float64)
    bias = context.required_constant(node, 2).astype(np.float64) if node.has(2) else np.zeros(len(kernel))
    if not np.isfinite(kernel).all():
        return None
    sizes, taps, rank = info.shape[2:], kernel.shape[2:], kernel.ndim - 2
    strides, dilations = (list(node.attributes.get(name, [1] * rank)) for name in ("strides", "dilations"))
    pads = spatial_pads(node, sizes, taps, strides, dilations)
    positions = context.info(node.outputs[0]).shape[2:]
    places = [steps(taps[axis], positions[axis], strides[axis], dilations[axis], pads[axis]) for axis in range(rank)]
    index = of_channels(windows(sizes, places), info.shape[1], prod(sizes))
    groups = int(node.attributes.get("group", 1))
    weights = block_diagonal(kernel.reshape(*kernel.shape[:2], -1), groups)
    layer = _layer(node, weights, bias, of_samples(index, info.shape), kernel[0].size, info.shape[0])
    return replace(layer, small=in_small_integers(context.scaled, node.inputs[1], 0))


def _normalization(context: Context, node: Node, shape: tuple[int, ...]) -> Layer | None:
    scale, shift, mean, variance = (context.required_constant(node, position).astype(np.float64) for position in range(1, 5))
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    if not np.isfinite(factor).all() or len(factor) > MAX_DIAGONAL:
        return None
    if len(shape) <= 2:  # rows of channels, as of a dense layer
        return Layer(node.inputs[0], node.outputs[0], np.diag(factor), shift - mean * factor, False, products=1)
    index = np.arange(prod(shape[1:])).reshape(shape[1], 1, -1)
    return _layer(node, np.diag(factor), shift - mean * factor, of_samples(index, shape), 1, shape[0])


def _layer(node: Node, weights: FloatArray, bias: FloatArray, index: IntArray, products: int, samples: int) -> Layer:
    index = np.ascontiguousarray(index).reshape(-1, index.shape[-1])
    order = order_of_samples(samples, len(weights), index.shape[1] // samples)
    return Layer(node.inputs[0], node.outputs[0], weights, bias, True, index, products, order)
