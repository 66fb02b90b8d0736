"""Passes over a model until no composite operator is left in it: what one is replaced by may hold others."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zkvm.ml.node import decode
from zkvm.ml.onnx_model import opset_of, traced_shapes
from zkvm.ml.rewrites.builder import REWRITES, Builder

MAX_PASSES = 8


def rewrite(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every composite operator replaced, until none is left."""
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
