"""Softmax and normalisation: functions of whole rows."""

from __future__ import annotations

from math import isqrt

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import FloatArray, Rescale, rescale
from zkvm.ml.ir import Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.softmax import Normalize, Softmax
from zkvm.ml.operations.table import make_table
from zkvm.ml.operators.common import move, narrowed
from zkvm.ml.operators.tensor_normalization import normalized_in_tensors
from zkvm.ml.operators.tensor_softmax import softmax_in_tensors

ONE = 1 << 15
"""exp(0) in the table of exponentials."""
NEGLIGIBLE = 12.0
"""exp(-12) is a fifth of the table's unit."""
KNOWN_UNITS = 1 << 16
"""To one, of the differences in the table of a private model: as fine as those of any scores that matter."""


@lowers("Softmax")
def lower_softmax(context: Context, node: Node) -> None:
    """Softmax over one axis."""
    if softmax_in_tensors(context, node):
        return
    source = narrowed(context, node.name, context.operand(node.inputs[0]))
    rank = len(source.shape)
    axis = int(node.attributes.get("axis", -1)) % rank
    order = [*(other for other in range(rank) if other != axis), axis]
    moved = np.arange(source.size).reshape(source.shape).transpose(order)
    rows = move(context, node.name, [source], np.ascontiguousarray(moved))
    length = source.shape[axis]
    if length > 1 << 15:
        raise UsageError(f"Softmax {node.name!r}: rows of {length} elements; at most {1 << 15} are supported")
    scale, reach, difference = _differences(context, node.name, source)
    samples = np.exp(-np.arange(reach + 1) * scale) * ONE
    entries, bits, error = make_table(samples)
    context.graph.errors[node.name] = error
    # All probabilities share the scale 2^-15 (2^-8 for 8 bits): their largest is 1.
    units = 1 << min(15, context.precision.activation_bits)
    units = units if context.precision.activation_bits > 8 else 1 << 8
    output = context.fresh(rows.shape, 0, units if units > 256 else 255, 1.0 / units, label=node.outputs[0])
    output.secret = False
    info = context.tensors.get(node.inputs[0])
    masked = (info is not None and info.masked) or node.inputs[0] in context.floors
    floor = source.limits[0] if masked else None
    context.add(Softmax(node.name, (rows,), output, length, entries, reach, bits, units, difference, floor))
    back = np.argsort(order)
    index = np.arange(output.size).reshape(output.shape).transpose(back)
    context.bind(node.outputs[0], move(context, node.name, [output], np.ascontiguousarray(index)))


def _differences(context: Context, name: str, source: Value) -> tuple[float, int, Rescale | None]:
    """Scale and largest one of the differences in the table of exponentials, and what makes them of those in a secret scale."""
    if not context.private:
        return source.scale, min(int(NEGLIGIBLE / source.scale) + 1, source.hi - source.lo), None
    reach = int(NEGLIGIBLE * KNOWN_UNITS)
    return 1 / KNOWN_UNITS, reach, rescale(source.scale * KNOWN_UNITS, source.hi - source.lo, 0, reach, name, secret=True)


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
    rescaling = context.rescale(unit / (1 << 15) / output.scale, bound, output, node.name)
    operation = Normalize(node.name, (source,), output, length, epsilon_units, gains, offsets, per_row, centred, rescaling)
    context.bind(node.outputs[0], context.add(operation))


@lowers("LayerNormalization", "RMSNormalization")
def lower_layer_normalization(context: Context, node: Node) -> None:
    """Normalisation of the last axes, with gain and offset per element."""
    shape = context.info(node.inputs[0]).shape
    axis = int(node.attributes.get("axis", -1)) % len(shape)
    length = int(np.prod(shape[axis:], dtype=np.int64))
    gain = np.broadcast_to(context.required_constant(node, 1).astype(np.float64), shape[axis:]).reshape(-1)
    offset = np.zeros(length)
    if node.has(2):
        offset = np.broadcast_to(context.required_constant(node, 2).astype(np.float64), shape[axis:]).reshape(-1)
    centred, epsilon = node.operator == "LayerNormalization", float(node.attributes.get("epsilon", 1e-5))
    if axis != len(shape) - 1 or not normalized_in_tensors(context, node, gain, offset, centred, epsilon):
        _normalize(context, node, axis, gain, offset, False, centred, epsilon)


@lowers("InstanceNormalization")
def lower_instance_normalization(context: Context, node: Node) -> None:
    """Normalisation of each channel's pixels, with gain and offset per channel."""
    gain, offset = (context.required_constant(node, position).astype(np.float64) for position in (1, 2))
    _normalize(context, node, 2, gain, offset, True, True, float(node.attributes.get("epsilon", 1e-5)))
