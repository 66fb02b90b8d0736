"""Softmax and normalisation: functions of whole rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import FloatArray, IntArray, Rescale, rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operators.move import move
from zkvm.ml.operators.unary import interpolate, make_table, narrowed

ONE = 1 << 15
"""exp(0) in the table of exponentials."""
NEGLIGIBLE = 12.0
"""exp(-12) is a fifth of the table's unit."""
STANDARD_BITS = 30


@dataclass(eq=False)
class Softmax(Operation):
    """y[i] = round(e[i] * units / sum e), e = table(max x - x[i]); rows of ``length``."""

    length: int
    entries: IntArray
    reach: int
    bits: int
    units: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(-1, self.length)
        exponentials = interpolate(self.entries, rows.max(axis=1, keepdims=True) - rows, 0, self.reach, self.bits)
        total = exponentials.sum(axis=1, keepdims=True)
        result = (2 * exponentials * self.units + total) // (2 * total)
        return np.asarray(np.minimum(result, self.output.hi), np.int64).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        table = code.constant(self.entries, private=False, label="table")
        count = self.output.size // self.length
        code.line(f"for (int r = 0; r < {count}; r++)")
        source, target = (f"{code.pointer(value)} + r * {self.length}" for value in (self.inputs[0], self.output))
        code.line(f"    softmax({source}, {target}, {self.length}, {table}, {self.reach}, {self.bits}, {self.units}, {self.output.hi});")


@lowers("Softmax")
def lower_softmax(context: Context, node: Node) -> None:
    """Softmax over one axis."""
    source = narrowed(context, node.name, context.operand(node.inputs[0]))
    rank = len(source.shape)
    axis = int(node.attributes.get("axis", -1)) % rank
    order = [*(other for other in range(rank) if other != axis), axis]
    moved = np.arange(source.size).reshape(source.shape).transpose(order)
    rows = move(context, node.name, [source], np.ascontiguousarray(moved))
    length = source.shape[axis]
    if length > 1 << 15:
        raise UsageError(f"Softmax {node.name!r}: rows of {length} elements; at most {1 << 15} are supported")
    reach = min(int(NEGLIGIBLE / source.scale) + 1, source.hi - source.lo)
    samples = np.exp(-np.arange(reach + 1) * source.scale) * ONE
    entries, bits, error = make_table(samples)
    context.graph.errors[node.name] = error
    # All probabilities share the scale 2^-15 (2^-8 for 8 bits): their largest is 1.
    units = 1 << min(15, context.precision.activation_bits)
    units = units if context.precision.activation_bits > 8 else 1 << 8
    output = context.fresh(rows.shape, 0, units if units > 256 else 255, 1.0 / units, label=node.outputs[0])
    context.add(Softmax(node.name, (rows,), output, length, entries, reach, bits, units))
    back = np.argsort(order)
    index = np.arange(output.size).reshape(output.shape).transpose(back)
    context.bind(node.outputs[0], move(context, node.name, [output], np.ascontiguousarray(index)))


