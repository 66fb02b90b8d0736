"""Composite operators written as simpler ones, in ONNX, before calibration: ranges are then known of every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zkvm.errors import UsageError
from zkvm.ml.node import Node, decode
from zkvm.ml.onnx_model import opset_of, traced_shapes

MAX_PASSES = 8


@dataclass
class Builder:
    """Writes the nodes that replace one.

    Attributes:
        prefix: for names. shapes: of all tensors. constants: known ones. opset: of the main domain.
    """

    prefix: str
    shapes: dict[str, tuple[int, ...]]
    constants: dict[str, NDArray[Any]]
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, array: NDArray[Any] | Sequence[Any] | float, dtype: Any = np.float32) -> str:
        """Name of a new constant tensor."""
        name = f"{self.prefix}/c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        name = f"{self.prefix}/{operator}{len(self.nodes)}"
        result = output or f"{name}:0"
        self.nodes.append(helper.make_node(operator, list(inputs), [result], name=name, domain=domain, **attributes))
        return result

    def split(self, source: str, parts: int, axis: int) -> list[str]:
        """Equal parts along an axis."""
        name = f"{self.prefix}/Split{len(self.nodes)}"
        results = [f"{name}:{part}" for part in range(parts)]
        extra: dict[str, Any] = {"num_outputs": parts} if self.opset >= 18 else {}
        self.nodes.append(helper.make_node("Split", [source], results, name=name, axis=axis, **extra))
        return results

    def reduce(self, operator: str, source: str, axes: Sequence[int], keepdims: int = 1, output: str | None = None) -> str:
        """A reduction, with axes as this operator version has them."""
        return self.node(operator, [source, self.constant(axes, np.int64)], output, keepdims=keepdims)

    def required(self, node: Node, position: int) -> NDArray[Any]:
        """An input that must be constant.

        Raises:
            UsageError: it is not.
        """
        name = node.inputs[position]
        if name not in self.constants:
            raise UsageError(f"{node.operator} {node.name!r}: input {position} is computed at run time; only constants are supported there")
        return self.constants[name]


Rewrite = Callable[[Builder, Node], bool]
"""Appends the replacement and returns True, or returns False if the node can stay."""
REWRITES: dict[tuple[str, str], Rewrite] = {}


def rewrites(*operators: str, domain: str = "") -> Callable[[Rewrite], Rewrite]:
    """Register a function as the rewriting of operators."""

    def register(function: Rewrite) -> Rewrite:
        for operator in operators:
            REWRITES[(domain, operator)] = function
        return function

    return register


def rewrite(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every composite operator replaced, until none is left."""
    from zkvm.ml.rewrites import classical, composite, quantized, recurrent

    assert all((classical, composite, quantized, recurrent))
    for number in range(MAX_PASSES):
        if not any((proto.domain, proto.op_type) in REWRITES for proto in model.graph.node):
            break
        shapes = traced_shapes(_without_maps(model))
        constants = _constants(model)
        nodes: list[onnx.NodeProto] = []
        changed = False
        for position, proto in enumerate(model.graph.node):
            function = REWRITES.get((proto.domain, proto.op_type))
            builder = Builder(f"{proto.name or proto.op_type}_{position}_{number}", shapes, constants, opset_of(model))
            if function is None or not function(builder, decode(proto, position)):
                nodes.append(proto)
                continue
            changed = True
            nodes += builder.nodes
            model.graph.initializer.extend(builder.initializers)
        if not changed:
            break
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        del model.graph.value_info[:]
        _drop_map_outputs(model)
    return model


def _constants(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Constant":
            found[node.output[0]] = np.asarray(helper.get_attribute_value(node.attribute[0]))
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


def _drop_map_outputs(model: onnx.ModelProto) -> None:
    """Outputs that were dictionaries are tensors now: forget their old types."""
    for output in model.graph.output:
        if not output.type.HasField("tensor_type"):
            output.ClearField("type")
