"""Images: interpolation along axes, at computed points, and overlapping patches, as matrix products and choices of elements."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites


@rewrites("Resize")
def rewrite_resize(builder: Builder, node: Node) -> bool:
    """Linear and cubic interpolation: a matrix per axis, which onnxruntime itself gives for the unit vectors."""
    mode = node.attributes.get("mode", "nearest")
    if mode == "nearest":
        return False
    shape, wanted = builder.shapes[node.inputs[0]], builder.shapes[node.outputs[0]]
    if builder.dtype_of(node.inputs[0]).kind != "f":
        raise UsageError(f"Resize {node.name!r}: mode {mode!r} of integers is not supported")
    if len(wanted) != len(shape):
        raise UsageError(f"Resize {node.name!r}: its region of few axes is not supported; give one of all axes")
    axes = [int(axis) % len(shape) for axis in node.attributes.get("axes") or range(len(shape))]
    scales = _scales(builder, node, shape, wanted, axes)
    crop = node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    source, inside = node.inputs[0], np.ones((1,) * len(shape), bool)
    for place, axis in enumerate(axes):
        if scales[axis] == 1.0 and wanted[axis] == shape[axis] and not crop:
            continue
        roi = _region(builder, node, place, len(axes)) if crop else np.zeros(0)
        matrix = _matrix(builder, node, (shape[axis], wanted[axis]), scales[axis], roi)
        if crop:
            reached = np.abs(matrix).sum(axis=1) > 0
            inside = inside & reached.reshape([-1 if index == axis else 1 for index in range(len(shape))])
        source = _along(builder, source, matrix, axis, len(shape))
    value = float(node.attributes.get("extrapolation_value", 0.0))
    if crop and value and not inside.all():
        source = builder.node("Where", [builder.constant(np.broadcast_to(inside, wanted), np.bool_), source, builder.constant(value)])
    builder.node("Identity", [source], node.outputs[0])
    return True


def _region(builder: Builder, node: Node, place: int, count: int) -> NDArray[Any]:
    """Where the region begins and ends along an axis."""
    return builder.required(node, 1).reshape(-1)[[place, count + place]]


def _scales(builder: Builder, node: Node, shape: tuple[int, ...], wanted: tuple[int, ...], axes: list[int]) -> list[float]:
    """How much every axis grows."""
    result = [1.0] * len(shape)
    if node.has(2) and builder.required(node, 2).size:
        for axis, scale in zip(axes, builder.required(node, 2), strict=True):
            result[axis] = float(scale)
        return result
    ratios = [float(np.float32(size) / np.float32(shape[axis])) for axis, size in zip(axes, builder.required(node, 3), strict=True)]
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        ratios = [min(ratios) if policy == "not_larger" else max(ratios)] * len(axes)
    for axis, ratio in zip(axes, ratios, strict=True):
        result[axis] = ratio
    return result


def _matrix(builder: Builder, node: Node, sizes: tuple[int, int], scale: float, roi: NDArray[Any]) -> NDArray[np.float32]:
    """(new size, old size): what every new element takes of the old ones."""
    old, new = sizes
    dropped = ("axes", "keep_aspect_ratio_policy", "extrapolation_value")
    attributes = {key: value for key, value in node.attributes.items() if key not in dropped}
    region = np.array([0, 0, 0, roi[0], 1, 1, 1, roi[1]], np.float32) if roi.size else np.zeros(0, np.float32)
    units = np.eye(old, dtype=np.float32)[None, None]
    for last in (np.array([1, 1, 1, scale], np.float32), np.array([1, 1, old, new], np.int64)):
        names = ("x", "roi" if roi.size else "", "scales") if last.dtype == np.float32 else ("x", "roi" if roi.size else "", "", "sizes")
        arrays = [units, region, *([last] if last.dtype == np.float32 else [np.zeros(0), last])]
        single = Node("Resize", node.name, names, ("y",), attributes)
        result = onnx_runtime.run_node(single, arrays, builder.opset)[0][0, 0]
        if result.shape[1] != new and node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise UsageError(f"Resize {node.name!r}: keep_aspect_ratio_policy with this rounding is not supported; give the sizes")
        if result.shape[1] == new:
            return np.asarray(result.T, np.float32)
    raise UsageError(f"Resize {node.name!r}: {old} elements do not become {new}")


def _along(builder: Builder, source: str, matrix: NDArray[Any], axis: int, rank: int) -> str:
    """The product of a matrix with one axis of a tensor."""
    if axis == rank - 1:
        return builder.node("MatMul", [source, builder.constant(matrix.T)])
    order = [*(index for index in range(rank) if index != axis), axis]
    turned = builder.node("Transpose", [source], perm=order)
    mixed = builder.node("MatMul", [turned, builder.constant(matrix.T)])
    return builder.node("Transpose", [mixed], perm=[order.index(index) for index in range(rank)])


@rewrites("GridSample")
def rewrite_grid_sample(builder: Builder, node: Node) -> bool:
    """Elements around every point, gathered and weighted."""
    shape, grid = builder.shapes[node.inputs[0]], builder.shapes[node.inputs[1]]
    mode = node.attributes.get("mode", "linear")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    rank, points = len(shape) - 2, int(np.prod(grid[1:-1]))
    lines = builder.reshape(node.inputs[0], [shape[0], shape[1], int(np.prod(shape[2:]))])
    flat = builder.reshape(node.inputs[1], [grid[0], points, rank])
    taps = [_taps(builder, node, mode, builder.node("Gather", [flat, builder.constant(rank - 1 - axis, np.int64)], axis=2), shape[2 + axis])
            for axis in range(rank)]  # fmt: skip
    total = ""
    for corner in product(*taps):
        index = weight = ""
        for axis, (position, part) in enumerate(corner):
            stride = int(np.prod(shape[3 + axis :], dtype=np.int64))
            step = builder.node("Mul", [position, builder.constant(stride, np.int64)])
            index = builder.node("Add", [index, step]) if index else step
            if part:
                weight = builder.node("Mul", [weight, part]) if weight else part
        taken = _take(builder, lines, index, shape[0])
        if weight:
            taken = builder.node("Mul", [taken, builder.node("Unsqueeze", [weight, builder.integers(1)])])
        total = builder.node("Add", [total, taken]) if total else taken
    builder.reshape(total, [shape[0], shape[1], *grid[1:-1]], node.outputs[0])
    return True


def _take(builder: Builder, lines: str, index: str, batch: int) -> str:
    """(batch, channels, points): elements of every image at its own places."""
    if batch == 1:
        return builder.node("Gather", [lines, builder.node("Squeeze", [index, builder.integers(0)])], axis=2)
    parts = []
    for number in range(batch):
        image = builder.node("Gather", [lines, builder.integers(number)], axis=0)
        place = builder.node("Gather", [index, builder.constant(number, np.int64)], axis=0)
        parts.append(builder.node("Gather", [image, place], axis=2))
    return builder.node("Concat", parts, axis=0)


def _taps(builder: Builder, node: Node, mode: str, coordinate: str, size: int) -> list[tuple[str, str]]:
    """Positions along one axis and their weights, for coordinates from -1 to 1."""
    aligned = bool(node.attributes.get("align_corners", 0))
    padding = node.attributes.get("padding_mode", "zeros")

    def constant(value: float) -> str:
        return builder.constant(value)

    shifted = builder.node("Add", [coordinate, constant(1.0)])
    if aligned:
        place = builder.node("Mul", [builder.node("Div", [shifted, constant(2.0)]), constant(size - 1.0)])
    else:
        place = builder.node(
            "Div", [builder.node("Sub", [builder.node("Mul", [shifted, constant(float(size))]), constant(1.0)]), constant(2.0)]
        )
    if mode == "nearest":
        return [_position(builder, builder.node("Round", [place]), "", padding, aligned, size)]
    if mode == "linear" and padding == "reflection":
        place = _reflected(builder, place, aligned, size)
    base = builder.node("Floor", [place])
    rest = builder.node("Sub", [place, base])
    if mode == "linear":
        weights = {0: builder.node("Sub", [constant(1.0), rest]), 1: rest}
    elif mode == "cubic":
        weights = {offset: _cubic(builder, rest, offset) for offset in (-1, 0, 1, 2)}
    else:
        raise UsageError(f"GridSample {node.name!r}: mode {mode!r} is not known")
    return [
        _position(builder, builder.node("Add", [base, constant(float(offset))]), weight, padding, aligned, size)
        for offset, weight in weights.items()
    ]


def _cubic(builder: Builder, rest: str, offset: int) -> str:
    """The weight of a neighbour, with -0.75 as the curve's parameter."""
    bend = -0.75
    distance = builder.node("Abs", [builder.node("Sub", [rest, builder.constant(float(offset))])])
    near = (bend + 2, -(bend + 3), 0.0, 1.0)
    far = (bend, -5 * bend, 8 * bend, -4 * bend)
    value = ""
    for factor in near if offset in (0, 1) else far:
        value = (
            builder.node("Add", [builder.node("Mul", [value, distance]), builder.constant(factor)]) if value else builder.constant(factor)
        )
    return value


