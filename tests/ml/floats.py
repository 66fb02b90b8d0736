"""What the tests of models in floats have in common: guest = integer model bit for bit, and both like onnxruntime, infinities and NaN too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from tests.ml.models import Array, compiled, run_guest
from zkvm.ml.compilation import Arithmetic
from zkvm.ml.compiler import Compilation, Options, float_outputs
from zkvm.ml.ir import evaluate
from zkvm.ml.samples import Sample

FLOATS = Options(arithmetic=Arithmetic.FLOAT)
NOISE = 1e-6
"""A few roundings of float32."""


def answers(made: Compilation, sample: Sample) -> tuple[list[Array], int]:
    """The outputs of the guest, which are those of the integer model, and its cycles."""
    words, _ = made.model.quantize([sample[port.name] for port in made.imported.inputs])
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
