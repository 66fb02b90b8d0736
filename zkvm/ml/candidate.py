"""An integer model as the agreement gate sees it: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.answers import Answer
from zkvm.ml.arithmetic import IntArray, Overflow
from zkvm.ml.ir import Graph, Kind, Value, evaluate, evaluate_all
from zkvm.ml.onnx_model import Port
from zkvm.ml.samples import Sample
from zkvm.ml.tensor import Tensor


@dataclass(frozen=True, slots=True)
class GraphModel:
    """A graph, and the inputs of its model."""

    graph: Graph
    ports: Sequence[Port]

    def evaluate(self, sample: Sample) -> Answer:
        """See :class:`zkvm.ml.answers.Candidate`."""
        integers, outside = self._integers(sample)
        saturated: dict[str, int] = {}
        try:
            results = evaluate(self.graph, integers, saturated)
        except Overflow as error:  # the guest ends there, whatever saturation does
            return Answer([], {}, outside, str(error))
        outputs = [value.dequantize(result) for value, result in zip(self.graph.outputs, results, strict=True)]
        return Answer(outputs, saturated, outside)

    def inside(self, sample: Sample) -> dict[str, NDArray[Any]]:
        """See :class:`zkvm.ml.answers.Candidate`."""
        held = evaluate_all(self.graph, self._integers(sample)[0])
        known = {name: value for name, value in self.graph.tensors.items() if id(value) in held}
        return {name: np.asarray(value.dequantize(held[id(value)])) for name, value in known.items()}

    def _integers(self, sample: Sample) -> tuple[list[IntArray], int]:
        """The inputs as integers, and how many elements were outside of their range, as a NaN is where inputs are no floats."""
        words, outside = [], 0
        for port, value in zip(self.ports, self.graph.inputs, strict=True):
            numbers = np.asarray(sample[port.name]).reshape(value.shape)
            if value.kind is Kind.REAL:
                outside += int(np.isnan(numbers).sum())
                numbers = np.nan_to_num(numbers, nan=0.0)
            integers, cut = _tensor(port.name, value).quantize(numbers)
            words.append(integers)
            outside += cut
        return words, outside


def _tensor(name: str, value: Value) -> Tensor:
    return Tensor(name, value.shape, value.kind.value, value.scale, value.lo, value.hi)
