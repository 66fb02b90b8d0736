"""What rewriting must keep: the rewritten model, run by onnxruntime, gives what the original gives, of supported operators only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from zkvm.ml import onnx_runtime
from zkvm.ml.importer import SUPPORTED, ImportedModel, import_model

Array = NDArray[Any]


def outputs_of(model: onnx.ModelProto, sample: Mapping[str, Array]) -> dict[str, Any]:
    """All outputs; dictionaries of probabilities as arrays."""
    results = onnx_runtime.run_session(onnx_runtime.session(model, optimize=True), sample)
    return {
        name: np.array([list(row.values()) for row in value]) if isinstance(value, list) and isinstance(value[0], dict) else value
        for name, value in results.items()
    }


def same(model: onnx.ModelProto, samples: Sequence[Mapping[str, Array]], tolerance: float = 1e-5) -> ImportedModel:
    """Import; equal outputs on all samples: integers and labels exactly, reals within the tolerance of their range.

    Args:
        model: whatever can be imported.
        samples: inputs by name.
        tolerance: relative to the largest magnitude of an output.
    """
    imported = import_model(model)
    for node in imported.proto.graph.node:
        constant = all(name in imported.constants for name in node.output)
        assert constant or ("" if node.domain == "ai.onnx" else node.domain, node.op_type) in SUPPORTED, node.op_type
    for sample in samples:
        expected, rewritten = outputs_of(imported.original, sample), outputs_of(imported.proto, sample)
        assert list(rewritten) == imported.outputs == list(expected)
        for name in imported.outputs:
            equal(expected[name], rewritten[name], imported.labels.get(name), tolerance)
    return imported


def equal(real: Array, result: Array, labels: Sequence[str] | None, tolerance: float) -> None:
    """One output."""
    assert real.shape == result.shape
    if labels is not None:
        assert np.asarray(labels, object)[result].tolist() == real.tolist()
    elif real.dtype.kind != "f":
        assert real.dtype == result.dtype
        assert real.tolist() == result.tolist()
    else:
        finite = np.isfinite(real)
        np.testing.assert_array_equal(np.where(finite, 0, real), np.where(finite, 0, result))
        scale = np.abs(real[finite]).max(initial=1e-30)
        np.testing.assert_allclose(result[finite] / scale, real[finite] / scale, rtol=0, atol=tolerance)
