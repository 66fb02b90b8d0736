"""Quantized ONNX in operator form, written in quantize-dequantize form, which is taken as it is."""

from __future__ import annotations

import numpy as np

from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites


def _real(builder: Builder, node: Node, first: int) -> str:
    """The real tensor behind inputs (integers, scale, zero point)."""
    return (
        builder.node("DequantizeLinear", node.inputs[first : first + 3], axis=0)
        if _per_axis(builder, node, first)
        else builder.node("DequantizeLinear", node.inputs[first : first + 3])
    )


def _per_axis(builder: Builder, node: Node, first: int) -> bool:
    return bool(builder.constants.get(node.inputs[first + 1], np.zeros(())).size > 1)


@rewrites("QLinearConv")
def rewrite_convolution(builder: Builder, node: Node) -> bool:
    """Dequantize, convolve, quantize. The bias has the scale of the products."""
    inputs = [_real(builder, node, 0), _real(builder, node, 3)]
    if node.has(8):
        scale = builder.required(node, 1).astype(np.float64) * builder.required(node, 4).astype(np.float64)
        inputs.append(builder.constant((builder.required(node, 8) * scale).reshape(-1)))
    result = builder.node("Conv", inputs, **node.attributes)
    builder.node("QuantizeLinear", [result, node.inputs[6], node.inputs[7]], node.outputs[0])
    return True


@rewrites("QLinearMatMul")
def rewrite_product(builder: Builder, node: Node) -> bool:
    """Dequantize, multiply, quantize."""
    result = builder.node("MatMul", [_real(builder, node, 0), _real(builder, node, 3)])
    builder.node("QuantizeLinear", [result, node.inputs[6], node.inputs[7]], node.outputs[0])
    return True


@rewrites("QGemm", domain="com.microsoft")
def rewrite_gemm(builder: Builder, node: Node) -> bool:
    """onnxruntime's quantized Gemm: A, B (each with scale and zero point), C, then the output's scale and zero point."""
    inputs = [_real(builder, node, 0), _real(builder, node, 3)]
    if node.has(6):
        scale = builder.required(node, 1).astype(np.float64) * builder.required(node, 4).astype(np.float64)
        inputs.append(builder.constant((builder.required(node, 6) * scale).reshape(-1)))
    last = None if node.has(7) else node.outputs[0]
    result = builder.node("Gemm", inputs, last, **node.attributes)
    if node.has(7):
        builder.node("QuantizeLinear", [result, *node.inputs[7:9]], node.outputs[0])
    return True


@rewrites("QLinearAdd", "QLinearMul", domain="com.microsoft")
def rewrite_elementwise(builder: Builder, node: Node) -> bool:
    """Dequantize, add or multiply, quantize."""
    result = builder.node(node.operator.removeprefix("QLinear"), [_real(builder, node, 0), _real(builder, node, 3)])
    builder.node("QuantizeLinear", [result, *node.inputs[6:8]], node.outputs[0])
    return True
