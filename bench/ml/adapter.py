"""The only place where the agreement bench touches the compiler: a model and calibration samples in, something that runs samples out.

The integer model is evaluated in process: guests agree with it bit for bit, which the project's tests show, so no guest is built or run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError, ZkvmError
from zkvm.ml import compiler
from zkvm.ml.candidate import GraphModel
from zkvm.ml.ir import Graph, Kind
from zkvm.ml.samples import fitted

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
        inside: layers in which a value inside the network was cut although there are outputs: none should.
    """

    outputs: list[Array] = field(default_factory=list)
    refused: str = ""
    flagged: bool = False
    cut: bool = False
    inside: tuple[str, ...] = ()


@dataclass
class Compiled:
    """A model in integers, and the names of its classes by output."""

    model: GraphModel
    names: list[tuple[str, ...]]

    @property
    def graph(self) -> Graph:
        """What it computes."""
        return self.model.graph

    def run(self, sample: Sample) -> Run:
        """The outputs for a sample, or why it is refused."""
        try:
            for port, value in zip(self.model.ports, self.graph.inputs, strict=True):
                array = np.asarray(sample[port.name])
                if value.kind is Kind.REAL and not np.isfinite(array).all():
                    raise UsageError(f"input {port.name!r} holds a NaN or an infinity")
            answer = self.model.evaluate(dict(sample))
        except ZkvmError as error:
            return Run(refused=str(error))
        if answer.refused:
            return Run(refused=answer.refused)
        if answer.outside:
            return Run(refused=f"{answer.outside} values lie outside of the domain")
        if answer.saturated:
            return Run(refused=f"the guest ends because values saturate in {', '.join(answer.saturated)}")
        return Run([self._named(output, index) for index, output in enumerate(answer.outputs)])

    def _named(self, output: Array, index: int) -> Array:
        """Classes by their names, if the model gives names."""
        return np.array(self.names[index])[output.astype(np.int64)] if self.names[index] else output


def compiled_from(path: Path, calibration: Sequence[Sample]) -> Compiled:
    """Import, calibrate, choose the arithmetic, ask the gate.

    Args:
        path: of an ONNX file.
        calibration: samples.

    Raises:
        ZkvmError: the compiler refuses the model, and says why.
    """
    options = compiler.Options()
    imported = compiler.import_file(path, options)
    samples = [{port.name: fitted(np.asarray(sample[port.name]), port) for port in imported.inputs} for sample in calibration]
    choice, _ = compiler.integer_model(imported, samples, options)
    compiler.agreement(imported, choice.graph, samples, options).demand()
    return Compiled(GraphModel(choice.graph, imported.inputs), [imported.labels.get(name, ()) for name in imported.outputs])