def _reflected(builder: Builder, place: str, aligned: bool, size: int) -> str:
    """Places beyond the first or last element, mirrored as often as needed."""
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    width = high - low
    if width <= 0:
        return builder.node("Mul", [place, builder.constant(0.0)])
    away = builder.node("Abs", [builder.node("Sub", [place, builder.constant(low)])])
    rest = builder.node("Mod", [away, builder.constant(2 * width)], fmod=1)
    back = builder.node("Min", [rest, builder.node("Sub", [builder.constant(2 * width), rest])])
    return builder.node("Add", [back, builder.constant(low)])


def _position(builder: Builder, place: str, weight: str, padding: str, aligned: bool, size: int) -> tuple[str, str]:
    """A whole place as an index, and its weight, which is 0 outside if padding is zeros."""
    last = builder.constant(size - 1.0)
    if padding == "reflection":
        place = _reflected(builder, place, aligned, size)
    cut = builder.node("Clip", [place, builder.constant(0.0), last])
    if padding == "zeros":
        inside = builder.node("Cast", [builder.node("Equal", [cut, place])], to=1)
        weight = builder.node("Mul", [weight, inside]) if weight else inside
    return builder.node("Cast", [cut], to=7), weight


@rewrites("Col2Im")
def rewrite_patches(builder: Builder, node: Node) -> bool:
    """The sum of patches where they overlap: every pixel gathers what falls on it."""
    image = [int(size) for size in builder.required(node, 1)]
    block = [int(size) for size in builder.required(node, 2)]
    rank = len(image)
    strides, dilations = (list(node.attributes.get(name) or [1] * rank) for name in ("strides", "dilations"))
    pads = list(node.attributes.get("pads") or [0] * (2 * rank))
    counts = [(image[i] + pads[i] + pads[rank + i] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1 for i in range(rank)]
    hits: list[list[int]] = [[] for _ in range(int(np.prod(image)))]
    for tap in np.ndindex(*block):
        for number, patch in enumerate(np.ndindex(*counts)):
            place = [patch[i] * strides[i] + tap[i] * dilations[i] - pads[i] for i in range(rank)]
            if all(0 <= place[i] < image[i] for i in range(rank)):
                tap_number = int(np.ravel_multi_index(tap, block))
                hits[int(np.ravel_multi_index(place, image))].append(tap_number * int(np.prod(counts)) + number)
    shape = builder.shapes[node.inputs[0]]
    channels, length = shape[1] // int(np.prod(block)), int(np.prod(block)) * shape[2]
    most = max(1, max(len(row) for row in hits))
    index = np.array([row + [length] * (most - len(row)) for row in hits], np.int64)
    rows = builder.reshape(node.inputs[0], [shape[0] * channels, length])
    rows = builder.node("Pad", [rows, builder.integers(0, 0, 0, 1), builder.constant(0.0)])
    sums = builder.reduce("ReduceSum", builder.node("Gather", [rows, builder.constant(index, np.int64)], axis=1), [2], 0)
    builder.reshape(sums, [shape[0], channels, *image], node.outputs[0])
    return True


@rewrites("MaxUnpool")
def rewrite_unpool(builder: Builder, node: Node) -> bool:
    """Zeros, in which every element is written to its place."""
    shape = builder.shapes[node.inputs[0]]
    kernel = list(node.attributes["kernel_shape"])
    strides = list(node.attributes.get("strides") or [1] * len(kernel))
    pads = list(node.attributes.get("pads") or [0] * (2 * len(kernel)))
    sizes = [(shape[2 + i] - 1) * strides[i] + kernel[i] - pads[i] - pads[len(kernel) + i] for i in range(len(kernel))]
    result = [shape[0], shape[1], *sizes]
    if node.has(2) and builder.required(node, 2).tolist() != result:
        raise UsageError(f"MaxUnpool {node.name!r}: an output shape of its own is not supported")
    zeros = builder.constant(np.zeros(int(np.prod(result))))
    parts = [builder.reshape(name, [-1]) for name in (node.inputs[1], node.inputs[0])]
    builder.reshape(builder.node("ScatterElements", [zeros, *parts], axis=0), result, node.outputs[0])
    return True
