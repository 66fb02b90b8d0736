"""Pools with ceil_mode, automatic padding or powers, as plain averages of padded tensors."""

from __future__ import annotations

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites

Pads = tuple[list[int], list[int]]


def explicit_pads(node: Node, sizes: tuple[int, ...], results: tuple[int, ...]) -> Pads:
    """Padding before, and behind as far as windows reach; negative if they do not reach the end."""
    count = len(sizes)
    if any(dilation > 1 for dilation in node.attributes.get("dilations") or []) and "SAME" in node.attributes.get("auto_pad", ""):
        raise UsageError(f"{node.operator} {node.name!r}: dilations with automatic padding, which runtimes understand differently")
    kernel = list(node.attributes["kernel_shape"])
    strides = list(node.attributes.get("strides") or [1] * count)
    dilations = list(node.attributes.get("dilations") or [1] * count)
    automatic = node.attributes.get("auto_pad", "NOTSET")
    reach = [dilations[i] * (kernel[i] - 1) + 1 for i in range(count)]
    if automatic in ("NOTSET", "VALID", ""):
        begins = list(node.attributes.get("pads") or [0] * (2 * count))[:count] if automatic != "VALID" else [0] * count
    else:
        totals = [max(0, (-(-sizes[i] // strides[i]) - 1) * strides[i] + reach[i] - sizes[i]) for i in range(count)]
        begins = [total // 2 if automatic == "SAME_UPPER" else total - total // 2 for total in totals]
    ends = [(results[i] - 1) * strides[i] + reach[i] - sizes[i] - begins[i] for i in range(count)]
    return begins, ends


def _window_means(builder: Builder, node: Node, source: str, pads: Pads) -> str:
    """Means of windows of the padded tensor, in which padding counts as zeros."""
    shape = builder.shapes[node.inputs[0]]
    kernel = list(node.attributes["kernel_shape"])
    strides = list(node.attributes.get("strides") or [1] * len(kernel))
    dilations = list(node.attributes.get("dilations") or [1] * len(kernel))
    if any(pads[0]) or any(pads[1]):
        source = builder.node("Pad", [source, builder.integers(0, 0, *pads[0], 0, 0, *pads[1]), builder.constant(0.0)])
    if any(dilation > 1 for dilation in dilations):
        ones = builder.constant(np.full((shape[1], 1, *kernel), 1.0 / np.prod(kernel)))
        return builder.node("Conv", [source, ones], kernel_shape=kernel, strides=strides, dilations=dilations, group=shape[1])
    return builder.node("AveragePool", [source], kernel_shape=kernel, strides=strides)


def _inside(node: Node, sizes: tuple[int, ...], results: tuple[int, ...], pads: Pads) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """How many elements of the tensor lie in every window."""
    counts = np.ones(())
    for axis, (size, result) in enumerate(zip(sizes, results, strict=True)):
        stride = (node.attributes.get("strides") or [1] * len(sizes))[axis]
        dilation = (node.attributes.get("dilations") or [1] * len(sizes))[axis]
        taps = np.arange(node.attributes["kernel_shape"][axis]) * dilation
        places = np.arange(result)[:, None] * stride - pads[0][axis] + taps
        counts = counts[..., None] * ((places >= 0) & (places < size)).sum(axis=1)
    return counts


@rewrites("AveragePool")
def rewrite_average_pool(builder: Builder, node: Node) -> bool:
    """Automatic padding in numbers; with ceil_mode or dilations also what each window is divided by, as onnxruntime does it."""
    attributes = node.attributes
    special = attributes.get("ceil_mode", 0) or any(dilation > 1 for dilation in attributes.get("dilations") or [])
    if not special and attributes.get("auto_pad", "NOTSET") in ("NOTSET", ""):
        return False
    sizes, results = builder.shapes[node.inputs[0]][2:], builder.shapes[node.outputs[0]][2:]
    pads = explicit_pads(node, sizes, results)
    included = int(attributes.get("count_include_pad", 0))
    if not special and not included:
        begins, ends = pads
        plain = {key: attributes[key] for key in ("kernel_shape", "strides") if key in attributes}
        builder.node("AveragePool", node.inputs, node.outputs[0], pads=[*begins, *(max(0, end) for end in ends)], **plain)
        return True
    ones = onnx_runtime.run_node(node, [np.ones((1, 1, *sizes), np.float32)], builder.opset)[0][0, 0].astype(np.float64)
    inside = _inside(node, sizes, results, pads)
    # Ones give inside / divisor; a window without an element gives 0 / 0 or 0, and its mean is 0 or a NaN.
    factor = np.where(inside > 0, ones / np.maximum(inside, 1), ones) * np.prod(attributes["kernel_shape"])
    means = _window_means(builder, node, node.inputs[0], pads)
    if np.allclose(factor, 1, rtol=1e-6, atol=0):
        builder.node("Identity", [means], node.outputs[0])
    else:
        builder.node("Mul", [means, builder.constant(factor)], node.outputs[0])
    return True


@rewrites("LpPool", "GlobalLpPool")
def rewrite_lp_pool(builder: Builder, node: Node) -> bool:
    """Root of the window's sum of powers: a mean of |x|^p times the window's size."""
    order = int(node.attributes.get("p", 2))
    magnitude = builder.node("Abs", [node.inputs[0]])
    if order == 2:
        power = builder.node("Mul", [magnitude, magnitude])
    else:
        power = magnitude if order == 1 else builder.node("Pow", [magnitude, builder.constant(float(order))])
    shape = builder.shapes[node.inputs[0]]
    if node.operator == "GlobalLpPool":
        total = builder.reduce("ReduceSum", power, list(range(2, len(shape))))
    else:
        pads = explicit_pads(node, shape[2:], builder.shapes[node.outputs[0]][2:])
        mean = _window_means(builder, node, power, pads)
        total = builder.node("Mul", [mean, builder.constant(float(np.prod(node.attributes["kernel_shape"])))])
    if order == 1:
        builder.node("Identity", [total], node.outputs[0])
    elif order == 2:
        builder.node("Sqrt", [total], node.outputs[0])
    else:
        builder.node("Pow", [total, builder.constant(1.0 / order)], node.outputs[0])
    return True
