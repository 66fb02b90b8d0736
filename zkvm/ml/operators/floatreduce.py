"""Sums, normalisations and softmax in floats; and floats as integers in their order, for whatever only compares."""

from __future__ import annotations

import numpy as np

from zkvm.ml import float32
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import LOWERINGS, Context, lowers_float
from zkvm.ml.node import Node
from zkvm.ml.operations.convert import float_bits
from zkvm.ml.operations.floatreduce import FloatKeys, FloatReduce, FloatsOfKeys
from zkvm.ml.operations.floatrows import FloatNormalize, FloatRunningSum, FloatSoftmax
from zkvm.ml.operators.common import as_rows, axes_of, move
from zkvm.ml.operators.integer_sums import running_sum
from zkvm.ml.operators.integers import type_of

LARGEST_KEY, LOWEST_KEY, LEAST_FINITE_KEY = INT32_MAX, -float32.INFINITY, 1 - float32.INFINITY
"""Of a NaN above all numbers, of minus infinity, and of the number above it."""
SKIPPED_KEY = -INT32_MAX
"""Of a NaN that is less than all numbers."""


def keys_of(context: Context, name: str, source: Value, *, negated: bool = False, nan: int = LARGEST_KEY, least: int = LOWEST_KEY) -> Value:
    """Integers in the order of floats, or the other way round; integers are themselves.

    Args:
        context: of the lowering.
        name: of the layer.
        source: floats or integers.
        negated: whether the order is the other way round.
        nan: the key of NaN.
        least: the key of what has a smaller one.
    """
    if source.kind is not Kind.FLOAT:
        assert not negated
        return source
    output = context.fresh(source.shape, min(nan, least), max(nan, float32.INFINITY), kind=Kind.INTEGER, label=name)
    return context.add(FloatKeys(name, (source,), output, negated, nan, INT32_MIN if least == LOWEST_KEY else least))


def of_keys(context: Context, name: str, keys: Value, *, negated: bool = False) -> Value:
    """The floats that have these keys."""
    return context.add(FloatsOfKeys(name, (keys,), context.float_value(keys.shape, name), negated))


SUMS = {"ReduceSum": "sum", "ReduceMean": "sum", "ReduceL1": "absolute", "ReduceSumSquare": "square"}


@lowers_float(*SUMS)
def lower_float_sum(context: Context, node: Node) -> None:
    """Sums and means; those of integers are the same as everywhere."""
    source = context.operand(node.inputs[0])
    axes = axes_of(context, node, len(source.shape))
    if source.kind is not Kind.FLOAT or not axes:
        LOWERINGS[(node.domain, node.operator)](context, node)
        return
    rows = as_rows(context, node.name, source, axes)
    output = context.float_value(context.info(node.outputs[0]).shape, node.name)
    count = rows.size // output.size if node.operator == "ReduceMean" else 1
    context.bind(node.outputs[0], context.add(FloatReduce(node.name, (rows,), output, SUMS[node.operator], count)))


def _extents(source: Value, axis: int) -> tuple[int, int]:
    """Length of an axis, and elements of all behind it."""
    return source.shape[axis], int(np.prod(source.shape[axis + 1 :], dtype=np.int64))


@lowers_float("Softmax")
def lower_float_softmax(context: Context, node: Node) -> None:
    """Softmax over one axis."""
    source = context.operand(node.inputs[0])
    axis = int(node.attributes.get("axis", -1)) % len(source.shape)
    output = context.float_value(source.shape, node.name)
    context.bind(node.outputs[0], context.add(FloatSoftmax(node.name, (source,), output, *_extents(source, axis))))


@lowers_float("CumSum")
def lower_float_running_sum(context: Context, node: Node) -> None:
    """Sums of all elements before one, one after the other as onnxruntime has them."""
    source = context.operand(node.inputs[0])
    if source.kind is not Kind.FLOAT:
        context.bind(node.outputs[0], running_sum(context, node, source, type_of(context, node.outputs[0])))
        return
    axis = int(context.required_constant(node, 1).reshape(-1)[0]) % len(source.shape)
    turned = np.flip(np.arange(source.size).reshape(source.shape), axis) if node.attributes.get("reverse", 0) else None
    source = source if turned is None else move(context, node.name, [source], np.ascontiguousarray(turned))
    output = context.float_value(source.shape, node.name)
    exclusive = bool(node.attributes.get("exclusive", 0))
    result = context.add(FloatRunningSum(node.name, (source,), output, *_extents(source, axis), exclusive))
    context.bind(node.outputs[0], result if turned is None else move(context, node.name, [result], np.ascontiguousarray(turned)))


def _normalized(
    context: Context, node: Node, axis: int, gains: IntArray, offsets: IntArray | None, *, per_row: bool = False, centred: bool = True
) -> None:
    """Append the normalisation of everything from an axis on."""
    source = context.operand(node.inputs[0])
    length = int(np.prod(source.shape[axis:], dtype=np.int64))
    epsilon = float_bits(float(node.attributes.get("epsilon", 1e-5)))
    output = context.float_value(source.shape, node.name)
    operation = FloatNormalize(node.name, (source,), output, length, epsilon, gains, offsets, per_row, centred)
    context.bind(node.outputs[0], context.add(operation))


@lowers_float("LayerNormalization", "RMSNormalization")
def lower_float_layer_normalization(context: Context, node: Node) -> None:
    """Normalisation of the last axes, with gain and offset per element."""
    shape = context.operand(node.inputs[0]).shape
    axis = int(node.attributes.get("axis", -1)) % len(shape)

    def spread(position: int) -> IntArray:
        array = np.broadcast_to(context.required_constant(node, position), shape[axis:])
        return float32.to_bits(array).reshape(-1)

    offsets = spread(2) if node.has(2) else None
    _normalized(context, node, axis, spread(1), offsets, centred=node.operator == "LayerNormalization")


@lowers_float("InstanceNormalization")
def lower_float_instance_normalization(context: Context, node: Node) -> None:
    """Normalisation of each channel's pixels, with gain and offset per channel."""
    gains, offsets = (float32.to_bits(context.required_constant(node, position)) for position in (1, 2))
    _normalized(context, node, 2, gains, offsets, per_row=True)
