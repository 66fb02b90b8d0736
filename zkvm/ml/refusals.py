"""Operators that no compiled model can have, each with the reason."""

from __future__ import annotations

import onnx

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
