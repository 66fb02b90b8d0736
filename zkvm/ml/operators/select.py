"""Choice of elements by computed positions: Gather and GatherElements at run time, TopK."""

from __future__ import annotations

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.ir import Kind
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.select import Lookup, TopK
from zkvm.ml.operators.common import as_rows, move
from zkvm.ml.operators.floatreduce import keys_of, of_keys


def _append(context: Context, node: Node, base: IntArray, which: IntArray, stride: int, extent: int) -> None:
    data, positions = (context.operand(name) for name in node.inputs[:2])
    output = context.fresh(base.shape, data.lo, data.hi, data.scale, data.kind, label=node.outputs[0])
    context.bind(
        node.outputs[0], context.add(Lookup(node.name, (data, positions), output, base.reshape(-1), which.reshape(-1), stride, extent))
    )


def lower_gather(context: Context, node: Node) -> None:
    """Slices of the data at computed positions of one axis."""
    data, positions = (context.operand(name) for name in node.inputs[:2])
    axis = int(node.attributes.get("axis", 0)) % len(data.shape)
    numbers = np.arange(data.size).reshape(data.shape)
    first = np.take(numbers, np.zeros(positions.shape, np.int64), axis=axis)
    which = np.arange(positions.size).reshape(positions.shape)
    shape = [1] * axis + list(positions.shape) + [1] * (len(data.shape) - axis - 1)
    stride = int(np.prod(data.shape[axis + 1 :], dtype=np.int64))
    _append(context, node, first, np.ascontiguousarray(np.broadcast_to(which.reshape(shape), first.shape)), stride, data.shape[axis])


def lower_gather_elements(context: Context, node: Node) -> None:
    """One element per computed position, along one axis."""
    data, positions = (context.operand(name) for name in node.inputs[:2])
    axis = int(node.attributes.get("axis", 0)) % len(data.shape)
    numbers = np.arange(data.size).reshape(data.shape)
    base = np.take_along_axis(numbers, np.zeros(positions.shape, np.int64), axis=axis)
    base = numbers[tuple(slice(0, size) if other != axis else slice(0, 1) for other, size in enumerate(positions.shape))]
    base = np.broadcast_to(base, positions.shape)
    stride = int(np.prod(data.shape[axis + 1 :], dtype=np.int64))
    which = np.arange(positions.size).reshape(positions.shape)
    _append(context, node, np.ascontiguousarray(base), which, stride, data.shape[axis])


@lowers("TopK", words=True)
def lower_top(context: Context, node: Node) -> None:
    """Largest or smallest elements of one axis, and their positions."""
    source = context.operand(node.inputs[0])
    rank = len(source.shape)
    axis = int(node.attributes.get("axis", -1)) % rank
    count = int(context.required_constant(node, 1).reshape(-1)[0])
    if not 0 < count <= source.shape[axis]:
        raise UsageError(f"TopK {node.name!r}: {count} elements of an axis of {source.shape[axis]}")
    floats = source.kind is Kind.FLOAT
    source = keys_of(context, node.name, source)
    rows = as_rows(context, node.name, source, (axis,))
    others = [size for other, size in enumerate(source.shape) if other != axis]
    largest = bool(node.attributes.get("largest", 1))
    for name, positions in zip(node.outputs, (False, True), strict=False):
        if not name:
            continue
        kind = Kind.INTEGER if positions else source.kind
        bounds = (0, source.shape[axis] - 1) if positions else (source.lo, source.hi)
        result = context.fresh((*others, count), *bounds, 1.0 if positions else source.scale, kind, label=name)
        context.add(TopK(node.name, (rows,), result, source.shape[axis], count, largest, positions))
        if floats and not positions:
            result = of_keys(context, node.name, result)
        index = np.moveaxis(np.arange(result.size).reshape(result.shape), -1, axis)
        context.bind(name, move(context, node.name, [result], np.ascontiguousarray(index)))
