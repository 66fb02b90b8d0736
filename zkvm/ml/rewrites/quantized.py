"""Quantized ONNX in operator form, written in quantize-dequantize form, which is taken as it is; and what onnxruntime adds to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites
from zkvm.ml.small_weights import scale_axis

MS = "com.microsoft"


def _zero_point(builder: Builder, node: Node, position: int) -> NDArray[Any] | None:
    return builder.required(node, position) if node.has(position) else None


def real(builder: Builder, node: Node, first: int, axis: int = 0) -> str:
    """The real tensor behind inputs (integers, scale, zero point); of several scales each belongs to a position of the axis."""
    scale, zero = builder.required(node, first + 1), _zero_point(builder, node, first + 2)
    array = builder.constants.get(node.inputs[first])
    if array is not None:
        name, own = builder.constant(dequantized(array, scale, zero, axis)), scale_axis(array, scale, zero, axis)
        builder.scaled |= {} if own is None else {name: own}
        return name
    if scale.size > 1:
        raise UsageError(f"{node.operator} {node.name!r}: {scale.size} scales for an activation; one is supported")
    inputs = [node.inputs[first], builder.constant(scale.reshape(()))]
    if zero is not None:
        inputs.append(builder.constant(zero.reshape(()), zero.dtype))
    return builder.node("DequantizeLinear", inputs)


def dequantized(array: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any] | None, axis: int) -> NDArray[np.float32]:
    """Real numbers behind constant integers, with a scale per tensor or per position of the axis, or of the axis' own shape."""

    def spread(parameter: NDArray[Any]) -> NDArray[Any]:
        if parameter.size == 1:
            return parameter.reshape(())
        if parameter.ndim == array.ndim:
            return parameter
        return parameter.reshape([-1 if index == axis % array.ndim else 1 for index in range(array.ndim)])

    integers = array.astype(np.int64) - (0 if zero is None else spread(zero).astype(np.int64))
    return (integers.astype(np.float32) * spread(scale).astype(np.float32)).astype(np.float32)


def quantized(builder: Builder, node: Node, source: str, first: int, position: int = 0) -> None:
    """The node's output: a real tensor in the scale and zero point that inputs say."""
    scale, zero = builder.required(node, first), _zero_point(builder, node, first + 1)
    dtype = np.uint8 if zero is None else zero.dtype
    inputs = [source, builder.constant(scale.reshape(())), builder.constant(np.zeros(()) if zero is None else zero.reshape(()), dtype)]
    builder.node("QuantizeLinear", inputs, node.outputs[position])


@rewrites("QLinearConv")
@rewrites("QLinearConv", domain=MS)
def rewrite_convolution(builder: Builder, node: Node) -> bool:
    """Dequantize, convolve, quantize. The bias has the scale of the products."""
    inputs = [real(builder, node, 0), real(builder, node, 3)]
    attributes = dict(node.attributes)
    last = bool(attributes.pop("channels_last", 0))
    if last:
        raise UsageError(f"QLinearConv {node.name!r}: channels_last is not supported")
    if node.has(8):
        scale = builder.required(node, 1).astype(np.float64) * builder.required(node, 4).astype(np.float64)
        inputs.append(builder.constant((builder.required(node, 8) * scale).reshape(-1)))
    quantized(builder, node, builder.node("Conv", inputs, **attributes), 6)
    return True


@rewrites("QLinearMatMul")
def rewrite_product(builder: Builder, node: Node) -> bool:
    """Dequantize, multiply, quantize. Of several scales each belongs to a row of the first or a column of the second factor."""
    result = builder.node("MatMul", [real(builder, node, 0, -2), real(builder, node, 3, -1)])
    quantized(builder, node, result, 6)
    return True


@rewrites("QGemm", domain=MS)
def rewrite_gemm(builder: Builder, node: Node) -> bool:
    """onnxruntime's quantized Gemm: A, B (each with scale and zero point), C, then the output's scale and zero point."""
    columns = 0 if node.attributes.get("transB", 0) else 1
    inputs = [real(builder, node, 0), real(builder, node, 3, columns)]
    attributes = dict(node.attributes)
    if node.has(6):
        scale = builder.required(node, 1).astype(np.float64) * builder.required(node, 4).astype(np.float64)
        scale = scale * float(attributes.get("alpha", 1.0))  # C is an accumulator of the products
        inputs.append(builder.constant(builder.required(node, 6) * scale))
    if not node.has(7):
        builder.node("Gemm", inputs, node.outputs[0], **attributes)
        return True
    quantized(builder, node, builder.node("Gemm", inputs, **attributes), 7)
    return True


