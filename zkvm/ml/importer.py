"""ONNX files -> a checked, simplified model with fixed shapes, in which only operators of the compiler are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.lowering import LOWERINGS, Node

MAX_FILE_BYTES = 1 << 30
MAX_WORDS = 1 << 26
"""Activations and constants of a guest: a quarter of its address space."""
OPSET = 18
"""Models are converted to this version; newer ones stay as they are."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the model: name, fixed shape, numpy dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass
class ImportedModel:
    """A model ready for calibration.

    Attributes:
        proto: what onnxruntime runs. nodes: in order, without constant ones. constants: by tensor name. opset: of the main domain.
        original: the file's model with fixed shapes, for accuracy against what the user gave.
    """

    proto: onnx.ModelProto
    original: onnx.ModelProto
    nodes: list[Node]
    constants: dict[str, NDArray[Any]]
    inputs: list[Port]
    outputs: list[str]
    opset: int


def load_model(path: Path) -> onnx.ModelProto:
    """Read and check a file.

    Raises:
        UsageError: too large, corrupt, external data missing, or not a valid model.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if size > MAX_FILE_BYTES:
        raise UsageError(f"{path}: {size} bytes; models of at most {MAX_FILE_BYTES} bytes can be compiled")
    try:
        model = onnx.load(str(path), load_external_data=False)
        _check_count(model)
        onnx.load_external_data_for_model(model, str(path.parent))
    except UsageError:
        raise
    except Exception as error:  # protobuf, OS and validation errors have no common base class
        reason = "its external data is missing" if "external" in str(error).lower() or isinstance(error, OSError) else "not an ONNX file"
        raise UsageError(f"{path}: {reason}: {str(error)[:300]}") from error
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise UsageError(f"{path}: not a valid ONNX model: {str(error)[:300]}") from error
    _check_weights(model)
    return model


def _check_count(model: onnx.ModelProto) -> None:
    """Refuse more weights than a guest's memory holds, before they are read."""
    total = sum(prod(tensor.dims) for tensor in model.graph.initializer)
    if total > MAX_WORDS:
        raise UsageError(f"the model has {total} parameters; at most {MAX_WORDS} fit the memory of a guest")


def _check_weights(model: onnx.ModelProto) -> None:
    """Refuse weights that no integer model can have."""
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array.astype(np.float64)).all():
            raise UsageError(f"weight {tensor.name!r} holds a NaN or an infinity")


def _check_sizes(model: onnx.ModelProto) -> None:
    """Refuse tensors that no guest can hold, before anything computes them."""
    for name, shape in _inferred_shapes(model).items():
        if prod(shape) > MAX_WORDS:
            raise UsageError(f"tensor {name!r} has shape {shape}, {prod(shape)} words; the memory of a guest holds {MAX_WORDS}")


