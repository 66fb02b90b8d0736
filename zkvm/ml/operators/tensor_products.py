"""Products of two computed matrices in tensors: a call for each matrix of a batch, such as each head of attention."""

from __future__ import annotations

from math import floor

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.ir import Value
from zkvm.ml.layout import LANES, Layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations.tensor_products import TensorProduct
from zkvm.ml.operations.tensors import SHIFT, layer_cost, layout_of, moving_cost
from zkvm.ml.operators.common import fused_target
from zkvm.ml.operators.layers import MAX_CHANNELS, MAX_PRODUCT_LIMIT, fits
from zkvm.ml.operators.sums import in_tensors, look, rebased, scale_of
from zkvm.ml.operators.tensor_combining import bind_parts, looked_at, sources_of


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
    if (node.outputs[0] if fusion is None else fusion.output) in context.given or (fusion is not None and not fusion.known):
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
    unit = left.scale * right.scale * 2.0**SHIFT
    multiplier = floor(unit / scale_of(context, node.outputs[0])[0])
    if multiplier < 1 or multiplier * taps > MAX_PRODUCT_LIMIT or multiplier >= 1 << 31:
        return False
    numbers = [
        np.broadcast_to(np.arange(value.size).reshape(shape), (*batch, *shape[-2:])).reshape(count, *shape[-2:])
        for value, shape in zip((left, right), shapes, strict=True)
    ]
    sources = sources_of(left)
    starts = [(source, 0) for source in sources]
    if len(sources) != count or sources[0].layout != Layout.of(taps, rows, False) or left.size != count * rows * taps:
        x, first = columns(context, left, numbers[0].transpose(1, 0, 2).reshape(rows, count * taps))
        starts = [(x, first + taps * number) for number in range(count)]
    index = numbers[1].transpose(2, 0, 1).reshape(channels, count * taps)
    w, w_first = columns(context, right, np.concatenate([index, np.full((-channels % LANES, count * taps), -1)]))
    _append(context, node, starts, [(w, w_first + taps * number) for number in range(count)], (taps, multiplier), (left, right))
    return True


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
