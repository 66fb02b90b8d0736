"""Control flow written out: branches of If, steps of Loop and Scan, and the tensors of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.node import Node, decode
from zkvm.ml.number_types import graphs_of, replace_all
from zkvm.ml.rewrites.builder import Builder, rewrites

MAX_STEPS = 1 << 10
MAX_NODES = 1 << 17
"""Of what a loop becomes."""


def inline(builder: Builder, graph: onnx.GraphProto, bindings: Mapping[str, str]) -> list[str]:
    """Append a copy of a graph's nodes under new names; returns the names of its outputs.

    Args:
        builder: what they are appended to.
        graph: a branch, or the body of a loop.
        bindings: its inputs -> the tensors that they are.
    """
    prefix = f"{builder.prefix}/{len(builder.nodes)}.{len(builder.initializers)}"
    names = dict(bindings)
    for inner in graphs_of(graph):
        defined = [entry.name for entry in inner.input] if inner is not graph else []
        defined += [tensor.name for tensor in inner.initializer] + [name for node in inner.node for name in node.output if name]
        names |= {name: f"{prefix}/{name}" for name in defined}
    for tensor in graph.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = names[tensor.name]
        builder.initializers.append(copy)
    for node in graph.node:
        builder.nodes.append(_renamed(node, names, prefix))
    if len(builder.nodes) > MAX_NODES:
        raise UsageError(f"a loop becomes more than {MAX_NODES} nodes")
    return [names.get(output.name, output.name) for output in graph.output]


def _renamed(node: onnx.NodeProto, names: Mapping[str, str], prefix: str) -> onnx.NodeProto:
    """A copy of a node, and of all within it, with new names of tensors."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    if copy.name:
        copy.name = f"{prefix}/{copy.name}"
    for field in (copy.input, copy.output):
        field[:] = [names.get(name, name) for name in field]
    for attribute in copy.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            for graph in graphs_of(attribute.g):
                for entry in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
                    entry.name = names.get(entry.name, entry.name)
            replace_all(attribute.g.node, [_renamed(inner, names, prefix) for inner in list(attribute.g.node)])
    return copy


def known(builder: Builder, name: str) -> NDArray[Any] | None:
    """What a tensor is, if it follows from constants, through nodes that are not yet in the model."""
    if name in builder.constants:
        return builder.constants[name]
    for tensor in builder.initializers:
        if tensor.name == name:
            return numpy_helper.to_array(tensor)
    for position, proto in enumerate(builder.nodes):
        if name in proto.output:
            node = decode(proto, position)
            if any(isinstance(value, onnx.GraphProto) for value in node.attributes.values()):
                return None
            arrays = [known(builder, source) if source else np.zeros(0) for source in node.inputs]
            if any(array is None for array in arrays):
                return None
            results = onnx_runtime.run_node(node, [array for array in arrays if array is not None], builder.opset)
            builder.constants.update({output: array for output, array in zip(node.outputs, results, strict=True) if output})
            return builder.constants[name]
    return None


@rewrites("If")
def rewrite_branches(builder: Builder, node: Node) -> bool:
    """The branch that is taken; both, and a choice, if that is only known while the model runs."""
    condition = builder.constants.get(node.inputs[0])
    if condition is not None:
        branch = node.attributes["then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"]
        for inner, outer in zip(inline(builder, branch, {}), node.outputs, strict=False):
            if outer:
                builder.node("Identity", [inner], outer)
        return True
    scalar = builder.node("Reshape", [node.inputs[0], builder.constant(np.zeros(0), np.int64)])
    yes, no = (inline(builder, node.attributes[name], {}) for name in ("then_branch", "else_branch"))
    for first, second, outer in zip(yes, no, node.outputs, strict=False):
        if outer:
            builder.node("Where", [scalar, first, second], outer)
            builder.alike.append(
                (first, second, f"If {node.name!r}: its condition is computed at run time, and its branches differ in shape")
            )
    return True