@rewrites("QLinearAdd", "QLinearMul", domain=MS)
def rewrite_elementwise(builder: Builder, node: Node) -> bool:
    """Dequantize, add or multiply, quantize."""
    result = builder.node(node.operator.removeprefix("QLinear"), [real(builder, node, 0), real(builder, node, 3)])
    quantized(builder, node, result, 6)
    return True


@rewrites("QLinearLeakyRelu", "QLinearSigmoid", "QLinearReduceMean", domain=MS)
def rewrite_unary(builder: Builder, node: Node) -> bool:
    """Dequantize, apply, quantize."""
    source = real(builder, node, 0)
    if node.operator == "QLinearLeakyRelu":
        result = builder.node("LeakyRelu", [source], alpha=float(node.attributes.get("alpha", 0.01)))
    elif node.operator == "QLinearSigmoid":
        result = builder.node("Sigmoid", [source])
    else:
        axes = node.attributes.get("axes") or list(range(len(builder.shapes[node.inputs[0]])))
        result = builder.reduce("ReduceMean", source, axes, int(node.attributes.get("keepdims", 1)))
    quantized(builder, node, result, 3)
    return True


@rewrites("QLinearAveragePool", "QLinearGlobalAveragePool", domain=MS)
def rewrite_pool(builder: Builder, node: Node) -> bool:
    """Dequantize, average, quantize; the channels may be last."""
    attributes = dict(node.attributes)
    source, rank = real(builder, node, 0), len(builder.shapes[node.inputs[0]])
    last = bool(attributes.pop("channels_last", 0))
    if last:
        source = builder.node("Transpose", [source], perm=[0, rank - 1, *range(1, rank - 1)])
    if node.operator == "QLinearAveragePool":
        result = builder.node("AveragePool", [source], **attributes)
    else:
        result = builder.reduce("ReduceMean", source, list(range(2, rank)))
    if last:
        result = builder.node("Transpose", [result], perm=[0, *range(2, rank), 1])
    quantized(builder, node, result, 3)
    return True


@rewrites("QLinearSoftmax", domain=MS)
def rewrite_softmax(builder: Builder, node: Node) -> bool:
    """Dequantize, normalize, quantize; before opset 13 over all axes from the given one on."""
    source = real(builder, node, 0)
    shape = builder.shapes[node.inputs[0]]
    axis = int(node.attributes.get("axis", -1)) % len(shape)
    if int(node.attributes.get("opset", 13)) < 13:
        flat = builder.node("Softmax", [builder.node("Flatten", [source], axis=axis)], axis=-1)
        result = builder.reshape(flat, shape)
    else:
        result = builder.node("Softmax", [source], axis=axis)
    quantized(builder, node, result, 3)
    return True


@rewrites("QLinearConcat", domain=MS)
def rewrite_concat(builder: Builder, node: Node) -> bool:
    """The output's scale and zero point, then three inputs per part."""
    parts = [real(builder, node, first) for first in range(2, len(node.inputs), 3)]
    quantized(builder, node, builder.node("Concat", parts, axis=int(node.attributes["axis"])), 0)
    return True


@rewrites("QLinearWhere", domain=MS)
def rewrite_where(builder: Builder, node: Node) -> bool:
    """Condition, two quantized tensors, the output's scale and zero point."""
    result = builder.node("Where", [node.inputs[0], real(builder, node, 1), real(builder, node, 4)])
    quantized(builder, node, result, 7)
    return True


@rewrites("QuantizeLinear", "DequantizeLinear", domain=MS)
def rewrite_own_form(builder: Builder, node: Node) -> bool:
    """onnxruntime's own forms, for 16 bits before ONNX had them."""
    kept = {key: value for key, value in node.attributes.items() if key == "axis"}
    builder.node(node.operator, node.inputs, node.outputs[0], **kept)
    return True


