"""Functions of one element: cutting and rounding exactly, everything else by a table.

A table's float values come from onnxruntime, on all the integers that can occur, and the largest difference is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, FloatArray, rescale
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.compare import Compare
from zkvm.ml.operations.table import GOOD_ENOUGH, Table, interpolate, make_table, sampled
from zkvm.ml.operations.unary import Clamp, Requantize, Round
from zkvm.ml.operators.common import cut_to, integer_binary, narrowed, rescaled_to
from zkvm.ml.operators.integers import (
    has_integers,
    lower_integer_clip,
    lower_integer_power,
    lower_integer_sign_change,
    narrowed_to,
    type_of,
)
from zkvm.ml.operators.secret import TOP
from zkvm.ml.operators.sums import clip_secretly
from zkvm.ml.operators.tensor_elements import cut_in_tensors, function_in_tensors, within

FINE_ENTRIES = 1 << 11
KNOWN = ("Sigmoid", "Tanh", "Erf")
"""Functions that are constant, within what 16 bits tell apart, beyond 16: private models have their tables in known scales, which is
cheaper than reading tables, and tells nobody anything."""
KNOWN_REACH, KNOWN_INPUT_BITS, KNOWN_OUTPUT_BITS = 16, 16, 20
SMOOTH_ENTRIES_LOG2, ROUGH_ENTRIES_LOG2 = 10, 12
"""Of a table that private models read, by whether the function bends everywhere alike."""
ROUGH = ("Log", "Sqrt", "Reciprocal", "Pow", "Tan", "Asin", "Acos", "Acosh", "Atanh")


def tabulate(context: Context, node: Node, source: Value, function: Callable[[FloatArray], FloatArray]) -> Value:
    """Append the table of a function of real numbers, with values at all integers from ``source.lo`` to ``source.hi``."""
    if context.private and node.operator in KNOWN:
        return _known_table(context, node, source, function)
    output = context.target(node.outputs[0])
    first, values = source.lo, np.zeros(0)
    if context.private:
        # The steps start at a round number, so that 0, where many functions bend, is at the end of one.
        log2 = ROUGH_ENTRIES_LOG2 if node.operator in ROUGH else SMOOTH_ENTRIES_LOG2
        bits = max(0, (source.hi - source.lo).bit_length() - log2)
        first = source.lo >> bits << bits
        values = within(output, function(np.arange(first, source.hi + 1, dtype=np.float64) * source.scale))
        entries, error = sampled(values, bits)
        result = Table(node.name, (source,), output, entries, first, bits, np.zeros(0, np.int64), 0, True)
    else:
        values = within(output, function(np.arange(first, source.hi + 1, dtype=np.float64) * source.scale))
        entries, bits, error = make_table(values)
        result = Table(node.name, (source,), output, entries, first, bits, np.zeros(0, np.int64), 0)
        low, high = output.guarded
        output.guarded = low and bool(values.min() <= output.lo), high and bool(values.max() >= output.hi)
    needed = node.operator in ROUGH and bits > 0 if context.private else error > GOOD_ENOUGH
    if needed and source.lo <= 0 <= source.hi:
        error = _refine(result, values)
    context.graph.errors[node.name] = max(error, context.graph.errors.get(node.name, 0.0))
    return context.add(result)


def _refine(table: Table, values: FloatArray) -> float:
    """Give a table exact values near 0; returns the largest error that is left."""
    table.fine_first = max(table.inputs[0].lo, -FINE_ENTRIES // 2)
    start = table.fine_first - table.first
    part = values[start : start + FINE_ENTRIES]
    table.fine = np.round(part).astype(np.int64)
    differences = np.abs(interpolate(table.entries, np.arange(len(values)), 0, len(values) - 1, table.bits) - values)
    differences[start : start + len(part)] = np.abs(table.fine - part)
    return float(differences.max())


def _known_table(context: Context, node: Node, source: Value, function: Callable[[FloatArray], FloatArray]) -> Value:
    """The function between known scales, and rescalings from and to the secret ones."""
    bound, units = KNOWN_REACH << KNOWN_INPUT_BITS, 1 << KNOWN_OUTPUT_BITS
    known = context.rescaled(source, 1 / (1 << KNOWN_INPUT_BITS), node.name, -bound, bound)
    if node.operator not in context.known_tables:
        values = function(np.arange(-bound, bound + 1, dtype=np.float64) / (1 << KNOWN_INPUT_BITS)) * units
        context.known_tables[node.operator] = make_table(values)
    entries, bits, error = context.known_tables[node.operator]
    value = context.fresh(source.shape, -units, units, 1 / units, label=node.name)
    context.add(Table(node.name, (known,), value, entries, -bound, bits, np.zeros(0, np.int64), 0))
    output = context.target(node.outputs[0])
    context.graph.errors[node.name] = max(error / units / output.scale, context.graph.errors.get(node.name, 0.0))
    rescaling = context.rescale(value.scale / output.scale, value.magnitude, output, node.name)
    return context.add(Requantize(node.name, (value,), output, rescaling))


TABULATED = (
    "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Softplus", "Softsign", "Elu", "Selu", "Celu", "Gelu", "Mish",
    "HardSigmoid", "HardSwish", "LeakyRelu", "Shrink", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh",
    "Atanh", "Abs", "Swish",
)  # fmt: skip


@lowers(*TABULATED)
def lower_tabulated(context: Context, node: Node) -> None:
    """Any continuous function of one element."""
    if has_integers(context, node):
        lower_integer_sign_change(context, node)
        return

    def function(grid: FloatArray) -> FloatArray:
        return context.run_node(node, [grid.astype(np.float32)])[0].astype(np.float64)

    if function_in_tensors(context, node, node.inputs[0], function):
        return
    source = narrowed(context, node.name, context.operand(node.inputs[0]))
    if node.operator == "Abs" and context.private:
        lower_absolute(context, node, source)
        return
    context.bind(node.outputs[0], tabulate(context, node, source, function))


@lowers("Pow")
def lower_power(context: Context, node: Node) -> None:
    """A constant power of x, or a constant to the power x: a table either way."""
    if has_integers(context, node):
        lower_integer_power(context, node)
        return
    position = 1 if node.inputs[1] in context.constants else 0
    constant = context.required_constant(node, position)
    if constant.size != 1:
        raise UsageError(f"Pow {node.name!r}: {constant.size} different constants; a single one is supported")
    scalar = constant.reshape(()).astype(np.float32)

    def function(grid: FloatArray) -> FloatArray:
        real = grid.astype(np.float32)
        return context.run_node(node, [real, scalar] if position else [scalar, real])[0].astype(np.float64)

    if function_in_tensors(context, node, node.inputs[1 - position], function):
        return
    source = narrowed(context, node.name, context.operand(node.inputs[1 - position]))
    context.bind(node.outputs[0], tabulate(context, node, source, function))


def lower_absolute(context: Context, node: Node, source: Value) -> None:
    """|x|, exactly: max(x, -x)."""
    zero = context.known_constant("zero", np.zeros((), np.int64))
    negative = integer_binary(context, node.name, "Sub", zero, source)
    negative = context.view(negative, negative.shape, source.scale, Kind.REAL)
    context.bind(node.outputs[0], integer_binary(context, node.name, "Max", source, negative))


@lowers("Relu", "Clip")
def lower_clip(context: Context, node: Node) -> None:
    """Cut to a range: the integers stay what they are."""
    if has_integers(context, node):
        lower_integer_clip(context, node)
        return
    low, high = clip_range(context, node)
    held = context.held(node.inputs[0]) if context.private else None
    if held is not None:
        if node.operator == "Relu" and cut_in_tensors(context, node, 0, TOP):
            return
        if node.operator == "Clip" and two_bounds(node):
            clip_secretly(context, node.name, node.outputs[0], held, (low, high))
            return
    elif not context.private:
        lo, hi = _cut(context.values[node.inputs[0]], low, high) if node.inputs[0] in context.values else (0, 0)
        if cut_in_tensors(context, node, lo, hi):
            return
    source = context.operand(node.inputs[0])
    if context.private:
        output = context.fresh(source.shape, source.lo, source.hi, source.scale, source.kind, label=node.outputs[0])
        output.secret = source.secret
        cut_to(context, output, low, high, node.operator == "Relu")
        context.bind(node.outputs[0], context.add(Clamp(node.name, (source,), output)))
        return
    lo, hi = _cut(source, low, high)
    output = context.fresh(source.shape, lo, hi, source.scale, source.kind, label=node.outputs[0])
    context.bind(node.outputs[0], context.add(Clamp(node.name, (source,), output)))


def _cut(source: Value, low: float, high: float) -> tuple[int, int]:
    """The integers of a value that a range of real numbers leaves."""
    lo = source.lo if np.isneginf(low) else max(source.lo, ceil(low / source.scale - 0.5))
    hi = source.hi if np.isposinf(high) else min(source.hi, floor(high / source.scale + 0.5))
    lo = min(lo, source.hi)
    return lo, max(lo, hi)


def clip_range(context: Context, node: Node) -> tuple[float, float]:
    """The range that a Relu or Clip cuts to; both bounds of Clip are constants, inputs since opset 11, attributes before."""
    if node.operator == "Relu":
        return 0.0, np.inf
    low, high = node.attributes.get("min", -np.inf), node.attributes.get("max", np.inf)
    if node.has(1):
        low = float(context.required_constant(node, 1).reshape(-1)[0])
    if node.has(2):
        high = float(context.required_constant(node, 2).reshape(-1)[0])
    return min(float(low), float(high)), float(high)


def two_bounds(node: Node) -> bool:
    """Whether a Clip has a lower and an upper bound, whatever they are."""
    return (node.has(1) or "min" in node.attributes) and (node.has(2) or "max" in node.attributes)


def rounded(context: Context, name: str, source: Value, mode: str, kind: Kind) -> Value:
    """Append the rounding of a real value to integers, of scale 1."""
    ratio = rescale(source.scale, source.magnitude, INT32_MIN, INT32_MAX, name, secret=context.private)
    bound = INT32_MAX if context.private else int(min(source.magnitude * source.scale + 1, INT32_MAX))
    output = context.fresh(source.shape, -bound if source.lo < 0 else 0, bound, 1.0, kind)
    return context.add(Round(name, (source,), output, mode, ratio))


@lowers("Floor", "Ceil", "Round")
def lower_rounding(context: Context, node: Node) -> None:
    """Rounding functions."""
    source = context.operand(node.inputs[0])
    result = rounded(context, node.name, source, node.operator, Kind.REAL)
    context.bind(node.outputs[0], _at_target(context, node, result) if context.private else result)


def _at_target(context: Context, node: Node, source: Value) -> Value:
    """A value whose bounds could be anything, as far as everybody may know, in 16 bits again."""
    return rescaled_to(context, source, context.target(node.outputs[0]), node.name)


@lowers("Cast")
def lower_cast(context: Context, node: Node) -> None:
    """Between real, integer and boolean; between types of one kind nothing happens."""
    source, kind = context.operand(node.inputs[0]), context.info(node.outputs[0]).kind
    if kind is Kind.INTEGER:
        whole = rounded(context, node.name, source, "Truncate", kind) if source.kind is Kind.REAL else source
        context.bind(node.outputs[0], narrowed_to(context, node.name, whole, type_of(context, node.outputs[0])))
    elif source.kind is kind or source.kind is Kind.BOOLEAN:
        context.bind(node.outputs[0], context.view(source, source.shape, 1.0 if source.kind is not Kind.REAL else None, kind))
    elif kind is Kind.REAL:
        context.bind(node.outputs[0], _as_real(context, node, source))
    else:
        zero = context.known_constant("zero", np.zeros(source.shape, np.int64))
        output = context.fresh(source.shape, 0, 1, kind=Kind.BOOLEAN)
        equal = context.add(Compare(node.name, (source, zero), output, "!="))
        context.bind(node.outputs[0], equal)


def _as_real(context: Context, node: Node, source: Value) -> Value:
    """Integers as real numbers: as they are if these are few, else as the output's range asks for."""
    if source.data is not None or source.hi - source.lo < 1 << 16:
        return context.view(source, source.shape, 1.0, Kind.REAL)
    output = context.target(node.outputs[0])
    reach = ceil((output.magnitude + 1) * output.scale)
    if source.magnitude > reach and not context.private:
        # Cut to what is beyond the range by one, so that nothing is lost of the others.
        cut = context.fresh(source.shape, max(source.lo, -reach), min(source.hi, reach), kind=Kind.INTEGER, label=node.name)
        source = context.add(Clamp(node.name, (source,), cut))
    elif source.lo == INT32_MIN:
        cut = context.fresh(source.shape, -INT32_MAX, source.hi, kind=Kind.INTEGER, label=node.name)
        source = context.add(Clamp(node.name, (source,), cut))
    return _at_target(context, node, context.view(source, source.shape, 1.0, Kind.REAL))


@lowers("Neg")
def lower_negate(context: Context, node: Node) -> None:
    """-x, by subtraction from 0."""
    if has_integers(context, node):
        lower_integer_sign_change(context, node)
        return
    source = context.operand(node.inputs[0])
    zero = context.known_constant("zero", np.zeros((), np.int64))
    result = integer_binary(context, node.name, "Sub", zero, source)
    context.bind(node.outputs[0], context.view(result, result.shape, source.scale, source.kind))
