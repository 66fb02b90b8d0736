"""Data movement: everything that only copies elements (Transpose, Slice, Concat, Pad, Expand, Gather with constant indices, ...).

Where each element comes from is found by running the ONNX node itself on element numbers instead of elements. The copies are then
written as nested loops where the numbers allow it, else with a table of positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Kind, Operation, Value
from zkvm.ml.lowering import Context, lowers
from zkvm.ml.node import Node

MAX_LOOPS = 6


@dataclass(eq=False)
class Move(Operation):
    """output[i] = element ``index[i]`` of the inputs laid end to end, or ``fill`` where the index is -1."""

    index: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    fill: int = 0

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        pool = np.concatenate([*(array.reshape(-1) for array in inputs), np.array([self.fill], np.int64)])
        return pool[self.index.reshape(-1)].reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        target, index = code.pointer(self.output), self.index.reshape(-1)
        if (index < 0).any():
            code.line(f"for (int i = 0; i < {len(index)}; i++) ({target})[i] = {self.fill};")
        first = 0
        for value in self.inputs:
            places = np.nonzero((index >= first) & (index < first + value.size))[0]
            if len(places):
                _emit_copy(code, code.pointer(value), target, places, index[places] - first)
            first += value.size


def _emit_copy(code: CodeWriter, source: str, target: str, places: IntArray, elements: IntArray) -> None:
    """target[places[i]] = source[elements[i]] as loops, or by tables."""
    loops = _loops(places, elements)
    if loops is None:
        # By table: half the loads if the places are consecutive.
        table = code.constant(elements, private=False, label="index")
        if (np.diff(places) == 1).all():
            code.line(f"for (int i = 0; i < {len(places)}; i++) ({target})[{places[0]} + i] = ({source})[{table}[i]];")
        else:
            to = code.constant(places, private=False, label="index")
            code.line(f"for (int i = 0; i < {len(places)}; i++) ({target})[{to}[i]] = ({source})[{table}[i]];")
        return
    where, element = f"{places[0]}", f"{elements[0]}"
    for depth, (count, place_step, element_step) in enumerate(reversed(loops)):
        unroll = "UNROLL_FOUR " if depth == len(loops) - 1 else ""
        code.line(f"{'  ' * depth}{unroll}for (int i{depth} = 0; i{depth} < {count}; i{depth}++)")
        where += f" + i{depth} * {place_step}"
        element += f" + i{depth} * {element_step}"
    code.line(f"{'  ' * len(loops)}({target})[{where}] = ({source})[{element}];")


def _loops(places: IntArray, elements: IntArray) -> list[tuple[int, int, int]] | None:
    """Nested loops (count, place step, element step), innermost first, that visit the pairs in order; None if they do not nest."""
    loops: list[tuple[int, int, int]] = []
    pairs = np.stack([places, elements], axis=1)
    while len(pairs) > 1:
        if len(loops) == MAX_LOOPS:
            return None
        steps = np.diff(pairs, axis=0)
        same = (steps == steps[0]).all(axis=1)
        run = len(pairs) if same.all() else int(np.argmin(same)) + 1
        if len(pairs) % run:
            return None
        blocks = pairs.reshape(-1, run, 2)
        if not (np.diff(blocks, axis=1) == steps[0]).all():
            return None
        loops.append((run, int(steps[0][0]), int(steps[0][1])))
        pairs = blocks[:, 0]
    return loops or [(1, 0, 0)]


def move(context: Context, name: str, sources: Sequence[Value], index: IntArray, fill: int = 0) -> Value:
    """Append a movement of values that share scale and kind; constants are moved at once, and order-keeping ones are views."""
    first = sources[0]
    shape = tuple(index.shape)
    flat = index.reshape(-1)
    if len(sources) == 1 and len(flat) == first.size and (flat == np.arange(first.size)).all():
        return context.view(first, shape)
    lo, hi = min(value.lo for value in sources), max(value.hi for value in sources)
    if (flat < 0).any():
        lo, hi = min(lo, fill), max(hi, fill)
    output = context.fresh(shape, lo, hi, first.scale, first.kind, label=name)
    operation = Move(name, tuple(sources), output, index, fill)
    if all(value.data is not None for value in sources):
        output.data = operation.evaluate(*(value.data for value in sources if value.data is not None))
        return output
    return context.add(operation)


def pad_value(context: Context, name: str, source: Value, pads: list[int], fill: int, gaps: list[int] | None = None) -> Value:
    """The value with ``fill`` around it (begins, then ends, as ONNX has them) and ``gaps`` fills between neighbours of each axis."""
    rank = len(source.shape)
    spread = gaps or [0] * rank
    if not any(pads) and not any(spread):
        return source
    sizes = [(size - 1) * (gap + 1) + 1 for size, gap in zip(source.shape, spread, strict=True)]
    index = np.full([size + pads[i] + pads[rank + i] for i, size in enumerate(sizes)], -1, np.int64)
    where, inner = [], []
    for axis, size in enumerate(sizes):
        positions = np.arange(source.shape[axis]) * (spread[axis] + 1) + pads[axis]
        kept = (positions >= 0) & (positions < index.shape[axis])  # negative padding cuts
        where.append(positions[kept])
        inner.append(np.arange(source.shape[axis])[kept])
        assert size >= 1
    index[np.ix_(*where)] = np.arange(source.size).reshape(source.shape)[np.ix_(*inner)]
    return move(context, name, [source], index, fill)


def broadcast(context: Context, name: str, value: Value, shape: tuple[int, ...]) -> Value:
    """The value repeated to a shape that it broadcasts to."""
    if value.shape == shape:
        return value
    index = np.broadcast_to(np.arange(value.size).reshape(value.shape), shape)
    return move(context, name, [value], np.ascontiguousarray(index))


def transpose(context: Context, name: str, value: Value, order: Sequence[int]) -> Value:
    """The value with its axes in another order."""
    index = np.arange(value.size).reshape(value.shape).transpose(order)
    return move(context, name, [value], np.ascontiguousarray(index))


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


@lowers(*MOVED)
def lower_move(context: Context, node: Node) -> None:
    """Run the node on element numbers, and copy what they say."""
    moved = MOVED[node.operator]
    positions = tuple(range(len(node.inputs))) if moved is None else moved
    if node.operator == "Gather" and node.inputs[1] not in context.constants:
        from zkvm.ml.operators.select import lower_gather

        return lower_gather(context, node)
    if node.operator == "GatherElements" and node.inputs[1] not in context.constants:
        from zkvm.ml.operators.select import lower_gather_elements

        return lower_gather_elements(context, node)
    if node.operator == "Resize" and node.attributes.get("mode", "nearest") != "nearest":
        raise UsageError(f"Resize {node.name!r}: mode {node.attributes['mode']!r}; nearest is supported")
    if node.operator.startswith("Scatter") and node.attributes.get("reduction", "none") != "none":
        raise UsageError(f"{node.operator} {node.name!r}: reduction {node.attributes['reduction']!r} is not supported")
    sources = _aligned(context, node, [context.operand(node.inputs[position]) for position in positions])
    arrays: list[NDArray[Any]] = []
    first = 1
    for position, name in enumerate(node.inputs):
        if position in positions:
            value = sources[positions.index(position)]
            arrays.append(np.arange(first, first + value.size, dtype=np.int64).reshape(value.shape))
            first += value.size
        else:
            arrays.append(context.required_constant(node, position) if name else np.zeros(0))
    numbers = _numbers(context, node, arrays)
    fill = _fill(context, node, sources[0])
    for name, array in zip(node.outputs, numbers, strict=False):
        if name:
            context.bind(name, move(context, node.name, sources, np.asarray(array, np.int64) - 1, fill))


def _numbers(context: Context, node: Node, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """The node's outputs on element numbers; what it fills in itself becomes 0."""
    if node.operator == "Pad" and node.attributes.get("mode", "constant") == "constant" and len(node.inputs) > 2:
        inputs = (*node.inputs[:2], "", *node.inputs[3:])
        node = replace(node, inputs=inputs)
        arrays = [*arrays[:2], np.zeros(0), *arrays[3:]]
    if node.operator in REAL_ONLY:
        # Element numbers below 2^24 are exact in float32.
        arrays = [arrays[0].astype(np.float32), *arrays[1:]]
    return context.run_node(node, arrays)


def _fill(context: Context, node: Node, source: Value) -> int:
    if node.operator != "Pad" or not node.has(2):
        return 0
    constant = float(context.required_constant(node, 2).reshape(-1)[0])
    return int(np.clip(np.round(constant / source.scale), -(2**31), 2**31 - 1))


def _aligned(context: Context, node: Node, sources: list[Value]) -> list[Value]:
    """The sources with one scale: the coarsest, unless constants can follow the others exactly enough."""
    if len(sources) == 1 or sources[0].kind is not Kind.REAL:
        return sources
    scale = max(value.scale for value in sources)
    return [context.rescaled(value, scale, node.name) for value in sources]
