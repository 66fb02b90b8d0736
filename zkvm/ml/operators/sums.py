"""Sums of a few elements as tensor calls, rescalings among them, and the look at tensors in which something may have been cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zkvm.ml.arithmetic import FloatArray, IntArray, power_of_two_at_least
from zkvm.ml.ir import Graph, Kind, Value
from zkvm.ml.layout import LANES, Layout, natural_layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.rearranging import EXACT_MULTIPLIER, EXACT_WEIGHT, MAXIMUM_CELLS, TensorMove, TensorPeaks, TensorSums, summing_cost
from zkvm.ml.operations.tensors import CELLS, RescalingCall, layout_of
from zkvm.ml.operators.common import fused_target, narrowed
from zkvm.ml.operators.layers import Layer, Quantized, fits, quantized
from zkvm.ml.operators.secret import GIVEN_STEPS, TOP, counted, given_target, secret_target, set_bounds
from zkvm.ml.operators.secret_layers import private_limit, quantized_secretly
from zkvm.ml.ranges import quantization

WORD_INSTRUCTIONS, PEAK_INSTRUCTIONS = 6, 150
"""What costs as much as looking at one element in RAM, export included, and at the largest ones of a tensor once they are known."""
WEIGHT_BITS = 16
MOST_GAIN = 2.0**11
"""By how much a call multiplies at most, where more makes no difference."""
FEW_STEPS, FINEST = 1 << 12, 1 << 13
"""Of values that have another scale, see :func:`refined`; by how much a call without private weights may multiply."""
SIGNS = {"Add": 1.0, "Sub": -1.0}
"""Operators that are sums of two: the sign of the second term."""


def scale_of(context: Context, name: str) -> tuple[float, int, int]:
    """Scale and bounds that a tensor will have, or what it is fused with."""
    result = context.fused[name].output if name in context.fused else name
    return context.given[result] if result in context.given else quantization(context.info(result), context.precision)


def in_tensors(context: Context, node: Node, name: str) -> Value | None:
    """An operand in tensors, brought there if it is not; None if it has no room."""
    value = context.held(name)
    if value is None:
        value = context.operand(name)
        if value.kind is not Kind.REAL:
            return None
        value = narrowed(context, node.name, value)
        if not fits(value.lo, value.hi):
            return None
    return context.residence.resident(value)


def arranged(index: IntArray, layout: Layout) -> IntArray:
    """For a result of this layout, of which element i has terms ``index[:, i]``: (channels times terms, positions)."""
    terms = np.stack([layout.matrix(row) for row in index.reshape(len(index), -1)])
    return np.ascontiguousarray(terms.transpose(2, 0, 1)).reshape(-1, layout.positions)


def gathered(context: Context, sources: list[Value], index: IntArray, layout: Layout) -> Value:
    """The tensor of terms of a result: those of one element in vectors one after the other."""
    terms = arranged(index, layout)
    return context.in_tensor(context.residence.moved(sources, terms), Layout.of(len(terms), layout.positions, True))


def integers_of(weights: FloatArray, bias: float, origin: int, scale: float) -> Quantized | None:
    """Integers of a weighted sum of terms with scale 1 and one origin; None if a call does not take them."""
    layer = Layer("", "", np.asarray(weights, np.float64)[None, :], np.array([bias]), True)
    return quantized(layer, Value("", (len(weights),), 0, 0, 1.0, origin=origin), scale, WEIGHT_BITS)


def rebased(context: Context, name: str, source: Value) -> Value:
    """A value whose tensor holds 0 for 0."""
    if not source.origin:
        return source
    if source.secret:
        source = refined(context, name, source)
        if not source.origin:
            return source
    reach = max(abs(source.lo), abs(source.hi)) * source.scale
    if source.secret:
        return rescaled_secretly(context, name, source, reach / TOP)
    return rescaled(context, name, source, reach / TOP)


def rescaled(context: Context, name: str, source: Value, scale: float) -> Value:
    """A value in tensors with another scale, in which it has room, and origin 0."""
    if source.scale == scale and not source.origin:
        return source
    numbers = integers_of(np.array([source.scale]), 0.0, source.origin, scale)
    assert numbers is not None
    output = context.fresh(source.shape, *numbers.extremes(source.lo - source.origin, source.hi - source.origin), scale, label=source.name)
    output.lo, output.hi = max(output.lo, -TOP), min(output.hi, TOP)
    output.layout = source.layout or natural_layout(source.shape)
    terms = context.in_tensor(source, output.layout)
    return context.add(TensorSums(name, (terms,), output, numbers.weights[0], int(numbers.bias[0]), int(numbers.multipliers[0])))


def of_one_scale(context: Context, name: str, values: list[Value]) -> list[Value]:
    """Values in tensors with the coarsest of their scales; none if a constant has no room in a tensor."""
    if not all(value.resident or fits(value.lo, value.hi) for value in values):
        return []
    found = [context.residence.resident(value) for value in values]
    if context.private and len(values) > 1:  # how their scales differ says something
        scale = max(value.scale * value.magnitude / TOP for value in found)
        results = [rescaled_secretly(context, name, value, scale) for value in found]
        for result in results:
            context.follows(result, *found)
        return results
    if len({(value.scale, value.origin) for value in found}) == 1:
        return found
    based = [rebased(context, name, value) for value in found]
    scale = max(value.scale / room_of(value) for value in based)
    return [rescaled(context, name, value, scale) for value in based]


def room_of(value: Value) -> int:
    """By which power of two a value of few steps is multiplied, not to be what makes the scale of others coarse."""
    return min(1 << (TOP // value.magnitude).bit_length() - 1, FINEST) if 0 < value.magnitude < FEW_STEPS else 1


def finer(context: Context, name: str, source: Value) -> Value:
    """A value in tensors in many steps, if it has few."""
    return refined(context, name, source) if context.private else rescaled(context, name, source, source.scale / room_of(source))


def bind_moved(context: Context, node: Node, sources: list[Value], numbers: Sequence[IntArray]) -> None:
    """Bind a node's outputs to elements of tensors laid end to end."""
    for name, index in zip(node.outputs, numbers, strict=False):
        if name:
            values = [rebased(context, node.name, value) for value in sources] if (index < 0).any() else sources
            context.bind(name, context.residence.moved(values, index))


