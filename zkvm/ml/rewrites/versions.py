"""Operators as versions before 18 have them, written as version 18 has them, where it means something else or is spelled otherwise.

What is not here means the same in all versions. The onnx package's own converter is not used: it changes the meaning of some operators
(Hardmax, Resize, Upsample) and fails on others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder

Upgrade = Callable[[Builder, Node, int], None]
UPGRADES: dict[str, list[tuple[int, Upgrade]]] = {}
"""Operator -> (version below which it applies, function that writes the replacement from any older one)."""


def upgrades(*operators: str, below: int) -> Callable[[Upgrade], Upgrade]:
    """Register a function for older versions of operators.

    Args:
        operators: of the main domain.
        below: the version from which on nothing has to be done.
    """

    def register(function: Upgrade) -> Upgrade:
        for operator in operators:
            UPGRADES.setdefault(operator, []).append((below, function))
        return function

    return register


def upgraded(builder: Builder, node: Node, version: int) -> bool:
    """Write the node as version 18 has it; False if it can stay as it is."""
    for below, function in UPGRADES.get(node.operator, ()):
        if version < below:
            function(builder, node, version)
            return True
    if "consumed_inputs" in node.attributes:
        _again(builder, node, list(node.inputs), {key: value for key, value in node.attributes.items() if key != "consumed_inputs"})
        return True
    return False


def _again(builder: Builder, node: Node, inputs: list[str], attributes: dict[str, Any], operator: str = "") -> None:
    """The node with other inputs and attributes."""
    builder.nodes_of(operator or node.operator, inputs, node.outputs, **attributes)


def _as_inputs(builder: Builder, node: Node, names: tuple[str, ...]) -> tuple[list[str], dict[str, Any]]:
    """Attributes of integers become the inputs after the first."""
    attributes = dict(node.attributes)
    inputs = list(node.inputs)
    for position, name in enumerate(names, 1):
        if name in attributes:
            inputs += [""] * (position + 1 - len(inputs))
            inputs[position] = builder.constant(attributes.pop(name), np.int64)
    return inputs, attributes


@upgrades("Softmax", "LogSoftmax", "Hardmax", below=13)
def upgrade_softmax(builder: Builder, node: Node, version: int) -> None:
    """Over all axes from the given one on, flattened."""
    source, axis = node.inputs[0], int(node.attributes.get("axis", 1))
    shape = builder.shapes.get(source)
    if shape is not None:
        axis = min(axis % len(shape) if axis < len(shape) else axis, len(shape))
        rows = shape[axis:]
        if not rows or prod(rows) == max(rows):
            along = axis + int(np.argmax(rows)) if rows else -1
            builder.node(node.operator, [source], node.outputs[0], axis=along)
            return
    flat = builder.node(node.operator, [builder.node("Flatten", [source], axis=axis)], axis=-1)
    builder.node("Reshape", [flat, builder.node("Shape", [source])], node.outputs[0])


@upgrades("Add", "Sub", "Mul", "Div", "And", "Or", "Xor", "Equal", "Greater", "Less", "Pow", below=7)
def upgrade_broadcast(builder: Builder, node: Node, version: int) -> None:
    """The second input begins at a given axis of the first."""
    inputs = list(node.inputs)
    if "axis" in node.attributes and node.attributes.get("broadcast", 0):
        shapes = [builder.shapes.get(name) for name in inputs]
        if shapes[0] is None or shapes[1] is None:
            raise UsageError(f"{node.operator} {node.name!r}: the shapes that it broadcasts are not known")
        behind = len(shapes[0]) - int(node.attributes["axis"]) % len(shapes[0]) - len(shapes[1])
        if behind > 0:
            axes = builder.integers(*range(len(shapes[1]), len(shapes[1]) + behind))
            inputs[1] = builder.node("Unsqueeze", [inputs[1], axes])
    _again(builder, node, inputs, {})


@upgrades("PRelu", below=9)
def upgrade_prelu(builder: Builder, node: Node, version: int) -> None:
    """A list of slopes is one per channel."""
    shapes = [builder.shapes.get(name) for name in node.inputs]
    inputs = list(node.inputs)
    if version < 7 and shapes[1] is not None and len(shapes[1]) == 1 and shapes[1][0] > 1 and shapes[0] is not None and len(shapes[0]) > 2:
        inputs[1] = builder.node("Unsqueeze", [inputs[1], builder.integers(*range(1, len(shapes[0]) - 1))])
    _again(builder, node, inputs, {})


@upgrades("Gemm", below=7)
def upgrade_gemm(builder: Builder, node: Node, version: int) -> None:
    """Broadcasting always."""
    _again(builder, node, list(node.inputs), {key: value for key, value in node.attributes.items() if key != "broadcast"})


@upgrades("BatchNormalization", below=14)
def upgrade_batch_normalization(builder: Builder, node: Node, version: int) -> None:
    """For inference, per channel."""
    if not node.attributes.get("spatial", 1):
        raise UsageError(f"BatchNormalization {node.name!r}: per element (spatial 0) is not supported")
    dropped = ("spatial", "consumed_inputs", "is_test")
    attributes = {key: value for key, value in node.attributes.items() if key not in dropped}
    builder.node("BatchNormalization", node.inputs, node.outputs[0], **attributes)


@upgrades("Cast", below=6)
def upgrade_cast(builder: Builder, node: Node, version: int) -> None:
    """Types are numbers, not texts."""
    import onnx

    kind = node.attributes["to"]
    builder.node("Cast", node.inputs, node.outputs[0], to=onnx.TensorProto.DataType.Value(kind) if isinstance(kind, str) else kind)


@upgrades("Reshape", below=5)
def upgrade_reshape(builder: Builder, node: Node, version: int) -> None:
    """The shape is an input."""
    builder.reshape(node.inputs[0], node.attributes["shape"], node.outputs[0])


@upgrades("Tile", below=6)
def upgrade_tile(builder: Builder, node: Node, version: int) -> None:
    """Repeats of all axes, not of one."""
    count, axis = (int(builder.required(node, position).reshape(-1)[0]) for position in (1, 2))
    repeats = [1] * len(builder.shapes[node.inputs[0]])
    repeats[axis] = count
    builder.node("Tile", [node.inputs[0], builder.integers(*repeats)], node.outputs[0])


@upgrades("Concat", below=4)
def upgrade_concat(builder: Builder, node: Node, version: int) -> None:
    """The axis has a default."""
    builder.node("Concat", node.inputs, node.outputs[0], axis=int(node.attributes.get("axis", 1)))


@upgrades("Split", below=18)
def upgrade_split(builder: Builder, node: Node, version: int) -> None:
    """Sizes are an input; without sizes the number of parts is said."""
    inputs, attributes = _as_inputs(builder, node, ("split",))
    if not (len(inputs) > 1 and inputs[1]):
        attributes["num_outputs"] = len(node.outputs)
    elif version < 2:
        inputs[1] = builder.node("Cast", [inputs[1]], to=7)
    _again(builder, node, inputs, attributes)


@upgrades("Squeeze", "Unsqueeze", "ReduceSum", below=13)
@upgrades(
    "ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
    below=18,
)  # fmt: skip
def upgrade_axes(builder: Builder, node: Node, version: int) -> None:
    """Axes are an input."""
    inputs, attributes = _as_inputs(builder, node, ("axes",))
    _again(builder, node, inputs, attributes)


@upgrades("Slice", below=10)
def upgrade_slice(builder: Builder, node: Node, version: int) -> None:
    """Starts, ends and axes are inputs."""
    inputs, attributes = _as_inputs(builder, node, ("starts", "ends", "axes"))
    _again(builder, node, inputs, attributes)


@upgrades("TopK", below=10)
def upgrade_top(builder: Builder, node: Node, version: int) -> None:
    """How many is an input."""
    attributes = dict(node.attributes)
    _again(builder, node, [node.inputs[0], builder.integers(int(attributes.pop("k")))], attributes)


@upgrades("Pad", below=11)
def upgrade_pad(builder: Builder, node: Node, version: int) -> None:
    """Padding and what is filled in are inputs."""
    attributes = dict(node.attributes)
    pads = attributes.pop("pads", attributes.pop("paddings", None))
    value = attributes.pop("value", 0.0)
    inputs = [node.inputs[0], builder.constant(pads, np.int64)]
    if attributes.get("mode", "constant") == "constant":
        inputs.append(builder.constant(value, builder.dtype_of(node.inputs[0])))
    _again(builder, node, inputs, attributes)


@upgrades("Clip", below=11)
def upgrade_clip(builder: Builder, node: Node, version: int) -> None:
    """Bounds are inputs."""
    dtype = builder.dtype_of(node.inputs[0])
    bounds = [builder.constant(node.attributes[name], dtype) if name in node.attributes else "" for name in ("min", "max")]
    _again(builder, node, [node.inputs[0], *bounds], {})


@upgrades("Scatter", below=100)
def upgrade_scatter(builder: Builder, node: Node, version: int) -> None:
    """ScatterElements by its old name."""
    _again(builder, node, list(node.inputs), node.attributes, "ScatterElements")


@upgrades("Upsample", below=100)
def upgrade_upsample(builder: Builder, node: Node, version: int) -> None:
    """Resize by its old name; the scales were attributes."""
    attributes = dict(node.attributes)
    inputs = list(node.inputs)
    if version < 9:
        scales = attributes.get("scales")
        if scales is None:
            scales = [1.0, 1.0, float(attributes["height_scale"]), float(attributes["width_scale"])]
        inputs = [inputs[0], builder.constant(scales)]
    upgrade_resize(builder, replace(node, inputs=tuple(inputs), attributes={"mode": attributes.get("mode", "nearest")}), version)


@upgrades("Resize", below=11)
def upgrade_resize(builder: Builder, node: Node, version: int) -> None:
    """Positions count from the first pixel's edge; the nearest pixel is the one before if an axis grows, else the one after."""
    mode = "linear" if node.attributes.get("mode", "nearest") in ("linear", "bilinear") else "nearest"
    scales = builder.constants.get(node.inputs[1])
    form: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    if mode == "linear":
        builder.node("Resize", [node.inputs[0], "", node.inputs[1]], node.outputs[0], **form)
    elif scales is None or (scales >= 1).all():
        builder.node("Resize", [node.inputs[0], "", node.inputs[1]], node.outputs[0], nearest_mode="floor", **form)
    else:
        grown = builder.constant(np.maximum(scales, 1))
        larger = builder.node("Resize", [node.inputs[0], "", grown], nearest_mode="floor", **form)
        shrunk = builder.constant(np.minimum(scales, 1))
        builder.node("Resize", [larger, "", shrunk], node.outputs[0], nearest_mode="ceil", **form)


@upgrades("LpPool", "GlobalLpPool", below=2)
def upgrade_lp_pool(builder: Builder, node: Node, version: int) -> None:
    """The order was a real number."""
    _again(builder, node, list(node.inputs), node.attributes | {"p": int(node.attributes.get("p", 2))})


@upgrades("RNN", "GRU", "LSTM", below=7)
def upgrade_recurrent(builder: Builder, node: Node, version: int) -> None:
    """All outputs are there to be asked for."""
    _again(builder, node, list(node.inputs), {key: value for key, value in node.attributes.items() if key != "output_sequence"})


@upgrades("Scan", below=9)
def upgrade_scan(builder: Builder, node: Node, version: int) -> None:
    """With a batch axis: refused."""
    raise UsageError(f"Scan {node.name!r} of operator version {version} runs over a batch: export with version 9 or later")
