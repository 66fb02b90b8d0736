"""Where in a network an error begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.ml import onnx_runtime
from zkvm.ml.answers import Candidate
from zkvm.ml.importer import ImportedModel
from zkvm.ml.samples import Sample

Array = NDArray[Any]


def span_of(low: float, high: float) -> float:
    """The range of numbers; if it is a single one its magnitude."""
    return (high - low if high > low else 0.0) or max(abs(low), abs(high) if np.isfinite(high) else 0.0) or 1.0


def origins_of(candidate: Candidate, imported: ImportedModel, sample: Sample, threshold: float) -> dict[str, str]:
    """The tensors that are wrong by more than the threshold, of their range, while what they are computed from is not, in order; each with
    where that is, in words.
    """
    runner = onnx_runtime.session(onnx_runtime.with_intermediates(imported.proto))
    real, ours = onnx_runtime.run_session(runner, sample) | sample, candidate.inside(sample)
    errors = {name: _relative(ours.get(name), array) or 0.0 for name, array in sample.items()}
    found = {name: f"the rounding of input {name!r}" for name, error in errors.items() if error > threshold}
    for node in imported.nodes:
        before = max((errors.get(name, 0.0) for name in node.inputs), default=0.0)
        for name in filter(None, node.outputs):
            error = _relative(ours.get(name), real.get(name))
            errors[name] = before if error is None else error
            if errors[name] > threshold and before <= threshold:
                found[name] = f"{node.operator} {node.name!r} ({100 * errors[name]:.3g} % of the range there)"
    return found


def _relative(result: Array | None, real: Any) -> float | None:
    """Largest difference over the range of the real numbers; nothing if there is nothing to compare."""
    if result is None or not isinstance(real, np.ndarray) or real.dtype.kind not in "fiub" or result.size != real.size or not real.size:
        return None
    if result.dtype.kind == "f" and real.dtype.kind != "f":  # what quantized integers stand for, and not these
        return None
    reals, results = real.astype(np.float64).reshape(-1), result.astype(np.float64).reshape(-1)
    finite = np.isfinite(reals)
    if not finite.any():
        return None
    return float(np.abs(results[finite] - reals[finite]).max()) / span_of(float(reals[finite].min()), float(reals[finite].max()))
