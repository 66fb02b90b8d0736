"""Models in float16, bfloat16 and float64 as float32 models; operator domains and versions said once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OTHER_REALS: dict[int, str] = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16", TensorProto.DOUBLE: "float64"}
SMALL_INTEGERS: dict[int, int] = {
    TensorProto.INT4: TensorProto.INT8, TensorProto.UINT4: TensorProto.UINT8,
    TensorProto.INT2: TensorProto.INT8, TensorProto.UINT2: TensorProto.UINT8,
}  # fmt: skip
"""Of constants only: their numbers are the same in a byte."""
TYPE_ATTRIBUTES = ("to", "dtype", "stash_type", "softmax_precision")


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and all within it."""
    yield graph
    for inner in _inner(graph.node):
        yield from graphs_of(inner)


def _inner(nodes: Any) -> Iterator[onnx.GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g
            yield from attribute.graphs


def replace_all(repeated: Any, items: list[Any]) -> None:
    """Give a list of a message other elements."""
    del repeated[:]
    repeated.extend(items)


def single_precision(model: onnx.ModelProto) -> list[str]:
    """Make all real numbers of a model float32, in place.

    Returns:
        The names of the types that it had instead.
    """
    found: set[int] = set()
    graphs = [*graphs_of(model.graph)]
    for function in model.functions:
        _convert_nodes(function.node, found)
        graphs += [nested for inner in _inner(function.node) for nested in graphs_of(inner)]
    for graph in graphs:
        for tensor in graph.initializer:
            _convert_tensor(tensor, found)
        for entry in (*graph.input, *graph.output, *graph.value_info):
            _convert_type(entry.type, found)
        _convert_nodes(graph.node, found)
    return sorted(OTHER_REALS[kind] for kind in found)


def _convert_nodes(nodes: Any, found: set[int]) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _convert_tensor(attribute.t, found)
            elif attribute.type == onnx.AttributeProto.INT and attribute.name in TYPE_ATTRIBUTES and attribute.i in OTHER_REALS:
                found.add(attribute.i)
                attribute.i = TensorProto.FLOAT


def _convert_tensor(tensor: TensorProto, found: set[int]) -> None:
    if tensor.data_type in OTHER_REALS:
        found.add(tensor.data_type)
        tensor.CopyFrom(numpy_helper.from_array(as_single(numpy_helper.to_array(tensor)), tensor.name))
    elif tensor.data_type in SMALL_INTEGERS:
        wider = helper.tensor_dtype_to_np_dtype(SMALL_INTEGERS[tensor.data_type])
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(wider), tensor.name))


def as_single(array: NDArray[Any]) -> NDArray[np.float32]:
    """The nearest float32 numbers; what is too large but finite (a mask) is the largest."""
    wide = array.astype(np.float64)
    limit = float(np.finfo(np.float32).max)
    return np.where(np.isfinite(wide), np.clip(wide, -limit, limit), wide).astype(np.float32)


def _convert_type(kind: onnx.TypeProto, found: set[int]) -> None:
    if kind.HasField("tensor_type"):
        if kind.tensor_type.elem_type in OTHER_REALS:
            found.add(kind.tensor_type.elem_type)
            kind.tensor_type.elem_type = TensorProto.FLOAT
    elif kind.HasField("sequence_type"):
        _convert_type(kind.sequence_type.elem_type, found)
    elif kind.HasField("optional_type"):
        _convert_type(kind.optional_type.elem_type, found)


def plain_domains(model: onnx.ModelProto, newest: int) -> None:
    """One version for each domain, the last that the file names, as onnxruntime reads it; the main domain has one name.

    Args:
        model: changed in place.
        newest: version of the main domain if the file names none.
    """
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        versions["" if entry.domain == "ai.onnx" else entry.domain] = entry.version
    versions.setdefault("", newest)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())
    for graph in graphs_of(model.graph):
        for node in graph.node:
            if node.domain == "ai.onnx":
                node.domain = ""