@dataclass(eq=False)
class Normalize(Operation):
    """Rows to mean 0 and variance 1, times gain plus offset per element (or per row).

    With n the length: c = n x - sum x (n times the centred element), d = floor(sqrt(floor(sum c^2 / n) + epsilon)) (n times the
    standard deviation), r = floor(2^30 / d) and u = floor(c r / 2^15) is the normalised element in units of 2^-15. Then
    y = requantize(u * gain + offset) with the channel's integers. Without ``centred`` the mean is not subtracted.
    """

    length: int
    epsilon: int
    gains: IntArray
    offsets: IntArray
    per_row: bool
    centred: bool
    rescaling: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(-1, self.length)
        centred = rows * self.length - (rows.sum(axis=1, keepdims=True) if self.centred else 0)
        squares = (centred * centred).sum(axis=1) // self.length + self.epsilon
        deviations = np.array([isqrt(int(square)) for square in squares], np.int64)[:, None]
        reciprocals = (1 << STANDARD_BITS) // np.maximum(deviations, 1)
        normal = np.clip((centred * reciprocals) >> 15, -self.rescaling_room, self.rescaling_room)
        repeats = len(rows) // len(self.gains) if self.per_row else 1
        gains = np.tile(self.gains, repeats)[:, None] if self.per_row else self.gains[None, :]
        offsets = np.tile(self.offsets, repeats)[:, None] if self.per_row else self.offsets[None, :]
        return self.rescaling.apply(normal * gains + offsets).reshape(self.output.shape)

    @property
    def rescaling_room(self) -> int:
        """Largest normalised element: sqrt(n) standard deviations, in units of 2^-15, and a little for rounding."""
        return (isqrt(self.length) + 2) << 15

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        gains, offsets = code.constant(self.gains, label="gain"), code.constant(self.offsets, label="offset")
        count = self.output.size // self.length
        source, target = code.pointer(self.inputs[0]), code.pointer(self.output)
        code.line(f"for (int r = 0; r < {count}; r++) {{")
        code.line(f"    const int32_t *x = {source} + r * {self.length};")
        code.line(f"    int32_t *y = {target} + r * {self.length};")
        code.line("    int32_t sum = 0;")
        if self.centred:
            code.line(f"    for (int i = 0; i < {self.length}; i++) sum += x[i];")
        code.line(f"    int32_t reciprocal = normalizer(x, {self.length}, sum, {self.epsilon}ull);")
        code.line(f"    for (int i = 0; i < {self.length}; i++) {{")
        code.line(f"        int32_t centred = x[i] * {self.length} - sum;")
        room = self.rescaling_room
        code.line(f"        int32_t normal = clamp64(((int64_t)centred * reciprocal) >> 15, {-room}, {room});")
        where = f"r % {len(self.gains)}" if self.per_row else "i"
        code.line(f"        y[i] = {self.rescaling.expression(f'(normal * {gains}[{where}] + {offsets}[{where}])')};")
        code.line("    }")
        code.line("}")


def _normalize(
    context: Context, node: Node, rows_axis: int, gain: FloatArray, offset: FloatArray, per_row: bool, centred: bool, epsilon: float
) -> None:
    """Append the normalisation of everything behind ``rows_axis``."""
    source = narrowed(context, node.name, context.operand(node.inputs[0]))
    length = int(np.prod(source.shape[rows_axis:], dtype=np.int64))
    if 2 * source.magnitude * length >= 1 << 31 or length**3 * 4 * source.magnitude**2 >= 1 << 63:
        raise UsageError(f"{node.operator} {node.name!r}: rows of {length} elements do not fit its accumulators; use 8-bit activations")
    output = context.target(node.outputs[0])
    room = (isqrt(length) + 2) << 15
    # Gains as fine as 31 bits allow for u * gain + offset.
    largest = float(np.abs(gain).max()) or 1.0
    offset_units = float(np.abs(offset).max()) * (1 << 15)
    unit = max((largest * room + offset_units + 1) / ((1 << 31) - 2 - room), largest / ((1 << 15) - 1))
    gains = np.round(gain / unit).astype(np.int64)
    offsets = np.round(offset * (1 << 15) / unit).astype(np.int64)
    bound = int(np.abs(gains).max() * room + np.abs(offsets).max())
    epsilon_units = round(epsilon * length**2 / source.scale**2)
    rescaling = rescale(unit / (1 << 15) / output.scale, bound, output.lo, output.hi, node.name)
    operation = Normalize(node.name, (source,), output, length, epsilon_units, gains, offsets, per_row, centred, rescaling)
    context.bind(node.outputs[0], context.add(operation))


@lowers("LayerNormalization", "RMSNormalization")
def lower_layer_normalization(context: Context, node: Node) -> None:
    """Normalisation of the last axes, with gain and offset per element."""
    shape = context.operand(node.inputs[0]).shape
    axis = int(node.attributes.get("axis", -1)) % len(shape)
    length = int(np.prod(shape[axis:], dtype=np.int64))
    gain = np.broadcast_to(context.required_constant(node, 1).astype(np.float64), shape[axis:]).reshape(-1)
    offset = np.zeros(length)
    if node.has(2):
        offset = np.broadcast_to(context.required_constant(node, 2).astype(np.float64), shape[axis:]).reshape(-1)
    _normalize(context, node, axis, gain, offset, False, node.operator == "LayerNormalization", float(node.attributes.get("epsilon", 1e-5)))


@lowers("InstanceNormalization")
def lower_instance_normalization(context: Context, node: Node) -> None:
    """Normalisation of each channel's pixels, with gain and offset per channel."""
    gain, offset = (context.required_constant(node, position).astype(np.float64) for position in (1, 2))
    _normalize(context, node, 2, gain, offset, True, True, float(node.attributes.get("epsilon", 1e-5)))
