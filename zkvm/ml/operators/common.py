"""What several families need: movements, exact arithmetic, values that a table can cover, targets with a cut merged in, padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import WIDEST_CONSTANTS, Context
from zkvm.ml.node import Node
from zkvm.ml.operations.binary import Whole, whole_bound
from zkvm.ml.operations.move import Move
from zkvm.ml.ranges import TensorInfo, quantization


def move(context: Context, name: str, sources: Sequence[Value], index: IntArray, fill: int = 0, secret_fill: bool = False) -> Value:
    """Append a movement of values that share scale and kind; constants are moved at once, and order-keeping ones are views."""
    first = sources[0]
    shape = tuple(index.shape)
    flat = index.reshape(-1)
    if len(sources) == 1 and len(flat) == first.size and (flat == np.arange(first.size)).all():
        return context.view(first, shape)
    lo, hi = min(value.lo for value in sources), max(value.hi for value in sources)
    if first.kind is Kind.FLOAT:
        pass
    elif (flat < 0).any() and not secret_fill:
        lo, hi = min(lo, fill), max(hi, fill)
    elif (flat < 0).any():
        # Whatever is filled in: no wider than what can be written to both sides of 0.
        bound = max(WIDEST_CONSTANTS[first.kind][1], *(value.magnitude for value in sources))
        lo, hi, fill = -bound, bound, int(np.clip(fill, -bound, bound))
    output = context.fresh(shape, lo, hi, first.scale, first.kind, label=name)
    output.secret = any(value.secret for value in sources)
    operation = Move(name, tuple(sources), output, index, fill, secret_fill)
    if all(value.data is not None for value in sources):
        output.private = any(value.private for value in sources) or secret_fill
        output.data = operation.evaluate(*(value.data for value in sources if value.data is not None))
        return output
    return context.add(operation)


def broadcast(context: Context, name: str, value: Value, shape: tuple[int, ...]) -> Value:
    """The value repeated to a shape that it broadcasts to."""
    if value.shape == shape:
        return value
    index = np.broadcast_to(np.arange(value.size).reshape(value.shape), shape)
    result = move(context, name, [value], np.ascontiguousarray(index))
    if result.data is not None and result.root is None:
        result.repeats = value
    return result


def broadcast_pair(context: Context, name: str, left: Value, right: Value) -> tuple[Value, Value]:
    """Both values, repeated to the shape that they broadcast to."""
    shape = np.broadcast_shapes(left.shape, right.shape)
    return broadcast(context, name, left, shape), broadcast(context, name, right, shape)


def pad_value(context: Context, name: str, source: Value, pads: list[int], fill: int, gaps: list[int] | None = None) -> Value:
    """The value with ``fill`` around it (begins, then ends, as ONNX has them) and ``gaps`` fills between neighbours of each axis."""
    rank = len(source.shape)
    spread = gaps or [0] * rank
    if not any(pads) and not any(spread):
        return source
    sizes = [(size - 1) * (gap + 1) + 1 for size, gap in zip(source.shape, spread, strict=True)]
    index = np.full([size + pads[i] + pads[rank + i] for i, size in enumerate(sizes)], -1, np.int64)
    where, inner = [], []
    for axis, size in enumerate(sizes):
        positions = np.arange(source.shape[axis]) * (spread[axis] + 1) + pads[axis]
        kept = (positions >= 0) & (positions < index.shape[axis])  # negative padding cuts
        where.append(positions[kept])
        inner.append(np.arange(source.shape[axis])[kept])
        assert size >= 1
    index[np.ix_(*where)] = np.arange(source.size).reshape(source.shape)[np.ix_(*inner)]
    return move(context, name, [source], index, fill)


def as_rows(context: Context, name: str, source: Value, axes: tuple[int, ...]) -> Value:
    """The value with ``axes`` moved behind the others, as (outputs, length)."""
    kept = [axis for axis in range(len(source.shape)) if axis not in axes]
    index = np.arange(source.size).reshape(source.shape).transpose([*kept, *axes])
    length = int(np.prod([source.shape[axis] for axis in axes], dtype=np.int64))
    return move(context, name, [source], np.ascontiguousarray(index).reshape(-1, length))


def axes_of(context: Context, node: Node, rank: int) -> tuple[int, ...]:
    """The axes of a reduction, from the attribute or the input; all by default."""
    axes = node.attributes.get("axes")
    if axes is None and node.has(1):
        axes = context.required_constant(node, 1).reshape(-1).tolist()
    if not axes:
        return () if node.attributes.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted({int(axis) % rank for axis in axes}))


def integer_binary(context: Context, name: str, function: str, left: Value, right: Value) -> Value:
    """Append sums, differences or extremes in fixed point; the caller knows that the scales agree."""
    left, right = broadcast_pair(context, name, left, right)
    bound = min(whole_bound(function, left, right), INT32_MAX)
    lowest = {"Max": max(left.lo, right.lo), "Min": min(left.lo, right.lo)}.get(function, INT32_MIN if bound == INT32_MAX else -bound)
    highest = {"Max": max(left.hi, right.hi), "Min": min(left.hi, right.hi)}.get(function, bound)
    output = context.fresh(left.shape, lowest, highest, left.scale, left.kind, label=name)
    if function in ("Add", "Sub", "Mul") and whole_bound(function, left, right) > INT32_MAX:
        output.guarded = True, True
    return context.add(Whole(name, (left, right), output, function))


def aligned(context: Context, name: str, values: Sequence[Value], scale: float) -> list[Value]:
    """The values with one scale, which is that of one of them."""
    secret = any(value.secret for value in values)
    return [context.rescaled(value, scale, name, secret=secret) for value in values]


def rescaled_to(context: Context, value: Value, target: Value, name: str) -> Value:
    """The value with a target's scale, cut to its limits, which data may have said."""
    result = context.rescaled(value, target.scale, name, target.lo, target.hi, cut=target.cut)
    if result is not value and result.data is None:
        same = (limit == other for limit, other in zip(result.limits, target.limits, strict=True))
        low, high = (guarded and equal for guarded, equal in zip(target.guarded, same, strict=True))
        result.guarded = low, high
    return result


