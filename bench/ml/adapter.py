"""The only place where the agreement bench touches the compiler: a model and calibration samples in, something that runs samples out.

The integer model is evaluated in process: guests agree with it bit for bit, which the project's tests show, so no guest is built or run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from zkvm.errors import UsageError, ZkvmError
from zkvm.ml import compiler
from zkvm.ml.calibrate import calibrate
from zkvm.ml.interface import Tensor
from zkvm.ml.ir import Graph, Kind, View
from zkvm.ml.quantize import quantize

Array = NDArray[Any]
Sample = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Run:
    """What a compiled model did with a sample.

    Attributes:
        outputs: in the order of the original model's.
        refused: why there are none.
        flagged: whether the journal says that a value was cut.
        cut: whether an input was cut.
        inside: where a value inside the network lies on a bound that follows from calibration.
    """

    outputs: list[Array] = field(default_factory=list)
    refused: str = ""
    flagged: bool = False
    cut: bool = False
    inside: tuple[str, ...] = ()


@dataclass
class Compiled:
    """A model in integers."""

    graph: Graph
    inputs: list[Tensor]
    names: Array | None

    def run(self, sample: Sample) -> Run:
        """The outputs for a sample, or why it is refused."""
        try:
            words, cut = [], 0
            for tensor in self.inputs:
                array = _finite(tensor.name, np.asarray(sample[tensor.name]))
                integers, outside = tensor.quantize(array.reshape(tensor.shape))
                words.append(integers)
                cut += outside
            held = {id(value): array for value, array in zip(self.graph.inputs, words, strict=True)}
            inside = self._evaluate(held)
        except ZkvmError as error:
            return Run(refused=str(error))
        outputs = [value.dequantize(_read(held, value)) for value in self.graph.outputs]
        return Run([self._named(output, index) for index, output in enumerate(outputs)], cut=cut > 0, inside=tuple(inside))

    def _evaluate(self, held: dict[int, Array]) -> list[str]:
        """Run all operations; the names of those with a result on a bound that data set."""
        full = []
        for operation in self.graph.operations:
            output = operation.output
            result = held[id(output)] = operation.evaluate(*(_read(held, value) for value in operation.inputs))
            data_set = output.kind is Kind.REAL and output.magnitude >= (1 << 15) - 1 and not isinstance(operation, View)
            if data_set and result.size and int(np.abs(result).max()) >= output.magnitude:
                full.append(f"{operation.name} ({operation.kind})")
        return full

    def _named(self, output: Array, index: int) -> Array:
        """Classes by their names, if the model gives names."""
        if index or self.names is None:
            return output
        return self.names[np.clip(output.astype(np.int64), 0, len(self.names) - 1)]


def _finite(name: str, array: Array) -> Array:
    """What the readers of input files let through.

    Raises:
        UsageError: a NaN or an infinity.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"input {name!r} holds a NaN or an infinity")
    return array


def _read(held: Mapping[int, Array], value: Any) -> Array:
    return np.asarray(value.data if value.data is not None else held[id(value)]).reshape(value.shape)


def compiled_from(path: Path, calibration: Sequence[Sample]) -> Compiled:
    """Import, calibrate, quantize.

    Args:
        path: of an ONNX file.
        calibration: samples.

    Raises:
        ZkvmError: the compiler refuses the model, and says why.
    """
    options = compiler.Options()
    imported = compiler.import_file(path, options)
    samples = [{name: _finite(name, np.asarray(array)) for name, array in sample.items()} for sample in calibration]
    tensors = calibrate(imported, samples, options.method, options.precision.activation_bits)
    graph = quantize(imported, tensors, options.precision)
    inputs = [
        Tensor(port.name, value.shape, value.kind.value, value.scale, value.lo, value.hi)
        for port, value in zip(imported.inputs, graph.inputs, strict=True)
    ]
    return Compiled(graph, inputs, _class_names(imported.original))


def _class_names(model: onnx.ModelProto) -> Array | None:
    """The names of the classes, if the first output is one of them."""
    if model.graph.output[0].type.tensor_type.elem_type != onnx.TensorProto.STRING:
        return None
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("classlabels_strings", "values_strings") and attribute.strings:
                return np.array([text.decode() for text in helper.get_attribute_value(attribute)])
    return None
