"""Choice of elements by computed positions, and changes there: Gather, Scatter and their kin at run time, TopK."""

from __future__ import annotations

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, IntArray
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.integers import Fit
from zkvm.ml.operations.select import Lookup, Offsets, Scatter, TopK
from zkvm.ml.operators.common import aligned, as_rows, move
from zkvm.ml.operators.floatreduce import keys_of, of_keys
from zkvm.ml.operators.integers import fitted, type_of


def lower_gather(context: Context, node: Node) -> None:
    """Slices of the data at computed positions of one axis."""
    data, positions = (context.operand(name) for name in node.inputs[:2])
    axis = int(node.attributes.get("axis", 0)) % len(data.shape)
    numbers = np.arange(data.size).reshape(data.shape)
    first = np.take(numbers, np.zeros(positions.shape, np.int64), axis=axis)
    which = np.arange(positions.size).reshape(positions.shape)
    shape = [1] * axis + list(positions.shape) + [1] * (len(data.shape) - axis - 1)
    stride = int(np.prod(data.shape[axis + 1 :], dtype=np.int64))
    _look_up(context, node, data, positions, first, np.broadcast_to(which.reshape(shape), first.shape), stride, data.shape[axis])


def _look_up(
    context: Context, node: Node, data: Value, positions: Value, base: IntArray, which: IntArray, stride: int, extent: int
) -> None:
    output = context.fresh(base.shape, data.lo, data.hi, data.scale, data.kind, label=node.outputs[0])
    output.secret = data.secret
    operation = Lookup(node.name, (data, positions), output, base.reshape(-1), which.reshape(-1), stride, extent)
    context.bind(node.outputs[0], context.add(operation))


def _along_axis(node: Node, data: Value, positions: Value) -> tuple[IntArray, IntArray, int, int]:
    """Where the element at position 0 of the axis is for each of the positions; which of them it is; stride and extent of the axis."""
    axis = int(node.attributes.get("axis", 0)) % len(data.shape)
    numbers = np.arange(data.size).reshape(data.shape)
    base = numbers[tuple(slice(0, size) if other != axis else slice(0, 1) for other, size in enumerate(positions.shape))]
    stride = int(np.prod(data.shape[axis + 1 :], dtype=np.int64))
    return np.broadcast_to(base, positions.shape), np.arange(positions.size), stride, data.shape[axis]


def lower_gather_elements(context: Context, node: Node) -> None:
    """One element per computed position, along one axis."""
    data, positions = (context.operand(name) for name in node.inputs[:2])
    _look_up(context, node, data, positions, *_along_axis(node, data, positions))


def _offsets(context: Context, node: Node, positions: Value, shape: tuple[int, ...]) -> Value:
    """The offset of the slice that each row of positions says, in a tensor of this shape, from the start of all of them."""
    depth = positions.shape[-1]
    strides = tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(depth))
    last = int(np.prod(shape, dtype=np.int64)) - 1
    output = context.fresh(positions.shape[:-1], 0, last, kind=Kind.INTEGER, label=node.name)
    return context.add(Offsets(node.name, (positions,), output, strides, shape[:depth]))


def lower_gather_nd(context: Context, node: Node) -> None:
    """Slices of the data at computed positions of several axes, behind those of a batch."""
    data, positions = (context.operand(name) for name in node.inputs[:2])
    batch = int(node.attributes.get("batch_dims", 0))
    inner, depth = data.shape[batch:], positions.shape[-1]
    offsets = _offsets(context, node, positions, inner)
    length = int(np.prod(inner[depth:], dtype=np.int64))
    shape = (*positions.shape[:-1], *inner[depth:])
    numbers = np.arange(offsets.size * length)
    which, within = numbers // length, numbers % length
    per_batch = offsets.size // int(np.prod(data.shape[:batch], dtype=np.int64))
    size = int(np.prod(inner, dtype=np.int64))
    base = (which // per_batch * size + within).reshape(shape)
    _look_up(context, node, data, offsets, base, which, 1, size)


def lower_scatter(context: Context, node: Node) -> None:
    """The data with changes at computed positions, of one axis or of the first ones."""
    data, updates = _with_one_scale(context, node)
    positions = context.operand(node.inputs[1])
    if node.operator == "ScatterND":
        depth = positions.shape[-1]
        offsets = _offsets(context, node, positions, data.shape)
        length = int(np.prod(data.shape[depth:], dtype=np.int64))
        numbers = np.arange(offsets.size * length)
        base, which, stride, extent, positions = numbers % length, numbers // length, 1, data.size, offsets
    else:
        base, which, stride, extent = _along_axis(node, data, positions)
    change = str(node.attributes.get("reduction", "none"))
    fit, bounds = _changed_bounds(context, node, data, updates, change)
    output = context.fresh(data.shape, *bounds, data.scale, data.kind, label=node.outputs[0])
    output.secret = data.secret
    places = base.reshape(-1), which.reshape(-1)
    operation = Scatter(node.name, (data, positions, updates), output, *places, stride, extent, change, fit)
    context.bind(node.outputs[0], context.add(operation))


def _with_one_scale(context: Context, node: Node) -> tuple[Value, Value]:
    data, updates = (context.operand(node.inputs[position]) for position in (0, 2))
    if data.kind is Kind.REAL:
        data, updates = aligned(context, node.name, [data, updates], max(data.scale, updates.scale))
    return data, updates


def _changed_bounds(context: Context, node: Node, data: Value, updates: Value, change: str) -> tuple[Fit | None, tuple[int, int]]:
    """How a changed element fits its type, and its bounds."""
    lo, hi = min(data.lo, updates.lo), max(data.hi, updates.hi)
    if data.kind is Kind.FLOAT or change in ("none", "max", "min"):
        return None, (lo, hi)
    if data.kind is Kind.INTEGER:
        # Each step may leave the type, so that none is exact.
        beyond = 1 << 64
        fit, bounds = fitted(node.name, type_of(context, node.outputs[0]), -beyond, beyond)
        return fit, bounds
    bound = data.magnitude + updates.size * updates.magnitude
    if change != "add" or bound > INT32_MAX:
        raise UsageError(f"{node.operator} {node.name!r}: reduction {change!r} is not supported in fixed point; use --arithmetic float")
    return None, (-bound, bound)


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
