"""Labels of two models for one input, and which of their differences are none: where the float model itself does not decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from zkvm.ml.node import Node, decode

Array = NDArray[Any]
NOISE = 2.0**-19
"""Scores that differ by less than this part of the row's largest magnitude are equal: 16 units in the last place of a float32, which is
what another order of its sums makes of a float model's scores."""
CLASSES = ("classlabels_strings", "classlabels_ints", "classlabels_int64s")
ENCODED = ("strings", "int64s", "floats")
PASSING = {"Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Cast"}
QUANTIZING = {"QuantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "QGemm"}
"""Operators, beside all QLinear ones, whose integers are rounded real numbers, and no labels."""
MOVING = PASSING | {"Transpose", "Concat", "Slice", "Split", "Gather", "Pad", "MaxPool", "Clip", "Relu"}
"""What may come behind them."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Differing labels that count, those that are ties, and the first that counts in words."""

    flips: int
    ties: int
    first: str = ""


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Where an output of labels comes from.

    Attributes:
        scores: the tensor of scores, empty if none is known.
        classes: the label of every position in a row of them.
        numbers: whether these are no labels, but rounded real numbers.
    """

    scores: str = ""
    classes: tuple[Any, ...] = ()
    numbers: bool = False

    def place(self, label: Any) -> int:
        """The position of a label's score; -1 if there is none."""
        if not self.classes:
            return int(label) if isinstance(label, int) else -1
        return self.classes.index(label) if label in self.classes else -1


def label_sources(model: onnx.ModelProto) -> dict[str, LabelSource]:
    """The source of every output that consists of labels, as far as the model says it."""
    producers = {name: proto for proto in model.graph.node for name in proto.output if name}
    return {output.name: _quantized(producers, output.name) or _source(producers, output.name) for output in model.graph.output}


def of_operator(model: onnx.ModelProto, operator: str) -> set[str]:
    """Outputs that are results of this operator, perhaps moved."""
    producers, found = {name: proto for proto in model.graph.node for name in proto.output if name}, set()
    for output in model.graph.output:
        name = output.name
        while name in producers and producers[name].op_type in MOVING:
            name = producers[name].input[0]
        if name in producers and producers[name].op_type == operator:
            found.add(output.name)
    return found


def _quantized(producers: dict[str, onnx.NodeProto], name: str) -> LabelSource | None:
    while name in producers and producers[name].op_type in MOVING:
        name = producers[name].input[0]
    operator = producers[name].op_type if name in producers else ""
    return LabelSource(numbers=True) if operator in QUANTIZING or operator.startswith("QLinear") else None


def _source(producers: dict[str, onnx.NodeProto], name: str) -> LabelSource:
    encoders: list[Node] = []
    while name in producers and not any(attribute.HasField("g") for attribute in producers[name].attribute):
        node = decode(producers[name], 0)
        if node.operator == "LabelEncoder":
            encoders.append(node)
        elif node.operator == "ArgMax":
            return LabelSource(node.inputs[0])
        elif any(key in node.attributes for key in CLASSES) and name == node.outputs[0]:
            classes = list(next(node.attributes[key] for key in CLASSES if node.attributes.get(key)))
            for encoder in reversed(encoders):
                keys, values = (
                    next((list(encoder.attributes[f"{part}_{kind}"]) for kind in ENCODED if encoder.attributes.get(f"{part}_{kind}")), [])
                    for part in ("keys", "values")
                )
                classes = [values[keys.index(entry)] if entry in keys else entry for entry in classes]
            return LabelSource(node.outputs[1] if len(node.outputs) > 1 else "", tuple(map(_plain, classes)))
        elif node.operator not in PASSING:
            break
        name = node.inputs[0]
    return LabelSource()


def _plain(label: Any) -> Any:
    """A label as Python has it: text or integer."""
    if isinstance(label, bytes):
        return label.decode()
    return label if isinstance(label, str) else int(label)


def differing_labels(result: Array, real: Array, source: LabelSource, scores: Array | None) -> Labels:
    """Compare labels, one of a row of scores.

    Args:
        result: of the integer model: labels; for texts their positions may stand.
        real: of the float model.
        source: of the labels.
        scores: of the float model.
    """
    theirs = [_plain(label) for label in real.reshape(-1).tolist()]
    ours = [_plain(label) for label in result.reshape(-1).tolist()]
    if real.dtype.kind in "OSU" and result.dtype.kind not in "OSU":
        ours = [source.classes[place] if 0 <= place < len(source.classes) else place for place in ours]
        if not source.classes:  # nothing says which text a number is
            return Labels(0, 0)
    rows = None
    if scores is not None and scores.ndim and scores.size == len(theirs) * scores.shape[-1]:
        rows = scores.reshape(len(theirs), -1)
    return _counted(ours, theirs, rows, [source.place(label) for label in ours], [source.place(label) for label in theirs])


def differing_rows(result: Array, real: Array) -> Labels:
    """Compare the positions of the largest scores of rows, which are the last axis."""
    rows = real.reshape(-1, real.shape[-1])
    ours, theirs = (array.reshape(rows.shape).argmax(axis=1).tolist() for array in (result, real))
    return _counted(ours, theirs, rows, ours, theirs)


def _counted(ours: Sequence[Any], theirs: Sequence[Any], scores: Array | None, our: Sequence[int], their: Sequence[int]) -> Labels:
    """Count labels that differ, and among them those that have equal scores."""
    flips, ties, first = 0, 0, ""
    for row, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if one == other:
            continue
        if scores is not None and _tie(scores[row], our[row], their[row]):
            ties += 1
            continue
        flips += 1
        first = first or f"{one!r} instead of {other!r}"
    return Labels(flips, ties, first)


def _tie(scores: Array, ours: int, theirs: int) -> bool:
    numbers = scores.astype(np.float64)
    if not (0 <= ours < len(numbers) and 0 <= theirs < len(numbers)):
        return False
    size = float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0))
    return bool(numbers[ours] == numbers[theirs] or abs(numbers[ours] - numbers[theirs]) <= NOISE * size)
