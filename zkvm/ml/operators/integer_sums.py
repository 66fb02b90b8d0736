"""Sums of integers: reductions, running sums, products of matrices."""

from __future__ import annotations

import numpy as np

from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.integer_sums import IntegerProduct, IntegerRunningSum, IntegerSum
from zkvm.ml.operators.common import broadcast, move
from zkvm.ml.operators.integers import Dtype, fitted, truncated, type_of


def integer_sum(context: Context, name: str, rows: Value, shape: tuple[int, ...], term: str, dtype: Dtype, divisor: int = 1) -> Value:
    """Append a sum of rows, see :class:`IntegerSum`.

    Args:
        context: of the lowering.
        name: of the layer.
        rows: (outputs, length).
        shape: of the result.
        term: sum, absolute or square.
        dtype: of the result.
        divisor: of the sum.
    """
    length = rows.shape[1]
    lo, hi = rows.lo, rows.hi
    if term != "sum":
        magnitude = rows.magnitude**2 if term == "square" else rows.magnitude
        lo, hi = 0, magnitude
    fit, bounds = fitted(name, dtype, truncated(lo * length, divisor), truncated(hi * length, divisor), wrapping=False)
    output = context.fresh(shape, *bounds, kind=Kind.INTEGER, label=name)
    return context.add(IntegerSum(name, (rows,), output, term, divisor, fit))


def running_sum(context: Context, node: Node, source: Value, dtype: Dtype) -> Value:
    """Append sums of all elements before one; their scale and kind are those of the elements."""
    axis = int(context.required_constant(node, 1).reshape(-1)[0]) % len(source.shape)
    turned = np.flip(np.arange(source.size).reshape(source.shape), axis) if node.attributes.get("reverse", 0) else None
    source = source if turned is None else move(context, node.name, [source], np.ascontiguousarray(turned))
    length, step = source.shape[axis], int(np.prod(source.shape[axis + 1 :], dtype=np.int64))
    fit, bounds = fitted(node.name, dtype, min(0, source.lo * length), max(0, source.hi * length))
    output = context.fresh(source.shape, *bounds, source.scale, source.kind, label=node.name)
    exclusive = bool(node.attributes.get("exclusive", 0))
    result = context.add(IntegerRunningSum(node.name, (source,), output, length, step, exclusive, fit))
    return result if turned is None else move(context, node.name, [result], np.ascontiguousarray(turned))


def lower_integer_product(context: Context, node: Node) -> None:
    """MatMul of integers, of any ranks."""
    left, right = (context.operand(name) for name in node.inputs)
    shape = context.info(node.outputs[0]).shape
    if len(left.shape) == 1:
        left = context.view(left, (1, *left.shape))
    if len(right.shape) == 1:
        right = context.view(right, (*right.shape, 1))
    batch = tuple(np.broadcast_shapes(left.shape[:-2], right.shape[:-2]))
    left = broadcast(context, node.name, left, (*batch, *left.shape[-2:]))
    right = broadcast(context, node.name, right, (*batch, *right.shape[-2:]))
    largest = left.magnitude * right.magnitude * left.shape[-1]
    least = 0 if left.lo >= 0 and right.lo >= 0 else -largest
    fit, bounds = fitted(node.name, type_of(context, node.outputs[0]), least, largest)
    output = context.fresh(shape, *bounds, kind=Kind.INTEGER, label=node.name)
    context.bind(node.outputs[0], context.add(IntegerProduct(node.name, (left, right), output, fit)))
