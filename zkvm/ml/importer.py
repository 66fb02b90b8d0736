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
from onnx import numpy_helper

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.node import Node
from zkvm.ml.number_types import graphs_of, plain_domains, replace_all, single_precision
from zkvm.ml.onnx_model import OPSET, Port, fold, inferred, opset_of, port_of
from zkvm.ml.operators import FLOAT_LOWERINGS, LOWERINGS
from zkvm.ml.refusals import refuse_impossible, refuse_types
from zkvm.ml.rewrites import REWRITES, rewrite
from zkvm.ml.rewrites.passes import upgrade
from zkvm.ml.texts import without_texts

MAX_FILE_BYTES = 1 << 30
MAX_WORDS = 1 << 26
"""Activations and constants of a guest: a quarter of its address space."""
SLIM_NOISE = 2.0**-10
"""By how much of its largest magnitude an output may differ behind the simplifier: other orders of sums, not other functions."""


SUPPORTED = LOWERINGS.keys() | FLOAT_LOWERINGS.keys()
"""Operators that may be left in a model."""


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
        labels: names of the classes, by output that holds the number of one.
        notes: what the user should know about how the model was read.
        scaled: constants that are integers of 8 bits times scales: see ``small_weights.py``.
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
    notes: list[str] = field(default_factory=list)
    scaled: dict[str, int] = field(default_factory=dict)


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
    """Refuse weights that are not numbers, but where they are only looked at or moved. Infinities are numbers of masks."""
    readers: dict[str, set[str]] = {}
    for graph in graphs_of(model.graph):
        for node in graph.node:
            for name in node.input:
                readers.setdefault(name, set()).add(node.op_type)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype.kind == "f" and np.isnan(array).any() and not readers.get(tensor.name, set()) <= TAKES_NAN:
            raise UsageError(f"weight {tensor.name!r} holds a NaN")


TAKES_NAN = {"Where", "Concat", "Equal", "IsNaN", "Gather", "Expand", "Identity", "Reshape", "Pad", "ScatterND", "ScatterElements"}
"""Operators that can be given a NaN on purpose."""


def _check_sizes(model: onnx.ModelProto) -> None:
    """Refuse tensors that no guest can hold, before anything computes them."""
    for name, shape in inferred(model).shapes.items():
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
    """Fix shapes, write it in one operator version and number type, rewrite composite operators, simplify, fold constants.

    Args:
        model: as it was read.
        shapes: of inputs whose dimensions are open.
        simplify: run the simplifier, which looks at weights: it drops products with 1, and merges what is equal. Not if they are private.

    Raises:
        UsageError: open dimensions, or an operator that is not supported (names it, its node, and what is).
    """
    original = fix_shapes(model, shapes or {})
    _check_sizes(original)
    converted = onnx.ModelProto()
    converted.CopyFrom(original)
    plain_domains(converted, OPSET)
    refuse_types(original)
    kinds = single_precision(converted)
    notes = [f"{kind} numbers are computed as float32" for kind in kinds]
    refuse_impossible(converted)
    labels, scaled = without_texts(converted), dict[str, int]()
    try:
        converted = _rewritten(converted, simplify, scaled)
        opset = opset_of(converted)
        nodes, constants = fold(converted, opset, scaled)
        onnx_runtime.session(onnx_runtime.with_intermediates(converted))
    except onnx_runtime.RuntimeRefusal as error:
        reason = _refusal(original)
        if reason is not None:
            raise reason from error
        raise UsageError(f"zkvm's own rewriting of this model failed, which is no fault of the model; please report it: {error}") from error
    _check_operators(nodes)
    for name, array in constants.items():
        if array.dtype.kind == "f" and np.isnan(array).any() and not {node.operator for node in nodes if name in node.inputs} <= TAKES_NAN:
            raise UsageError(f"constant {name!r} holds a NaN")
    if _refusal(original) is not None:
        original = converted
        notes.append("onnxruntime does not run the model as it is in the file: accuracy is measured against the rewritten model")
    inputs = _typed_inputs(converted, original)
    outputs = [output.name for output in converted.graph.output]
    return ImportedModel(converted, original, nodes, constants, inputs, outputs, opset, simplify, labels, notes, scaled)


def _typed_inputs(converted: onnx.ModelProto, original: onnx.ModelProto) -> list[Port]:
    """The inputs, real numbers in the file's type: that is what people have, and what the float model gets."""
    given = {entry.name: entry for entry in original.graph.input}
    ports = [port_of(entry) for entry in converted.graph.input]
    others = {port.name: port_of(given[port.name]) for port in ports if port.name in given and port.dtype == np.float32}
    return [others[port.name] if port.name in others and others[port.name].dtype.kind == "f" else port for port in ports]


def _refusal(model: onnx.ModelProto) -> onnx_runtime.RuntimeRefusal | None:
    """Why onnxruntime does not run a model on zeros, if it does not."""
    try:
        onnx_runtime.session(model)
    except onnx_runtime.RuntimeRefusal as error:
        return error
    return None


def _check_operators(nodes: Sequence[Node]) -> None:
    """Refuse by name what nothing lowers."""
    for node in nodes:
        if (node.domain, node.operator) in SUPPORTED:
            continue
        where = f"node {node.name!r}, domain {node.domain or 'ai.onnx'}"
        if node.operator in ("If", "Loop", "Scan"):
            raise UsageError(f"operator {node.operator} ({where}) has a subgraph whose steps or shapes are only known while the model runs")
        known = ", ".join(sorted(operator for domain, operator in SUPPORTED if domain == ""))
        raise UsageError(f"operator {node.operator} ({where}) is not supported; supported: {known}")