def append_sum(
    context: Context, name: str, result: str, sources: Sequence[Value], index: IntArray, weights: Sequence[float], bias: float = 0.0
) -> bool:
    """Append a weighted sum of elements in tensors; whether it was.

    Args:
        context: of the lowering.
        name: of the node.
        result: the tensor that it computes.
        sources: in tensors.
        index: (terms, ...): elements of the sources laid end to end, -1 for zeros. Each term reads one source.
        weights: of each term, in real numbers.
        bias: added to each element.
    """
    scale, low, high = scale_of(context, result)
    if context.private:
        return append_secretly(context, name, result, sources, index, np.asarray(weights), bias)
    if not fits(low, high):
        return False
    values, read = _read(context, name, sources, index)
    numbers = integers_of(
        np.array([value.scale * weight for value, weight in zip(read, weights, strict=True)]), bias, values[0].origin, scale
    )
    if numbers is None:
        return False
    output = fused_target(context, result)
    output.layout = next((value.layout for value in values if value.layout is not None and value.size == output.size), None)
    output.layout = output.layout or natural_layout(output.shape)
    tensor = gathered(context, values, index, output.layout)
    guarded = beyond(output, numbers, [(value.lo - value.origin, value.hi - value.origin) for value in read], bool((index < 0).any()))
    output.guarded = False, False
    context.add(TensorSums(name, (tensor,), output, numbers.weights[0], int(numbers.bias[0]), int(numbers.multipliers[0])))
    look(context, name, output, guarded)
    return True


def _read(context: Context, name: str, sources: Sequence[Value], index: IntArray) -> tuple[list[Value], list[Value]]:
    """The sources as a gather takes them, and which of them each term reads."""
    values = list(sources)
    if len(values) > 1 or (index < 0).any():
        values = [rebased(context, name, value) for value in values]
    ends = np.cumsum([value.size for value in values])
    firsts = np.clip(index.reshape(len(index), -1).max(axis=1), 0, None)
    return values, [values[int(place)] for place in np.searchsorted(ends, firsts, side="right")]


