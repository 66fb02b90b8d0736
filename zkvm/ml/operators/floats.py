"""Arithmetic in floats, element by element; integers are computed with as everywhere."""

from __future__ import annotations

import numpy as np

from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import LOWERINGS, Context, lowers_float
from zkvm.ml.node import Node
from zkvm.ml.operations.floats import FloatMap, FloatPair
from zkvm.ml.operators.common import broadcast


def float_pair(context: Context, name: str, function: str, left: Value, right: Value, *, boolean: bool = False) -> Value:
    """Append a function of two floats, with broadcasting.

    Args:
        context: of the lowering.
        name: of the layer.
        function: of :data:`zkvm.ml.float32.BINARY`.
        left: floats.
        right: floats.
        boolean: whether the result is 0 or 1.
    """
    shape = tuple(np.broadcast_shapes(left.shape, right.shape))
    sources = tuple(value if value.size == 1 else broadcast(context, name, value, shape) for value in (left, right))
    output = context.fresh(shape, 0, 1, kind=Kind.BOOLEAN, label=name) if boolean else context.float_value(shape, name)
    return context.add(FloatPair(name, sources, output, function))


def float_map(context: Context, name: str, function: str, source: Value) -> Value:
    """Append a function of one float, of :data:`zkvm.ml.float32.UNARY`."""
    return context.add(FloatMap(name, (source,), context.float_value(source.shape, name), function))


ARITHMETIC = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Max": "max", "Min": "min"}


@lowers_float(*ARITHMETIC)
def lower_float_arithmetic(context: Context, node: Node) -> None:
    """Arithmetic with broadcasting; Max and Min of several inputs one after the other."""
    values = [context.operand(name) for name in node.inputs]
    if values[0].kind is not Kind.FLOAT:
        LOWERINGS[(node.domain, node.operator)](context, node)
        return
    result = values[0]
    for value in values[1:]:
        result = float_pair(context, node.name, ARITHMETIC[node.operator], result, value)
    context.bind(node.outputs[0], result)
