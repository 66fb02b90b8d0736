"""Standard operators as sums, products, reductions and functions of one element."""

from __future__ import annotations

import numpy as np

from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites

LARGE_DIAGONAL = 128
"""Channels up to which a layer whose weights are a diagonal costs no more than a product and a sum."""


def _axes(builder: Builder, node: Node, rank: int) -> list[int]:
    axes = node.attributes.get("axes")
    if axes is None and node.has(1):
        axes = builder.required(node, 1).reshape(-1).tolist()
    if not axes and node.attributes.get("noop_with_empty_axes", 0):
        return []
    return [int(axis) % rank for axis in axes] if axes else list(range(rank))


@rewrites("ReduceL2", "ReduceLogSum", "ReduceLogSumExp")
def rewrite_reduction(builder: Builder, node: Node) -> bool:
    """Roots and logarithms of sums; the exponentials of differences to the maximum, so that they do not overflow."""
    source, keep = node.inputs[0], int(node.attributes.get("keepdims", 1))
    axes = _axes(builder, node, len(builder.shapes[source]))
    if builder.dtype_of(source).kind != "f":
        inner = builder.node(node.operator, [builder.node("Cast", [source], to=1), *node.inputs[1:]], **node.attributes)
        builder.node("Cast", [inner], node.outputs[0], to=builder.type_of(source))
        return True
    if not axes:
        single = {"ReduceL2": "Abs", "ReduceLogSum": "Log", "ReduceLogSumExp": "Identity"}[node.operator]
        builder.node(single, [source], node.outputs[0])
        return True
    if node.operator == "ReduceL2":
        builder.node("Sqrt", [builder.reduce("ReduceSumSquare", source, axes, keep)], node.outputs[0])
    elif node.operator == "ReduceLogSum":
        builder.node("Log", [builder.reduce("ReduceSum", source, axes, keep)], node.outputs[0])
    else:
        largest = _finite_maximum(builder, source, axes)
        total = builder.reduce("ReduceSum", builder.node("Exp", [builder.node("Sub", [source, largest])]), axes)
        result = builder.node("Add", [builder.node("Log", [total]), largest], None if not keep else node.outputs[0])
        if not keep:
            builder.node("Squeeze", [result, builder.constant(axes, np.int64)], node.outputs[0])
    return True


def _finite_maximum(builder: Builder, source: str, axes: list[int]) -> str:
    """The largest elements; an infinite one counts as a large number, because infinities have no difference."""
    largest = builder.reduce("ReduceMax", source, axes)
    top = float(np.finfo(np.float32).max)
    return builder.node("Clip", [largest, builder.constant(-top), builder.constant(top)])


@rewrites("ReduceMean")
def rewrite_mean(builder: Builder, node: Node) -> bool:
    """Of integers: the sum, divided without its remainder."""
    source = node.inputs[0]
    if builder.dtype_of(source).kind == "f":
        return False
    shape = builder.shapes[source]
    axes = _axes(builder, node, len(shape))
    count = int(np.prod([shape[axis] for axis in axes], dtype=np.int64))
    total = builder.reduce("ReduceSum", source, axes, int(node.attributes.get("keepdims", 1))) if axes else source
    builder.node("Div", [total, builder.constant(count, builder.dtype_of(source))], node.outputs[0])
    return True


@rewrites("ReduceL1", "ReduceSumSquare")
def rewrite_sum_of_one(builder: Builder, node: Node) -> bool:
    """Over no axis, as that of a number without dimensions is, the sum of a single magnitude or square."""
    source = node.inputs[0]
    if _axes(builder, node, len(builder.shapes[source])):
        return False
    if node.operator == "ReduceL1":
        builder.node("Abs", [source], node.outputs[0])
    else:
        builder.node("Mul", [source, source], node.outputs[0])
    return True


@rewrites("ReduceProd")
def rewrite_product(builder: Builder, node: Node) -> bool:
    """Products of slices, one after the other."""
    source = node.inputs[0]
    shape = builder.shapes[source]
    axes = _axes(builder, node, len(shape))
    for axis in axes:
        slices = [builder.node("Gather", [source, builder.constant([index], np.int64)], axis=axis) for index in range(shape[axis])]
        source = slices[0]
        for part in slices[1:]:
            source = builder.node("Mul", [source, part])
    if node.attributes.get("keepdims", 1):
        builder.node("Identity", [source], node.outputs[0])
    else:
        builder.node("Squeeze", [source, builder.constant(axes, np.int64)], node.outputs[0])
    return True


