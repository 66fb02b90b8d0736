"""Operators and types that no compiled model can have, each with the reason."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from zkvm.errors import UsageError
from zkvm.ml.number_types import graphs_of

_RANDOM = "it draws random numbers, and what it gives cannot be proven; feed them as an input"
_COUNTED = "how many elements it gives depends on the data"
_REGIONS = "regions of computed size are not supported"
_OPTIMIZED = "onnxruntime wrote it for one kind of processor; save the model at a lower optimization level"
_FUSED = "export the model before onnxruntime merges attention, or with a lower optimization level"
REASONS = {
    "Bernoulli": _RANDOM, "RandomNormal": _RANDOM, "RandomUniform": _RANDOM, "RandomNormalLike": _RANDOM, "RandomUniformLike": _RANDOM,
    "Multinomial": _RANDOM, "NonMaxSuppression": _COUNTED, "NonZero": _COUNTED, "Unique": _COUNTED, "MaxRoiPool": _REGIONS,
    "RoiAlign": _REGIONS, "DeformConv": "places of computed offsets are not supported", "StringNormalizer": "it works on texts",
    "StringSplit": "it works on texts", "StringConcat": "it works on texts", "RegexFullMatch": "it works on texts",
    "TfIdfVectorizer": "it counts words", "ImageDecoder": "it reads files", "QAttention": _FUSED, "MultiHeadAttention": _FUSED,
    "GroupQueryAttention": _FUSED, "EmbedLayerNormalization": _FUSED, "ReorderInput": _OPTIMIZED, "ReorderOutput": _OPTIMIZED,
    "NhwcMaxPool": _OPTIMIZED,
}  # fmt: skip


_REALS = {TensorProto.DataType.Value(name) for name in TensorProto.DataType.keys() if name.startswith(("FLOAT8", "FLOAT4", "COMPLEX"))}
_SMALL = {TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2, TensorProto.UINT2}


def refuse_types(model: onnx.ModelProto) -> None:
    """Look for types whose arithmetic no compiled model has: real numbers of 8 and 4 bits, complex ones; integers of 4 and 2 bits that are
    no constants.

    Raises:
        UsageError: there is one; names it and where.
    """
    for graph in graphs_of(model.graph):
        small = {tensor.name for tensor in graph.initializer if tensor.data_type in _SMALL}
        for tensor in graph.initializer:
            _refuse_type(tensor.data_type, _REALS, f"tensor {tensor.name!r}")
        for entry in (*graph.input, *graph.output):
            _refuse_type(entry.type.tensor_type.elem_type, _REALS | _SMALL, f"tensor {entry.name!r}")
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype", "output_dtype"):
                    _refuse_type(attribute.i, _REALS | _SMALL, f"{node.op_type}, node {node.name!r}")
            if node.op_type == "QuantizeLinear" and small & set(node.input[2:]):
                raise UsageError(f"QuantizeLinear (node {node.name!r}) to integers of less than 8 bits is not supported")


def _refuse_type(found: int, refused: set[int], where: str) -> None:
    if found in refused:
        raise UsageError(f"type {TensorProto.DataType.Name(found)} ({where}) is not supported")


def refuse_impossible(model: onnx.ModelProto) -> None:
    """Look for such operators.

    Raises:
        UsageError: there is one; names it, its node, and the reason.
    """
    for graph in graphs_of(model.graph):
        for node in graph.node:
            reason = _OPTIMIZED if node.domain == "com.microsoft.nchwc" else REASONS.get(node.op_type)
            if reason is not None:
                raise UsageError(f"operator {node.op_type} (node {node.name!r}) is not supported: {reason}")
