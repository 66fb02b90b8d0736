"""Functions of one element: rescaling and cutting exactly, rounding functions exactly, everything else by a table.

A table holds the function at equally spaced integers; between them the guest interpolates linearly. Its float values come from
onnxruntime, on all the integers that can occur, and the largest difference is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, FloatArray, IntArray, Rescale, rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Kind, Operation, Value
from zkvm.ml.lowering import Context, TensorInfo, lowers, quantization
from zkvm.ml.node import Node
from zkvm.ml.operators.linear import fused_target

MAX_ENTRIES_LOG2 = 12
MIN_ENTRIES_LOG2 = 4
FINE_ENTRIES = 1 << 11
MAX_INTERPOLATION_BITS = 13
"""(difference of two 16-bit entries) * part < 2^(17 + 13) fits a word."""
GOOD_ENOUGH = 1.0
"""Largest error, in units of the output, at which a table is not made finer."""


@dataclass(eq=False)
class Requantize(Operation):
    """y = requantize(x)."""

    rescaling: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return self.rescaling.apply(inputs[0].reshape(self.output.shape))

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        expression = self.rescaling.expression(f"({code.pointer(self.inputs[0])})[i]")
        code.line(f"UNROLL_FOUR for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


@dataclass(eq=False)
class Clamp(Operation):
    """y = x cut to the output's bounds."""

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return np.clip(inputs[0], self.output.lo, self.output.hi).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        expression = f"clamp(({code.pointer(self.inputs[0])})[i], {self.output.lo}, {self.output.hi})"
        code.line(f"UNROLL_FOUR for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


@dataclass(eq=False)
class Table(Operation):
    """y = interpolation in ``entries``, 2^bits integers apart, from integer ``first`` on.

    Where the function bends too much for that, near 0 as roots and logarithms do, ``fine`` holds its values at all integers from
    ``fine_first`` on.
    """

    entries: IntArray
    first: int
    bits: int
    fine: IntArray
    fine_first: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x = inputs[0].reshape(self.output.shape)
        result = interpolate(self.entries, x, self.first, self.inputs[0].hi, self.bits)
        if not len(self.fine):
            return result
        place = np.clip(x - self.fine_first, 0, len(self.fine) - 1)
        return np.where(x - self.fine_first == place, self.fine[place], result)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        table = code.constant(self.entries, private=False, label="table")
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    int32_t x = ({code.pointer(self.inputs[0])})[i];")
        result = f"interpolate({table}, x, {self.first}, {self.inputs[0].hi}, {self.bits})"
        if len(self.fine):
            fine, last = code.constant(self.fine, private=False, label="table"), self.fine_first + len(self.fine) - 1
            result = f"x >= {self.fine_first} && x <= {last} ? {fine}[x - {self.fine_first}] : {result}"
        code.line(f"    ({code.pointer(self.output)})[i] = {result};")
        code.line("}")


def interpolate(entries: IntArray, x: IntArray, lo: int, hi: int, bits: int) -> IntArray:
    """Piecewise linear function: see ``interpolate`` in the runtime."""
    offset = np.clip(x, lo, hi) - lo
    position, part = offset >> bits, offset & ((1 << bits) - 1)
    if bits == 0:
        return np.asarray(entries[position], np.int64)
    left = entries[position]
    return np.asarray(left + (((entries[position + 1] - left) * part + (1 << (bits - 1))) >> bits), np.int64)


def make_table(samples: FloatArray) -> tuple[IntArray, int, float]:
    """Entries, distance in bits and largest error for a function known at all integers of a range.

    Args:
        samples: the function at consecutive integers, in units of the output's scale.
    """
    span = max(1, len(samples) - 1)
    best: tuple[IntArray, int, float] | None = None
    for entries_log2 in range(MIN_ENTRIES_LOG2, MAX_ENTRIES_LOG2 + 1):
        bits = max(0, span.bit_length() - entries_log2)
        if bits > MAX_INTERPOLATION_BITS:
            continue
        positions = np.minimum(np.arange(0, span + (1 << bits) + 1, 1 << bits), span)
        entries = np.round(samples[positions]).astype(np.int64)
        offsets = np.arange(len(samples), dtype=np.int64)
        error = float(np.abs(interpolate(entries, offsets, 0, span, bits) - samples).max())
        if best is None or error < best[2]:
            best = entries, bits, error
        if error <= GOOD_ENOUGH or bits == 0:
            break
    assert best is not None
    return best


def narrowed(context: Context, name: str, source: Value) -> Value:
    """A value of at most 2^16 integers, so that a function can be tabulated on all of them."""
    if source.hi - source.lo < 1 << 16:
        return source
    info = TensorInfo(source.shape, Kind.REAL, source.lo * source.scale, source.hi * source.scale)
    scale, lo, hi = quantization(info, context.precision)
    return context.rescaled(source, scale, name, lo, hi)


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
    from zkvm.ml.operators.binary import integer_binary

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


@dataclass(eq=False)
class Round(Operation):
    """The integer next to x * scale: ``Floor``, ``Ceil``, ``Round`` (half to even) or ``Truncate``; shift s, x * multiplier / 2^s.

    Exact for scales that are a power of two, which 16-bit values have.
    """

    mode: str
    multiplier: int
    shift: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        product = inputs[0].reshape(self.output.shape) * self.multiplier
        half, mask = 1 << (self.shift - 1), (1 << self.shift) - 1
        if self.mode == "Floor":
            return np.asarray(product >> self.shift)
        if self.mode == "Ceil":
            return np.asarray((product + mask) >> self.shift)
        if self.mode == "Truncate":
            return np.where(product < 0, (product + mask) >> self.shift, product >> self.shift)
        nearest = (product + half) >> self.shift
        return np.asarray(nearest - (((product & mask) == half) & (nearest & 1 == 1)), np.int64)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        half, mask = f"((int64_t)1 << {self.shift - 1})", f"(((int64_t)1 << {self.shift}) - 1)"
        body = {
            "Floor": f"product >> {self.shift}",
            "Ceil": f"(product + {mask}) >> {self.shift}",
            "Truncate": f"(product < 0 ? product + {mask} : product) >> {self.shift}",
            "Round": f"((product + {half}) >> {self.shift}) - ((product & {mask}) == {half} && (((product + {half}) >> {self.shift}) & 1))",
        }[self.mode]
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    int64_t product = (int64_t)({code.pointer(self.inputs[0])})[i] * {self.multiplier};")
        code.line(f"    ({code.pointer(self.output)})[i] = (int32_t)({body});")
        code.line("}")


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
        from zkvm.ml.operators.compare import Compare

        zero = context.quantized_constant("zero", np.zeros(source.shape, np.int64))
        output = context.fresh(source.shape, 0, 1, kind=Kind.BOOLEAN)
        equal = context.add(Compare(node.name, (source, zero), output, "!="))
        context.bind(node.outputs[0], equal)


@lowers("Neg")
def lower_negate(context: Context, node: Node) -> None:
    """-x, by subtraction from 0."""
    from zkvm.ml.operators.binary import integer_binary

    source = context.operand(node.inputs[0])
    zero = context.quantized_constant("zero", np.zeros((), np.int64))
    result = integer_binary(context, node.name, "Sub", zero, source)
    context.bind(node.outputs[0], context.view(result, result.shape, source.scale, source.kind))


@lowers("BatchNormalization")
def lower_batch_normalization(context: Context, node: Node) -> None:
    """x * factor + offset per channel: a depthwise convolution with one tap."""
    from zkvm.ml.operators.linear import Geometry, Linear, quantize_layer

    scale, shift, mean, variance = (context.required_constant(node, position).astype(np.float64) for position in range(1, 5))
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    source = context.operand(node.inputs[0])
    if source.shape[0] != 1:
        raise UsageError(f"BatchNormalization {node.name!r}: batch of {source.shape[0]}; compiled models take one sample")
    pixels = source.size // len(factor)
    output = fused_target(context, node.outputs[0])
    weights, biases, rescaling = quantize_layer(context, node.name, source, factor[:, None], shift - mean * factor, output)
    geometry = Geometry((1, 1, 1), (0, 0, 0), (1, pixels), (0, 1), (0, 1), pixels, pixels)
    context.add(Linear(node.name, (source,), output, weights.reshape(-1, 1, 1), biases.reshape(-1, 1), geometry, rescaling))
