"""Data movement: everything that only copies elements (Transpose, Slice, Concat, Pad, Expand, Gather with constant indices, ...).

Where each element comes from is found by running the ONNX node itself on element numbers instead of elements.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import INT32_MAX, power_of_two_at_least
from zkvm.ml.ir import Kind, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node
from zkvm.ml.operations.convert import float_bits
from zkvm.ml.operators.common import aligned, move
from zkvm.ml.operators.select import lower_gather, lower_gather_elements, lower_gather_nd, lower_scatter
from zkvm.ml.operators.sums import FEW_STEPS, bind_moved, of_one_scale, room_of
from zkvm.ml.operators.tensors import KEEPING

# Operator -> positions of the inputs whose elements are moved; the others are parameters and must be constant.
MOVED: dict[str, tuple[int, ...] | None] = {
    "Transpose": (0,), "Slice": (0,), "Expand": (0,), "Tile": (0,), "Gather": (0,), "GatherElements": (0,), "GatherND": (0,),
    "Split": (0,), "DepthToSpace": (0,), "SpaceToDepth": (0,), "ReverseSequence": (0,), "Compress": (0,), "Resize": (0,),
    "Upsample": (0,), "CenterCropPad": (0,), "ScatterElements": (0, 2), "Scatter": (0, 2), "ScatterND": (0, 2), "Concat": None,
    "Pad": (0,), "Trilu": (0,), "Reshape": (0,), "Flatten": (0,), "Squeeze": (0,), "Unsqueeze": (0,), "Identity": (0,), "Dropout": (0,),
}  # fmt: skip
"""None: all of them."""
REAL_ONLY = ("Resize", "Upsample", "DepthToSpace", "SpaceToDepth")
"""Operators that onnxruntime does not have for int64."""


COMPUTED = {
    "Gather": lower_gather, "GatherElements": lower_gather_elements, "GatherND": lower_gather_nd, "ScatterElements": lower_scatter,
    "Scatter": lower_scatter, "ScatterND": lower_scatter,
}  # fmt: skip
"""Operators whose positions may be computed."""


@lowers(*MOVED, words=True)
def lower_move(context: Context, node: Node) -> None:
    """Run the node on element numbers, and copy what they say."""
    if node.operator in KEEPING and (held := context.values.get(node.inputs[0])) is not None and held.resident:
        context.bind(node.outputs[0], context.view(held, context.info(node.outputs[0]).shape))
        return None
    moved = MOVED[node.operator]
    positions = tuple(range(len(node.inputs))) if moved is None else moved
    if node.operator in COMPUTED and (node.inputs[1] not in context.constants or node.attributes.get("reduction", "none") != "none"):
        return COMPUTED[node.operator](context, node)
    if node.operator == "Resize" and node.attributes.get("mode", "nearest") != "nearest":
        raise UsageError(f"Resize {node.name!r}: mode {node.attributes['mode']!r}; nearest is supported")
    in_tensors = _held(context, node, [node.inputs[position] for position in positions])
    sources = in_tensors or _aligned(context, node, [context.operand(node.inputs[position]) for position in positions])
    arrays: list[NDArray[Any]] = []
    first = 1
    for position, name in enumerate(node.inputs):
        if position in positions:
            value = sources[positions.index(position)]
            arrays.append(np.arange(first, first + value.size, dtype=np.int64).reshape(value.shape))
            first += value.size
        else:
            arrays.append(context.required_constant(node, position) if name else np.zeros(0))
    numbers = [np.asarray(array, np.int64) - 1 for array in _numbers(context, node, arrays)]
    if in_tensors:
        bind_moved(context, node, sources, numbers)
        return None
    fill, secret = 0, node.operator == "Pad" and node.has(2) and context.private
    if secret:
        sources, fill = _secretly_filled(context, node, sources[0])
    elif node.operator == "Pad" and node.has(2) and sources[0].kind is Kind.FLOAT:
        fill = float_bits(_filling(context, node))
    elif node.operator == "Pad" and node.has(2):
        fill = int(np.clip(np.round(_filling(context, node) / sources[0].scale), -(2**31), 2**31 - 1))
    for name, array in zip(node.outputs, numbers, strict=False):
        if name:
            context.bind(name, move(context, node.name, sources, array, fill, secret))


def _numbers(context: Context, node: Node, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """The node's outputs on element numbers; what it fills in itself becomes 0."""
    if node.operator == "Pad" and len(node.inputs) > 2:
        inputs = (*node.inputs[:2], "", *node.inputs[3:])
        node = replace(node, inputs=inputs)
        arrays = [*arrays[:2], np.zeros(0), *arrays[3:]]
    if node.operator in REAL_ONLY:
        # Element numbers below 2^24 are exact in float32.
        arrays = [arrays[0].astype(np.float32), *arrays[1:]]
    return context.run_node(node, arrays)


def _held(context: Context, node: Node, names: list[str]) -> list[Value]:
    """What is moved, in tensors and of one scale, if they hold all of it that is not constant, and nothing but zeros is filled in."""
    if node.operator == "Pad" and node.has(2) and (context.private or _filling(context, node) != 0):
        return []
    values = [context.held(name) for name in names]
    if not any(values) or any(value is None and name not in context.constants for name, value in zip(names, values, strict=True)):
        return []
    return of_one_scale(context, node.name, [value or context.operand(name) for name, value in zip(names, values, strict=True)])


MASK = 256.0
"""What is filled in and so many times larger than everything else is a mask, for which no resolution is given up."""


def _filling(context: Context, node: Node) -> float:
    return float(context.required_constant(node, 2).reshape(-1)[0])


def _secretly_filled(context: Context, node: Node, source: Value) -> tuple[list[Value], int]:
    """What is padded, with a scale in which what is filled in has room, and that as an integer.

    Of a public model the bounds grow instead; here they would say how large the constant is.
    """
    filling = _filling(context, node)
    if source.kind is Kind.FLOAT:
        return [source], float_bits(filling)
    if source.kind is not Kind.REAL:
        return [source], int(np.clip(filling, -INT32_MAX, INT32_MAX))
    bound = max(source.magnitude, (1 << 15) - 1)
    needed = abs(filling) / (bound * source.scale)
    scale = source.scale * (power_of_two_at_least(max(needed, 1.0)) if needed <= MASK else 1.0)
    rescaled = context.rescaled(source, scale, node.name)
    return [rescaled], int(np.clip(np.round(filling / scale), -bound, bound))


def _finer(context: Context, node: Node, value: Value) -> Value:
    room = room_of(value)
    return value if room == 1 else context.rescaled(value, value.scale / room, node.name, value.lo * room, value.hi * room)


def _aligned(context: Context, node: Node, sources: list[Value]) -> list[Value]:
    """The sources with one scale: the coarsest, but for those of few steps."""
    if len(sources) == 1 or sources[0].kind is not Kind.REAL:
        return sources
    if max(value.magnitude for value in sources) >= FEW_STEPS:
        sources = [_finer(context, node, value) for value in sources]
    return aligned(context, node.name, sources, max(value.scale for value in sources))