@rewrites("Loop")
def rewrite_loop(builder: Builder, node: Node) -> bool:
    """Step by step, if the number of steps, or a bound of it, is known."""
    limit = builder.constants.get(node.inputs[0]) if node.has(0) else None
    if node.has(0) and limit is None:
        return False
    most = MAX_STEPS + 1 if limit is None else int(limit.reshape(-1)[0])
    body = node.attributes["body"]
    carried = list(node.inputs[2:])
    scanned: list[list[str]] = [[] for _ in body.output[1 + len(carried) :]]
    condition = node.inputs[1] if node.has(1) else builder.constant(True, np.bool_)
    active = ""  # whether the loop still runs, where that is computed at run time
    for step in range(max(most, 0)):
        going = known(builder, condition)
        if going is not None and not going.reshape(-1)[0]:
            break
        if step >= MAX_STEPS or (going is None and limit is None):
            raise UsageError(f"Loop {node.name!r}: more than {MAX_STEPS} steps, or no bound of how many")
        if going is None:
            if scanned:
                raise UsageError(f"Loop {node.name!r}: how many steps it does is computed at run time, and so the shape of its outputs")
            flag = builder.node("Reshape", [condition, builder.constant(np.zeros(0), np.int64)])
            active = builder.node("And", [active, flag]) if active else flag
        names = [entry.name for entry in body.input]
        bindings = dict(zip(names, [builder.constant(step, np.int64), condition, *carried], strict=True))
        condition, *results = inline(builder, body, bindings)
        updated = results[: len(carried)]
        if active:
            reason = f"Loop {node.name!r}: how many steps it does is computed at run time, and what it carries changes its shape"
            builder.alike += [(new, old, reason) for new, old in zip(updated, carried, strict=True)]
            updated = [builder.node("Where", [active, new, old]) for new, old in zip(updated, carried, strict=True)]
        carried = updated
        for parts, name in zip(scanned, results[len(carried) :], strict=True):
            parts.append(name)
    _finish(builder, node, carried, scanned, [(0, 0)] * len(scanned))
    return True


@rewrites("Scan")
def rewrite_scan(builder: Builder, node: Node) -> bool:
    """Step by step: the slices are known from the shapes."""
    attributes, body = node.attributes, node.attributes["body"]
    count = int(attributes["num_scan_inputs"])
    states, sources = list(node.inputs[: len(node.inputs) - count]), node.inputs[len(node.inputs) - count :]
    if any(name not in builder.shapes for name in sources):
        return False
    axes = [
        int(axis) % len(builder.shapes[name]) for axis, name in zip(attributes.get("scan_input_axes") or [0] * count, sources, strict=True)
    ]
    backward = attributes.get("scan_input_directions") or [0] * count
    outputs = len(body.output) - len(states)
    forms = list(
        zip(attributes.get("scan_output_axes") or [0] * outputs, attributes.get("scan_output_directions") or [0] * outputs, strict=True)
    )
    steps = builder.shapes[sources[0]][axes[0]]
    if steps > MAX_STEPS:
        raise UsageError(f"Scan {node.name!r}: {steps} steps; at most {MAX_STEPS} can be written out")
    scanned: list[list[str]] = [[] for _ in range(outputs)]
    for step in range(steps):
        slices = [
            builder.node("Gather", [name, builder.constant(steps - 1 - step if reverse else step, np.int64)], axis=axis)
            for name, axis, reverse in zip(sources, axes, backward, strict=True)
        ]
        results = inline(builder, body, dict(zip([entry.name for entry in body.input], [*states, *slices], strict=True)))
        states = results[: len(states)]
        for parts, name in zip(scanned, results[len(states) :], strict=True):
            parts.append(name)
    _finish(builder, node, states, scanned, forms)
    return True


def _finish(builder: Builder, node: Node, carried: Sequence[str], scanned: list[list[str]], forms: Sequence[tuple[int, int]]) -> None:
    """The outputs of a loop: what it carries, then what its steps gave, side by side."""
    for name, output in zip(carried, node.outputs, strict=False):
        if output:
            builder.node("Identity", [name], output)
    for parts, output, (axis, backward) in zip(scanned, node.outputs[len(carried) :], forms, strict=False):
        if not output:
            continue
        if not parts:
            raise UsageError(f"{node.operator} {node.name!r}: an output of no steps is empty")
        position = builder.integers(int(axis))
        wide = [builder.node("Unsqueeze", [part, position]) for part in (reversed(parts) if backward else parts)]
        builder.node("Concat", wide, output, axis=int(axis))


