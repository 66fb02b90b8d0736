"""Operators of one or several elements, and sums along axes, as simpler ones."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites


@rewrites("CastLike")
def rewrite_cast(builder: Builder, node: Node) -> bool:
    """To the type that the other tensor has."""
    if node.inputs[1] not in builder.types and node.inputs[1] not in builder.constants:
        return False
    builder.node("Cast", [node.inputs[0]], node.outputs[0], to=builder.type_of(node.inputs[1]))
    return True


@rewrites("Dropout")
def rewrite_dropout(builder: Builder, node: Node) -> bool:
    """Nothing, for inference; the mask keeps everything."""
    training = builder.constants.get(node.inputs[2]) if node.has(2) else np.zeros(())
    if training is None or training.any():
        raise UsageError(f"Dropout {node.name!r} in training mode draws random numbers: export the model for inference")
    builder.node("Identity", [node.inputs[0]], node.outputs[0])
    if len(node.outputs) > 1 and node.outputs[1]:
        kind = builder.types.get(node.outputs[1], TensorProto.BOOL)
        dtype = np.bool_ if kind == TensorProto.BOOL else np.float32
        builder.node("Identity", [builder.constant(np.ones(builder.shapes[node.inputs[0]]), dtype)], node.outputs[1])
    return True


@rewrites("Clip")
def rewrite_clip(builder: Builder, node: Node) -> bool:
    """Computed bounds. Constant ones stay, whatever they are, since they may be private."""
    if all(name in builder.constants for name in node.inputs[1:] if name):
        return False
    result = builder.node("Max", list(node.inputs[:2])) if node.has(1) else node.inputs[0]
    if node.has(2):
        builder.node("Min", [result, node.inputs[2]], node.outputs[0])
    else:
        builder.node("Identity", [result], node.outputs[0])
    return True


@rewrites("CumProd")
def rewrite_running_product(builder: Builder, node: Node) -> bool:
    """One element after the other."""
    shape = builder.shapes[node.inputs[0]]
    axis = int(builder.required(node, 1).reshape(-1)[0]) % len(shape)
    places = list(range(shape[axis]))
    parts = [builder.node("Gather", [node.inputs[0], builder.integers(place)], axis=axis) for place in places]
    if node.attributes.get("reverse", 0):
        parts.reverse()
    sums = [builder.constant(np.ones([1 if index == axis else size for index, size in enumerate(shape)]), builder.dtype_of(node.inputs[0]))]
    sums += parts[:1] if not node.attributes.get("exclusive", 0) else []
    if node.attributes.get("exclusive", 0):
        for part in parts[:-1]:
            sums.append(builder.node("Mul", [sums[-1], part]))
    else:
        sums = sums[1:]
        for part in parts[1:]:
            sums.append(builder.node("Mul", [sums[-1], part]))
    if node.attributes.get("reverse", 0):
        sums.reverse()
    builder.node("Concat", sums, node.outputs[0], axis=axis)
    return True


@rewrites("Sum", "Mean")
def rewrite_sum(builder: Builder, node: Node) -> bool:
    """Sums of several tensors, one after the other."""
    total = node.inputs[0]
    for name in node.inputs[1:]:
        total = builder.node("Add", [total, name])
    if node.operator == "Mean":
        total = builder.node("Div", [total, builder.constant(len(node.inputs), builder.dtype_of(node.inputs[0]))])
    builder.node("Identity", [total], node.outputs[0])
    return True


@rewrites("LRN")
def rewrite_local_response(builder: Builder, node: Node) -> bool:
    """Division by a power of the squares' sum over neighbouring channels, which a convolution along the channels computes."""
    source, attributes = node.inputs[0], node.attributes
    shape = builder.shapes[source]
    size = int(attributes["size"])
    squares = builder.reshape(builder.node("Mul", [source, source]), [shape[0], 1, shape[1], -1])
    factors = np.full((1, 1, size, 1), float(attributes.get("alpha", 1e-4)) / size)
    constants = [builder.constant(factors), builder.constant(np.array([attributes.get("bias", 1.0)], np.float64))]
    sums = builder.node("Conv", [squares, *constants], pads=[(size - 1) // 2, 0, size // 2, 0])
    power = builder.node("Pow", [builder.reshape(sums, shape), builder.constant(float(attributes.get("beta", 0.75)))])
    builder.node("Div", [source, power], node.outputs[0])
    return True


WIDE = (TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT32, TensorProto.UINT64)


@rewrites("MatMul")
def rewrite_narrow_product(builder: Builder, node: Node) -> bool:
    """Bytes and booleans, which ONNX does not multiply but exporters write: in 32 bits, then as narrow as they were."""
    kind = builder.type_of(node.inputs[0])
    if kind in WIDE:
        return False
    wide = [builder.node("Cast", [name], to=TensorProto.INT32) for name in node.inputs]
    builder.node("Cast", [builder.node("MatMul", wide)], node.outputs[0], to=kind)
    return True


@rewrites("Swish")
def rewrite_swish(builder: Builder, node: Node) -> bool:
    """x * sigmoid(alpha * x), which onnxruntime does not have by this name."""
    alpha = float(node.attributes.get("alpha", 1.0))
    steep = node.inputs[0] if alpha == 1.0 else builder.node("Mul", [node.inputs[0], builder.constant(alpha)])
    builder.node("Mul", [node.inputs[0], builder.node("Sigmoid", [steep])], node.outputs[0])
    return True