@rewrites("LogSoftmax")
def rewrite_log_softmax(builder: Builder, node: Node) -> bool:
    """x - log sum exp x; beside an infinity no element is a number."""
    source = node.inputs[0]
    axis = int(node.attributes.get("axis", -1)) % len(builder.shapes[source])
    centred = builder.node("Sub", [source, builder.reduce("ReduceMax", source, [axis])])
    total = builder.reduce("ReduceSum", builder.node("Exp", [centred]), [axis])
    builder.node("Sub", [centred, builder.node("Log", [total])], node.outputs[0])
    return True


@rewrites("GlobalAveragePool", "GlobalMaxPool")
def rewrite_global_pool(builder: Builder, node: Node) -> bool:
    """The mean of all pixels, or their maximum as that of one window."""
    shape = builder.shapes[node.inputs[0]]
    if node.operator == "GlobalAveragePool":
        builder.reduce("ReduceMean", node.inputs[0], list(range(2, len(shape))), 1, node.outputs[0])
    else:
        builder.node("MaxPool", [node.inputs[0]], node.outputs[0], kernel_shape=list(shape[2:]))
    return True


@rewrites("PRelu")
def rewrite_prelu(builder: Builder, node: Node) -> bool:
    """slope * min(x, 0) where x is below 0, else max(x, 0): extremes keep ranges small, their sum would be NaN for infinite slopes."""
    dtype = builder.dtype_of(node.inputs[0])
    zero = builder.constant(0, dtype)
    below = builder.node("Mul", [builder.node("Min", [node.inputs[0], zero]), node.inputs[1]])
    negative = builder.node("Less", [node.inputs[0], zero])
    above = builder.node("Relu", node.inputs[:1]) if dtype.kind == "f" else builder.node("Max", [node.inputs[0], zero])
    builder.node("Where", [negative, below, above], node.outputs[0])
    return True


@rewrites("Shrink")
def rewrite_shrink(builder: Builder, node: Node) -> bool:
    """Of integers as of real numbers, without the fraction, as onnxruntime computes it."""
    if builder.dtype_of(node.inputs[0]).kind == "f":
        return False
    inner = builder.node("Shrink", [builder.node("Cast", node.inputs[:1], to=1)], **node.attributes)
    builder.node("Cast", [inner], node.outputs[0], to=builder.type_of(node.inputs[0]))
    return True


@rewrites("ThresholdedRelu")
def rewrite_thresholded(builder: Builder, node: Node) -> bool:
    """x where it is above alpha, else 0."""
    above = builder.node("Greater", [node.inputs[0], builder.constant(node.attributes.get("alpha", 1.0))])
    builder.node("Where", [above, node.inputs[0], builder.constant(0.0)], node.outputs[0])
    return True


@rewrites("Gemm")
def rewrite_gemm(builder: Builder, node: Node) -> bool:
    """Only if it is not a layer: computed B or C, transposed A."""
    bias_fits = not node.has(2) or (
        node.inputs[2] in builder.constants and np.broadcast_shapes(builder.constants[node.inputs[2]].shape, (1, 1))[0] == 1
    )
    constants = builder.constants
    if node.inputs[1] in constants and node.inputs[0] not in constants and bias_fits and not node.attributes.get("transA", 0):
        return False
    left, right = (
        builder.node("Transpose", [name], perm=[1, 0]) if node.attributes.get(flag, 0) else name
        for name, flag in zip(node.inputs[:2], ("transA", "transB"), strict=True)
    )
    last = not node.has(2) and node.attributes.get("alpha", 1.0) == 1.0
    result = builder.node("MatMul", [left, right], node.outputs[0] if last else None)
    if node.attributes.get("alpha", 1.0) != 1.0:
        result = builder.node("Mul", [result, builder.constant(node.attributes["alpha"])], None if node.has(2) else node.outputs[0])
    if node.has(2):
        added = node.inputs[2]
        if node.attributes.get("beta", 1.0) != 1.0:
            added = builder.node("Mul", [added, builder.constant(node.attributes["beta"])])
        builder.node("Add", [result, added], node.outputs[0])
    return True