def append_secretly(
    context: Context, name: str, result: str, sources: Sequence[Value], index: IntArray, weights: FloatArray, bias: float
) -> bool:
    """The same of a private model: the integers of the weights and of what it is rescaled by are private, and it is always looked at."""
    values, read = _read(context, name, [refined(context, name, value) for value in sources], index)
    _, output, guarded = secret_target(context, result)
    output.layout = natural_layout(output.shape)
    tensor = gathered(context, values, index, output.layout)
    reals = np.array([value.scale * weight for value, weight in zip(read, weights, strict=True)])
    context.add(secret_sum(name, tensor, output, reals, bias, values[0].origin))
    look(context, name, output, guarded)
    return True


def secret_sum(name: str, tensor: Value, output: Value, weights: FloatArray, bias: float, origin: int) -> TensorSums:
    """A weighted sum of terms, in real numbers, whose integers and what it is rescaled by are private."""
    source = Value("", (len(weights),), 0, 0, 1.0, origin=origin)
    limit = private_limit(len(weights))
    layer = counted(Layer("", "", weights[None, :], np.array([bias]), True), output, source, limit)
    numbers = quantized_secretly(name, layer, source, output.scale, WEIGHT_BITS, limit)
    return TensorSums(name, (tensor,), output, numbers.weights[0], int(numbers.bias[0]), int(numbers.multipliers[0]), limit)


def rescaled_secretly(context: Context, name: str, source: Value, scale: float, ends: tuple[int, int] = (-TOP, TOP)) -> Value:
    """A value in tensors with another scale and origin 0, cut to these integers, without a look: no scale is published. Where its scale is
    so coarse that from one integer to the next it is beyond all of these, it changes less around 0.
    """
    return _rescaled_secretly(context, name, refined(context, name, source), scale, ends)


def _rescaled_secretly(context: Context, name: str, source: Value, scale: float, ends: tuple[int, int]) -> Value:
    output = context.fresh(source.shape, *ends, scale, label=source.name)
    output.layout = source.layout or natural_layout(source.shape)
    tensor = context.in_tensor(source, output.layout)
    unit = min(source.scale, scale * MOST_GAIN)
    return context.add(secret_sum(name, tensor, output, np.array([unit]), 0.0, source.origin))


