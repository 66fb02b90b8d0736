"""Functions of two elements, with broadcasting: sums, products, quotients, and exact arithmetic on integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray, Rescale, floor_log2, rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Kind, Operation, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operators.linear import fused_target, matmul_constant_left, matmul_constant_right
from zkvm.ml.operators.move import broadcast


def elementwise(code: CodeWriter, operation: Operation, expression: str) -> None:
    """target[i] = expression of a and b, the elements of the two inputs."""
    left, right = (code.pointer(value) for value in operation.inputs[:2])
    code.line(f"UNROLL_FOUR for (int i = 0; i < {operation.output.size}; i++) {{")
    code.line(f"    int32_t a = ({left})[i], b = ({right})[i];")
    code.line(f"    ({code.pointer(operation.output)})[i] = {expression};")
    code.line("}")


@dataclass(eq=False)
class Sum(Operation):
    """y = floor((a * left + b * right + 2^(shift - 1)) / 2^shift), cut to the bounds; all in 32 bits. Shift 0: no rounding."""

    left: int
    right: int
    shift: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        half = (1 << self.shift) >> 1
        total = (inputs[0] * self.left + inputs[1] * self.right + half) >> self.shift
        return np.asarray(np.clip(total, self.output.lo, self.output.hi), np.int64)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        half = (1 << self.shift) >> 1
        total = f"(a * {self.left} + b * {self.right} + {half}) >> {self.shift}"
        elementwise(code, self, f"clamp({total}, {self.output.lo}, {self.output.hi})")


@dataclass(eq=False)
class Product(Operation):
    """y = requantize(a * b)."""

    rescaling: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return self.rescaling.apply(inputs[0] * inputs[1])

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        elementwise(code, self, self.rescaling.expression("(a * b)"))


@dataclass(eq=False)
class Quotient(Operation):
    """y = a * multiplier / (b * 2^shift), rounded half up, cut to the bounds; b = 0 gives the bound on a's side, and 0 / 0 is 0."""

    multiplier: int
    shift: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        a, b = inputs
        numerator, denominator = a * self.multiplier, b << self.shift
        numerator, denominator = np.where(denominator < 0, -numerator, numerator), np.abs(denominator)
        safe = np.where(denominator == 0, 1, denominator)
        quotient = np.clip((2 * numerator + safe) // (2 * safe), self.output.lo, self.output.hi)
        return np.where(denominator == 0, np.select([a < 0, a > 0], [self.output.lo, self.output.hi], 0), quotient)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        lo, hi = self.output.lo, self.output.hi
        elementwise(code, self, f"divide(a, b, {self.multiplier}, {self.shift}, {lo}, {hi})")


@dataclass(eq=False)
class Whole(Operation):
    """Exact arithmetic on integers with saturation: ``Add``, ``Sub``, ``Mul``, ``Div`` (truncating), ``Mod``, ``Max``, ``Min``, bitwise.

    Division and remainder by 0 give 0.
    """

    function: str

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        a, b = inputs
        safe = np.where(b == 0, 1, b)
        truncated = np.sign(a) * np.sign(safe) * (np.abs(a) // np.abs(safe))
        functions: dict[str, Callable[[], IntArray]] = {
            "Add": lambda: a + b,
            "Sub": lambda: a - b,
            "Mul": lambda: a * b,
            "Max": lambda: np.maximum(a, b),
            "Min": lambda: np.minimum(a, b),
            "Div": lambda: np.where(b == 0, 0, truncated),
            "Mod": lambda: np.where(b == 0, 0, a - (a // safe) * safe),
            "Fmod": lambda: np.where(b == 0, 0, a - truncated * safe),
            "BitwiseAnd": lambda: a & b,
            "BitwiseOr": lambda: a | b,
            "BitwiseXor": lambda: a ^ b,
        }
        return np.asarray(np.clip(functions[self.function](), self.output.lo, self.output.hi), np.int64)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        wide = {"Add": "(int64_t)a + b", "Sub": "(int64_t)a - b", "Mul": "(int64_t)a * b"}
        if self.function in wide:
            expression = wide[self.function]
            if _whole_bound(self.function, self.inputs[0], self.inputs[1]) <= INT32_MAX:
                elementwise(code, self, f"clamp({expression.replace('(int64_t)', '')}, {self.output.lo}, {self.output.hi})")
            else:
                elementwise(code, self, f"clamp64({expression}, {self.output.lo}, {self.output.hi})")
            return
        expression = {
            "Max": "a > b ? a : b",
            "Min": "a < b ? a : b",
            "Div": "b == 0 ? 0 : b == -1 ? clamp64(-(int64_t)a, -2147483647 - 1, 2147483647) : a / b",
            "Mod": "b == 0 || b == -1 ? 0 : (a % b != 0 && (a % b < 0) != (b < 0)) ? a % b + b : a % b",
            "Fmod": "b == 0 || b == -1 ? 0 : a % b",
            "BitwiseAnd": "a & b",
            "BitwiseOr": "a | b",
            "BitwiseXor": "a ^ b",
        }[self.function]
        elementwise(code, self, f"clamp({expression}, {self.output.lo}, {self.output.hi})")


def broadcast_pair(context: Context, name: str, left: Value, right: Value) -> tuple[Value, Value]:
    """Both values, repeated to the shape that they broadcast to."""
    shape = np.broadcast_shapes(left.shape, right.shape)
    return broadcast(context, name, left, shape), broadcast(context, name, right, shape)


def _whole_bound(function: str, left: Value, right: Value) -> int:
    if function == "Mul":
        return left.magnitude * right.magnitude
    return left.magnitude + right.magnitude if function in ("Add", "Sub") else max(left.magnitude, right.magnitude)


def integer_binary(context: Context, name: str, function: str, left: Value, right: Value) -> Value:
    """Append exact arithmetic; the caller knows that the scales agree."""
    left, right = broadcast_pair(context, name, left, right)
    bound = min(_whole_bound(function, left, right), INT32_MAX)
    if function.startswith("Bitwise"):
        bound = INT32_MAX
    lowest = {"Max": max(left.lo, right.lo), "Min": min(left.lo, right.lo)}.get(function, INT32_MIN if bound == INT32_MAX else -bound)
    highest = {"Max": max(left.hi, right.hi), "Min": min(left.hi, right.hi)}.get(function, bound)
    output = context.fresh(left.shape, lowest, highest, left.scale, left.kind, label=name)
    return context.add(Whole(name, (left, right), output, function))


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


@lowers("Add", "Sub", "Max", "Min", "Mul", "Div", "Mod", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
def lower_arithmetic(context: Context, node: Node) -> None:
    """Arithmetic with broadcasting; Max and Min of several inputs one after the other."""
    values = [context.operand(name) for name in node.inputs]
    if len(values) == 1:
        context.bind(node.outputs[0], values[0])
        return
    result = values[0]
    for index, value in enumerate(values[1:]):
        result = _pair(context, node, result, value, last=index == len(values) - 2)
    if node.outputs[0] not in context.values:
        context.bind(node.outputs[0], result)


def _pair(context: Context, node: Node, left: Value, right: Value, last: bool) -> Value:
    operator = node.operator
    if left.kind is not Kind.REAL or right.kind is not Kind.REAL:
        function = "Fmod" if operator == "Mod" and node.attributes.get("fmod", 0) else operator
        return integer_binary(context, node.name, function, left, right)
    if operator in ("Max", "Min"):
        scale = max(left.scale, right.scale)
        return integer_binary(
            context, node.name, operator, context.rescaled(left, scale, node.name), context.rescaled(right, scale, node.name)
        )
    if operator == "Mod":
        raise UsageError(f"Mod {node.name!r}: supported for integer tensors only")
    shifted = _scaled_only(context, node, left, right)
    if shifted is not None:
        return shifted
    output = fused_target(context, node.outputs[0])
    if operator == "Mul":
        left, right = broadcast_pair(context, node.name, left, right)
        left, right = _fitting(context, node.name, left), _fitting(context, node.name, right)
        bound = left.magnitude * right.magnitude
        factor = rescale(left.scale * right.scale / output.scale, bound, output.lo, output.hi, node.name)
        return context.add(Product(node.name, (left, right), output, factor))
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
    from zkvm.ml.operators.unary import narrowed

    shrink = 2.0 ** (value.magnitude.bit_length() - 15)
    return narrowed(context, name, context.rescaled(value, value.scale * shrink, name, -(1 << 15) + 1, (1 << 15) - 1))


def _scaled_only(context: Context, node: Node, left: Value, right: Value) -> Value | None:
    """Multiplication or division by one positive constant only changes the scale."""
    if node.operator not in ("Mul", "Div") or node.outputs[0] in context.fused:
        return None
    if node.operator == "Mul" and left.data is not None:
        left, right = right, left
    factor = context.constants.get(
        node.inputs[1] if right.data is not None and right is context.values.get(node.inputs[1]) else node.inputs[0]
    )
    if right.data is None or right.size != 1 or factor is None or left.data is not None:
        return None
    number = float(factor.reshape(-1)[0])
    if not np.isfinite(number) or number <= 0:
        return None
    shape = np.broadcast_shapes(left.shape, right.shape)
    scale = left.scale * number if node.operator == "Mul" else left.scale / number
    return context.view(left, tuple(shape), scale, Kind.REAL)


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


@lowers("MatMul")
def lower_matmul(context: Context, node: Node) -> None:
    """Matrix product: a linear layer if one factor is constant, else a product of activations."""
    left, right = (context.constants.get(name) for name in node.inputs)
    if right is not None and right.ndim == 2:
        matmul_constant_right(context, node, right)
    elif left is not None and left.ndim == 2 and len(context.operand(node.inputs[1]).shape) == 2:
        matmul_constant_left(context, node, left)
    else:
        from zkvm.ml.operators.matmul import lower_product

        lower_product(context, node)