def narrowed(context: Context, name: str, source: Value) -> Value:
    """A value of at most 2^16 integers, so that a function can be tabulated on all of them."""
    if source.hi - source.lo < 1 << 16:
        return source
    info = TensorInfo(source.shape, Kind.REAL, source.lo * source.scale, source.hi * source.scale)
    scale, lo, hi = quantization(info, context.precision)
    return context.rescaled(source, scale, name, lo, hi)


def fused_target(context: Context, name: str) -> Value:
    """A new value for a tensor; if its only reader cuts it to a range, for that reader's output, with the cut as bounds."""
    if name not in context.fused:
        output = context.target(name)
        context.bind(name, output)
        return output
    fusion = context.fused[name]
    output = context.target(fusion.output)
    cut_to(context, output, fusion.low, fusion.high, fusion.known)
    context.bind(fusion.output, output)
    context.done.add(fusion.output)
    return output


def cut_to(context: Context, output: Value, low: float, high: float, known: bool) -> None:
    """Narrow what a value's operation cuts to: to a range of real numbers, which bounds it only if everybody may know it."""
    limits, (lo, hi) = output.limits, (_edge(low, output), _edge(high, output))
    output.guarded = output.guarded[0] and lo < limits[0], output.guarded[1] and hi > limits[1]
    if known or not context.private:
        output.lo, output.hi = max(output.lo, lo), min(output.hi, hi)
    if context.private:
        output.cut = max(limits[0], lo), min(limits[1], hi)


def _edge(bound: float, output: Value) -> int:
    return int(np.clip(np.round(bound / output.scale), -INT32_MAX, INT32_MAX))


def spatial_pads(node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...], strides: list[int], dilations: list[int]) -> list[int]:
    """Explicit padding (begins, ends) of a convolution or pooling, from ``pads`` or ``auto_pad``."""
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic in ("NOTSET", "VALID"):
        return list(node.attributes.get("pads", [0] * (2 * len(sizes)))) if automatic == "NOTSET" else [0] * (2 * len(sizes))
    begins, ends = [], []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + dilation * (taps - 1) + 1 - size)
        small = total // 2
        begins.append(small if automatic == "SAME_UPPER" else total - small)
        ends.append(total - small if automatic == "SAME_UPPER" else small)
    return begins + ends
