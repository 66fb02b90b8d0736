"""What tests of models in floats share: guest = integer model bit for bit, and both like onnxruntime, infinities and NaN too."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.ml.models import Array, compiled, run_guest
from zkvm.ml import onnx_runtime
from zkvm.ml.calibrate import calibrate
from zkvm.ml.codegen import generate
from zkvm.ml.compilation import Arithmetic
from zkvm.ml.compiler import Compilation, Options, Precision, Privacy, build_guest, float_outputs
from zkvm.ml.float32 import to_bits
from zkvm.ml.importer import import_model
from zkvm.ml.ir import evaluate
from zkvm.ml.quantize import Everything, quantize
from zkvm.ml.samples import Sample
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

FLOATS = Options(arithmetic=Arithmetic.FLOAT)
NOISE = 1e-6
"""A few roundings of float32."""


def answers(made: Compilation, sample: Sample) -> tuple[list[Array], int]:
    """The outputs of the guest, which are those of the integer model, and its cycles."""
    words, saturated = made.model.quantize([sample[port.name] for port in made.imported.inputs])
    assert saturated == 0
    results = evaluate(made.graph, words)
    journal, cycles = run_guest(made, words)
    assert journal == made.journal(results)
    for value, result in zip(made.graph.outputs, results, strict=True):
        assert result.shape == value.shape
        assert value.lo <= result.min()
        assert result.max() <= value.hi
    return [value.dequantize(result) for value, result in zip(made.graph.outputs, results, strict=True)], cycles


def same_numbers(results: Sequence[Array], expected: Sequence[Array], tolerance: float) -> None:
    """The same NaN and infinities; other numbers differ by no more than that part of the largest one."""
    for result, real in zip(results, expected, strict=True):
        finite = np.isfinite(real)
        np.testing.assert_array_equal(np.where(finite, 0, result), np.where(finite, 0, real))
        difference = np.abs(np.where(finite, result, 0).astype(np.float64) - np.where(finite, real, 0))
        assert difference.max(initial=0) <= tolerance * np.abs(real[finite]).max(initial=0)


def check_floats(model: onnx.ModelProto, samples: Sequence[Sample], tolerance: float = NOISE, options: Options = FLOATS) -> Compilation:
    """Compile in floats, calibrated on the first sample, and compare all."""
    made = compiled(model, samples[:1], options)
    for sample, expected in zip(samples, float_outputs(made.imported, samples), strict=True):
        same_numbers(answers(made, sample)[0], expected, tolerance)
    return made


class Lowered:
    """A model without gate and files: the integer model, its guest, and how inputs become words."""

    def __init__(
        self, model: onnx.ModelProto, samples: Sequence[Sample], *, floats: Container[str] | None = None, private: bool = False
    ) -> None:
        """Lower and build.

        Args:
            model: the model.
            samples: for calibration.
            floats: nodes in floats, by their first output; all of them by default.
            private: whether the weights are.
        """
        self.imported = import_model(model, simplify=False)
        tensors = calibrate(self.imported, samples)
        for port in self.imported.inputs:  # integers may be all that their type has
            if port.dtype.kind in "iu":
                tensors[port.name] = replace(tensors[port.name], guarded=(True, True))
        chosen = Everything() if floats is None else floats
        self.graph = quantize(self.imported, tensors, Precision(), private, chosen)
        self.code = generate(self.graph, Privacy(private_weights=private), bytes(32))
        self.private = private
        self._image: Any = None

    def words(self, sample: Sample) -> list[NDArray[np.int64]]:
        """The words of an input: bits of floats, integers themselves; reals must be floats."""
        arrays = [np.asarray(sample[port.name]) for port in self.imported.inputs]
        return [to_bits(array) if array.dtype == np.float32 else array.astype(np.int64) for array in arrays]

    def evaluate(self, sample: Sample) -> list[Array]:
        """The outputs as numbers."""
        results = evaluate(self.graph, self.words(sample))
        return [value.dequantize(result) for value, result in zip(self.graph.outputs, results, strict=True)]

    def run(self, sample: Sample) -> Execution:
        """The guest's run."""
        if self._image is None:
            self._image = load_image(build_guest(self.code.source))
        parts = [bytes(32), self.code.private_words.astype("<i4").tobytes()] if self.private else []
        return execute(self._image, b"".join([*parts, *(array.astype("<i4").tobytes() for array in self.words(sample))]), trace=False)

    def agree(self, sample: Sample) -> list[Array]:
        """The outputs as numbers, after comparing their words with the guest's."""
        results = evaluate(self.graph, self.words(sample))
        execution = self.run(sample)
        assert execution.exit_code == 0, execution.stderr
        words = b"".join(result.reshape(-1).astype("<i4").tobytes() for result in results)
        assert execution.journal[64 if self.private else 32 :] == words
        return [value.dequantize(result) for value, result in zip(self.graph.outputs, results, strict=True)]


def expected(model: onnx.ModelProto, sample: Sample) -> list[Array]:
    """What onnxruntime computes, all outputs in order."""
    results = onnx_runtime.run_session(onnx_runtime.session(model), sample)
    return [results[output.name] for output in model.graph.output]
