"""Dense layers as tensor calls: Gemm with constant weights, and MatMul as far as one factor is constant.

A call's sums are exact, so weights keep 16 bits whatever their number. The multiplier of an output channel is an integer over 2^32, and the
step of the channel's weights is what makes it exact. What a layer can give at most follows from its weights and the bounds of its input.
Where 16 bits have room for it, it is the range of the output, and nothing is ever cut. Else the range is the one that was seen, and the
tensor is brought to RAM to be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.ir import Kind, Value
from zkvm.ml.layout import OFFSET, Layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node, first_output
from zkvm.ml.operations.tensors import SHIFT, TensorLinear, layer_cost, moving_cost
from zkvm.ml.operators.common import fused_target, narrowed
from zkvm.ml.ranges import TensorInfo, quantization

MAX_CHANNELS, MAX_PRODUCT_LIMIT, MAX_BIAS, MAX_SCALED_BIAS = 1 << 16, 1 << 32, (1 << 48) - 1, 1 << 61
"""What a call takes: channels, taps times the largest multiplier, |bias|, |bias multiplier|."""
KEEPING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
"""Operators whose output is their input under another shape, so that a tensor stays where it is."""
GENEROUS = 8.0
"""How much wider than the range that was seen (and doubled) a bound may be to be the range: it takes three bits, and saves the look."""
ROUNDED = 1 + 2.0**-10
"""What rounding of weights may add to a bound."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer.

    Attributes:
        source: name of its input. result: of its output, which is that of an Add that follows, if this adds the bias.
        weights: (channels, taps). bias: (channels,).
        channels_first: whether channels come first in both.
    """

    source: str
    result: str
    weights: FloatArray
    bias: FloatArray
    channels_first: bool

    def layouts(self, size: int) -> tuple[Layout, Layout]:
        """Of an input of so many elements, and of the output."""
        channels, taps = self.weights.shape
        return Layout.of(taps, size // taps, self.channels_first), Layout.of(channels, size // taps, self.channels_first)


@dataclass(frozen=True, slots=True)
class Quantized:
    """Integers of a layer: weights (channels, taps), bias and multipliers (channels,)."""

    weights: IntArray
    bias: IntArray
    multipliers: IntArray

    def extremes(self, low: int, high: int) -> tuple[int, int]:
        """The least and the largest result before it is cut, of elements within these bounds."""
        above, below = np.maximum(self.weights, 0).sum(axis=1), np.minimum(self.weights, 0).sum(axis=1)
        least, most = above * low + below * high, above * high + below * low
        ends = [((sums + self.bias) * self.multipliers + (1 << (SHIFT - 1))) >> SHIFT for sums in (least, most)]
        return int(ends[0].min()), int(ends[1].max())


def gemm_weights(context: Context, node: Node) -> tuple[FloatArray, FloatArray | None]:
    """Weights (channels, taps) and bias (channels,), if there is one, of a Gemm."""
    matrix = context.required_constant(node, 1).astype(np.float64)
    weights = (matrix if node.attributes.get("transB", 0) else matrix.T) * node.attributes.get("alpha", 1.0)
    if not node.has(2):
        return weights, None
    bias = context.required_constant(node, 2).astype(np.float64) * node.attributes.get("beta", 1.0)
    return weights, np.broadcast_to(bias, (1, len(weights)))[0]


def dense_of(context: Context, node: Node) -> Dense | None:
    """The layer that a node is, if it is one of real numbers with constant weights."""
    if node.operator not in ("Gemm", "MatMul") or node.domain:
        return None
    places = [place for place, name in enumerate(node.inputs[:2]) if name not in context.constants]
    if len(places) != 1 or context.info(node.inputs[places[0]]).kind is not Kind.REAL:
        return None
    name, matrix = node.inputs[places[0]], context.constants[node.inputs[1 - places[0]]]
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not np.isfinite(matrix).all():
        return None
    if node.operator == "Gemm":
        if places[0] or (node.has(2) and node.inputs[2] not in context.constants):
            return None
        weights, bias = gemm_weights(context, node)
        return Dense(name, node.outputs[0], weights, np.zeros(len(weights)) if bias is None else bias, False)
    if places[0] and len(context.info(name).shape) != 2:
        return None
    weights = matrix.astype(np.float64) if places[0] else matrix.T.astype(np.float64)
    added = _added(context, node.outputs[0], (len(weights), 1) if places[0] else (len(weights),))
    result, bias = (node.outputs[0], np.zeros(len(weights))) if added is None else added
    return Dense(name, result, weights, bias, bool(places[0]))


def _added(context: Context, name: str, shape: tuple[int, ...]) -> tuple[str, FloatArray] | None:
    """What becomes of a tensor if its only reader adds one number for each channel, which broadcast from this shape, and these numbers."""
    node = context.followers.get(name)
    if node is None or node.operator != "Add" or node.domain or first_output(node) in context.floats:
        return None
    bias = context.constants.get(node.inputs[1] if node.inputs[0] == name else node.inputs[0])
    if bias is None or bias.dtype.kind != "f" or bias.shape[-len(shape) :] != shape or bias.size != shape[0]:
        return None
    if len(bias.shape) > len(context.info(name).shape):
        return None
    return node.outputs[0], bias.reshape(-1).astype(np.float64)


def worthwhile(taken: Layout, given: Layout, resident: bool) -> bool:
    """Whether a call costs less than the same layer as instructions, if its result is read from RAM, and its input is unless resident."""
    loops = (4 * taken.channels + 10) * given.channels * given.positions
    return layer_cost(given, taken.channels) + moving_cost(given) + (0 if resident else moving_cost(taken)) < loops


def lower_to_tensors(context: Context, node: Node) -> bool:
    """Append a dense layer as a tensor call; whether it was: it has to be worth it, and to have integers that a call takes."""
    if not context.tensor_calls or context.real_kind is Kind.FLOAT:
        return False
    dense = dense_of(context, node)
    if dense is None or dense.weights.shape[0] > MAX_CHANNELS:
        return False
    held = context.values[dense.source]
    taken, given = dense.layouts(held.size)
    if not worthwhile(taken, given, held.layout == taken):
        return False
    source = held if held.layout is not None else narrowed(context, node.name, context.operand(dense.source))
    name = context.fused[dense.result].output if dense.result in context.fused else dense.result
    info = _range(context, name, dense, source)
    scale, low, high = context.given[name] if name in context.given else quantization(info, context.precision)
    integers = quantized(dense, source, scale, context.precision.weight_bits)
    if integers is None or not _fits(source.lo - source.origin, source.hi - source.origin) or not _fits(low, high):
        return False
    context.tensors[name] = info
    output = fused_target(context, dense.result)
    context.done |= {node.outputs[0], dense.result}
    output.layout = given
    (least, most), (lo, hi) = integers.extremes(source.lo - source.origin, source.hi - source.origin), output.limits
    guarded = output.guarded[0] and least < lo, output.guarded[1] and most > hi
    output.guarded = False, False
    tensor = context.in_tensor(source, taken)
    context.add(TensorLinear(node.name, (tensor,), output, integers.weights, integers.bias, integers.multipliers))
    if any(guarded):  # the words are looked at, and the tensor is what they were
        words = context.in_memory(output)
        words.guarded = guarded
        context.checks[id(words)] = id(output)
    return True


def _fits(low: int, high: int) -> bool:
    return -OFFSET <= low <= high < OFFSET


def _range(context: Context, name: str, dense: Dense, source: Value) -> TensorInfo:
    """What is known of an output; of one that would be brought to RAM only to be looked at with the range that input and weights bound, if
    data said one that is not much narrower."""
    info = context.info(name)
    if name not in context.only_layers or name in context.given:
        return info
    info = replace(info, tight=True)
    if not any(info.guarded):
        return info
    above, below = np.maximum(dense.weights, 0).sum(axis=1), np.minimum(dense.weights, 0).sum(axis=1)
    first, last = source.lo * source.scale, source.hi * source.scale
    low, high = float((above * first + below * last + dense.bias).min()), float((above * last + below * first + dense.bias).max())
    fusion = next((fusion for fusion in context.fused.values() if fusion.output == name), None)
    if fusion is not None:
        low, high = max(low, fusion.low), min(high, fusion.high)
    if max(-low, high) > GENEROUS * max(-info.low, info.high):
        return info
    return replace(info, low=min(low, 0.0) * ROUNDED, high=max(high, 0.0) * ROUNDED, guarded=(False, False))


def quantized(dense: Dense, source: Value, scale: float, weight_bits: int) -> Quantized | None:
    """The integers of a layer for the scale of its output; None if a call does not take them.

    Args:
        dense: the layer.
        source: its input.
        scale: of the output.
        weight_bits: of the weights, at most.
    """
    top, shift = (1 << (weight_bits - 1)) - 1, 16 - weight_bits
    unit = scale / (source.scale * 2.0**SHIFT)  # the step of weights with the multiplier 1
    needed = np.maximum(np.abs(dense.weights).max(axis=1) / (unit * (top << shift)), np.abs(dense.bias) / (scale * OFFSET))
    if not needed.max() * dense.weights.shape[1] < MAX_PRODUCT_LIMIT:
        return None
    multipliers = np.maximum(np.ceil(needed), 1).astype(np.int64)
    steps = multipliers * unit
    weights = np.clip(np.round(dense.weights / (steps * 2.0**shift)[:, None]), -top, top).astype(np.int64) << shift
    bias = np.round(dense.bias / (steps * source.scale)).astype(np.int64) + source.origin * weights.sum(axis=1)
    largest = max(abs(int(number)) for number in bias)
    scaled = max(abs(int(number) * int(multiplier)) for number, multiplier in zip(bias, multipliers, strict=True))
    if dense.weights.shape[1] * int(multipliers.max()) > MAX_PRODUCT_LIMIT or largest > MAX_BIAS or scaled > MAX_SCALED_BIAS:
        return None
    return Quantized(weights, bias, multipliers)
