"""Operators that onnxruntime's optimizer writes (domain com.microsoft, and two in the main one), as standard ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites
from zkvm.ml.rewrites.quantized import MS

SIMPLE = ("Relu", "Tanh", "Sigmoid")


def activated(builder: Builder, node: Node, source: str) -> None:
    """The activation that is merged into a layer, to the node's output."""
    kind, numbers = node.attributes.get("activation", ""), [float(value) for value in node.attributes.get("activation_params", [])]
    if not kind:
        builder.node("Identity", [source], node.outputs[0])
    elif kind in SIMPLE:
        builder.node(kind, [source], node.outputs[0])
    elif kind == "LeakyRelu":
        builder.node(kind, [source], node.outputs[0], alpha=numbers[0] if numbers else 0.01)
    elif kind == "Clip":
        builder.node(kind, [source, builder.constant(numbers[0]), builder.constant(numbers[1])], node.outputs[0])
    elif kind == "HardSigmoid":
        builder.node(kind, [source], node.outputs[0], alpha=numbers[0], beta=numbers[1])
    else:
        raise UsageError(f"{node.operator} {node.name!r}: activation {kind} is not supported")


@rewrites("FusedConv", domain=MS)
def rewrite_fused_convolution(builder: Builder, node: Node) -> bool:
    """Convolution, a summand, activation."""
    kept = {key: value for key, value in node.attributes.items() if not key.startswith("activation")}
    result = builder.node("Conv", [name for name in node.inputs[:3] if name], **kept)
    if node.has(3):
        result = builder.node("Add", [result, node.inputs[3]])
    activated(builder, node, result)
    return True


@rewrites("FusedGemm", domain=MS)
def rewrite_fused_gemm(builder: Builder, node: Node) -> bool:
    """Dense layer, activation."""
    kept = {key: value for key, value in node.attributes.items() if not key.startswith("activation")}
    names = {"activation_alpha": 0, "activation_beta": 1, "activation_gamma": 2}
    numbers = [node.attributes[name] for name in names if name in node.attributes]
    result = builder.node("Gemm", [name for name in node.inputs if name], **kept)
    attributes: dict[str, Any] = {"activation": node.attributes.get("activation", ""), "activation_params": numbers}
    activated(builder, Node(node.operator, node.name, node.inputs, node.outputs, attributes, node.domain), result)
    return True


@rewrites("FusedMatMul", "TransposeMatMul", domain=MS)
def rewrite_fused_product(builder: Builder, node: Node) -> bool:
    """Transposed matrices, times a number."""
    factors = []
    for name, side in zip(node.inputs, "AB", strict=True):
        rank = len(builder.shapes[name])
        order = list(range(rank))
        if node.attributes.get(f"transBatch{side}", 0):  # the rows are the first axis
            order = [*order[1:-1], order[0], order[-1]]
        if node.attributes.get(f"trans{side}", 0):
            order[-2:] = order[-2:][::-1]
        factors.append(builder.node("Transpose", [name], perm=order) if order != list(range(rank)) else name)
    alpha = float(node.attributes.get("alpha", 1.0))
    product = builder.node("MatMul", factors, node.outputs[0] if alpha == 1.0 else None)
    if alpha != 1.0:
        builder.node("Mul", [product, builder.constant(alpha)], node.outputs[0])
    return True


def gelu(builder: Builder, source: str, output: str | None, approximate: bool = False) -> str:
    """x / 2 * (1 + erf(x / sqrt 2)), or with a tanh."""
    half = builder.node("Mul", [source, builder.constant(0.5)])
    if approximate:
        cube = builder.node("Mul", [builder.node("Mul", [source, source]), source])
        inner = builder.node("Add", [source, builder.node("Mul", [cube, builder.constant(0.044715)])])
        curve = builder.node("Tanh", [builder.node("Mul", [inner, builder.constant(np.sqrt(2 / np.pi))])])
    else:
        curve = builder.node("Erf", [builder.node("Mul", [source, builder.constant(np.sqrt(0.5))])])
    return builder.node("Mul", [half, builder.node("Add", [curve, builder.constant(1.0)])], output)