@rewrites("Identity")
def rewrite_identity(builder: Builder, node: Node) -> bool:
    """Nothing; a sequence under another name is known too."""
    if node.inputs[0] in builder.sequences:
        builder.sequences[node.outputs[0]] = builder.sequences[node.inputs[0]]
    return False


@rewrites("SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase")
def rewrite_sequence(builder: Builder, node: Node) -> bool:
    """Nothing: which tensors a sequence holds is noted, and whoever reads it reads them."""
    if node.operator in ("SequenceConstruct", "SequenceEmpty"):
        builder.sequences[node.outputs[0]] = list(node.inputs)
    elif node.inputs[0] in builder.sequences:
        tensors = list(builder.sequences[node.inputs[0]])
        last = 2 if node.operator == "SequenceInsert" else 1
        place = builder.constants.get(node.inputs[last]) if node.has(last) else None
        if node.has(last) and place is None:
            return False
        if node.operator == "SequenceErase":
            tensors.pop(-1 if place is None else int(place.reshape(-1)[0]))
        else:
            position = len(tensors) if place is None else int(place.reshape(-1)[0])
            tensors.insert(position, node.inputs[1])
        builder.sequences[node.outputs[0]] = tensors
    return False


@rewrites("SplitToSequence")
def rewrite_split(builder: Builder, node: Node) -> bool:
    """A Split whose parts are noted."""
    if node.outputs[0] in builder.sequences:
        return False
    shape = builder.shapes[node.inputs[0]]
    axis, keep = int(node.attributes.get("axis", 0)) % len(shape), int(node.attributes.get("keepdims", 1))
    sizes = builder.required(node, 1) if node.has(1) else np.ones((), np.int64)
    if sizes.ndim == 0:
        whole, rest = divmod(shape[axis], int(sizes))
        sizes = np.array([int(sizes)] * whole + ([rest] if rest else []), np.int64)
    names = [f"{builder.prefix}/part{index}" for index in range(len(sizes))]
    builder.nodes_of("Split", [node.inputs[0], builder.constant(sizes, np.int64)], names, axis=axis)
    if not node.has(1) and not keep:
        names = [builder.node("Squeeze", [name, builder.integers(axis)]) for name in names]
    builder.sequences[node.outputs[0]] = names
    builder.nodes_of(node.operator, node.inputs, node.outputs, **node.attributes)  # until nobody reads the sequence
    return True


@rewrites("SequenceAt", "SequenceLength", "ConcatFromSequence")
def rewrite_element(builder: Builder, node: Node) -> bool:
    """The tensors that a known sequence holds."""
    if node.inputs[0] not in builder.sequences:
        return False
    tensors = builder.sequences[node.inputs[0]]
    if node.operator == "SequenceLength":
        builder.node("Identity", [builder.constant(len(tensors), np.int64)], node.outputs[0])
    elif node.operator == "SequenceAt":
        place = builder.constants.get(node.inputs[1])
        if place is None:
            return False
        builder.node("Identity", [tensors[int(place.reshape(-1)[0])]], node.outputs[0])
    else:
        axis = int(node.attributes["axis"])
        if node.attributes.get("new_axis", 0):
            tensors = [builder.node("Unsqueeze", [name, builder.integers(axis)]) for name in tensors]
        builder.node("Concat", tensors, node.outputs[0], axis=axis)
    return True


@rewrites("OptionalGetElement", "OptionalHasElement", "Optional")
def rewrite_optional(builder: Builder, node: Node) -> bool:
    """What is there is there."""
    if node.operator == "OptionalHasElement":
        builder.node("Identity", [builder.constant(node.has(0), np.bool_)], node.outputs[0])
    elif node.has(0):
        builder.node("Identity", [node.inputs[0]], node.outputs[0])
    else:
        return False
    return True
