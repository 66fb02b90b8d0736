"""Layers as tensor calls: Gemm and convolutions with constant weights, and MatMul as far as one factor is constant.

A call's sums are exact, so weights keep 16 bits whatever their number. The multiplier of an output channel is an integer over 2^32, and the
step of the channel's weights is what makes it exact. What a layer can give at most follows from its weights and the bounds of its input.
Where 16 bits have room for it, it is the range of the output, and nothing is ever cut. Else the range is the one that was seen, and the
largest elements of the tensor are brought to RAM to be looked at.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.ir import Kind
from zkvm.ml.layout import LANES, Layout, natural_layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node, first_output
from zkvm.ml.operations.depthwise import TensorDepthwise, windows_cost
from zkvm.ml.operations.rearranging import gathering_cost
from zkvm.ml.operations.tensors import TensorLinear, layer_cost, layout_of, moving_cost
from zkvm.ml.operators.common import fused_target, narrowed
from zkvm.ml.operators.convolutions import convolution_of
from zkvm.ml.operators.depthwise import windowed_of
from zkvm.ml.operators.layers import MARK_VALUES, MAX_CHANNELS, Layer, Quantized, fits, quantized
from zkvm.ml.operators.padded import padded_for, with_marks
from zkvm.ml.operators.secret import GIVEN_STEPS, counted, given_target, is_given, secret_target
from zkvm.ml.operators.secret_layers import limit_of, of_bytes, quantized_secretly
from zkvm.ml.operators.sums import FEW_STEPS, look, rebased, refined, zero_for_zero
from zkvm.ml.operators.transposed import transposed_of
from zkvm.ml.ranges import TensorInfo, quantization
from zkvm.ml.small_weights import in_small_integers
from zkvm.ml.value import Value

KEEPING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
"""Operators whose output is their input under another shape, so that a tensor stays where it is."""
ZERO_AT_ZERO = ("HardSwish", "Swish", "Gelu", "Mish", "LeakyRelu", "Elu", "Selu", "Celu", "Tanh", "Softsign")
"""Functions of an element that are 0 where it is."""
GENEROUS = 8.0
"""How much wider than the range that was seen (and doubled) a bound may be to be the range: it takes three bits, and saves the look."""
ROUNDED = 1 + 2.0**-10
"""What rounding of weights may add to a bound."""


def gemm_weights(context: Context, node: Node) -> tuple[FloatArray, FloatArray | None]:
    """Weights (channels, taps) and bias (channels,), if there is one, of a Gemm."""
    matrix = context.required_constant(node, 1).astype(np.float64)
    weights = (matrix if node.attributes.get("transB", 0) else matrix.T) * node.attributes.get("alpha", 1.0)
    if not node.has(2):
        return weights, None
    bias = context.required_constant(node, 2).astype(np.float64) * node.attributes.get("beta", 1.0)
    return weights, np.broadcast_to(bias, (1, len(weights)))[0]


def dense_of(context: Context, node: Node) -> Layer | None:
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
        small = in_small_integers(context.scaled, node.inputs[1], 0 if node.attributes.get("transB", 0) else 1)
        return Layer(name, node.outputs[0], weights, np.zeros(len(weights)) if bias is None else bias, False, small=small)
    if places[0] and len(context.info(name).shape) != 2:
        return None
    weights = matrix.astype(np.float64) if places[0] else matrix.T.astype(np.float64)
    added = _added(context, node.outputs[0], (len(weights), 1) if places[0] else (len(weights),))
    result, bias = (node.outputs[0], np.zeros(len(weights))) if added is None else added
    small = in_small_integers(context.scaled, node.inputs[1 - places[0]], 1 - places[0])
    return Layer(name, result, weights, bias, bool(places[0]), small=small)


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


def layer_of(context: Context, node: Node) -> Layer | None:
    """The layer that a node is, if it is one of real numbers with constant weights that a call takes."""
    layer = dense_of(context, node) or convolution_of(context, node) or transposed_of(context, node)
    if layer is None or layer.weights.shape[0] > MAX_CHANNELS:
        return None
    windowed = windowed_of(context, node, layer)
    size = prod(context.info(layer.source).shape)
    return windowed if windowed is not None and calls_cost(windowed, size, None) < calls_cost(layer, size, None) else layer


def worthwhile(layer: Layer, size: int, held: Layout | None, resident: bool) -> bool:
    """Whether a call costs less than the same layer as instructions, if its result is read from RAM, and its input is unless resident.

    Args:
        layer: the layer.
        size: of its input.
        held: how a tensor holds the input, if one does.
        resident: whether tensors hold it, in whatever order.
    """
    taken, given = layer.layouts(size)
    if layer.windowed is not None:
        given = layer.result_layout
    loops = (4 * (layer.products or taken.channels) + 10) * given.channels * given.positions
    cost = calls_cost(layer, size, held) + moving_cost(given.vectors * given.words)
    return cost + (0 if resident else moving_cost(size)) < loops


def calls_cost(layer: Layer, size: int, held: Layout | None) -> int:
    """Instructions that cost what a layer's call does, and the gathers that it needs. See :func:`worthwhile`."""
    taken, given = layer.layouts(size)
    gathers = gathering_cost(taken.vectors, -(-size // LANES)) if held != taken or layer.rearranges else 0
    if layer.windowed is None:
        return gathers + layer_cost(given, taken.channels)
    return gathers + windows_cost(given, layer.windowed.windows.count) + gathering_cost(layer.result_layout.vectors, given.vectors)


def lower_to_tensors(context: Context, node: Node) -> bool:
    """Append a layer as a tensor call; whether it was: it has to be worth it, and to have integers that a call takes."""
    if not context.tensor_calls or context.real_kind is Kind.FLOAT:
        return False
    layer = layer_of(context, node)
    if layer is None:
        return False
    held = context.values[layer.source]
    name = context.fused[layer.result].output if layer.result in context.fused else layer.result
    if not worthwhile(layer, held.size, held.layout, held.resident):
        return False
    if context.private and name in context.given and not is_given(context, name):  # results would be rounded twice
        return False
    source = held if held.resident else narrowed(context, node.name, context.operand(layer.source))
    padded = layer.index is not None and bool((layer.index < 0).any())
    if not fits(source.lo - source.origin, source.hi - source.origin):
        return False
    if context.private:
        _append_secretly(context, node, layer, source, name if name in context.given else "", padded)
        return True
    source = rebased(context, node.name, source) if padded else source
    ends = (min(source.lo, 0), max(source.hi, 0)) if padded else (source.lo, source.hi)
    info = _range(context, name, layer, (ends[0] * source.scale, ends[1] * source.scale))
    scale, low, high = context.given[name] if name in context.given else quantization(info, context.precision)
    integers = quantized(layer, source, scale, context.precision.weight_bits)
    if integers is None or not fits(low, high):
        return False
    context.tensors[name] = info
    output = fused_target(context, layer.result)
    guarded = _beyond(output, integers, (ends[0] - source.origin, ends[1] - source.origin))
    ahead = _ahead(context, layer, source, (name, output), any(guarded))
    marked = None if ahead is None else quantized(ahead, source, scale, context.precision.weight_bits)
    if ahead is not None and marked is not None:
        layer, integers, guarded = ahead, marked, _beyond(output, marked, ends)
    _append(context, node, layer, source, (name, output), integers, guarded)
    return True


def _beyond(output: Value, integers: Quantized, ends: tuple[int, int]) -> tuple[bool, bool]:
    """Which limits of a layer's output are data's, and can be exceeded if its elements are within these."""
    (least, most), (low, high) = integers.extremes(*ends), output.limits
    return output.guarded[0] and least < low, output.guarded[1] and most > high


def _ahead(context: Context, layer: Layer, source: Value, target: tuple[str, Value], looked_at: bool) -> Layer | None:
    """The layer with its results where a convolution of single channels reads them that is their only reader, if that costs less."""
    (name, output), reader = target, context.followers.get(target[0])
    functions = 0
    if reader is not None and reader.operator in ZERO_AT_ZERO and not reader.domain and not context.private:
        name, functions = first_output(reader), 1
        reader = context.followers.get(name)
    if reader is None or reader.operator != "Conv" or reader.inputs[0] != name or first_output(reader) in context.floats:
        return None
    (low, high), shape = output.limits, context.info(name).shape
    if layer.index is None or layer.windowed is not None or len(layer.weights) != shape[1] or name in context.given:
        return None
    if source.origin or output.origin or not (low <= 0 <= high and source.lo <= 0 <= source.hi):
        return None
    windowed = layer_of(context, reader)
    if windowed is None or windowed.windowed is None or not worthwhile(windowed, prod(shape), None, True):
        return None
    held = not layer.rearranges and (
        source.layout == layer.layouts(source.size)[0] or _whole(layer, context.residence.resident(source), looked_at) is not None
    )
    return padded_for(layer, shape, windowed, source.size, held=held, functions=functions)


def _append(
    context: Context,
    node: Node,
    layer: Layer,
    source: Value,
    target: tuple[str, Value],
    integers: Quantized,
    guarded: tuple[bool, bool],
    limit: int = 0,
    small: bool = False,
) -> None:
    """Append a layer's call: ``target`` are the name of its result and its value, ``limit`` is 0 or that of private weights, ``small``
    whether these are bytes."""
    name, output = target
    context.done |= {node.outputs[0], layer.result}
    output.guarded = False, False
    taken, given = layer.layouts(source.size)
    read = layer.read(given.positions)
    wide = _whole(layer, source, any(guarded))
    if wide is not None:
        source, kept = wide
        taken, given = layout_of(source), Layout.of(given.channels, layout_of(source).positions, True)
        read = (np.arange(given.channels)[:, None] * given.positions + kept).reshape(-1)
    elif layer.index is not None and layer.rearranges:
        source = _operand(context, layer, source)
    made = output
    if read is not None:
        made = context.fresh((given.channels, given.positions), output.lo, output.hi, output.scale, label=output.name)
        made.cut, made.origin = output.cut, output.origin
        if layer.marked:
            made.zeros = np.ones(made.size, np.bool_)
            made.zeros[read] = False
        context.follows(made, output)
    made.layout = given
    integers = integers.with_marks() if layer.marked else integers
    operands, numbers = (context.in_tensor(source, taken),), (integers.weights, integers.bias, integers.multipliers)
    if layer.windowed is None:
        context.add(TensorLinear(node.name, operands, made, *numbers, limit, small))
    else:
        context.add(TensorDepthwise(node.name, operands, made, *numbers, layer.windowed.windows, layer.products, limit, small))
    if read is not None:
        result = context.residence.moved([made], read.reshape(output.shape))
        if any(guarded) and len(read) < made.size and not layer.marked:  # what nobody reads may have been cut
            made = result = context.in_tensor(result, natural_layout(output.shape))
            context.follows(made, output)
        context.bind(name, result)
    look(context, node.name, made, guarded)


def _operand(context: Context, layer: Layer, source: Value) -> Value:
    """What the taps of a layer read, in the order in which they do."""
    values, index = [context.residence.resident(source)], layer.index
    assert index is not None
    if layer.marked:
        index = with_marks(layer, source.size)
        values.append(context.residence.resident(context.known_constant("marks", np.array(MARK_VALUES))))
    return context.residence.moved(values, index)


def _whole(layer: Layer, source: Value, looked_at: bool) -> tuple[Value, IntArray] | None:
    """The tensor of which a layer's input is so many positions of each channel, and these, if the layer does the same at each position and
    costs less at all of them than the input's own tensor would. A result that is looked at has a tensor of its own in the end.
    """
    if source.moved is None or len(source.moved.sources) > 1 or layer.index is None or layer.rearranges:
        return None
    if layer.windowed is not None or layer.order is not None:
        return None
    held, index = source.moved.sources[0], source.moved.index
    layout, (taken, given) = layout_of(held), layer.layouts(source.size)
    if layout != Layout.of(taken.channels, layout.positions, True):
        return None
    index = index.reshape(taken.channels, -1) - np.arange(taken.channels)[:, None] * layout.positions
    if (index != index[0]).any() or index[0].min() < 0:
        return None
    wide = Layout.of(given.channels, layout.positions, True)
    more = layer_cost(wide, taken.channels) - layer_cost(given, taken.channels)
    more += gathering_cost(given.vectors, wide.vectors) if looked_at else 0
    return (held, index[0]) if more < gathering_cost(taken.vectors, layout.vectors) else None


def _append_secretly(context: Context, node: Node, layer: Layer, source: Value, given: str, padded: bool) -> None:
    """Append a layer with private weights: nothing but its shape is in the image. Where data say what its result is cut to, that is always
    looked at.

    Args:
        context: of the lowering.
        node: of the layer.
        layer: the layer.
        source: what it reads.
        given: the name of its result, if the model itself says in which 8 bits that is held; else nothing.
        padded: whether it also reads zeros.
    """
    if given and source.magnitude < FEW_STEPS and source.hi - source.lo >= GIVEN_STEPS:  # few steps make few
        source = zero_for_zero(context, node.name, source) if padded and source.origin else source
    else:
        source = refined(context, node.name, rebased(context, node.name, source) if padded else source)
    if given:
        name, output, guarded = given, given_target(context, given), (False, False)
    else:
        name, output, guarded = secret_target(context, layer.result)
    layer = _ahead(context, layer, source, (name, output), any(guarded)) or layer
    if output.origin and not given:  # bounds of a Clip may be so close that a weight reaches far beyond them
        layer = replace(layer, small=False)
    limit, bits = limit_of(layer, source, output), context.precision.weight_bits
    integers = quantized_secretly(node.name, counted(layer, output, source, limit), source, output.scale, bits, limit)
    _append(context, node, layer, source, (name, output), integers, guarded, limit, of_bytes(layer, bits))


def _range(context: Context, name: str, layer: Layer, ends: tuple[float, float]) -> TensorInfo:
    """What is known of an output; of one that only layers read with the range that input and weights bound, if data said one that is not
    much narrower."""
    info = context.info(name)
    if name not in context.only_layers or name in context.given:
        return info
    info = replace(info, tight=True)
    if not any(info.guarded) or context.precision.activation_bits == 8:  # of 8 bits none is to spare
        return info
    above, below = np.maximum(layer.weights, 0).sum(axis=1), np.minimum(layer.weights, 0).sum(axis=1)
    first, last = ends
    low, high = float((above * first + below * last + layer.bias).min()), float((above * last + below * first + layer.bias).max())
    fusion = next((fusion for fusion in context.fused.values() if fusion.output == name), None)
    if fusion is not None:
        low, high = max(low, fusion.low), min(high, fusion.high)
    if max(-low, high) > GENEROUS * max(-info.low, info.high):
        return info
    return replace(info, low=min(low, 0.0) * ROUNDED, high=max(high, 0.0) * ROUNDED, guarded=(False, False))