@rewrites("DequantizeLinear")
def rewrite_dequantize(builder: Builder, node: Node) -> bool:
    """Several scales, or of blocks: of integers that a DynamicQuantize or another computation made, as a product."""
    scale = builder.constants.get(node.inputs[1])
    zero = builder.constants.get(node.inputs[2]) if node.has(2) else np.zeros((), np.uint8)
    fixed = scale is not None and zero is not None
    if fixed and scale is not None and scale.size == 1 and (builder.dtype_of(node.inputs[0]).itemsize < 4):
        return False
    shape = builder.shapes[node.inputs[0]]
    axis = int(node.attributes.get("axis", 1)) % max(len(shape), 1)
    integers = builder.node("Cast", [node.inputs[0]], to=6)
    if node.has(2):
        offset = builder.node("Cast", [node.inputs[2]], to=6)
        integers = builder.node("Sub", [integers, _spread(builder, node, offset, node.inputs[2], shape, axis)])
    factor = _spread(builder, node, node.inputs[1], node.inputs[1], shape, axis)
    builder.node("Mul", [builder.node("Cast", [integers], to=1), factor], node.outputs[0])
    return True


@rewrites("QuantizeLinear")
def rewrite_quantize(builder: Builder, node: Node) -> bool:
    """Several scales, blocks, or a scale that is computed: division, rounding to even, zero point, cut."""
    scale = builder.constants.get(node.inputs[1])
    zero = builder.constants.get(node.inputs[2]) if node.has(2) else np.zeros((), np.uint8)
    if scale is not None and zero is not None and scale.size == 1:
        return False
    shape = builder.shapes[node.inputs[0]]
    axis = int(node.attributes.get("axis", 1)) % max(len(shape), 1)
    kind = builder.type_of(node.inputs[2]) if node.has(2) else int(node.attributes.get("output_dtype", 0)) or 2
    limits = np.iinfo(builder.dtype_of(node.inputs[2]) if node.has(2) else {2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16}[kind])
    rounded = builder.node(
        "Round", [builder.node("Div", [node.inputs[0], _spread(builder, node, node.inputs[1], node.inputs[1], shape, axis)])]
    )
    if node.has(2):
        offset = builder.node("Cast", [node.inputs[2]], to=1)
        rounded = builder.node("Add", [rounded, _spread(builder, node, offset, node.inputs[2], shape, axis)])
    cut = builder.node("Clip", [rounded, builder.constant(float(limits.min)), builder.constant(float(limits.max))])
    builder.node("Cast", [cut], node.outputs[0], to=kind)
    return True


