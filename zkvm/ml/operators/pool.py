"""Pooling: maximum and average over windows. Padding never counts for a maximum."""

from __future__ import annotations

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.ir import Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.pool import Pool, Windows
from zkvm.ml.operators.common import fused_target, pad_value, spatial_pads


def _windows(node: Node, source: Value, output: Value) -> tuple[Windows, Value | None, list[int]]:
    """Geometry before padding, and the padding (begins, ends) that makes the output's size."""
    spatial = source.shape[2:]
    kernel = list(node.attributes["kernel_shape"])
    rank = len(kernel)
    if rank not in (1, 2):
        raise UsageError(f"{node.operator} {node.name!r}: {rank} spatial dimensions; one and two are supported")
    strides = list(node.attributes.get("strides", [1] * rank))
    dilations = list(node.attributes.get("dilations", [1] * rank))
    pads = spatial_pads(node, spatial, tuple(kernel), strides, dilations)
    sizes = output.shape[2:]
    for axis in range(rank):
        # With ceil_mode the last window may reach further than the padding.
        needed = (sizes[axis] - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1
        pads[rank + axis] = max(pads[rank + axis], needed - spatial[axis] - pads[axis])
    padded = [spatial[axis] + pads[axis] + pads[rank + axis] for axis in range(rank)]

    def pair(values: list[int], one: int) -> tuple[int, int]:
        return (one, values[0]) if rank == 1 else (values[0], values[1])

    windows = Windows(
        source.shape[0] * source.shape[1], pair(padded, 1), pair(kernel, 1), pair(strides, 1), pair(dilations, 1), pair(list(sizes), 1)
    )
    return windows, None, [0, 0, *pads[:rank], 0, 0, *pads[rank:]]


@lowers("MaxPool")
def lower_max_pool(context: Context, node: Node) -> None:
    """Maximum of windows; exact. The second output, positions, is not supported."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise UsageError(f"MaxPool {node.name!r}: the output Indices is not supported")
    source = context.operand(node.inputs[0])
    shape = context.info(node.outputs[0]).shape
    output = context.fresh(shape, source.lo, source.hi, source.scale, source.kind, label=node.outputs[0])
    windows, _, pads = _windows(node, source, output)
    padded = pad_value(context, node.name, source, pads, source.lo)
    context.bind(node.outputs[0], context.add(Pool(node.name, (padded,), output, windows)))


@lowers("AveragePool")
def lower_average_pool(context: Context, node: Node) -> None:
    """Mean of windows; whether padding counts is the node's choice."""
    source = context.operand(node.inputs[0])
    output = fused_target(context, node.outputs[0])
    windows, _, pads = _windows(node, source, output)
    rank = len(source.shape) - 2
    ones = np.zeros(windows.size)
    begins = pads[2 : 2 + rank] if rank == 2 else [0, *pads[2:3]]
    inner = source.shape[2:] if rank == 2 else (1, *source.shape[2:])
    if node.attributes.get("count_include_pad", 0):
        # Everything counts but what only ceil_mode added.
        given = list(node.attributes.get("pads", [0] * (2 * rank)))
        limits = [windows.size[axis] for axis in range(2)]
        for axis in range(rank):
            limits[2 - rank + axis] = source.shape[2 + axis] + given[axis] + given[rank + axis]
        ones[: limits[0], : limits[1]] = 1
    else:
        ones[begins[0] : begins[0] + inner[0], begins[1] : begins[1] + inner[1]] = 1
    counts = np.array(
        [
            [
                ones[
                    y * windows.stride[0] : y * windows.stride[0] + windows.dilation[0] * (windows.window[0] - 1) + 1 : windows.dilation[0],
                    x * windows.stride[1] : x * windows.stride[1] + windows.dilation[1] * (windows.window[1] - 1) + 1 : windows.dilation[1],
                ].sum()
                for x in range(windows.output[1])
            ]
            for y in range(windows.output[0])
        ]
    )
    padded = pad_value(context, node.name, source, pads, 0)
    factors = np.unique(counts) if len(np.unique(counts)) == 1 else counts.reshape(-1)
    bound = padded.magnitude * windows.window[0] * windows.window[1]
    rescaling = context.rescale(source.scale / output.scale / factors, bound, output, node.name)
    context.add(Pool(node.name, (padded,), output, windows, rescaling))