@rewrites("Gelu", "FastGelu", "BiasGelu", "QuickGelu", domain=MS)
def rewrite_gelu(builder: Builder, node: Node) -> bool:
    """By the error function, a tanh (FastGelu), or a sigmoid (QuickGelu)."""
    source = builder.node("Add", list(node.inputs[:2])) if node.has(1) else node.inputs[0]
    if node.operator == "QuickGelu":
        steep = builder.node("Mul", [source, builder.constant(float(node.attributes.get("alpha", 1.702)))])
        builder.node("Mul", [source, builder.node("Sigmoid", [steep])], node.outputs[0])
    else:
        gelu(builder, source, node.outputs[0], node.operator == "FastGelu")
    return True


@rewrites("LayerNormalization", domain=MS)
def rewrite_own_normalization(builder: Builder, node: Node) -> bool:
    """The standard operator."""
    builder.nodes_of("LayerNormalization", node.inputs, node.outputs, **node.attributes)
    return True


def normalized(builder: Builder, source: str, axes: list[int], epsilon: float, centre: bool) -> tuple[str, str, str]:
    """A tensor divided by its standard deviation over axes; with its mean (if that is taken off) and 1 / deviation."""
    mean = builder.reduce("ReduceMean", source, axes) if centre else ""
    moved = builder.node("Sub", [source, mean]) if centre else source
    variance = builder.reduce("ReduceMean", builder.node("Mul", [moved, moved]), axes)
    deviation = builder.node("Sqrt", [builder.node("Add", [variance, builder.constant(epsilon)])])
    inverse = builder.node("Reciprocal", [deviation])
    return builder.node("Mul", [moved, inverse]), mean, inverse


@rewrites("LayerNormalization")
def rewrite_layer_normalization(builder: Builder, node: Node) -> bool:
    """Written out if its mean or deviation is an output too, or gain and offset are computed."""
    extra = [name for name in node.outputs[1:] if name]
    if not extra and all(name == "" or name in builder.constants for name in node.inputs[1:]):
        return False
    _written_out(builder, node, node.inputs[0], centre=True)
    return True


def _written_out(builder: Builder, node: Node, source: str, centre: bool, gain: int = 1, offset: int = 2) -> None:
    rank = len(builder.shapes[node.inputs[0]])
    axes = list(range(int(node.attributes.get("axis", -1)) % rank, rank))
    result, mean, inverse = normalized(builder, source, axes, float(node.attributes.get("epsilon", 1e-5)), centre)
    result = builder.node("Mul", [result, node.inputs[gain]])
    if node.has(offset):
        result = builder.node("Add", [result, node.inputs[offset]])
    builder.node("Identity", [result], node.outputs[0])
    for name, value in zip(node.outputs[1:], (mean, inverse), strict=False):
        if name and value:
            builder.node("Identity", [value], name)


@rewrites("SimplifiedLayerNormalization")
@rewrites("SimplifiedLayerNormalization", domain=MS)
@rewrites("RMSNormalization")
def rewrite_root_mean_square(builder: Builder, node: Node) -> bool:
    """Without a mean."""
    if node.operator == "RMSNormalization" and node.inputs[1] in builder.constants:
        return False
    if node.operator != "RMSNormalization" and len(node.outputs) > 1:
        outputs = (node.outputs[0], "", *node.outputs[1:])
        node = Node(node.operator, node.name, node.inputs, outputs, node.attributes, node.domain)
    _written_out(builder, node, node.inputs[0], centre=False)
    return True


@rewrites("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MS)
def rewrite_skip_normalization(builder: Builder, node: Node) -> bool:
    """A sum, which is the fourth output, then the normalization; with a mean: x, skip, gain, offset, bias, else x, skip, gain, bias."""
    centre = node.operator == "SkipLayerNormalization"
    bias = 4 if centre else 3
    total = builder.node("Add", list(node.inputs[:2]))
    if node.has(bias):
        total = builder.node("Add", [total, node.inputs[bias]])
    inner = Node(node.operator, node.name, node.inputs, (node.outputs[0],), {"epsilon": node.attributes.get("epsilon", 1e-12)}, "")
    _written_out(builder, inner, total, centre, gain=2, offset=3 if centre else len(node.inputs))
    if len(node.outputs) > 3 and node.outputs[3]:
        builder.node("Identity", [total], node.outputs[3])
    return True
