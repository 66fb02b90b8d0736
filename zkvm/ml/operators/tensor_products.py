"""Products of two computed matrices in tensors: a call for each matrix of a batch, such as each head of attention."""

from __future__ import annotations

from math import floor

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.ir import Value
from zkvm.ml.layout import LANES, OFFSET, Layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node, first_output
from zkvm.ml.operations.tensor_products import TensorProduct
from zkvm.ml.operations.tensors import SHIFT, layer_cost, layout_of, moving_cost
from zkvm.ml.operators.common import fused_target
from zkvm.ml.operators.layers import MAX_CHANNELS, MAX_PRODUCT_LIMIT, fits
from zkvm.ml.operators.secret import TOP, secret_target
from zkvm.ml.operators.secret_layers import private_limit
from zkvm.ml.operators.sums import in_tensors, look, rebased, refined, scale_of
from zkvm.ml.operators.tensor_combining import bind_parts, looked_at, sources_of

FINER = 8
"""By how much finer multipliers of private products are than those of layers, which make up for it with their weights."""


def columns(context: Context, value: Value, index: IntArray) -> tuple[Value, int]:
    """Elements of a value as a tensor with these positions and channels: the tensor, and the channel where they begin.

    Args:
        context: of the lowering.
        value: in tensors.
        index: (positions, channels) of its elements, -1 for zeros.
    """
    moved = context.residence.moved([value], index).moved
    assert moved is not None
    wanted = moved.index.reshape(index.shape)
    layout = layout_of(moved.sources[0])
    if len(moved.sources) == 1 and layout.positions == len(index) and wanted[0, 0] >= 0:
        held = layout.matrix(np.arange(moved.sources[0].size))
        first = int(np.flatnonzero((held == wanted[0, 0]).any(axis=0))[0])
        part = held[:, first : first + index.shape[1]]
        if part.shape == wanted.shape and (part == wanted).all():
            return moved.sources[0], first
    return context.in_tensor(context.residence.moved([value], index), Layout.of(index.shape[1], len(index), False)), 0


def product_in_tensors(context: Context, node: Node) -> bool:
    """Append the product of two computed matrices, or batches of them, if a tensor holds one; whether it was."""
    shapes = [context.info(name).shape for name in node.inputs]
    if not context.tensor_calls or min(map(len, shapes)) < 2 or not any(context.held(name) for name in node.inputs):
        return False
    fusion = context.fused.get(node.outputs[0])
    known = fusion is None or fusion.known or context.private
    if (node.outputs[0] if fusion is None else fusion.output) in context.given or not known:
        return False  # the scale follows from the multiplier, and limits would be others
    batch = tuple(np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2]))
    count, (rows, taps), channels = int(np.prod(batch)), shapes[0][-2:], shapes[1][-1]
    cost = count * layer_cost(Layout(channels, rows), taps) + moving_cost(count * rows * channels)
    if not fits(*scale_of(context, node.outputs[0])[1:]) or channels > MAX_CHANNELS or cost >= 4 * count * rows * taps * channels:
        return False
    left, right = (in_tensors(context, node, name) for name in node.inputs)
    if left is None or right is None:
        return False
    left, right = rebased(context, node.name, left), rebased(context, node.name, right)
    if context.private:
        product_secretly(context, node, left, right)
        return True
    unit = left.scale * right.scale * 2.0**SHIFT
    multiplier = floor(unit / scale_of(context, node.outputs[0])[0])
    if multiplier < 1 or multiplier * taps > MAX_PRODUCT_LIMIT or multiplier >= 1 << 31:
        return False
    starts, index = operands(context, (left, right), batch)
    w, w_first = columns(context, right, index)
    _append(context, node, starts, [(w, w_first + taps * number) for number in range(count)], (taps, multiplier), (left, right))
    return True


def operands(context: Context, values: tuple[Value, Value], batch: tuple[int, ...]) -> tuple[list[tuple[Value, int]], IntArray]:
    """How the operands of matrix products lie: the first one's tensors with the channels where each matrix begins; and which elements of
    the second are (positions, channels) of a tensor, a matrix behind the other in its channels, with zeros behind the last position.
    """
    left, right = values
    count, (rows, taps), channels = int(np.prod(batch)), left.shape[-2:], right.shape[-1]
    numbers = [
        np.broadcast_to(np.arange(value.size).reshape(value.shape), (*batch, *value.shape[-2:])).reshape(count, *value.shape[-2:])
        for value in values
    ]
    sources = sources_of(left)
    starts = [(source, 0) for source in sources]
    if len(sources) != count or sources[0].layout != Layout.of(taps, rows, False) or left.size != count * rows * taps:
        x, first = columns(context, left, numbers[0].transpose(1, 0, 2).reshape(rows, count * taps))
        starts = [(x, first + taps * number) for number in range(count)]
    index = numbers[1].transpose(2, 0, 1).reshape(channels, count * taps)
    return starts, np.concatenate([index, np.full((-channels % LANES, count * taps), -1)])


