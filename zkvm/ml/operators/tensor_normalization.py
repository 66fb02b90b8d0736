"""Normalisation of rows that are the channels of a tensor's positions.

    c = x - the mean of x        R = 1 / the root of the mean of c^2, plus epsilon        y = c R gain + offset

The mean of squares is summed exactly, and given in several units, of which instructions take the finest in which it is not cut.
"""

from __future__ import annotations

from math import ceil, floor, log2

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import FloatArray
from zkvm.ml.ir import Kind, Value
from zkvm.ml.layout import LANES, Layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.tensor_combining import TensorCombine, TensorMultiply, combining_cost
from zkvm.ml.operations.tensor_rows import FRACTION_BITS, FULL, SQUARE_BITS, RowDeviations
from zkvm.ml.operations.tensors import SHIFT, TensorLinear, layout_of
from zkvm.ml.operators.common import fused_target
from zkvm.ml.operators.layers import MAX_BIAS, fits
from zkvm.ml.operators.secret import TOP
from zkvm.ml.operators.secret_functions import PRODUCT_MULTIPLIER, product_scale
from zkvm.ml.operators.sums import append_sum, finer, in_tensors, integers_of, look, rebased, scale_of
from zkvm.ml.operators.tensor_combining import looked_at, tables_pay

MAX_MULTIPLIER = (1 << 17) - 4
"""Of a product with a number in parts."""
MIN_BITS, MAX_BITS = 23, 38
"""Of a reciprocal's dividend."""
ONE_WEIGHT, ONE_MULTIPLIER = 1 << 14, 1 << 18
"""A factor of one of differences."""
NORM_INSTRUCTIONS = 40
"""Of an element that is normalised in RAM, the ways there and back included."""
ROOM = 1.01
"""What roundings may add to a normalised element."""


