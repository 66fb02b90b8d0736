"""Functions of one element: cutting and rounding exactly, everything else by a table.

A table's float values come from onnxruntime, on all the integers that can occur, and the largest difference is recorded.
"""

from __future__ import annotations

from math import ceil, floor

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, FloatArray, rescale
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.compare import Compare
from zkvm.ml.operations.table import GOOD_ENOUGH, Table, interpolate, make_table
from zkvm.ml.operations.unary import Clamp, Round
from zkvm.ml.operators.common import integer_binary, narrowed

FINE_ENTRIES = 1 << 11


def tabulate(context: Context, name: str, source: Value, output: Value, samples: FloatArray) -> Value:
    """Append the table of a function given in real numbers at all integers from ``source.lo`` to ``source.hi``."""
    units = samples / output.scale
    top = np.nanmax(np.where(np.isfinite(units), units, -np.inf), initial=0.0)
    bottom = np.nanmin(np.where(np.isfinite(units), units, np.inf), initial=0.0)
    # Where the function has no value (a logarithm of a negative number, say) the result is the nearest bound.
    known = np.nan_to_num(units, nan=bottom, posinf=top + output.hi, neginf=bottom + output.lo)
    values = np.clip(known, output.lo, output.hi)
    entries, bits, error = make_table(values)
    fine, first = np.zeros(0, np.int64), 0
    if error > GOOD_ENOUGH and source.lo <= 0 <= source.hi:
        first = max(source.lo, -FINE_ENTRIES // 2)
        part = values[first - source.lo : first - source.lo + FINE_ENTRIES]
        fine = np.round(part).astype(np.int64)
        differences = np.abs(interpolate(entries, np.arange(len(values)), 0, len(values) - 1, bits) - values)
        differences[first - source.lo : first - source.lo + len(part)] = np.abs(fine - part)
        error = float(differences.max())
    context.graph.errors[name] = max(error, context.graph.errors.get(name, 0.0))
    return context.add(Table(name, (source,), output, entries, source.lo, bits, fine, first))


TABULATED = (
    "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Softplus", "Softsign", "Elu", "Selu", "Celu", "Gelu", "Mish",
    "HardSigmoid", "HardSwish", "LeakyRelu", "Shrink", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh",
    "Atanh", "Abs", "Swish",
)  # fmt: skip


@lowers(*TABULATED)
def lower_tabulated(context: Context, node: Node) -> None:
    """Any continuous function of one element."""
    source = narrowed(context, node.name, context.operand(node.inputs[0]))
    if source.kind is Kind.INTEGER and node.operator == "Abs":
        lower_absolute(context, node, source)
        return
    grid = (np.arange(source.lo, source.hi + 1, dtype=np.float64) * source.scale).astype(np.float32)
    samples = context.run_node(node, [grid])[0].astype(np.float64)
    output = context.target(node.outputs[0])
    context.bind(node.outputs[0], tabulate(context, node.name, source, output, samples))


@lowers("Pow")
def lower_power(context: Context, node: Node) -> None:
    """A constant power of x, or a constant to the power x: a table either way."""
    position = 1 if node.inputs[1] in context.constants else 0
    constant = context.required_constant(node, position)
    if constant.size != 1:
        raise UsageError(f"Pow {node.name!r}: {constant.size} different constants; a single one is supported")
    source = narrowed(context, node.name, context.operand(node.inputs[1 - position]))
    grid = (np.arange(source.lo, source.hi + 1, dtype=np.float64) * source.scale).astype(np.float32)
    scalar = constant.reshape(()).astype(np.float32)
    samples = context.run_node(node, [grid, scalar] if position else [scalar, grid])[0].astype(np.float64)
    context.bind(node.outputs[0], tabulate(context, node.name, source, context.target(node.outputs[0]), samples))


def lower_absolute(context: Context, node: Node, source: Value) -> None:
    """|x| of integers, exactly: max(x, -x)."""
    zero = context.quantized_constant("zero", np.zeros((), np.int64))
    negative = integer_binary(context, node.name, "Sub", zero, source)
    context.bind(node.outputs[0], integer_binary(context, node.name, "Max", source, negative))


@lowers("Relu", "Clip")
def lower_clip(context: Context, node: Node) -> None:
    """Cut to a range: the integers stay what they are."""
    source = context.operand(node.inputs[0])
    low, high = clip_range(context, node)
    lo = source.lo if np.isneginf(low) else max(source.lo, ceil(low / source.scale - 0.5))
    hi = source.hi if np.isposinf(high) else min(source.hi, floor(high / source.scale + 0.5))
    lo = min(lo, source.hi)
    output = context.fresh(source.shape, lo, max(lo, hi), source.scale, source.kind, label=node.outputs[0])
    context.bind(node.outputs[0], context.add(Clamp(node.name, (source,), output)))


def clip_range(context: Context, node: Node) -> tuple[float, float]:
    """The range that a Relu or Clip cuts to; both bounds of Clip are constants, inputs since opset 11, attributes before."""
    if node.operator == "Relu":
        return 0.0, np.inf
    low, high = node.attributes.get("min", -np.inf), node.attributes.get("max", np.inf)
    if node.has(1):
        low = float(context.required_constant(node, 1).reshape(-1)[0])
    if node.has(2):
        high = float(context.required_constant(node, 2).reshape(-1)[0])
    return float(low), float(high)


def rounded(context: Context, name: str, source: Value, mode: str, kind: Kind) -> Value:
    """Append the rounding of a real value to integers, of scale 1."""
    factor = rescale(source.scale, source.magnitude, INT32_MIN, INT32_MAX, name)
    bound = int(min(source.magnitude * source.scale + 1, INT32_MAX))
    output = context.fresh(source.shape, -bound if source.lo < 0 else 0, bound, 1.0, kind)
    return context.add(Round(name, (source,), output, mode, factor.multipliers[0], factor.shift))


@lowers("Floor", "Ceil", "Round")
def lower_rounding(context: Context, node: Node) -> None:
    """Rounding functions."""
    source = context.operand(node.inputs[0])
    context.bind(node.outputs[0], rounded(context, node.name, source, node.operator, Kind.REAL))


@lowers("Cast")
def lower_cast(context: Context, node: Node) -> None:
    """Between real, integer and boolean; between types of one kind nothing happens."""
    source, kind = context.operand(node.inputs[0]), context.info(node.outputs[0]).kind
    if source.kind is kind or source.kind is Kind.BOOLEAN or (source.kind is Kind.INTEGER and kind is Kind.REAL):
        context.bind(node.outputs[0], context.view(source, source.shape, 1.0 if source.kind is not Kind.REAL else None, kind))
    elif kind is Kind.INTEGER:
        context.bind(node.outputs[0], rounded(context, node.name, source, "Truncate", kind))
    else:
        zero = context.quantized_constant("zero", np.zeros(source.shape, np.int64))
        output = context.fresh(source.shape, 0, 1, kind=Kind.BOOLEAN)
        equal = context.add(Compare(node.name, (source, zero), output, "!="))
        context.bind(node.outputs[0], equal)


@lowers("Neg")
def lower_negate(context: Context, node: Node) -> None:
    """-x, by subtraction from 0."""
    source = context.operand(node.inputs[0])
    zero = context.quantized_constant("zero", np.zeros((), np.int64))
    result = integer_binary(context, node.name, "Sub", zero, source)
    context.bind(node.outputs[0], context.view(result, result.shape, source.scale, source.kind))
