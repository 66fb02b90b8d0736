"""Functions of two elements, with broadcasting: sums, products, quotients, and exact arithmetic on integers."""

from __future__ import annotations

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, floor_log2
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.binary import Product, Quotient, Sum
from zkvm.ml.operations.unary import Requantize
from zkvm.ml.operators.common import aligned, broadcast, broadcast_pair, fused_target, integer_binary, narrowed
from zkvm.ml.operators.integers import has_integers, lower_integer_arithmetic
from zkvm.ml.operators.tensor_elements import arithmetic_in_tensors


def real_sum(context: Context, name: str, left: Value, right: Value, output: Value, sign: int) -> Value:
    """Append left + sign * right for real values of any scales."""
    left, right = broadcast_pair(context, name, left, right)
    ratios = left.scale / output.scale, right.scale / output.scale
    # The largest shift for which multipliers and the sum stay below 2^31.
    weight = left.magnitude * ratios[0] + right.magnitude * ratios[1] + 1
    shift = min(30, floor_log2((INT32_MAX - left.magnitude - right.magnitude) / weight))
    if shift < 0:
        raise UsageError(f"{name}: the terms are {weight:.3g} times the output's resolution; their sum does not fit 32 bits")
    multipliers = [round(ratio * 2**shift) for ratio in ratios]
    while shift and all(multiplier % 2 == 0 for multiplier in multipliers):
        multipliers, shift = [multiplier // 2 for multiplier in multipliers], shift - 1
    return context.add(Sum(name, (left, right), output, multipliers[0], sign * multipliers[1], shift))


@lowers("Add", "Sub", "Max", "Min", "Mul", "Div", "Mod")
def lower_arithmetic(context: Context, node: Node) -> None:
    """Arithmetic with broadcasting; Max and Min of several inputs one after the other."""
    if has_integers(context, node):
        lower_integer_arithmetic(context, node)
        return
    if arithmetic_in_tensors(context, node):
        return
    values = [context.operand(name) for name in node.inputs]
    if len(values) == 1:
        context.bind(node.outputs[0], values[0])
        return
    result = values[0]
    for index, value in enumerate(values[1:]):
        result = _pair(context, node, result, value, last=index == len(values) - 2)
    if node.outputs[0] not in context.values and node.outputs[0] not in context.fused:
        context.bind(node.outputs[0], result)


def _pair(context: Context, node: Node, left: Value, right: Value, last: bool) -> Value:
    operator = node.operator
    if operator in ("Max", "Min"):
        scale = max(left.scale, right.scale)
        left, right = aligned(context, node.name, [left, right], scale)
        return integer_binary(context, node.name, operator, left, right)
    if operator == "Mod":
        raise UsageError(f"Mod {node.name!r}: in fixed point supported for integer tensors only")
    factor = _single_factor(context, node, left, right)
    if factor is not None:
        changed = _scaled_secretly(context, node, factor) if context.private else _scaled_only(context, node, factor)
        if changed is not None:
            return changed
    output = fused_target(context, node.outputs[0])
    if operator == "Mul":
        left, right = broadcast_pair(context, node.name, left, right)
        left, right = _fitting(context, node.name, left), _fitting(context, node.name, right)
        bound = left.magnitude * right.magnitude
        rescaling = context.rescale(left.scale * right.scale / output.scale, bound, output, node.name)
        return context.add(Product(node.name, (left, right), output, rescaling))
    if operator == "Div":
        return quotient(context, node.name, left, right, output)
    assert last
    left, right = (_within_reach(context, value, other, output) for value, other in ((left, right), (right, left)))
    left, right = _fitting(context, node.name, left), _fitting(context, node.name, right)
    return real_sum(context, node.name, left, right, output, 1 if operator == "Add" else -1)


def _within_reach(context: Context, value: Value, other: Value, output: Value) -> Value:
    """A constant term cut to what can make a difference, because what is beyond saturates anyway: masks of -10^9, say."""
    if value.data is None:
        return value
    limit = 2 * (output.magnitude * output.scale + other.magnitude * other.scale)
    reals = value.data.reshape(value.shape) * value.scale
    if np.abs(reals).max(initial=0.0) <= limit:
        return value
    return context.quantized_constant(value.name, np.clip(reals, -limit, limit))


def _fitting(context: Context, name: str, value: Value) -> Value:
    """The value with few enough bits for a product with another such one."""
    if value.magnitude < 1 << 15:
        return value
    shrink = 2.0 ** (value.magnitude.bit_length() - 15)
    return narrowed(context, name, context.rescaled(value, value.scale * shrink, name, -(1 << 15) + 1, (1 << 15) - 1))


def _single_factor(context: Context, node: Node, left: Value, right: Value) -> tuple[Value, float, tuple[int, ...]] | None:
    """Of a multiplication or division by one constant: the other operand, the constant, and the result's shape."""
    if node.operator not in ("Mul", "Div"):
        return None
    if node.operator == "Mul" and left.data is not None:
        left, right = right, left
    factor = context.constants.get(
        node.inputs[1] if right.data is not None and right is context.values.get(node.inputs[1]) else node.inputs[0]
    )
    if right.data is None or right.size != 1 or factor is None or left.data is not None:
        return None
    return left, float(factor.reshape(-1)[0]), tuple(np.broadcast_shapes(left.shape, right.shape))


def _scaled_only(context: Context, node: Node, factor: tuple[Value, float, tuple[int, ...]]) -> Value | None:
    """Multiplication or division by one positive constant only changes the scale."""
    source, number, shape = factor
    if node.outputs[0] in context.fused or not np.isfinite(number) or number <= 0:
        return None
    scale = source.scale * number if node.operator == "Mul" else source.scale / number
    return context.view(source, shape, scale, Kind.REAL)


def _scaled_secretly(context: Context, node: Node, factor: tuple[Value, float, tuple[int, ...]]) -> Value:
    """The same for any constant: one rescaling, which does not tell a positive constant from another.

    Raises:
        UsageError: division by 0.
    """
    source, number, shape = factor
    ratio = number if node.operator == "Mul" else np.divide(1.0, number) if number else np.inf
    if not np.isfinite(ratio):
        raise UsageError(
            f"{node.operator} {node.name!r}: {'a factor' if node.operator == 'Mul' else 'the inverse of a divisor'} is {ratio}"
        )
    source = broadcast(context, node.name, source, shape)
    output = fused_target(context, node.outputs[0])
    rescaling = context.rescale(source.scale * ratio / output.scale, source.magnitude, output, node.name)
    return context.add(Requantize(node.name, (source,), output, rescaling))


def quotient(context: Context, name: str, left: Value, right: Value, output: Value) -> Value:
    """Append left / right for real values."""
    left, right = broadcast_pair(context, name, left, right)
    left, right = _fitting(context, name, left), _fitting(context, name, right)
    ratio = left.scale / (right.scale * output.scale)
    # numerator a * m and denominator b << s, both below 2^31 with room for rounding; m / 2^s = ratio.
    shift = 0
    while ratio * 2**shift < 1 << 14 and right.magnitude << (shift + 1) < 1 << 30 and left.magnitude * ratio * 2 ** (shift + 1) < 1 << 30:
        shift += 1
    multiplier = max(1, round(ratio * 2**shift))
    if left.magnitude * multiplier >= 1 << 31:
        raise UsageError(f"{name}: the quotient needs more than 32 bits: its scale {output.scale:.3g} is too fine for its inputs")
    return context.add(Quotient(name, (left, right), output, multiplier, shift))