def normalized_in_tensors(context: Context, node: Node, gain: FloatArray, offset: FloatArray, centred: bool, epsilon: float) -> bool:
    """Append the normalisation of the last axis of a tensor; whether it was."""
    result = node.outputs[0]
    if not context.tensor_calls or context.real_kind is Kind.FLOAT:
        return False
    held = in_tensors(context, node, node.inputs[0])  # from RAM, too: as instructions it costs much more than it does to load it
    if held is None or len(gain) != held.shape[-1] or len(gain) < 3 or result in context.fused:
        return False
    if not tables_pay(context, NORM_INSTRUCTIONS * held.size - 2 * combining_cost(-(-held.size // LANES))):
        return False
    if context.private:
        _append_secretly(context, node, held, gain, offset, centred, epsilon)
        return True
    scale, low, high = scale_of(context, result)
    halvings = ceil(log2(len(gain)))
    factors = gain * np.sqrt(len(gain) / 2.0**halvings) / scale  # of c R, in units of the output
    bits = max(MIN_BITS, ceil(SHIFT + log2(float(np.abs(factors).max()) or 1.0) - log2(MAX_MULTIPLIER)))
    multipliers = np.round(factors * 2.0 ** (SHIFT - bits)).astype(np.int64)
    if bits > MAX_BITS or not fits(low, high) or np.abs(multipliers).max() > MAX_MULTIPLIER or (multipliers == 0).any():
        return False
    bias = np.round(offset / scale * 2.0**SHIFT / multipliers).astype(np.int64)
    source = finer(context, node.name, rebased(context, node.name, held))  # means of few steps are none of these
    layout = Layout.of(len(gain), source.size // len(gain), False)
    ratio = floor(min(1.0, FULL / (source.hi - source.lo)) * ONE_WEIGHT) / ONE_WEIGHT if centred else 1.0
    small = epsilon * (ratio / source.scale) ** 2 * len(gain) / 2.0**halvings * 2.0**FRACTION_BITS
    reach, ranges, first = (FULL if centred else source.magnitude) ** 2, 1, 0
    while round(small / (1 << (SQUARE_BITS * first))) >= 1 << 31:
        first += 1
    while FULL << (SQUARE_BITS * (first + ranges - 1)) <= reach:
        ranges += 1
    if halvings + SQUARE_BITS * (first + ranges - 1) > SHIFT or np.abs(bias).max() > MAX_BIAS:
        return False
    rows = context.in_tensor(source, layout)
    rows = _centred(context, node.name, rows, layout, ratio) if centred else rows
    parts = context.fresh((layout.positions, 2), 0, FULL, label=node.name)
    units = max(1, round(small / (1 << (SQUARE_BITS * first))))
    context.add(RowDeviations(node.name, (rows,), parts, bits, halvings, units, ranges, first))
    output = fused_target(context, result)
    most = float(np.max(np.sqrt(len(gain)) * np.abs(gain) + np.abs(offset))) * ROOM / scale + 1
    guarded = looked_at(context, result, output, -ceil(most), ceil(most))
    output.layout = layout
    numbers = context.in_tensor(parts, Layout.of(2, layout.positions, False))
    context.add(TensorMultiply(node.name, (rows, numbers), output, multipliers, bias, True))
    look(context, node.name, output, guarded)
    return True


def _append_secretly(
    context: Context, node: Node, held: Value, gain: FloatArray, offset: FloatArray, centred: bool, epsilon: float
) -> None:
    """The same of a private model: first without gains and offsets, in a scale that follows from the length of the rows; then these.

    Raises:
        UsageError: epsilon is very much larger than the squares.
    """
    length = len(gain)
    halvings, ranges, ratio = ceil(log2(length)), 1, 0.5 if centred else 1.0
    source = finer(context, node.name, rebased(context, node.name, held))  # means of few steps are none of these
    layout = Layout.of(length, source.size // length, False)
    reach = ROOM * length**0.5
    factor = (length / 2.0**halvings) ** 0.5 / (reach / FULL)
    bits = max(MIN_BITS, ceil(SHIFT + log2(factor) - log2(MAX_MULTIPLIER)))
    while FULL << (SQUARE_BITS * (ranges - 1)) <= FULL**2:
        ranges += 1
    small, skipped = epsilon * (ratio / source.scale) ** 2 * length / 2.0**halvings * 2.0**FRACTION_BITS, 0
    while round(small / (1 << (SQUARE_BITS * skipped))) >= 1 << 31:
        skipped += 1
    if skipped >= ranges:
        raise UsageError(f"{node.operator} {node.name!r}: its epsilon is too large for what it normalises; use precompiles none")
    rows = context.in_tensor(source, layout)
    rows = _centred(context, node.name, rows, layout, ratio) if centred else rows
    parts = context.fresh((layout.positions, 2), 0, FULL, label=node.name)
    units = round(small / (1 << (SQUARE_BITS * skipped))) | 1  # never 0, whatever whoever proves takes for it
    context.add(RowDeviations(node.name, (rows,), parts, bits, halvings, units, ranges, skipped=skipped))
    normal = context.fresh(held.shape, -TOP, TOP, reach / FULL, label=node.outputs[0])
    normal.layout = layout
    numbers = context.in_tensor(parts, Layout.of(2, layout.positions, False))
    multiplier = np.round([factor * 2.0 ** (SHIFT - bits)]).astype(np.int64)
    context.add(TensorMultiply(node.name, (rows, numbers), normal, multiplier, np.zeros(1, np.int64), True))
    _adjusted(context, node, normal, gain, offset)


def _adjusted(context: Context, node: Node, normal: Value, gain: FloatArray, offset: FloatArray) -> None:
    """Append gains and offsets of the channels of a private model's tensor, which are private."""
    index, layout = np.broadcast_to(np.arange(len(gain)), normal.shape), layout_of(normal)
    gains, offsets = (context.residence.resident(context.quantized_constant(node.name, numbers)) for numbers in (gain, offset))
    factors = context.in_tensor(context.residence.moved([gains], np.ascontiguousarray(index)), layout)
    scaled = context.fresh(normal.shape, -TOP, TOP, product_scale(normal, gains), label=node.outputs[0])
    scaled.layout = layout
    context.add(TensorMultiply(node.name, (normal, factors), scaled, np.array([PRODUCT_MULTIPLIER])))
    both = np.stack([np.arange(normal.size).reshape(normal.shape), normal.size + index])
    append_sum(context, node.name, node.outputs[0], [scaled, offsets], both, [1.0, 1.0])


def _centred(context: Context, name: str, rows: Value, layout: Layout, ratio: float) -> Value:
    """The elements of each row less their mean, in units in which none is cut."""
    length = layout.channels
    numbers = integers_of(np.full(length, 1 / length), 0.0, 0, 1.0)
    assert numbers is not None
    mean = context.fresh((layout.positions, 1), rows.lo, rows.hi, rows.scale, label=name)
    mean.layout = Layout.of(1, layout.positions, False)
    context.add(TensorLinear(name, (rows,), mean, numbers.weights, numbers.bias, numbers.multipliers))
    result = context.fresh(rows.shape, -FULL, FULL, rows.scale / ratio, label=name)
    result.layout = layout
    weight = round(ratio * ONE_WEIGHT)
    result.scale = rows.scale * ONE_WEIGHT / weight
    return context.add(TensorCombine(name, (rows, mean), result, np.array([weight]), np.array([-weight]), 0, ONE_MULTIPLIER))
