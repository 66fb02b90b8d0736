"""What is special to layers in floats: their constants, the Relu behind them, and BatchNormalization."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.ml import float32, float32_dot
from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.ir import Value
from zkvm.ml.lowering import Context, lowers_float
from zkvm.ml.node import Node
from zkvm.ml.operations.floatlinear import FloatLinear, LayerWeights
from zkvm.ml.operations.floatreduce import FloatAffine
from zkvm.ml.operations.linear import Geometry
from zkvm.ml.operators.common import move
from zkvm.ml.operators.floatparts import kinds_of_outputs, order_of
from zkvm.ml.operators.floats import float_formula, float_pair


def relu_target(context: Context, name: str) -> tuple[str, bool]:
    """The tensor that a layer computes, and whether that is the Relu of ``name``, which has no other reader."""
    fusion = context.fused.get(name)
    if fusion is None:
        return name, False
    context.done.add(fusion.output)
    return fusion.output, True


def layer_weights(
    context: Context, name: str, weights: FloatArray, bias: FloatArray | None, groups: int, taps_per_column: int
) -> LayerWeights:
    """Align the weights (channels, taps) of all groups, with shifts for columns if one group needs them, or always if they are secret."""
    parts = weights.reshape(groups, -1, weights.shape[1])
    secret = context.private and weights.shape[1] > taps_per_column
    made = [float32_dot.weights(part, name, taps_per_column, secret=secret) for part in parts]
    if any(part.shifts is not None for part in made) and not secret:
        made = [float32_dot.weights(part, name, taps_per_column, secret=True) for part in parts]
    shifts = [part.shifts for part in made if part.shifts is not None]
    if bias is not None and not bias.any() and not context.private:
        bias = None
    return LayerWeights(
        np.stack([part.integers for part in made]),
        np.stack([part.exponents for part in made]),
        np.stack(shifts) if shifts else None,
        None if bias is None else float32.to_bits(bias.reshape(groups, -1)),
    )


def float_layer(
    context: Context,
    node: Node,
    source: Value,
    weights: FloatArray,
    bias: FloatArray | None,
    geometry: Geometry,
    *,
    groups: int = 1,
    samples: int = 1,
    rows: bool = False,
    order: IntArray | None = None,
) -> None:
    """Append a layer, merged with a Relu that follows it.

    Args:
        context: of the lowering.
        node: for its name and output.
        source: floats.
        weights: (channels of all groups, taps).
        bias: one for each channel.
        geometry: of a group of a sample.
        groups: of channels.
        samples: one after the other.
        rows: whether positions are rows of numbers of their own.
        order: which of the layer's results the output's elements are, if not all in order.
    """
    kinds = kinds_of_outputs(weights) if rows and not context.private else None
    if kinds is not None:
        result = _layer_of_parts(context, node.name, source, weights, bias, kinds)
        shape = context.info(node.outputs[0]).shape
        context.bind(node.outputs[0], context.view(result, shape) if order is None else move(context, node.name, [result], order))
        return
    taps_per_column = 1 if rows else geometry.taps[1] * geometry.taps[2]
    constants = layer_weights(context, node.name, weights, bias, groups, taps_per_column)
    name, relu = relu_target(context, node.outputs[0])
    shape = context.info(node.outputs[0]).shape if order is None else (order.size,)
    result = context.float_value(shape, node.name)
    context.add(FloatLinear(node.name, (source,), result, constants, geometry, samples, rows, relu))
    context.bind(name, result if order is None else move(context, node.name, [result], order))


def _layer_of_parts(
    context: Context, name: str, source: Value, weights: FloatArray, bias: FloatArray | None, kinds: list[NDArray[np.intp]]
) -> Value:
    """A dense layer as one for each kind of outputs, which reads only what these read."""
    depth = weights.shape[1]
    rows = source.size // depth
    numbers = np.arange(source.size).reshape(rows, depth)
    parts = []
    for members in kinds:
        read = np.flatnonzero(weights[members[0]])
        read = read if read.size else np.arange(1)
        part = move(context, name, [source], np.ascontiguousarray(numbers[:, read]))
        own = None if bias is None else bias[members]
        parts.append(_dense(context, name, part, weights[np.ix_(members, read)], own, rows))
    result = move(context, name, parts, order_of(kinds, rows))
    kind_of = np.empty(len(weights), np.int64)
    for kind, members in enumerate(kinds):
        kind_of[members] = kind
    unread = np.stack([weights[members[0]] == 0 for members in kinds])
    if not unread.any():
        return result
    spoiled = _products_with_zeros(context, name, context.view(source, (rows, depth)), unread)
    index = np.arange(rows)[:, None] * len(kinds) + kind_of
    return float_pair(context, name, "add", result, move(context, name, [spoiled], index))


def _products_with_zeros(context: Context, name: str, source: Value, unread: NDArray[np.bool_]) -> Value:
    """What the inputs that a kind of outputs does not read add to it, (rows, kinds): nothing, but NaN if one is infinite or NaN."""
    special = float_formula(context, name, ("sub", 1.0, ("truth", ("eq", ("mul", "a", 0.0), 0.0))), source)
    counts = _dense(context, name, special, unread.astype(np.float64), None, source.shape[0])
    return float_formula(context, name, ("div", 0.0, ("truth", ("eq", "a", 0.0))), counts)


def _dense(context: Context, name: str, source: Value, weights: FloatArray, bias: FloatArray | None, rows: int) -> Value:
    """(rows, outputs)."""
    outputs, depth = weights.shape
    geometry = Geometry((1, 1, depth), (0, 0, 1), (1, rows), (0, depth), (0, outputs), 1)
    result = context.float_value((rows, outputs), name)
    return context.add(FloatLinear(name, (source,), result, layer_weights(context, name, weights, bias, 1, 1), geometry, rows=True))


@lowers_float("BatchNormalization")
def lower_float_batch_normalization(context: Context, node: Node) -> None:
    """x * factor + offset per channel, with the roundings of onnxruntime."""
    scale, shift, mean, variance = (context.required_constant(node, position).astype(np.float32) for position in range(1, 5))
    factor = scale / np.sqrt(variance + np.float32(node.attributes.get("epsilon", 1e-5)))
    offset = shift - mean * factor
    source = context.operand(node.inputs[0])
    name, relu = relu_target(context, node.outputs[0])
    output = context.float_value(source.shape, node.name)
    constants = float32.to_bits(factor), float32.to_bits(offset)
    context.bind(name, context.add(FloatAffine(node.name, (source,), output, *constants, relu)))
