"""ONNX files -> a checked, simplified model with fixed shapes, in which only operators of the compiler are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.onnx_model import OPSET, Port, fold, inferred_shapes, opset_of, port_of
from zkvm.ml.operators import FLOAT_LOWERINGS, LOWERINGS
from zkvm.ml.rewrites import REWRITES, rewrite

MAX_FILE_BYTES = 1 << 30
MAX_WORDS = 1 << 26
"""Activations and constants of a guest: a quarter of its address space."""


@dataclass
class ImportedModel:
    """A model ready for calibration.

    Attributes:
        proto: what onnxruntime runs.
        original: the file's model with fixed shapes, for accuracy against what the user gave.
        nodes: in order, without constant ones.
        constants: by tensor name.
        inputs: in order.
        outputs: names, in order.
        opset: of the main domain.
        simplified: by the simplifier, which looks at weights.
        labels: names of classes by output, where an output's integers stand for them.
    """

    proto: onnx.ModelProto
    original: onnx.ModelProto
    nodes: list[Node]
    constants: dict[str, NDArray[Any]]
    inputs: list[Port]
    outputs: list[str]
    opset: int
    simplified: bool = True
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)


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
    for name, shape in inferred_shapes(model).items():
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


def import_model(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]] | None = None, *, simplify: bool = True) -> ImportedModel:
    """Fix shapes, convert, rewrite composite operators, simplify, fold constants.

    Args:
        model: as it was read.
        shapes: of inputs whose dimensions are open.
        simplify: run the simplifier, which looks at weights: it drops products with 1, and merges what is equal. Not if they are private.

    Raises:
        UsageError: open dimensions, or an operator that is not supported (names it, its node, and what is).
    """
    original = fix_shapes(model, shapes or {})
    _check_sizes(original)
    converted = rewrite(_convert(original, simplify))
    opset = opset_of(converted)
    for initializer in converted.graph.initializer:
        # Weights that are listed as inputs too (old files) are not inputs.
        for entry in [entry for entry in converted.graph.input if entry.name == initializer.name]:
            converted.graph.input.remove(entry)
    nodes, constants = fold(converted, opset)
    for node in nodes:
        if (node.domain, node.operator) not in LOWERINGS.keys() | FLOAT_LOWERINGS.keys():
            known = ", ".join(sorted(operator for domain, operator in LOWERINGS.keys() | FLOAT_LOWERINGS.keys() if domain == node.domain))
            where = f"node {node.name!r}, domain {node.domain or 'ai.onnx'}"
            raise UsageError(f"operator {node.operator} ({where}) is not supported; supported: {known}")
    for name, array in constants.items():
        if np.issubdtype(array.dtype, np.floating) and np.isnan(array).any():
            raise UsageError(f"constant {name!r} holds a NaN")
    inputs = [port_of(entry) for entry in converted.graph.input]
    outputs = [output.name for output in converted.graph.output]
    return ImportedModel(converted, original, nodes, constants, inputs, outputs, opset, simplify)


def _convert(model: onnx.ModelProto, simplify: bool) -> onnx.ModelProto:
    """The model in the compiler's operator version, simplified where the simplifier can."""
    if not any(entry.domain in ("", "ai.onnx") for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", OPSET))
    model = _expanded(model)
    if opset_of(model) < OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:
            raise UsageError(f"the model cannot be converted to ONNX operator version {OPSET}: {str(error)[:300]}") from error
    if not simplify or any(entry.domain not in ("", "ai.onnx") for entry in model.opset_import):
        return model
    try:
        import onnxslim

        slim: onnx.ModelProto = onnxslim.slim(model)
        return slim
    except Exception:  # a failure of the simplifier costs efficiency, not correctness: constants are folded here too
        return model


def _expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model's own functions, and operators that ONNX defines by others, written out as far as the compiler does not know them."""
    known = {operator for domain, operator in (*LOWERINGS, *FLOAT_LOWERINGS, *REWRITES) if domain == ""} | {"Constant", "Shape", "Size"}
    unknown = {node.op_type for node in model.graph.node if node.domain in ("", "ai.onnx")} - known
    if not unknown and not model.functions:
        return model
    try:
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        return onnx.inliner.inline_selected_functions(model, [("", name) for name in unknown], inline_schema_functions=True)
    except Exception:  # what cannot be replaced is reported as unsupported, by name
        return model