def refined(context: Context, name: str, source: Value) -> Value:
    """A value of a private model in many steps, by calls that multiply by powers of two: the factors of private calls are bounded, and
    from a value of few steps they may not reach their results. Bounds alone decide, which do not depend on the weights.
    """
    while 0 < source.magnitude < FEW_STEPS:
        gain = min(int(MOST_GAIN), 1 << (TOP // source.magnitude).bit_length() - 1)
        ends = source.lo * gain, source.hi * gain
        if source.secret and source.origin:  # bounds are as private as what they count from
            ends = -TOP, TOP
        source = _rescaled_secretly(context, name, source, source.scale / gain, ends)
    return source


def zero_for_zero(context: Context, name: str, source: Value) -> Value:
    """A value of a private model that the model itself holds in 8 bits, in the same steps, whose tensor holds 0 for 0."""
    return _rescaled_secretly(context, name, source, source.scale, (-GIVEN_STEPS, GIVEN_STEPS))


def give_secretly(context: Context, name: str, result: str, source: Value) -> None:
    """Append what rounds and cuts a private model's tensor to the 8 bits in which the model itself holds it."""
    source = refined(context, name, source)
    output = given_target(context, result)
    output.layout = source.layout or natural_layout(source.shape)
    tensor = context.in_tensor(source, output.layout)
    context.add(secret_sum(name, tensor, output, np.array([source.scale]), 0.0, source.origin))


def settled(context: Context, name: str, source: Value) -> Value:
    """A value of a private model in tensors with a power of two as scale, in which it has room, and origin 0."""
    result = rescaled_secretly(context, name, source, power_of_two_at_least(source.scale * source.magnitude / TOP))
    context.published.add(result.name)
    return result


def clip_secretly(context: Context, name: str, result: str, source: Value, bounds: tuple[float, float]) -> None:
    """Append the cut of a private model's tensor to two bounds, which are private."""
    info, source = context.info(result), refined(context, name, source)
    output = context.fresh(source.shape, 0, TOP, label=result)
    set_bounds(output, result, bounds, max(-info.low, info.high))
    output.layout = source.layout or natural_layout(source.shape)
    tensor = context.in_tensor(source, output.layout)
    context.bind(result, context.add(secret_sum(name, tensor, output, np.array([source.scale]), 0.0, source.origin)))


def beyond(output: Value, numbers: Quantized, ends: list[tuple[int, int]], zeros: bool) -> tuple[bool, bool]:
    """Which limits of a sum's output are data's, and can be exceeded by terms within these bounds."""
    bounds = np.array([(min(low, 0), max(high, 0)) if zeros else (low, high) for low, high in ends])
    products = bounds * numbers.weights[0][:, None]
    sums = np.array([products.min(axis=1).sum(), products.max(axis=1).sum()]) + numbers.bias[0]
    least, most = (sums * numbers.multipliers[0] + (1 << 31)) >> 32
    return output.guarded[0] and bool(least < output.limits[0]), output.guarded[1] and bool(most > output.limits[1])


def exact_sum(context: Context, name: str, source: Value, output: Value, sign: int = 1) -> Value:
    """Append the same integers cut to an output's limits, or their opposites."""
    tensor = context.in_tensor(source, layout_of(output))
    bias = source.origin * EXACT_WEIGHT * sign
    return context.add(TensorSums(name, (tensor,), output, np.array([sign * EXACT_WEIGHT]), bias, EXACT_MULTIPLIER))


def _ragged(graph: Graph, value: Value) -> bool:
    """Whether lanes without a position hold what an input has there, which whoever proves chooses; a gather puts elements there."""
    found = {id(port) for port in graph.inputs if port.layout is not None and port.layout.positions % LANES and port.layout.positions > 1}
    for operation in graph.operations:
        if operation.output.layout is not None and not isinstance(operation, TensorMove):
            found |= {id(operation.output)} if found & set(map(id, operation.inputs)) else set()
    return id(value) in found


def _peaks_cost(vectors: int, guarded: tuple[bool, bool]) -> int:
    """Instructions that cost what looking at the largest elements of a tensor does, and at the least."""
    negated = summing_cost(vectors, 1) if guarded[0] else 0
    return negated + sum(guarded) * (vectors * MAXIMUM_CELLS // CELLS + PEAK_INSTRUCTIONS)


def look(context: Context, name: str, output: Value, guarded: tuple[bool, bool]) -> None:
    """Look for elements of a tensor that were cut where they must not be. The machine counts what its sums are cut to, lanes without a
    position among them. Where these may hold anything, or elements are no sums, they are compared with the limits: the largest ones, and
    those of their opposites; or all of them, where that is cheaper."""
    if not any(guarded):
        return
    ragged = _ragged(context.graph, output)
    maker = next((operation for operation in reversed(context.graph.operations) if operation.output is output), None)
    if isinstance(maker, RescalingCall) and not ragged:
        maker.watched = maker.watched[0] or guarded[0], maker.watched[1] or guarded[1]
        return
    if ragged or WORD_INSTRUCTIONS * output.size <= _peaks_cost(layout_of(output).vectors, guarded):
        words = context.in_memory(output)
        words.guarded = guarded
        context.checks[id(words)] = id(output)
        return
    for opposite in (False, True):
        if not guarded[0 if opposite else 1]:
            continue
        tensor = output
        if opposite:
            tensor = context.fresh(output.shape, -output.hi, -output.lo, output.scale, label=output.name)
            tensor.layout = output.layout
            exact_sum(context, name, output, tensor, -1)
        size = layout_of(tensor).words
        peaks = context.fresh((size,), tensor.lo, tensor.hi, output.scale, label=output.name)
        peaks.layout = Layout(1, size)
        context.add(TensorPeaks(name, (tensor,), peaks))
        words = context.in_memory(peaks)
        words.guarded = False, True
        context.checks[id(words)] = id(output)
