"""QuantizeLinear and DequantizeLinear: scales and ranges that the model brings along are taken as they are.

A quantized tensor u with scale s and zero point z is held as u - z, so its real value is (u - z) * s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operators.common import integer_binary
from zkvm.ml.operators.secret import is_given
from zkvm.ml.operators.sums import append_secretly, give_secretly


def quantized_range(zero_point: NDArray[Any]) -> tuple[int, int]:
    """Bounds of u - z for the zero point's dtype."""
    limits = np.iinfo(zero_point.dtype)
    return int(limits.min) - int(zero_point), int(limits.max) - int(zero_point)


def parameters(context: Context, node: Node) -> tuple[float, NDArray[Any]]:
    """Scale and zero point (uint8 0 if there is none) of one tensor.

    Raises:
        UsageError: several scales for an activation.
    """
    scale = context.required_constant(node, 1)
    zero_point = context.required_constant(node, 2) if node.has(2) else np.zeros((), np.uint8)
    if scale.size != 1 or zero_point.size != 1:
        raise UsageError(f"{node.operator} {node.name!r}: {scale.size} scales for an activation; one is supported")
    return float(scale.reshape(-1)[0]), zero_point.reshape(())


@lowers("QuantizeLinear")
def lower_quantize(context: Context, node: Node) -> None:
    """Rescale to the given scale, with saturation; ties round up."""
    scale, zero_point = parameters(context, node)
    lo, hi = quantized_range(zero_point)
    held = context.held(node.inputs[0])
    if context.private and held is not None and is_given(context, node.outputs[0]):
        give_secretly(context, node.name, node.outputs[0], held)
        return
    source = context.operand(node.inputs[0])
    if context.private:
        result = context.rescaled(source, scale, node.name, lo - hi, hi - lo, cut=(lo, hi))
    else:
        result = context.rescaled(source, scale, node.name, lo, hi)
    context.zero_points[node.outputs[0]] = zero_point
    context.bind(node.outputs[0], result)


@lowers("DequantizeLinear")
def lower_dequantize(context: Context, node: Node) -> None:
    """The same integers; of an integer input of the model, less the zero point."""
    source = context.held(node.inputs[0]) or context.operand(node.inputs[0])
    scale, zero_point = parameters(context, node)
    if source.kind is Kind.INTEGER:
        shift = _zero_point(context, zero_point)
        source = integer_binary(context, node.name, "Sub", source, shift)
    context.bind(node.outputs[0], context.view(source, source.shape, scale, Kind.REAL))


def _zero_point(context: Context, zero_point: NDArray[Any]) -> Value:
    limits = np.iinfo(zero_point.dtype)
    return context.quantized_constant("zero_point", zero_point.astype(np.int64), bounds=(int(limits.min), int(limits.max)))


def finished(context: Context, name: str) -> Value:
    """An output of the model: a quantized one as the integers that the model gives, zero point and all."""
    held = context.values.get(name)
    if context.private and held is not None and held.resident and held.kind is Kind.REAL and name not in context.given:
        if not context.publishable(held):  # its scale would tell more than the output's range
            append_secretly(context, name, name, [held], np.arange(held.size).reshape(1, *held.shape), np.ones(1), 0.0)
    value = context.operand(name)
    if name not in context.zero_points or value.kind is not Kind.REAL:
        return value
    integers = context.view(value, value.shape, 1.0, Kind.INTEGER)
    shift = _zero_point(context, context.zero_points[name])
    return integer_binary(context, name, "Add", integers, shift)
