"""What follows from an ONNX model alone: its operator version, the shapes of its tensors, and which of them are constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.node import Node, decode
from zkvm.ml.small_weights import note_scaled

OPSET = 18
"""Models are converted to this version; newer ones stay as they are."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the model: name, fixed shape, numpy dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def port_of(entry: onnx.ValueInfoProto) -> Port:
    """What the model says of one of its inputs, whose shape is fixed."""
    tensor = entry.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return Port(entry.name, tuple(dimension.dim_value for dimension in tensor.shape.dim), dtype)


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the main operator domain."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=OPSET)


@dataclass(frozen=True, slots=True)
class Traced:
    """What is known of a model's tensors: shapes, and types as ONNX numbers them."""

    shapes: dict[str, tuple[int, ...]]
    types: dict[str, int]


def inferred(model: onnx.ModelProto) -> Traced:
    """Types of all tensors, and shapes of those for which shape inference finds all dimensions."""
    result = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in result.graph.initializer}
    types = {tensor.name: tensor.data_type for tensor in result.graph.initializer}
    for entry in (*result.graph.value_info, *result.graph.output, *result.graph.input):
        tensor = entry.type.tensor_type
        if tensor.elem_type:
            types[entry.name] = tensor.elem_type
        if tensor.HasField("shape") and all(dimension.HasField("dim_value") for dimension in tensor.shape.dim):
            shapes[entry.name] = tuple(dimension.dim_value for dimension in tensor.shape.dim)
    return Traced(shapes, types)


def traced(model: onnx.ModelProto, *, run: bool = True) -> Traced:
    """Shapes and types of all tensors that shape inference finds; else, or if it may be wrong, of runs on zeros and on ones.

    Args:
        model: its inputs have fixed shapes.
        run: whether it may be run.

    Raises:
        UsageError: a shape is not the same in both runs.
    """
    found = inferred(model)
    produced = {name for node in model.graph.node for name in node.output if name}
    # ONNX's inference and onnxruntime count the last window differently.
    rounded = any(attribute.name == "ceil_mode" and attribute.i for node in model.graph.node for attribute in node.attribute)
    if not run or (not rounded and produced <= set(found.shapes) and produced <= set(found.types)):
        return found
    runner = onnx_runtime.session(onnx_runtime.with_intermediates(model))
    ports = [port_of(entry) for entry in model.graph.input]
    arrays = _arrays(onnx_runtime.run_session(runner, {port.name: np.zeros(port.shape, port.dtype) for port in ports}))
    try:
        others = _arrays(onnx_runtime.run_session(runner, {port.name: np.ones(port.shape, port.dtype) for port in ports}))
    except onnx_runtime.RuntimeRefusal:  # ones may be no valid input, say for positions
        others = arrays
    for name, array in others.items():
        if name not in found.shapes and name in arrays and array.shape != arrays[name].shape:
            raise UsageError(f"the shape of tensor {name!r} depends on the input's numbers: a compiled model has fixed shapes")
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    types = {name: int(helper.np_dtype_to_tensor_dtype(array.dtype)) for name, array in arrays.items() if array.dtype.kind not in "OSU"}
    return Traced(found.shapes | shapes, found.types | types)


def _arrays(results: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Those that are tensors."""
    return {name: array for name, array in results.items() if isinstance(array, np.ndarray)}


def fold(model: onnx.ModelProto, opset: int, scaled: dict[str, int]) -> tuple[list[Node], dict[str, NDArray[Any]]]:
    """Nodes that depend on an input, and all constants, computed ones included. Shape nodes are constants: shapes are fixed. Tells
    ``scaled`` which constants are small integers times scales."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes = traced(model).shapes
    kept: list[Node] = []
    needed = {output.name for output in model.graph.output}
    for position, proto in enumerate(model.graph.node):
        node = decode(proto, position)
        if node.operator in ("Shape", "Size") and node.inputs[0] in shapes:
            shape = shapes[node.inputs[0]]
            part = shape[slice(node.attributes.get("start", 0), node.attributes.get("end"))]
            constants[node.outputs[0]] = np.array(part if node.operator == "Shape" else int(np.prod(shape)), np.int64)
        elif all(name == "" or name in constants for name in node.inputs) and not node.operator.startswith("Random"):
            results = onnx_runtime.run_node(node, [constants[name] if name else np.zeros(0) for name in node.inputs], opset)
            note_scaled(node, constants, scaled)
            constants.update({name: array for name, array in zip(node.outputs, results, strict=True) if name})
        else:
            kept.append(node)
    live: list[Node] = []
    for node in reversed(kept):
        if needed & set(node.outputs):
            live.insert(0, node)
            needed |= set(node.inputs)
    return live, constants
