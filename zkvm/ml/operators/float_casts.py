"""Between floats and integers: casts, and quantization."""

from __future__ import annotations

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import integer_limits, wraps
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import LOWERINGS, Context, lowers_float
from zkvm.ml.node import Node
from zkvm.ml.operations.floats import FloatQuantize, FloatToInteger
from zkvm.ml.operations.integers import Fit
from zkvm.ml.operators.common import broadcast, move
from zkvm.ml.operators.floats import float_formula, float_map
from zkvm.ml.operators.integers import type_of


@lowers_float("Cast")
def lower_float_cast(context: Context, node: Node) -> None:
    """To and from floats; between the other kinds as everywhere."""
    source, kind = context.operand(node.inputs[0]), context.info(node.outputs[0]).kind
    name = node.outputs[0]
    if kind is Kind.REAL and source.kind is not Kind.FLOAT:
        context.bind(name, float_map(context, node.name, "truth" if source.kind is Kind.BOOLEAN else "from_i32", source))
    elif source.kind is not Kind.FLOAT:
        LOWERINGS[("", "Cast")](context, node)
    elif kind is Kind.REAL:
        context.bind(name, source)
    elif kind is Kind.BOOLEAN:
        context.bind(name, float_formula(context, node.name, ("lt", ("truth", ("eq", "a", 0.0)), 1.0), source, boolean=True))
    else:
        dtype = type_of(context, name)
        output = context.fresh(source.shape, *integer_limits(dtype), kind=Kind.INTEGER, label=name)
        context.bind(name, context.add(FloatToInteger(node.name, (source,), output, Fit(dtype, dtype == np.int32))))


def _along(context: Context, node: Node, value: Value, shape: tuple[int, ...]) -> Value:
    """A scale or zero point as the tensor is: one number, one for each place of an axis, or one for each block of it."""
    if value.size == 1:
        return context.view(value, ())
    axis = int(node.attributes.get("axis", 1)) % len(shape)
    block = int(node.attributes.get("block_size", 0))
    if len(value.shape) == 1 and not block:
        extents = [1] * len(shape)
        extents[axis] = value.size
        return broadcast(context, node.name, context.view(value, tuple(extents)), shape)
    if len(value.shape) != len(shape) or not block:
        raise UsageError(f"{node.operator} {node.name!r}: scales of shape {value.shape} for a tensor of shape {shape}")
    index = np.repeat(np.arange(value.size).reshape(value.shape), block, axis=axis)
    index = np.take(index, np.arange(shape[axis]), axis=axis)
    return move(context, node.name, [value], np.ascontiguousarray(index))


def _zero_point(context: Context, node: Node, shape: tuple[int, ...]) -> Value:
    if node.has(2):
        return _along(context, node, context.operand(node.inputs[2]), shape)
    return context.known_constant("zero", np.zeros((), np.int64))


@lowers_float("QuantizeLinear")
def lower_float_quantize(context: Context, node: Node) -> None:
    """x / scale rounded half to even, plus the zero point, cut to the type: exactly as onnxruntime has it."""
    dtype = type_of(context, node.outputs[0])
    if dtype.itemsize > 2 or not wraps(dtype):
        raise UsageError(f"QuantizeLinear {node.name!r}: to {dtype}; integers of 8 and 16 bits are supported")
    source = context.operand(node.inputs[0])
    if source.kind is not Kind.FLOAT:
        source = float_map(context, node.name, "from_i32", source)
    scale = _along(context, node, context.operand(node.inputs[1]), source.shape)
    zero = _zero_point(context, node, source.shape)
    output = context.fresh(source.shape, *integer_limits(dtype), kind=Kind.INTEGER, label=node.outputs[0])
    context.bind(node.outputs[0], context.add(FloatQuantize(node.name, (source, scale, zero), output)))


@lowers_float("DequantizeLinear")
def lower_float_dequantize(context: Context, node: Node) -> None:
    """(x - zero point) * scale. What was quantized in fixed point comes as floats already."""
    source = context.operand(node.inputs[0])
    if source.kind is Kind.FLOAT:
        context.bind(node.outputs[0], source)
        return
    scale = _along(context, node, context.operand(node.inputs[1]), source.shape)
    zero = _zero_point(context, node, source.shape)
    formula = ("mul", ("from_i32", ("less_words", "a", "c")), "b")
    context.bind(node.outputs[0], float_formula(context, node.name, formula, source, scale, zero))