def fix_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """A copy with fixed input shapes: those given; else an unnamed or symbolic first dimension becomes 1, one sample.

    Raises:
        UsageError: another dimension is open, or a given shape contradicts the model.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    weights = {tensor.name for tensor in fixed.graph.initializer}
    inputs = [entry for entry in fixed.graph.input if entry.name not in weights]
    if not inputs:
        raise UsageError("the model has no inputs: everything in it is constant")
    unknown = set(shapes) - {entry.name for entry in inputs}
    if unknown:
        raise UsageError(f"no input is called {sorted(unknown)[0]!r}; inputs: {', '.join(entry.name for entry in inputs)}")
    for entry in inputs:
        tensor = entry.type.tensor_type
        if not entry.type.HasField("tensor_type"):
            raise UsageError(f"input {entry.name!r} is not a tensor")
        dimensions = list(tensor.shape.dim)
        given = shapes.get(entry.name)
        if given is not None and len(given) != len(dimensions) and tensor.HasField("shape"):
            raise UsageError(f"input {entry.name!r} has {len(dimensions)} dimensions, not {len(given)}")
        if not tensor.HasField("shape"):
            if given is None:
                raise UsageError(f"input {entry.name!r} has no shape: give one, as in --shape {entry.name}=1,3,32,32")
            dimensions = [tensor.shape.dim.add() for _ in given]
        for position, dimension in enumerate(dimensions):
            _fix_dimension(entry.name, dimension, position, None if given is None else given[position])
    del fixed.graph.value_info[:]
    for output in fixed.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    return fixed


def _fix_dimension(name: str, dimension: Any, position: int, given: int | None) -> None:
    known = dimension.dim_value if dimension.HasField("dim_value") and dimension.dim_value > 0 else None
    if known is not None and given is not None and known != given:
        raise UsageError(f"input {name!r}: dimension {position} is {known}, not {given}")
    if known is None and given is None and position > 0:
        label = dimension.dim_param or "?"
        raise UsageError(f"input {name!r}: dimension {position} ({label}) is open: give a shape, as in --shape {name}=1,...")
    size = known if known is not None else given if given is not None else 1
    if size < 1:
        raise UsageError(f"input {name!r}: dimension {position} is {size}")
    dimension.dim_value = size


def import_model(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]] | None = None) -> ImportedModel:
    """Fix shapes, convert, rewrite composite operators, simplify, fold constants.

    Raises:
        UsageError: open dimensions, or an operator that is not supported (names it, its node, and what is).
    """
    from zkvm.ml import operators
    from zkvm.ml.rewrites import rewrite

    assert operators.__all__
    original = fix_shapes(model, shapes or {})
    _check_sizes(original)
    converted = rewrite(_convert(original))
    opset = opset_of(converted)
    for initializer in converted.graph.initializer:
        # Weights that are listed as inputs too (old files) are not inputs.
        for entry in [entry for entry in converted.graph.input if entry.name == initializer.name]:
            converted.graph.input.remove(entry)
    nodes, constants = fold(converted, opset)
    for node in nodes:
        if (node.domain, node.operator) not in LOWERINGS:
            known = ", ".join(sorted(operator for domain, operator in LOWERINGS if domain == node.domain))
            where = f"node {node.name!r}, domain {node.domain or 'ai.onnx'}"
            raise UsageError(f"operator {node.operator} ({where}) is not supported; supported: {known}")
    for name, array in constants.items():
        if np.issubdtype(array.dtype, np.floating) and np.isnan(array).any():
            raise UsageError(f"constant {name!r} holds a NaN")
    inputs = [_port(entry) for entry in converted.graph.input]
    return ImportedModel(converted, original, nodes, constants, inputs, [output.name for output in converted.graph.output], opset)


def _port(entry: onnx.ValueInfoProto) -> Port:
    tensor = entry.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return Port(entry.name, tuple(dimension.dim_value for dimension in tensor.shape.dim), dtype)


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the main operator domain."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=OPSET)


def _convert(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in the compiler's operator version, simplified where the simplifier can."""
    if not any(entry.domain in ("", "ai.onnx") for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", OPSET))
    model = _expanded(model)
    if opset_of(model) < OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:
            raise UsageError(f"the model cannot be converted to ONNX operator version {OPSET}: {str(error)[:300]}") from error
    if any(entry.domain not in ("", "ai.onnx") for entry in model.opset_import):
        return model
    try:
        import onnxslim

        slim: onnx.ModelProto = onnxslim.slim(model)
        return slim
    except Exception:  # a failure of the simplifier costs efficiency, not correctness: constants are folded here too
        return model


def _expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model's own functions, and operators that ONNX defines by others, written out as far as the compiler does not know them."""
    from zkvm.ml.rewrites import REWRITES

    known = {operator for domain, operator in (*LOWERINGS, *REWRITES) if domain == ""} | {"Constant", "Shape", "Size"}
    unknown = {node.op_type for node in model.graph.node if node.domain in ("", "ai.onnx")} - known
    if not unknown and not model.functions:
        return model
    try:
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        return onnx.inliner.inline_selected_functions(model, [("", name) for name in unknown], inline_schema_functions=True)
    except Exception:  # what cannot be replaced is reported as unsupported, by name
        return model


def decode(node: onnx.NodeProto, position: int) -> Node:
    """A node with Python attributes.

    Raises:
        UsageError: it has a subgraph.
    """
    attributes: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            raise UsageError(f"operator {node.op_type} (node {node.name!r}) has a subgraph: control flow is not supported")
        value = helper.get_attribute_value(attribute)
        attributes[attribute.name] = value.decode() if isinstance(value, bytes) else value
    domain = "" if node.domain == "ai.onnx" else node.domain
    name = node.name or f"{node.op_type}_{position}"
    return Node(node.op_type, name, tuple(node.input), tuple(node.output), attributes, domain)


def fold(model: onnx.ModelProto, opset: int) -> tuple[list[Node], dict[str, NDArray[Any]]]:
    """Nodes that depend on an input, and all constants, computed ones included. Shape nodes are constants: shapes are fixed."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes = traced_shapes(model)
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
            constants.update({name: array for name, array in zip(node.outputs, results, strict=True) if name})
        else:
            kept.append(node)
    live: list[Node] = []
    for node in reversed(kept):
        if needed & set(node.outputs):
            live.insert(0, node)
            needed |= set(node.inputs)
    return live, constants


def _inferred_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors for which shape inference finds all dimensions."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes: dict[str, tuple[int, ...]] = {}
    for entry in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input):
        dimensions = entry.type.tensor_type.shape.dim
        if entry.type.tensor_type.HasField("shape") and all(dimension.HasField("dim_value") for dimension in dimensions):
            shapes[entry.name] = tuple(dimension.dim_value for dimension in dimensions)
    return shapes


def traced_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors that shape inference finds, else of a run on zeros."""
    shapes = _inferred_shapes(model)
    produced = {name for node in model.graph.node for name in node.output if name}
    if produced <= set(shapes):
        return shapes
    runner = onnx_runtime.session(onnx_runtime.with_intermediates(model))
    zeros = {port.name: np.zeros(port.shape, port.dtype) for port in map(_port, model.graph.input)}
    results = onnx_runtime.run_session(runner, zeros)
    return shapes | {name: tuple(array.shape) for name, array in results.items() if isinstance(array, np.ndarray)}