def _append(
    context: Context,
    node: Node,
    starts: list[tuple[Value, int]],
    w_starts: list[tuple[Value, int]],
    sums: tuple[int, int],
    ends: tuple[Value, Value],
) -> None:
    """The calls, of number of products and multiplier; ``ends`` have the bounds of the operands."""
    taps, multiplier = sums
    result = context.fused[node.outputs[0]].output if node.outputs[0] in context.fused else node.outputs[0]
    output = fused_target(context, node.outputs[0])
    output.scale = ends[0].scale * ends[1].scale * 2.0**SHIFT / multiplier  # as near to the range's as integers allow
    products = [a * b for a in (ends[0].lo, ends[0].hi) for b in (ends[1].lo, ends[1].hi)]
    least, most = ((taps * extreme * multiplier + (1 << (SHIFT - 1))) >> SHIFT for extreme in (min(products), max(products)))
    guarded = looked_at(context, result, output, least, most)
    made = []
    rows, channels = output.shape[-2:]
    for (x, x_first), (w, w_first) in zip(starts, w_starts, strict=True):
        part = context.fresh((rows, channels), *output.limits, output.scale, label=output.name)
        part.layout = Layout.of(channels, rows, False)
        made.append(context.add(TensorProduct(node.name, (x, w), part, taps, x_first, w_first, multiplier)))
        look(context, node.name, part, guarded)
    bind_parts(context, result, output, made)


def product_secretly(context: Context, node: Node, left: Value, right: Value) -> None:
    """The same of a private model: the multiplier is private, and so is a number that alone multiplies or divides the result."""
    left, right = refined(context, node.name, left), refined(context, node.name, right)
    batch = tuple(np.broadcast_shapes(left.shape[:-2], right.shape[:-2]))
    result, factor = _scaled_result(context, node)
    name, output, guarded = secret_target(context, result, clips=False)
    taps, (rows, channels) = left.shape[-1], output.shape[-2:]
    limit = private_limit(taps * FINER)
    ratio = left.scale * right.scale * 2.0**SHIFT * factor / (limit // OFFSET)
    steps = int(np.sign(factor)) * min(max(floor(abs(ratio) / output.scale), 1), TOP)
    output.scale = ratio / steps if steps else output.scale
    context.published.discard(output.name)
    starts, index = operands(context, (left, right), batch)
    layout = Layout.of(index.shape[1], len(index), False)
    multiplier = np.zeros(LANES, np.int64)
    multiplier[2] = steps
    channel = context.residence.resident(context.quantized_constant(node.name, multiplier * right.scale, right.scale))
    lanes = np.concatenate([index.reshape(-1)[layout.filled()], np.tile(right.size + np.arange(LANES), (channels, 1))])
    w = context.in_tensor(context.residence.moved([right, channel], lanes.reshape(-1)), Layout(1, lanes.size))
    made = []
    for number, (x, first) in enumerate(starts):
        part = context.fresh((rows, channels), *output.limits, output.scale, label=output.name)
        part.layout = Layout.of(channels, rows, False)
        operation = TensorProduct(node.name, (x, w), part, taps, first, taps * number, steps * (limit // OFFSET), limit, layout)
        made.append(context.add(operation))
        look(context, node.name, part, guarded)
    bind_parts(context, name, output, made)


def _scaled_result(context: Context, node: Node) -> tuple[str, float]:
    """What a product is if its only reader multiplies or divides it by a number: that reader's output, and the factor."""
    result = node.outputs[0]
    reader = context.followers.get(result)
    if reader is None or reader.operator not in ("Mul", "Div") or reader.domain or first_output(reader) in context.floats:
        return result, 1.0
    constants = context.constants.get(reader.inputs[1])
    if constants is None or constants.size != 1 or len(constants.shape) > len(context.info(result).shape) or reader.inputs[0] != result:
        return result, 1.0
    number = float(constants.reshape(-1)[0])
    factor = number if reader.operator == "Mul" else np.divide(1.0, number) if number else np.inf
    if not np.isfinite(factor):
        raise UsageError(f"{reader.operator} {reader.name!r}: its constant is {number}")
    context.done.add(reader.outputs[0])
    return reader.outputs[0], factor
