"""Comparisons, logic, choice by a condition, and sign."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.compare import Compare, Select
from zkvm.ml.operators.common import aligned, broadcast, broadcast_pair, integer_binary, rescaled_to
from zkvm.ml.operators.tensor_combining import choice_in_tensors
from zkvm.ml.operators.tensor_elements import choice_secretly

COMPARISONS = {"Less": "<", "LessOrEqual": "<=", "Greater": ">", "GreaterOrEqual": ">=", "Equal": "=="}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}


@lowers(*COMPARISONS)
def lower_comparison(context: Context, node: Node) -> None:
    """Comparisons, on integers of one scale."""
    operator, names = COMPARISONS[node.operator], list(node.inputs)
    if names[0] in context.constants:
        operator, names = MIRRORED[operator], names[::-1]
    left = context.operand(names[0])
    constant = context.constants.get(names[1])
    if constant is not None and left.kind is Kind.REAL:
        # Rounded as inputs are, so that equal numbers stay equal: trees split at values that the data has.
        clipped = np.clip(np.floor(constant.astype(np.float64) / left.scale + 0.5), INT32_MIN, INT32_MAX).astype(np.int64)
        bounds = (INT32_MIN, INT32_MAX) if context.private else (int(clipped.min()), int(clipped.max()))
        right = Value(names[1], constant.shape, *bounds, left.scale, data=clipped)
    elif constant is not None and left.kind is Kind.INTEGER and _beyond(constant).any():
        context.bind(node.outputs[0], _compared_with_large(context, node, left, constant, operator))
        return
    else:
        right = context.operand(names[1])
        if left.kind is Kind.REAL:
            left, right = aligned(context, node.name, [left, right], max(left.scale, right.scale))
    context.bind(node.outputs[0], _compared(context, node, left, right, operator))


def _compared(context: Context, node: Node, left: Value, right: Value, operator: str) -> Value:
    left, right = broadcast_pair(context, node.name, left, right)
    output = context.fresh(left.shape, 0, 1, kind=Kind.BOOLEAN, label=node.outputs[0])
    return context.add(Compare(node.name, (left, right), output, operator))


def _beyond(constant: NDArray[Any]) -> NDArray[np.bool_]:
    """Which integers no word holds."""
    return np.asarray((constant < INT32_MIN) | (constant > INT32_MAX))


def _compared_with_large(context: Context, node: Node, left: Value, constant: NDArray[Any], operator: str) -> Value:
    """Integers against a constant some of whose numbers no word holds, so that these results are known."""
    beyond = _beyond(constant)
    name = f"{node.name}/constant"
    result = _compared(context, node, left, context.quantized_constant(name, np.where(beyond, 0, constant)), operator)
    known = np.where(constant > 0, operator in ("<", "<="), operator in (">", ">="))
    parts = [context.quantized_constant(name, array) for array in (known, beyond)]
    parts = [broadcast(context, node.name, part, result.shape) for part in parts]
    output = context.fresh(result.shape, 0, 1, kind=Kind.BOOLEAN, label=node.outputs[0])
    return context.add(Select(node.name, (parts[0], result, parts[1]), output))


LOGIC = {"And": "&&", "Or": "||", "Xor": "!=", "Not": "=="}


@lowers(*LOGIC, words=True)
def lower_logic(context: Context, node: Node) -> None:
    """Logic on booleans; not x is x == 0."""
    left = context.operand(node.inputs[0])
    right = context.operand(node.inputs[1]) if node.has(1) else context.known_constant("zero", np.zeros((), np.int64))
    left, right = broadcast_pair(context, node.name, left, right)
    output = context.fresh(left.shape, 0, 1, kind=Kind.BOOLEAN, label=node.outputs[0])
    context.bind(node.outputs[0], context.add(Compare(node.name, (left, right), output, LOGIC[node.operator])))


@lowers("Where", words=True)
def lower_where(context: Context, node: Node) -> None:
    """Choice by a condition."""
    if choice_secretly(context, node) if context.private else choice_in_tensors(context, node):
        return
    condition = context.operand(node.inputs[0])
    names = node.inputs[1:3]
    kind = context.info(node.outputs[0]).kind
    if kind is Kind.REAL and context.real_kind is Kind.FLOAT:
        kind, scale, values = Kind.FLOAT, 1.0, [context.operand(name) for name in names]
    elif kind is Kind.REAL:
        target = context.target(node.outputs[0])
        low, high = (limit * target.scale for limit in target.limits)
        arrays = [context.constants.get(name) for name in names]
        values = [
            rescaled_to(context, context.operand(name), target, node.name)
            if array is None
            else context.quantized_constant(name, np.clip(array, low, high), target.scale, (target.lo, target.hi))
            for name, array in zip(names, arrays, strict=True)
        ]
        scale = target.scale
    else:
        values, scale = [context.operand(name) for name in names], 1.0
    shape = np.broadcast_shapes(condition.shape, *(value.shape for value in values))
    parts = [broadcast(context, node.name, value, tuple(shape)) for value in (*values, condition)]
    lo, hi = min(value.lo for value in values), max(value.hi for value in values)
    output = context.fresh(tuple(shape), lo, hi, scale, kind, label=node.outputs[0])
    context.bind(node.outputs[0], context.add(Select(node.name, tuple(parts), output)))


@lowers("Sign")
def lower_sign(context: Context, node: Node) -> None:
    """-1, 0 or 1: (x > 0) - (x < 0)."""
    source = context.operand(node.inputs[0])
    zero = broadcast(context, node.name, context.known_constant("zero", np.zeros((), np.int64)), source.shape)
    above, below = (
        context.add(Compare(node.name, (source, zero), context.fresh(source.shape, 0, 1, kind=source.kind), operator)) for operator in "><"
    )
    difference = integer_binary(context, node.name, "Sub", above, below)
    context.bind(node.outputs[0], context.view(difference, difference.shape, 1.0, source.kind))
