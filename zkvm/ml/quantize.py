"""The integer model of an imported and calibrated ONNX model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.bits import few_bits
from zkvm.ml.importer import ImportedModel
from zkvm.ml.imports import import_layout, layers_of_calls, layouts_read, whole_range
from zkvm.ml.ir import Graph, Kind, View
from zkvm.ml.layout import OFFSET
from zkvm.ml.lowering import WORDS, Context, Fusion, Lowering
from zkvm.ml.node import Node, first_output
from zkvm.ml.operations.convert import FromFloat
from zkvm.ml.operators import FLOAT_LOWERINGS, LOWERINGS
from zkvm.ml.operators.quantized import finished, parameters, quantized_range
from zkvm.ml.operators.sums import settled
from zkvm.ml.operators.unary import clip_range, two_bounds
from zkvm.ml.ranges import Precision, TensorInfo, quantization
from zkvm.ml.residence import InMemory
from zkvm.ml.value import Value

WATCHED_STEPS = 1 << 20
"""How finely the ends of the domain are seen."""


class Everything:
    """A set that holds every name: a model wholly in floats."""

    def __contains__(self, name: object) -> bool:
        """Always."""
        return True


def quantize(
    model: ImportedModel,
    tensors: Mapping[str, TensorInfo],
    precision: Precision,
    private: bool = False,
    floats: Container[str] = frozenset(),
    calls: bool = False,
) -> Graph:
    """Lower every node to operations on integers. An input that is to be a tensor as it comes, but is wanted in RAM too, is words.

    Args:
        model: the simplified model.
        tensors: ranges and kinds, by name.
        precision: bits of activations and weights.
        private: whether the weights are. Then neither they nor the ranges decide which operations there are.
        floats: nodes, by the name of their first output, whose real numbers are floats; those of the others are in fixed point.
        calls: whether layers may be tensor calls.

    Raises:
        UsageError: a shape or attribute that is not supported, or an accumulator that could overflow; names the node.
    """
    words = set[str]()
    while True:
        try:
            return _lowered(model, tensors, precision, private, floats, calls, words)
        except InMemory as wanted:
            name = str(wanted)
            if name in words:  # it would be so for ever
                raise
            words.add(name)


def _lowered(
    model: ImportedModel,
    tensors: Mapping[str, TensorInfo],
    precision: Precision,
    private: bool,
    floats: Container[str],
    calls: bool,
    words: Container[str],
) -> Graph:
    """See :func:`quantize`; ``words`` are inputs that are in RAM."""

    def run_node(node: Node, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return onnx_runtime.run_node(node, arrays, model.opset)

    context = Context(dict(tensors), model.constants, precision, Graph([], []), run_node, private)
    context.floats, context.tensor_calls, context.settle, context.scaled = floats, calls, settled, model.scaled
    context.followers = _followers(model)
    read = {name for node in model.nodes if node.operator != "DequantizeLinear" for name in node.inputs}
    context.only_real = {name for node in model.nodes for name in node.outputs} - read - set(model.outputs)
    if calls:
        wide = few_bits(model, ("Conv",), layers_of_calls(context, model))
        context.tensors |= {name: replace(info, most=wide.get(name, 0)) for name, info in tensors.items()}
        context.only_layers = {name for name, info in tensors.items() if info.kind is Kind.REAL and layouts_read(context, model, name)}
    context.fused = _fusions(context, model)
    candidates = model.inputs if calls else ()
    _bind_inputs(context, model, {port.name for port in candidates if port.name not in words})
    for node in model.nodes:
        if all(name == "" or name in context.done for name in node.outputs):
            continue
        before = len(context.graph.operations)
        try:
            _read_quantized(context, node)
            context.real_kind = _real_kind(context, node)
            _lowering(context, node)(context, node)
        except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{node.operator} (node {node.name!r}) has a form that is not supported: {error or type(error).__name__}"
            ) from error
        for operation in context.graph.operations[before:]:
            operation.name = node.name
    context.graph.outputs = [finished(context, name) for name in model.outputs]
    context.graph.tensors = {name: value for name, value in context.values.items() if name not in model.constants}
    _remove_unused(context)
    if any(operation.output.kind is Kind.REAL for operation in context.graph.operations):
        # Bounds of fixed-point values follow from the domain, which inputs in floats can leave.
        context.graph.operations[:0] = [_watched(context, name, value, tensors[name]) for name, value in _float_inputs(context, model)]
    return context.graph


def _float_inputs(context: Context, model: ImportedModel) -> list[tuple[str, Value]]:
    ports = zip(model.inputs, context.graph.inputs, strict=True)
    return [(port.name, value) for port, value in ports if value.kind is Kind.FLOAT]


def _watched(context: Context, name: str, value: Value, info: TensorInfo) -> FromFloat:
    """An operation that counts as saturated if an input has numbers beyond the domain; nobody reads its result."""
    scale = (max(abs(info.low), abs(info.high)) or 1.0) / WATCHED_STEPS
    hi = WATCHED_STEPS + 1
    output = context.fresh(value.shape, -hi if info.low < 0 else -1, hi, scale, label=value.name)
    output.guarded, output.secret = (True, True), False
    return FromFloat(f"input {name}", (value,), output, float(np.float32(1 / scale)))


def _read_quantized(context: Context, node: Node) -> None:
    """Quantized tensors are held less their zero points, for DequantizeLinear; a node that computes with them reads the integers that
    they are, and what one that moves a single one gives is held like it.
    """
    held = {name: context.values[name] for name in node.inputs if name in context.zero_points and name in context.values}
    quantized = [name for name, value in held.items() if value.kind is Kind.REAL]
    varying = [name for name in node.inputs if name and name not in context.constants]
    if not quantized or node.operator == "DequantizeLinear":
        return
    if (node.domain, node.operator) in WORDS and varying == quantized and len(quantized) == 1:
        context.zero_points |= {name: context.zero_points[quantized[0]] for name in node.outputs if name}
        return
    for name in quantized:
        context.values[name] = finished(context, name)


def _bind_inputs(context: Context, model: ImportedModel, imports: Container[str]) -> None:
    """The model's inputs: a real one is a float if a node that computes in floats reads it, if only after others have moved it.

    Args:
        context: of the lowering.
        model: the simplified model.
        imports: inputs that may become tensors as they come.
    """
    floating = set[str]()
    for node in reversed(model.nodes):
        key = (node.domain, node.operator)
        floats = first_output(node) in context.floats or key not in LOWERINGS
        if floating & set(node.outputs) if key in WORDS else floats:
            floating |= set(node.inputs)
    for port in model.inputs:
        info = context.tensors[port.name]
        layout = import_layout(context, model, port.name) if port.name in imports and port.name not in floating else None
        scale, lo, hi = quantization(info, context.precision)
        if layout is not None:
            scale, lo, hi = whole_range(info)
            value = context.fresh(port.shape, lo, hi, scale, label=port.name)
            value.name, value.layout, value.origin = port.name, layout, lo + OFFSET
        elif info.kind is Kind.REAL and (port.name in floating or isinstance(context.floats, Everything)):
            value = context.float_value(port.shape, port.name)
        else:
            if info.kind is Kind.REAL:  # what is beyond the domain has no bounds inside
                largest = min(hi, ceil(max(abs(info.low), abs(info.high)) / scale))
                lo, hi = -largest if lo < 0 else 0, largest
            value = context.fresh(port.shape, lo, hi, scale, info.kind, label=port.name)
        value.secret = False  # no weight has a part in the range of an input
        context.graph.inputs.append(value)
        context.bind(port.name, value)


def _lowering(context: Context, node: Node) -> Lowering:
    return (FLOAT_LOWERINGS if context.real_kind is Kind.FLOAT else LOWERINGS)[(node.domain, node.operator)]


def _real_kind(context: Context, node: Node) -> Kind:
    """What real numbers are in a node: as ``floats`` say, or, if it only moves words, as its inputs have them."""
    key = (node.domain, node.operator)
    chosen = Kind.FLOAT if first_output(node) in context.floats else Kind.REAL
    if key not in WORDS:
        # What there is in one kind only is computed in that.
        return Kind.REAL if key not in FLOAT_LOWERINGS else Kind.FLOAT if key not in LOWERINGS else chosen
    kinds = {context.values[name].kind for name in node.inputs if name in context.values and name not in context.constants}
    return Kind.FLOAT if Kind.FLOAT in kinds else Kind.REAL if Kind.REAL in kinds else chosen


def _followers(model: ImportedModel) -> dict[str, Node]:
    """Tensors that a single node reads once, and nobody else: that node."""
    readers = Counter(name for node in model.nodes for name in node.inputs) + Counter(model.outputs)
    return {name: node for node in model.nodes for name in node.inputs if name and readers[name] == 1}


def _fusions(context: Context, model: ImportedModel) -> dict[str, Fusion]:
    """Tensors whose single reader is a Relu, Clip or QuantizeLinear: that reader."""
    readers = Counter(name for node in model.nodes for name in node.inputs) + Counter(model.outputs)
    found = {}
    for node in model.nodes:
        floats = [name in context.floats for name in (first_output(node), *node.inputs[:1])]
        if any(floats) and not (all(floats) and node.operator == "Relu"):
            continue
        if node.operator == "QuantizeLinear" and readers[node.inputs[0]] == 1 and node.inputs[0] not in context.constants:
            scale, zero_point = parameters(context, node)
            lo, hi = quantized_range(zero_point)
            context.given[node.outputs[0]] = scale, lo, hi
            context.zero_points[node.outputs[0]] = zero_point
            found[node.inputs[0]] = Fusion(node.outputs[0], lo * scale, hi * scale)
            continue
        if node.operator not in ("Relu", "Clip") or readers[node.inputs[0]] != 1 or node.inputs[0] in context.constants:
            continue
        if any(name and name not in context.constants for name in node.inputs[1:]):
            continue
        if context.tensors[node.outputs[0]].kind is Kind.REAL:
            bounded = node.operator == "Clip" and two_bounds(node)
            found[node.inputs[0]] = Fusion(node.outputs[0], *clip_range(context, node), node.operator == "Relu", bounded)
    return found


def _remove_unused(context: Context) -> None:
    """Drop operations whose output nobody reads; a look at a tensor that somebody reads stays."""
    graph = context.graph
    needed = {id(value) for value in graph.outputs}
    kept = []
    for operation in reversed(graph.operations):
        if id(operation.output) in needed or context.checks.get(id(operation.output)) in needed:
            kept.append(operation)
            needed |= {id(value) for value in operation.inputs}
    graph.operations = kept[::-1]
    assert all(isinstance(operation, View) or operation.output.root is None for operation in graph.operations)