def _rewritten(model: onnx.ModelProto, simplify: bool, scaled: dict[str, int]) -> onnx.ModelProto:
    """The model in the compiler's operator version, simplified where it can be, of operators that are lowered; see :func:`fold`."""
    weights = {tensor.name for tensor in model.graph.initializer}
    # Weights that are listed as inputs too (old files) are not inputs.
    replace_all(model.graph.input, [entry for entry in model.graph.input if entry.name not in weights])
    named = list(model.graph.input)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    upgrade(model)
    model = expanded(model)
    if simplify and all(entry.domain in ("", "ai.onnx") for entry in model.opset_import):
        model = _slim(model)
    model = rewrite(model, expanded, scaled)
    # An input that nothing reads is still one of the model's.
    order = [entry.name for entry in named]
    present = {entry.name: entry for entry in model.graph.input}
    if list(present) != order:
        replace_all(model.graph.input, [present.get(entry.name, entry) for entry in named])
    return model


def _slim(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model after the simplifier, if it leaves the outputs what they are."""
    try:
        import onnxslim

        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        slim: onnx.ModelProto = onnxslim.slim(copy)
        same = [output.name for output in slim.graph.output] == [output.name for output in model.graph.output]
        return slim if same and _same_answers(slim, model) else model
    except Exception:  # a failure of the simplifier costs efficiency, not correctness: constants are folded here too
        return model


def _same_answers(slim: onnx.ModelProto, model: onnx.ModelProto) -> bool:
    """Whether two models give the same on an input of random numbers, up to another order of sums; False if the model has no answer to it.

    The simplifier looks for patterns, and some of them are met by models that it then changes.
    """
    before, after = onnx_runtime.session(model), onnx_runtime.session(slim)
    for least in (0, 1):  # what is divided by must not be 0
        sample = _drawn(model, least)
        try:
            expected = onnx_runtime.run_session(before, sample)
        except onnx_runtime.RuntimeRefusal:
            continue
        found = onnx_runtime.run_session(after, sample)
        return all(_close(found[name], expected[name]) for name in expected)
    return False


def _drawn(model: onnx.ModelProto, least: int) -> dict[str, NDArray[Any]]:
    """Random numbers for a model: real ones within -1 and 1, integers ``least`` and 1."""
    random = np.random.default_rng(0)
    sample = {port.name: random.integers(least, 2, port.shape).astype(port.dtype) for port in map(port_of, model.graph.input)}
    for name, array in sample.items():
        if array.dtype.kind == "f":
            sample[name] = random.uniform(-1, 1, array.shape).astype(array.dtype)
    return sample


def _close(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether arrays are equal, real numbers within what another order of sums changes."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if expected.dtype.kind != "f":
        return bool((found == expected).all())
    finite = np.abs(expected[np.isfinite(expected)])
    return bool(np.allclose(found, expected, rtol=0, atol=SLIM_NOISE * float(finite.max(initial=0)), equal_nan=True))


def expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Operators that ONNX defines by others, written out as far as the compiler does not know them."""
    known = {operator for domain, operator in (*SUPPORTED, *REWRITES) if domain == ""} | {"Constant", "Shape", "Size"}
    nodes = [node for graph in graphs_of(model.graph) for node in graph.node]
    unknown = {node.op_type for node in nodes if node.domain == "" and node.op_type not in known and onnx.defs.has(node.op_type)}
    unknown = {name for name in unknown if _has_body(name)}
    if not unknown:
        return model
    try:
        return onnx.inliner.inline_selected_functions(model, [("", name) for name in unknown], inline_schema_functions=True)
    except Exception:  # the inliner fails on inputs that are left out
        return _expanded_singly(model, unknown)


def _expanded_singly(model: onnx.ModelProto, unknown: set[str]) -> onnx.ModelProto:
    """Operators written out one by one, each as a function of the model's own."""
    version, types = opset_of(model), inferred(model).types
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for number, node in enumerate(copy.graph.node):
        if node.domain or node.op_type not in unknown:
            continue
        kinds = [_type_bytes(types.get(name)) for name in node.input]
        schema: Any = onnx.defs.get_schema(node.op_type, version)
        try:
            body = onnx.FunctionProto()
            body.ParseFromString(schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), kinds))
        except Exception:  # what cannot be replaced is reported as unsupported, by name
            continue
        body.name, body.domain = f"{node.op_type}_{number}", OWN_DOMAIN
        node.op_type, node.domain = body.name, OWN_DOMAIN
        copy.functions.append(body)
    if not copy.functions:
        return model
    copy.opset_import.append(onnx.helper.make_opsetid(OWN_DOMAIN, 1))
    try:
        result = onnx.inliner.inline_local_functions(copy)
    except Exception:  # reported as unsupported, by name
        return model
    replace_all(result.opset_import, [entry for entry in result.opset_import if entry.domain != OWN_DOMAIN])
    return result


OWN_DOMAIN = "zkvm"


def _type_bytes(kind: int | None) -> bytes:
    """A tensor type as the schema wants it; nothing for an input that is left out."""
    return b"" if kind is None else bytes(onnx.helper.make_tensor_type_proto(kind, None).SerializeToString())


def _has_body(name: str) -> bool:
    schema: Any = onnx.defs.get_schema(name)
    return bool(schema.has_function or schema.has_context_dependent_function)
