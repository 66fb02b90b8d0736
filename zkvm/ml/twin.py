"""What is published of a private model must not depend on its weights: so a twin with other weights has to have the same code.

Everything that follows from the weights is asked for as private words (``code.py``). An operator that forgets it, or that chooses its
code by a weight or a range, makes the twin's text differ, and then nothing is written.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from zkvm.errors import GuestError, UsageError
from zkvm.ml.calibrate import calibrate
from zkvm.ml.card import static_card
from zkvm.ml.codegen import GeneratedCode, generate, interface_of
from zkvm.ml.compilation import Options
from zkvm.ml.importer import ImportedModel, import_model
from zkvm.ml.ir import Graph
from zkvm.ml.package import public_card
from zkvm.ml.quantize import quantize
from zkvm.ml.ranges import TensorInfo
from zkvm.ml.samples import Sample

SIZES = (1.1, -1.1, 0.01)
"""How much larger every other tensor of a twin is at least, and the ones between smaller, as binary logarithms. Scales are powers of two,
so it is more than one; the last size is for models that work with their own kind of weights only."""
LEARNED = (
    "coefficients", "intercepts", "rho", "support_vectors", "offset", "scale", "nodes_values", "target_weights", "class_weights",
    "base_values", "values_floats", "imputed_value_floats", "threshold",
)  # fmt: skip
"""Attributes of ai.onnx.ml that hold weights."""
SIZING = ("Resize", "Upsample", "Dropout")
"""Operators that have real numbers as shapes, or as what has no effect."""
MAX_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Original:
    """A compiled private model: what was imported, its integer model, the nodes in floats, tensor calls, code, and calibrated tensors."""

    imported: ImportedModel
    graph: Graph
    floats: Container[str]
    calls: bool
    code: GeneratedCode
    tensors: Mapping[str, TensorInfo]


def refuse_leaks(original: Original, samples: Sequence[Sample], options: Options) -> None:
    """Compare what is published of a private model with what is of its twins.

    Args:
        original: the model.
        samples: what calibrates the twins.
        options: of the compilation.

    Raises:
        GuestError: they differ: an operator does not keep its weights private.
        UsageError: no twin can be compiled.
    """
    reason, compared = "", 0
    for size in SIZES:
        if compared and abs(size) < 1:
            return
        try:
            imported = import_model(twin_of(original.imported.original, size), options.shapes, simplify=False)
            tensors = calibrate(imported, samples[:MAX_SAMPLES], options.method, options.precision.activation_bits, options.domain)
            # Ranges of inputs are known to everybody.
            tensors |= {port.name: original.tensors[port.name] for port in imported.inputs}
            graph = quantize(imported, tensors, options.precision, True, original.floats, original.calls)
            interface = interface_of([port.name for port in imported.inputs], imported.outputs, graph, options.privacy, imported.labels)
            twin = Original(imported, graph, original.floats, original.calls, generate(graph, options.privacy, interface.digest), tensors)
        except UsageError as error:
            reason = str(error)
            continue
        _compare_code(original.code.source.split("\n"), twin.code.source.split("\n"))
        if _published(original, options) != _published(twin, options):
            raise GuestError("private weights: the metadata would tell something about them")
        compared += 1
    if not compared:
        raise UsageError(f"private weights: no model with other weights can be compiled to compare the code with: {reason}")


def _published(model: Original, options: Options) -> list[Any]:
    """What model.json holds of a model, and how much the guest reads."""
    values = [*model.graph.inputs, *model.graph.outputs]
    tensors = [(value.shape, value.kind, value.lo, value.hi, None if value.secret else value.scale) for value in values]
    card = public_card(static_card(model.imported, model.graph, model.code, options.precision))
    read = len(model.code.private_words), len(model.code.private_tensor), model.code.private_byte_rows
    return [model.imported.inputs, model.imported.outputs, model.imported.labels, tensors, card, read]


def _compare_code(ours: list[str], others: list[str]) -> None:
    function = "the declarations"
    for line, other in zip(ours, others, strict=False):
        if line != other:
            raise GuestError(f"private weights: the code of {function} would tell something about them: {line.strip()[:200]!r}")
        if line.startswith("static __attribute__"):
            function = line.removesuffix("(void) {").split()[-1]
    if len(ours) != len(others):
        raise GuestError("private weights: the length of the code would tell something about them")


def twin_of(model: onnx.ModelProto, size: float) -> onnx.ModelProto:
    """The model with other weights of the same signs: tensors by turns larger and smaller by that many binary orders of magnitude."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    random = np.random.default_rng(0)
    for tensor in _weights(twin):
        array = numpy_helper.to_array(tensor)
        changed = _changed(array, random, size)
        size = -size if np.issubdtype(array.dtype, np.floating) else size
        if changed is not array:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(changed, name))
    for node in twin.graph.node:
        for attribute in node.attribute:
            if node.domain not in ("", "ai.onnx") and attribute.name in LEARNED:
                if attribute.type == onnx.AttributeProto.FLOATS:
                    attribute.floats[:] = _changed(np.array(attribute.floats, np.float32), random, size).tolist()
                elif attribute.type == onnx.AttributeProto.FLOAT:
                    attribute.f = float(_changed(np.array([attribute.f], np.float32), random, size)[0])
    return twin


def _weights(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Constants that may be weights: not those that decide about shapes."""
    sizes = {name for node in model.graph.node if node.op_type in SIZING for name in node.input[1:]}
    yield from (tensor for tensor in model.graph.initializer if tensor.name not in sizes)
    for node in model.graph.node:
        if sizes & set(node.output):
            continue
        yield from (attribute.t for attribute in node.attribute if attribute.type == onnx.AttributeProto.TENSOR)


def _changed(array: NDArray[Any], random: np.random.Generator, size: float) -> NDArray[Any]:
    """Real numbers a little larger or smaller, each by itself and all together; small integers in another order; others as they are.

    A channel of equal integers keeps them: what its scale is has never mattered, so with others its weights may be far too large.
    """
    if np.issubdtype(array.dtype, np.floating):
        factor = 2.0 ** (size * random.uniform(1, 1.5) * (1 + random.uniform(0, 0.5, array.shape)))
        return np.asarray(array * factor, array.dtype)
    if array.dtype in (np.int8, np.uint8) and array.size > 1:
        changed, moved = array.copy(), ~_in_equal_slices(array)
        changed[moved] = random.permutation(array[moved])
        return changed
    return array


def _in_equal_slices(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which elements are in a slice at one position of an axis, of two or more, that are all equal."""
    found = np.zeros(array.shape, np.bool_)
    for axis in range(array.ndim):
        others = tuple(other for other in range(array.ndim) if other != axis)
        if array.size > array.shape[axis]:
            found |= array.max(axis=others, keepdims=True) == array.min(axis=others, keepdims=True)
    return found
