"""Pooling: maximum and average over windows. Padding never counts for a maximum."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MIN, IntArray
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers, lowers_float
from zkvm.ml.node import Node
from zkvm.ml.operations.floatlinear import FloatLinear, LayerWeights
from zkvm.ml.operations.linear import Geometry
from zkvm.ml.operations.pool import Pool, Windows
from zkvm.ml.operators.common import broadcast, fused_target, pad_value, spatial_pads
from zkvm.ml.operators.floatreduce import LARGEST_KEY, LEAST_FINITE_KEY, LOWEST_KEY, keys_of, of_keys
from zkvm.ml.operators.floats import float_pair
from zkvm.ml.operators.linear import planes
from zkvm.ml.operators.tensor_elements import average_pool_in_tensors, max_pool_in_tensors


def _windows(node: Node, source: Value, sizes: tuple[int, ...]) -> tuple[Windows, list[int]]:
    """Geometry after padding, and the padding (begins, ends) that makes the output's sizes."""
    spatial = source.shape[2:]
    kernel = list(node.attributes["kernel_shape"])
    rank = len(kernel)
    if rank not in (1, 2, 3):
        raise UsageError(f"{node.operator} {node.name!r}: {rank} spatial dimensions; one to three are supported")
    strides = list(node.attributes.get("strides", [1] * rank))
    dilations = list(node.attributes.get("dilations", [1] * rank))
    pads = spatial_pads(node, spatial, tuple(kernel), strides, dilations)
    for axis in range(rank):
        # With ceil_mode the last window may reach further than the padding.
        needed = (sizes[axis] - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1
        pads[rank + axis] = max(pads[rank + axis], needed - spatial[axis] - pads[axis])
    padded = [spatial[axis] + pads[axis] + pads[rank + axis] for axis in range(rank)]

    def three(values: list[int]) -> tuple[int, int, int]:
        plane, line, column = [1] * (3 - rank) + values
        return plane, line, column

    channels = source.shape[0] * source.shape[1]
    windows = Windows(channels, three(padded), three(kernel), three(strides), three(dilations), three(list(sizes)))
    return windows, [0, 0, *pads[:rank], 0, 0, *pads[rank:]]


@lowers("MaxPool", words=True)
def lower_max_pool(context: Context, node: Node) -> None:
    """Maximum of windows, exact. The second output, positions, is not supported."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise UsageError(f"MaxPool {node.name!r}: the output Indices is not supported")
    if max_pool_in_tensors(context, node):
        return
    source = context.operand(node.inputs[0])
    shape = context.info(node.outputs[0]).shape
    windows, pads = _windows(node, source, shape[2:])
    if source.kind is Kind.FLOAT:
        context.bind(node.outputs[0], _float_maxima(context, node, source, windows, pads))
        return
    output = context.fresh(shape, source.lo, source.hi, source.scale, source.kind, label=node.outputs[0])
    padded = pad_value(context, node.name, source, pads, source.lo)
    context.bind(node.outputs[0], context.add(Pool(node.name, (padded,), output, windows)))


WIDEST_ROW, WIDEST_WINDOW = 2045, 32
"""Beyond these onnxruntime does not pool several windows at once."""


def _float_maxima(context: Context, node: Node, source: Value, windows: Windows, pads: list[int]) -> Value:
    """Maxima of floats, with NaN and minus infinity as onnxruntime has them where these do not depend on its vectors.

    Dilated windows begin with their first element and take what is larger. Others begin with the least finite number, so that minus
    infinity is that, and NaN is nothing, if windows are computed one by one; if several are at once, NaN depends on where it lies, and
    wins here; in two dimensions such windows begin with their first element, or with padding at their sides.
    """
    spatial = source.shape[2:]
    rank, kernel = len(spatial), windows.window[3 - len(spatial) :]
    dilated = windows.dilation != (1, 1, 1)
    given = spatial_pads(node, spatial, kernel, list(windows.stride[3 - rank :]), [1] * rank)
    whole = kernel == spatial and windows.stride == (1, 1, 1) and not any(given)
    wide = spatial[-1] + given[rank - 1] + given[-1] > WIDEST_ROW or max(kernel) > WIDEST_WINDOW
    nan, least, fill = LARGEST_KEY, LEAST_FINITE_KEY, LEAST_FINITE_KEY
    if dilated:
        least, fill = LOWEST_KEY, INT32_MIN
    elif not whole and (rank == 1 or windows.stride[2] > 2 or wide):
        nan = LEAST_FINITE_KEY
    elif not whole and rank == 2:
        least, fill = LOWEST_KEY, LEAST_FINITE_KEY if pads[3] or pads[7] else LOWEST_KEY
    keys = keys_of(context, node.name, source, nan=nan, least=least)
    padded = pad_value(context, node.name, keys, pads, fill)
    shape = context.info(node.outputs[0]).shape
    output = context.fresh(shape, keys.lo, keys.hi, kind=Kind.INTEGER, label=node.outputs[0])
    result = context.add(Pool(node.name, (padded,), output, windows, ordered=dilated, empty=LEAST_FINITE_KEY))
    return of_keys(context, node.name, result)


def _counts(node: Node, source: Value, windows: Windows, pads: list[int]) -> IntArray:
    """How many elements of every window count, by the output's position."""
    rank = len(source.shape) - 2
    begins, sizes = [0] * (3 - rank) + pads[2 : 2 + rank], [1] * (3 - rank) + list(source.shape[2:])
    if node.attributes.get("count_include_pad", 0):
        # Everything counts but what only ceil_mode added.
        given = spatial_pads(node, source.shape[2:], windows.window[3 - rank :], list(windows.stride[3 - rank :]), [1] * rank)
        sizes = [1] * (3 - rank) + [size + given[axis] + given[rank + axis] for axis, size in enumerate(source.shape[2:])]
        begins = [0, 0, 0]
    axes = []
    for axis in range(3):
        places = np.arange(windows.output[axis])[:, None] * windows.stride[axis] + np.arange(windows.window[axis]) * windows.dilation[axis]
        axes.append(((places >= begins[axis]) & (places < begins[axis] + sizes[axis])).sum(axis=1))
    return np.array([prod(counts) for counts in product(*axes)], np.int64)


@lowers("AveragePool")
def lower_average_pool(context: Context, node: Node) -> None:
    """Mean of windows; whether padding counts is the node's choice."""
    if average_pool_in_tensors(context, node):
        return
    source = context.operand(node.inputs[0])
    output = fused_target(context, node.outputs[0])
    windows, pads = _windows(node, source, output.shape[2:])
    counts = _counts(node, source, windows, pads)
    padded = pad_value(context, node.name, source, pads, 0)
    factors = np.unique(counts) if len(np.unique(counts)) == 1 else counts
    bound = padded.magnitude * prod(windows.window)
    rescaling = context.rescale(source.scale / output.scale / factors, bound, output, node.name)
    context.add(Pool(node.name, (padded,), output, windows, rescaling))


@lowers_float("AveragePool")
def lower_float_average_pool(context: Context, node: Node) -> None:
    """Sums of windows, each channel aligned by itself, divided by how many elements count."""
    source = context.operand(node.inputs[0])
    shape = context.info(node.outputs[0]).shape
    windows, pads = _windows(node, source, shape[2:])
    counts = _counts(node, source, windows, pads)
    padded = pad_value(context, node.name, source, pads, 0)
    volumes = context.view(padded, (windows.channels, 1, *windows.size))
    images = volumes
    if windows.size[0] > 1:
        images = planes(context, node.name, volumes, windows.window[0], windows.stride[0], windows.dilation[0])
    width, words = windows.size[2], windows.size[1] * windows.size[2]
    taps = (windows.window[0], windows.window[1], windows.window[2])
    geometry = Geometry(
        taps=taps,
        tap_steps=(words, windows.dilation[1] * width, windows.dilation[2]),
        positions=(windows.output[1], windows.output[2]),
        position_steps=(windows.stride[1] * width, windows.stride[2]),
        position_out=(windows.output[2], 1),
        channel_out=windows.output[1] * windows.output[2],
        group_step=windows.window[0] * words,
    )
    # Where all counts are one power of two, dividing by it is exact in the exponent.
    count = int(counts[0]) if (counts == counts[0]).all() else 0
    folded = count if count and count & (count - 1) == 0 else 1
    weights = LayerWeights(np.ones((1, 1, prod(taps)), np.int64), np.array([[1 - folded.bit_length()]], np.int64), None, None)
    sums = context.float_value(shape, node.name)
    context.add(FloatLinear(node.name, (images,), sums, weights, geometry, windows.channels * windows.output[0]))
    if folded != count:
        divisor = context.float_constant("count", float(count), known=True)
        if not count:
            divisor = context.float_constant("counts", counts.reshape(shape[2:]).astype(np.float32), known=True)
            divisor = broadcast(context, node.name, divisor, shape)
        sums = float_pair(context, node.name, "div", sums, divisor)
    context.bind(node.outputs[0], sums)