@rewrites("OneHot")
def rewrite_one_hot(builder: Builder, node: Node) -> bool:
    """Comparison of the positions with 0, 1, 2, ...; positions may be given as reals."""
    depth = int(builder.required(node, 1).reshape(-1)[0])
    off, on = builder.required(node, 2)
    rank = len(builder.shapes[node.inputs[0]])
    axis = int(node.attributes.get("axis", -1)) % (rank + 1)
    positions = builder.node("Cast", [node.inputs[0]], to=7)
    positions = builder.node("Unsqueeze", [positions, builder.constant([axis], np.int64)])
    negative = builder.node("Less", [positions, builder.constant(0, np.int64)])
    positions = builder.node("Where", [negative, builder.node("Add", [positions, builder.constant(depth, np.int64)]), positions])
    shape = [1] * (rank + 1)
    shape[axis] = depth
    hit = builder.node("Equal", [positions, builder.constant(np.arange(depth).reshape(shape), np.int64)])
    builder.node("Where", [hit, builder.constant(on, on.dtype), builder.constant(off, off.dtype)], node.outputs[0])
    return True


@rewrites("Hardmax")
def rewrite_hardmax(builder: Builder, node: Node) -> bool:
    """1 at the first largest element, else 0; nothing but 0 in a row that begins with NaN, which is equal to no element."""
    shape = builder.shapes[node.inputs[0]]
    axis = int(node.attributes.get("axis", -1)) % len(shape)
    best = builder.node("ArgMax", [node.inputs[0]], axis=axis, keepdims=1)
    first = builder.node("Slice", [node.inputs[0], builder.integers(0), builder.integers(1), builder.integers(axis)])
    best = builder.node("Where", [builder.node("Equal", [first, first]), best, builder.constant(-1, np.int64)])
    numbers = np.arange(shape[axis]).reshape([-1 if index == axis else 1 for index in range(len(shape))])
    hit = builder.node("Equal", [best, builder.constant(numbers, np.int64)])
    builder.node("Cast", [hit], node.outputs[0], to=builder.type_of(node.inputs[0]))
    return True


@rewrites("GroupNormalization")
def rewrite_group_normalization(builder: Builder, node: Node) -> bool:
    """Instance normalisation of groups, then gain and offset per channel."""
    shape = builder.shapes[node.inputs[0]]
    groups = int(node.attributes["num_groups"])
    gain, offset = (builder.required(node, position) for position in (1, 2))
    if len(gain) == groups:  # version 18: one per group
        gain, offset = np.repeat(gain, shape[1] // groups), np.repeat(offset, shape[1] // groups)
    grouped = builder.node("Reshape", [node.inputs[0], builder.constant([shape[0], groups, -1], np.int64)])
    ones, zeros = builder.constant(np.ones(groups)), builder.constant(np.zeros(groups))
    normal = builder.node("InstanceNormalization", [grouped, ones, zeros], epsilon=float(node.attributes.get("epsilon", 1e-5)))
    back = builder.node("Reshape", [normal, builder.constant(shape, np.int64)])
    per_channel = (-1, *[1] * (len(shape) - 2))
    scaled = builder.node("Mul", [back, builder.constant(gain.reshape(per_channel))])
    builder.node("Add", [scaled, builder.constant(offset.reshape(per_channel))], node.outputs[0])
    return True


@rewrites("LpNormalization", "MeanVarianceNormalization")
def rewrite_normalization(builder: Builder, node: Node) -> bool:
    """Division by a norm; or by the standard deviation, after the mean."""
    source, rank = node.inputs[0], len(builder.shapes[node.inputs[0]])
    if node.operator == "LpNormalization":
        axis = int(node.attributes.get("axis", -1)) % rank
        norm = builder.reduce("ReduceL2" if node.attributes.get("p", 2) == 2 else "ReduceL1", source, [axis])
        # A row of zeros stays one.
        builder.node("Div", [source, builder.node("Max", [norm, builder.constant(1e-12)])], node.outputs[0])
        return True
    axes = list(node.attributes.get("axes", [0, 2, 3]))
    centred = builder.node("Sub", [source, builder.reduce("ReduceMean", source, axes)])
    variance = builder.reduce("ReduceMean", builder.node("Mul", [centred, centred]), axes)
    builder.node("Div", [centred, builder.node("Sqrt", [variance])], node.outputs[0])
    return True


@rewrites("BatchNormalization")
def rewrite_batch_normalization(builder: Builder, node: Node) -> bool:
    """Only of several rows of many channels: x * factor + offset."""
    shape = builder.shapes[node.inputs[0]]
    if len(shape) != 2 or shape[0] == 1 or shape[1] <= LARGE_DIAGONAL:
        return False
    scale, shift, mean, variance = (builder.required(node, position).astype(np.float64) for position in range(1, 5))
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    scaled = builder.node("Mul", [node.inputs[0], builder.constant(factor)])
    builder.node("Add", [scaled, builder.constant(shift - mean * factor)], node.outputs[0])
    return True