def _spread(builder: Builder, node: Node, parameter: str, like: str, shape: tuple[int, ...], axis: int) -> str:
    """A scale or zero point in a shape that broadcasts: one, one per position of the axis, or one per block along it."""
    own = builder.shapes.get(like, builder.constants[like].shape if like in builder.constants else ())
    if int(np.prod(own)) == 1:
        return builder.node("Reshape", [parameter, builder.constant(np.zeros(0), np.int64)]) if own else parameter
    if len(own) == 1 and len(shape) != 1:
        return builder.reshape(parameter, [own[0] if index == axis else 1 for index in range(len(shape))])
    block = int(node.attributes.get("block_size", 0))
    if not block:
        return parameter
    index = builder.constant(np.arange(shape[axis]) // block, np.int64)
    return builder.node("Gather", [parameter, index], axis=axis)


@rewrites("DynamicQuantizeLinear")
def rewrite_dynamic(builder: Builder, node: Node) -> bool:
    """Scale and zero point from the least and largest element, as ONNX writes it."""
    source = node.inputs[0]
    axes = list(range(len(builder.shapes[source])))
    low = builder.node("Min", [builder.reduce("ReduceMin", source, axes, 0), builder.constant(0.0)])
    high = builder.node("Max", [builder.reduce("ReduceMax", source, axes, 0), builder.constant(0.0)])
    width = builder.node("Div", [builder.node("Sub", [high, low]), builder.constant(255.0)])
    # Of a tensor of zeros onnxruntime takes the scale 1.
    empty = builder.node("Equal", [width, builder.constant(0.0)])
    scale = builder.node("Where", [empty, builder.constant(1.0), width])
    first, last = builder.constant(0.0), builder.constant(255.0)
    zero = builder.node("Round", [builder.node("Clip", [builder.node("Div", [builder.node("Neg", [low]), scale]), first, last])])
    units = builder.node("Add", [builder.node("Round", [builder.node("Div", [source, scale])]), zero])
    builder.node("Cast", [builder.node("Clip", [units, first, last])], node.outputs[0], to=2)
    for position, value in ((1, scale), (2, builder.node("Cast", [zero], to=2))):
        if position < len(node.outputs) and node.outputs[position]:
            builder.node("Identity", [value], node.outputs[position])
    return True


def _centred(builder: Builder, name: str, zero: str, shape: list[int] | None = None) -> str:
    """Integers less their zero point, in 32 bits; a list of zero points in the shape that broadcasts."""
    array, offset = builder.constants.get(name), builder.constants.get(zero) if zero else np.zeros((), np.int32)
    if array is not None and offset is not None:
        parts = offset.astype(np.int32)
        parts = parts.reshape(()) if parts.size == 1 else parts.reshape(shape) if shape else parts
        return builder.constant(array.astype(np.int32) - parts, np.int32)
    integers = builder.node("Cast", [name], to=6)
    if not zero or (offset is not None and not offset.any()):
        return integers
    wide = builder.node("Cast", [zero], to=6)
    size = int(np.prod(builder.shapes.get(zero, ())))
    if shape and size > 1:
        wide = builder.reshape(wide, shape)
    elif builder.shapes.get(zero, ()) != ():
        wide = builder.node("Reshape", [wide, builder.constant(np.zeros(0), np.int64)]) if size == 1 else wide
    return builder.node("Sub", [integers, wide])


def _input(node: Node, position: int) -> str:
    return node.inputs[position] if node.has(position) else ""


def _integer_product(builder: Builder, node: Node, left: int, right: int, zeros: tuple[int, int]) -> str:
    """A matrix product of integers, zero points taken off, in 32 bits."""
    rows = _centred(builder, node.inputs[left], _input(node, zeros[0]), [-1, 1])
    return builder.node("MatMul", [rows, _centred(builder, node.inputs[right], _input(node, zeros[1]))])


@rewrites("MatMulInteger")
def rewrite_integer_product(builder: Builder, node: Node) -> bool:
    """Integers less their zero points, multiplied in 32 bits."""
    builder.node("Identity", [_integer_product(builder, node, 0, 1, (2, 3))], node.outputs[0])
    return True


@rewrites("ConvInteger")
def rewrite_integer_convolution(builder: Builder, node: Node) -> bool:
    """Integers less their zero points, convolved as real numbers, which hold sums below 2^24 exactly."""
    rank = len(builder.shapes[node.inputs[1]])
    source = builder.node("Cast", [_centred(builder, node.inputs[0], _input(node, 2))], to=1)
    weights = _centred(builder, node.inputs[1], _input(node, 3), [-1, *[1] * (rank - 1)])
    if weights in (tensor.name for tensor in builder.initializers):
        kernel = builder.constant(numpy_helper.to_array(builder.initializers[-1]))
    else:
        kernel = builder.node("Cast", [weights], to=1)
    builder.node("Cast", [builder.node("Conv", [source, kernel], **node.attributes)], node.outputs[0], to=6)
    return True


@rewrites("MatMulIntegerToFloat", domain=MS)
def rewrite_scaled_product(builder: Builder, node: Node) -> bool:
    """A, B, their scales, zero points, bias: an integer product times both scales."""
    product = builder.node("Cast", [_integer_product(builder, node, 0, 1, (4, 5))], to=1)
    scaled = builder.node("Mul", [product, builder.node("Mul", [node.inputs[2], node.inputs[3]])])
    builder.node("Add" if node.has(6) else "Identity", [scaled, node.inputs[6]] if node.has(6) else [scaled], node.outputs[0])
    return True


@rewrites("DynamicQuantizeMatMul", domain=MS)
def rewrite_dynamic_product(builder: Builder, node: Node) -> bool:
    """A is quantized by its own range; B, its scale, zero point, bias."""
    names = [f"{builder.prefix}/{part}" for part in ("a", "scale", "zero")]
    builder.nodes_of("DynamicQuantizeLinear", [node.inputs[0]], names)
    inputs = [names[0], node.inputs[1], names[1], node.inputs[2], names[2], _input(node, 3), _input(node, 4)]
    builder.node("MatMulIntegerToFloat", inputs, node.outputs[0], domain=MS)
    return True
