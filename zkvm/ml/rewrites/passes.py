"""Passes over a model until no composite operator is left in it: what one is replaced by may hold others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.node import Node, decode
from zkvm.ml.number_types import graphs_of, replace_all
from zkvm.ml.onnx_model import OPSET, Traced, opset_of, traced
from zkvm.ml.rewrites.builder import REWRITES, Builder
from zkvm.ml.rewrites.trees import older_form
from zkvm.ml.rewrites.versions import upgraded
from zkvm.ml.small_weights import note_scaled

MAX_PASSES = 40
MAX_FOLDED = 1 << 24
"""Elements of a constant that is computed here."""
NOT_FOLDED = ("Random", "Sequence", "Optional", "SplitToSequence", "ConcatFromSequence", "Bernoulli", "Multinomial", "Constant")


@dataclass
class State:
    """What passes tell the next ones.

    Attributes:
        sequences: the tensors of every known sequence.
        alike: pairs of tensors that must have one shape, and what to say if not.
        scaled: constants that are integers of 8 bits times scales: see ``small_weights.py``.
    """

    sequences: dict[str, list[str]] = field(default_factory=dict)
    alike: list[tuple[str, str, str]] = field(default_factory=list)
    scaled: dict[str, int] = field(default_factory=dict)


def upgrade(model: onnx.ModelProto) -> None:
    """Write operators of versions before 18 as version 18 has them, in place, within branches and loops too."""
    _newer_trees(model)
    version = opset_of(model)
    if version >= OPSET:
        return
    shapes: Traced = traced(model, run=False)
    # The inner ones first: whoever replaces nodes copies them, and what is within them.
    for number, graph in reversed(list(enumerate(graphs_of(model.graph)))):
        constants = _constants(graph)
        nodes: list[onnx.NodeProto] = []
        for position, proto in enumerate(graph.node):
            where = f"{proto.name or proto.op_type}_{position}_v{number}"
            builder = Builder(where, shapes.shapes if number == 0 else {}, constants, OPSET, types=shapes.types)
            if proto.domain == "" and upgraded(builder, decode(proto, position), version):
                nodes += builder.nodes
                graph.initializer.extend(builder.initializers)
            else:
                nodes.append(proto)
        replace_all(graph.node, nodes)
    del model.graph.value_info[:]
    for entry in model.opset_import:
        if entry.domain == "":
            entry.version = OPSET


def _newer_trees(model: onnx.ModelProto) -> None:
    """Trees of version 5 of ai.onnx.ml as version 3 has them; that domain in a version in which trees and encoders are known."""
    for entry in model.opset_import:
        if entry.domain == "ai.onnx.ml":
            entry.version = onnx_runtime.DOMAINS[entry.domain]
    nodes: list[onnx.NodeProto] = []
    for position, proto in enumerate(model.graph.node):
        if proto.op_type == "TreeEnsemble":
            builder = Builder(f"{proto.name or proto.op_type}_{position}", {}, {}, OPSET)
            older_form(builder, decode(proto, position))
            nodes += builder.nodes
        else:
            nodes.append(proto)
    replace_all(model.graph.node, nodes)


def rewrite(
    model: onnx.ModelProto,
    expand: Callable[[onnx.ModelProto], onnx.ModelProto] = lambda model: model,
    scaled: dict[str, int] | None = None,
) -> onnx.ModelProto:
    """The model with every composite operator replaced, until none is left, and with constants computed.

    Args:
        model: changed in place.
        expand: writes operators out that ONNX defines by others.
        scaled: is told which constants are integers of 8 bits times scales.
    """
    state = State(scaled={} if scaled is None else scaled)
    for number in range(MAX_PASSES):
        model = expand(model)
        known = traced(_without_maps(model))
        for first, second, reason in state.alike:
            if known.shapes.get(first) != known.shapes.get(second):
                raise UsageError(reason)
        state.alike.clear()
        constants = fold_constants(model, known, state.scaled)
        changed = _rewrite_once(model, number, known, constants, state)
        prune(model)
        if not changed:
            break
    return model


def _rewrite_once(model: onnx.ModelProto, number: int, known: Traced, constants: dict[str, NDArray[Any]], state: State) -> bool:
    nodes: list[onnx.NodeProto] = []
    changed = False
    for position, proto in enumerate(model.graph.node):
        function = REWRITES.get((proto.domain, proto.op_type))
        where = f"{proto.name or proto.op_type}_{position}_{number}"
        builder = Builder(where, known.shapes, constants, opset_of(model), types=known.types)
        builder.sequences, builder.alike, builder.scaled = state.sequences, state.alike, state.scaled
        if function is None or not function(builder, decode(proto, position)):
            nodes.append(proto)
            continue
        changed = True
        nodes += builder.nodes
        model.graph.initializer.extend(builder.initializers)
    replace_all(model.graph.node, nodes)
    del model.graph.value_info[:]
    for output in model.graph.output:
        if not output.type.HasField("tensor_type"):  # a dictionary was, which is a tensor now
            output.ClearField("type")
    return changed


def fold_constants(model: onnx.ModelProto, known: Traced, scaled: dict[str, int]) -> dict[str, NDArray[Any]]:
    """Compute what follows from constants and shapes alone, in place; returns all constants, and tells ``scaled`` which are small integers
    times scales."""
    constants = _constants(model.graph)
    kept: list[onnx.NodeProto] = []
    outputs = {output.name for output in model.graph.output}
    for position, proto in enumerate(model.graph.node):
        node = decode(proto, position)
        results = None if _is_copy(node, outputs) else _constant_results(node, constants, known, opset_of(model))
        if results is None:
            kept.append(proto)
            continue
        note_scaled(node, constants, scaled)
        constants.update(results)
        known.shapes.update({name: array.shape for name, array in results.items()})
        for name, array in results.items():
            initial = f"{name}/constant" if name in outputs else name  # an output has to come out of a node
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), initial))
            if name in outputs:
                kept.append(helper.make_node("Identity", [initial], [name], name=f"{name}/copy"))
    replace_all(model.graph.node, kept)
    return constants


def _is_copy(node: Node, outputs: set[str]) -> bool:
    return node.operator == "Identity" and node.outputs[0] in outputs


def _constant_results(node: Node, constants: dict[str, NDArray[Any]], known: Traced, opset: int) -> dict[str, NDArray[Any]] | None:
    """The outputs of a node by name, if they are constant."""
    if node.operator == "Constant" and node.domain == "":
        return {node.outputs[0]: constants[node.outputs[0]]} if node.outputs[0] in constants else None
    shape = known.shapes.get(node.inputs[0]) if node.inputs else None
    if node.domain == "" and shape is not None and node.operator in ("Shape", "Size"):
        part = shape[slice(node.attributes.get("start", 0), node.attributes.get("end"))]
        return {node.outputs[0]: np.array(part if node.operator == "Shape" else int(np.prod(shape)), np.int64)}
    if node.operator == "EyeLike" and shape is not None and node.inputs[0] not in constants:
        dtype = node.attributes.get("dtype", known.types.get(node.inputs[0], onnx.TensorProto.FLOAT))
        return {node.outputs[0]: np.eye(shape[0], shape[1], node.attributes.get("k", 0)).astype(helper.tensor_dtype_to_np_dtype(dtype))}
    if node.operator.startswith(NOT_FOLDED) and node.operator != "ConstantOfShape":
        return None
    if any(isinstance(value, onnx.GraphProto) for value in node.attributes.values()):
        return None
    if not all(name == "" or name in constants for name in node.inputs):
        return None
    if any(int(np.prod(known.shapes.get(name, ()))) > MAX_FOLDED for name in node.outputs):
        return None
    results = onnx_runtime.run_node(node, [constants[name] if name else np.zeros(0) for name in node.inputs], opset)
    return {name: array for name, array in zip(node.outputs, results, strict=True) if name}


def prune(model: onnx.ModelProto) -> None:
    """Drop nodes and weights that no output needs, in place."""
    needed = {output.name for output in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
            for attribute in node.attribute:
                for graph in graphs_of(attribute.g) if attribute.type == onnx.AttributeProto.GRAPH else ():
                    needed |= {name for inner in graph.node for name in inner.input} | {output.name for output in graph.output}
    replace_all(model.graph.node, kept[::-1])
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    if len(weights) < len(model.graph.initializer):
        replace_all(model.graph.initializer, weights)


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Constant" and node.attribute[0].name != "sparse_value":
            value = node.attribute[0]
            dtype = np.float32 if value.name.startswith("value_float") else np.int64
            found[node.output[0]] = np.asarray(helper.get_attribute_value(value), dtype)
        elif node.op_type == "Identity" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _without_maps(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without ZipMap nodes, whose outputs are not tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in [node for node in copy.graph.node if node.op_type == "ZipMap"]:
        copy.graph.node.remove(node)
        for output in [output for output in copy.graph.output if output.name == node.output[0]]:
            copy.graph.output.remove(output)
    return copy
