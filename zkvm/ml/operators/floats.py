"""Arithmetic, comparisons and functions in floats, element by element; integers are computed with as everywhere."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import LOWERINGS, Context, lowers_float
from zkvm.ml.node import Node
from zkvm.ml.operations.floats import FloatFormula, Formula
from zkvm.ml.operators.common import broadcast


def float_formula(context: Context, name: str, formula: Formula, *sources: Value, boolean: bool = False) -> Value:
    """Append a formula of floats, with broadcasting.

    Args:
        context: of the lowering.
        name: of the layer.
        formula: of "a", "b", "c".
        sources: what these are.
        boolean: whether the result is 0 or 1.
    """
    shape = tuple(np.broadcast_shapes(*(source.shape for source in sources)))
    values = tuple(source if source.size == 1 else broadcast(context, name, source, shape) for source in sources)
    output = context.fresh(shape, 0, 1, kind=Kind.BOOLEAN, label=name) if boolean else context.float_value(shape, name)
    return context.add(FloatFormula(name, values, output, formula))


def float_pair(context: Context, name: str, function: str, left: Value, right: Value, *, boolean: bool = False) -> Value:
    """Append a function of two floats, of :data:`zkvm.ml.float_functions.BINARY`, with broadcasting."""
    return float_formula(context, name, (function, "a", "b"), left, right, boolean=boolean)


def float_map(context: Context, name: str, function: str, source: Value) -> Value:
    """Append a function of one float, of :data:`zkvm.ml.float_functions.UNARY`."""
    return float_formula(context, name, (function, "a"), source)


ARITHMETIC = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Max": "max", "Min": "min", "Mod": "fmod"}


@lowers_float(*ARITHMETIC)
def lower_float_arithmetic(context: Context, node: Node) -> None:
    """Arithmetic with broadcasting; Max and Min of several inputs one after the other."""
    if context.info(node.outputs[0]).kind is not Kind.REAL:
        LOWERINGS[(node.domain, node.operator)](context, node)
        return
    if node.operator == "Mod" and not node.attributes.get("fmod", 0):
        raise UsageError(f"Mod {node.name!r}: of real numbers ONNX has only the form with fmod = 1")
    result, *others = (context.operand(name) for name in node.inputs)
    for value in others:
        result = float_pair(context, node.name, ARITHMETIC[node.operator], result, value)
    context.bind(node.outputs[0], result)


COMPARISONS: dict[str, Formula] = {
    "Less": ("lt", "a", "b"),
    "LessOrEqual": ("le", "a", "b"),
    "Greater": ("lt", "b", "a"),
    "GreaterOrEqual": ("le", "b", "a"),
    "Equal": ("eq", "a", "b"),
}


@lowers_float(*COMPARISONS)
def lower_float_comparison(context: Context, node: Node) -> None:
    """Comparisons; with NaN they are false."""
    if all(context.info(name).kind is not Kind.REAL for name in node.inputs):
        LOWERINGS[(node.domain, node.operator)](context, node)
        return
    left, right = (context.operand(name) for name in node.inputs)
    context.bind(node.outputs[0], float_formula(context, node.name, COMPARISONS[node.operator], left, right, boolean=True))


@lowers_float("IsNaN")
def lower_is_nan(context: Context, node: Node) -> None:
    """Whether it is none of the numbers."""
    formula: Formula = ("lt", ("truth", ("known", "a")), 1.0)
    context.bind(node.outputs[0], float_formula(context, node.name, formula, context.operand(node.inputs[0]), boolean=True))


@lowers_float("IsInf")
def lower_is_infinite(context: Context, node: Node) -> None:
    """Whether it is one of the infinities, or a given one."""
    above, below = (node.attributes.get(f"detect_{sign}", 1) for sign in ("positive", "negative"))
    either: dict[tuple[bool, bool], Formula] = {
        (True, True): ("infinite", "a"),
        (True, False): ("eq", "a", np.inf),
        (False, True): ("eq", "a", -np.inf),
        (False, False): ("lt", "a", "a"),
    }
    formula = either[bool(above), bool(below)]
    context.bind(node.outputs[0], float_formula(context, node.name, formula, context.operand(node.inputs[0]), boolean=True))


def _elu(node: Node) -> Formula:
    return ("choose", ("lt", "a", 0.0), ("mul", float(node.attributes.get("alpha", 1.0)), ("expm1", "a")), "a")


def _selu(node: Node) -> Formula:
    alpha, gamma = node.attributes.get("alpha", 1.67326319217681884765625), node.attributes.get("gamma", 1.05070102214813232421875)
    return ("mul", gamma, ("choose", ("lt", "a", 0.0), ("mul", alpha, ("expm1", "a")), "a"))


def _celu(node: Node) -> Formula:
    alpha = float(node.attributes.get("alpha", 1.0))
    grown: Formula = ("expm1", ("div", "a", alpha)) if alpha != 1.0 else ("expm1", "a")
    return ("add", ("max", 0.0, "a"), ("min", 0.0, ("mul", alpha, grown)))


def _hard_sigmoid(alpha: float, beta: float) -> Formula:
    return ("max", 0.0, ("min", 1.0, ("add", ("mul", "a", alpha), beta)))


def _shrink(node: Node) -> Formula:
    bias, lambd = float(node.attributes.get("bias", 0.0)), float(node.attributes.get("lambd", 0.5))
    inner: Formula = ("choose", ("lt", lambd, "a"), ("sub", "a", bias), 0.0)
    return ("choose", ("lt", "a", -lambd), ("add", "a", bias), inner)


def _gelu(node: Node) -> Formula:
    if node.attributes.get("approximate", "none") in ("tanh", b"tanh"):
        cube: Formula = ("mul", "a", ("mul", "a", "a"))
        inner: Formula = ("mul", sqrt(2 / pi), ("add", "a", ("mul", 0.044715, cube)))
        return ("mul", ("mul", 0.5, "a"), ("add", 1.0, ("tanh", inner)))
    return ("mul", ("mul", 0.5, "a"), ("add", 1.0, ("erf", ("mul", "a", sqrt(0.5)))))


def _swish(node: Node) -> Formula:
    alpha = float(node.attributes.get("alpha", 1.0))
    return ("mul", "a", ("sigmoid", "a" if alpha == 1.0 else ("mul", alpha, "a")))


PLAIN = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "Log", "Neg", "Relu", "Round",
    "Sigmoid", "Sin", "Sinh", "Softplus", "Sqrt", "Tan", "Tanh",
)  # fmt: skip
FUNCTIONS: dict[str, Callable[[Node], Formula]] = {
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "Shrink": _shrink,
    "Gelu": _gelu,
    "Swish": _swish,
    "LeakyRelu": lambda node: ("choose", ("lt", "a", 0.0), ("mul", float(node.attributes.get("alpha", 0.01)), "a"), "a"),
    "ThresholdedRelu": lambda node: ("choose", ("lt", float(node.attributes.get("alpha", 1.0)), "a"), "a", 0.0),
    "HardSigmoid": lambda node: _hard_sigmoid(float(node.attributes.get("alpha", 0.2)), float(node.attributes.get("beta", 0.5))),
    "HardSwish": lambda node: ("mul", "a", _hard_sigmoid(1 / 6, 0.5)),
    "Mish": lambda node: ("mul", "a", ("tanh", ("softplus", "a"))),
    "Softsign": lambda node: ("div", "a", ("add", 1.0, ("abs", "a"))),
    "Reciprocal": lambda node: ("div", 1.0, "a"),
    "Sign": lambda node: ("choose", ("lt", "a", 0.0), -1.0, ("choose", ("lt", 0.0, "a"), 1.0, ("choose", ("known", "a"), 0.0, "a"))),
}


@lowers_float(*PLAIN, *FUNCTIONS)
def lower_float_function(context: Context, node: Node) -> None:
    """Functions of one element."""
    source = context.operand(node.inputs[0])
    if source.kind is not Kind.FLOAT:
        LOWERINGS[(node.domain, node.operator)](context, node)
        return
    formula: Formula = (node.operator.lower(), "a") if node.operator in PLAIN else FUNCTIONS[node.operator](node)
    context.bind(node.outputs[0], float_formula(context, node.name, formula, source))


LARGEST = float(np.finfo(np.float32).max)


@lowers_float("Clip")
def lower_float_clip(context: Context, node: Node) -> None:
    """The smaller of the upper bound and the larger of x and the lower bound, so that the upper one wins if they are turned round.

    Without a bound it is the largest finite number, or the least.
    """
    source = context.operand(node.inputs[0])
    if source.kind is not Kind.FLOAT:
        LOWERINGS[(node.domain, node.operator)](context, node)
        return
    bounds: list[Value | None] = []
    for position, name in ((1, "min"), (2, "max")):
        given = float(node.attributes[name]) if name in node.attributes else None
        bound = None if given is None else context.float_constant(name, given, known=True)
        bounds.append(context.view(context.operand(node.inputs[position]), ()) if node.has(position) else bound)
    low, high = bounds
    formula: Formula = "a"
    if high is None:
        formula = ("choose", ("eq", "a", np.inf), LARGEST, "a")
        low = None if low is None else float_formula(context, node.name, ("at_most", "a", LARGEST), low)
    if low is None:
        formula = ("choose", ("eq", "a", -np.inf), -LARGEST, formula)
    names = iter("bc")
    for bound, function in ((low, "at_least"), (high, "at_most")):
        formula = formula if bound is None else (function, formula, next(names))
    operands = [bound for bound in (low, high) if bound is not None]
    context.bind(node.outputs[0], float_formula(context, node.name, formula, source, *operands))


@lowers_float("Pow")
def lower_float_power(context: Context, node: Node) -> None:
    """Powers of floats, to floats or integers; of integers as everywhere."""
    base, exponent = (context.operand(name) for name in node.inputs)
    if base.kind is not Kind.FLOAT:
        LOWERINGS[(node.domain, node.operator)](context, node)
        return
    if exponent.kind is not Kind.FLOAT:
        exponent = float_map(context, node.name, "from_i32", exponent)
    known = context.constants.get(node.inputs[1])
    if known is not None and known.size == 1 and float(known.reshape(-1)[0]) == 2.0 and not context.private:
        shape = tuple(np.broadcast_shapes(base.shape, known.shape))
        context.bind(node.outputs[0], float_formula(context, node.name, ("mul", "a", "a"), broadcast(context, node.name, base, shape)))
        return
    context.bind(node.outputs[0], float_pair(context, node.name, "pow", base, exponent))
