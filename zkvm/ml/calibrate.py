"""Calibration: what ranges the tensors of a model take on the user's data."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.importer import ImportedModel
from zkvm.ml.lowering import TensorInfo, kind_of
from zkvm.ml.node import Node
from zkvm.ml.samples import Sample

MAX_VALUES = 1 << 16
"""Kept per tensor and sample for percentiles and errors; more are thinned evenly."""
PERCENTILE = 99.99
CLIP_CANDIDATES = 40
COMPARED_BITS = 31
"""Of tensors that are only compared, where bits cost nothing."""
OUTPUT_BITS = 16
"""Of outputs, at least: no sum has them as terms, and in 8 bits close labels change places."""


class Method(StrEnum):
    """How a range follows from observed values."""

    MINMAX = "minmax"
    """All of them."""
    PERCENTILE = "percentile"
    """All but 0.01 % of the largest magnitudes."""
    MSE = "mse"
    """The range with the least mean squared rounding and saturation error."""


def calibrate(model: ImportedModel, samples: Sequence[Sample], method: Method = Method.MINMAX, bits: int = 16) -> dict[str, TensorInfo]:
    """Shape, kind and range of every tensor that depends on an input.

    Raises:
        UsageError: no samples, or the model fails on one.
    """
    if not samples:
        raise UsageError("calibration needs at least one sample")
    runner = onnx_runtime.session(onnx_runtime.with_intermediates(model.proto))
    wanted = {name for node in model.nodes for name in node.outputs if name} | {port.name for port in model.inputs}
    wanted |= {name for name in model.outputs if name not in model.constants}
    extremes: dict[str, tuple[float, float]] = {}
    kept: dict[str, list[NDArray[np.float64]]] = {}
    shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    rows = _only_softmax(model)
    for sample in samples:
        results = onnx_runtime.run_session(runner, sample) | sample
        for name in wanted & set(results):
            array = np.asarray(results[name])
            shapes.setdefault(name, (array.shape, array.dtype))
            values = _finite(array) if name not in rows else _without_masked(array, rows[name])
            low, high = extremes.get(name, (np.inf, -np.inf))
            if values.size:
                extremes[name] = min(low, float(values.min())), max(high, float(values.max()))
            if method is not Method.MINMAX:
                kept.setdefault(name, []).append(values[:: max(1, values.size // MAX_VALUES)])
    least = dict.fromkeys(_only_output(model), OUTPUT_BITS) | dict.fromkeys(_only_compared(model), COMPARED_BITS)
    ranges = extremes
    if method is not Method.MINMAX:
        ranges = {name: observed_range(np.concatenate(kept[name]), method, max(bits, least.get(name, 0))) for name in extremes}
    return {
        name: TensorInfo(shape, kind_of(dtype), *ranges.get(name, (0.0, 0.0)), least.get(name, 0), dtype=dtype)
        for name, (shape, dtype) in shapes.items()
    }


INFINITE = 100.0
"""What an infinity is taken for, beyond four times the other values: masks need no more, because exp(-100) is nothing."""


def _finite(array: NDArray[Any]) -> NDArray[np.float64]:
    """All numbers as a list; infinities as large numbers."""
    values = array.reshape(-1).astype(np.float64)
    values = values[~np.isnan(values)]
    finite = np.isfinite(values)
    if finite.all():
        return values
    limit = INFINITE + 4 * float(np.abs(values[finite]).max(initial=0.0))
    return np.clip(values, -limit, limit)


def _readers(model: ImportedModel) -> dict[str, list[Node]]:
    """The nodes that read a tensor, by its name."""
    readers: dict[str, list[Node]] = {}
    for node in model.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return readers


MASKED = 16.0
"""What lies so far below the largest element of a row is nothing after a softmax: exp(-16) is a ten-millionth."""


def _only_softmax(model: ImportedModel) -> dict[str, int]:
    """Tensors that only a Softmax reads, and its axis: masks put huge negative numbers there, which need no resolution."""
    return {
        name: int(nodes[0].attributes.get("axis", -1))
        for name, nodes in _readers(model).items()
        if len(nodes) == 1 and nodes[0].operator == "Softmax" and name not in model.outputs
    }


def _without_masked(array: NDArray[Any], axis: int) -> NDArray[np.float64]:
    """Values, cut where they are far below the largest of their row."""
    values = array.astype(np.float64)
    largest = values.max(axis=axis, keepdims=True)
    return _finite(np.where(np.isfinite(largest), np.maximum(values, largest - MASKED), np.nan))


def observed_range(values: NDArray[np.float64], method: Method, bits: int) -> tuple[float, float]:
    """Range (low, high) for observed values, clipped as the method says; never wider than the values."""
    low, high = float(values.min()), float(values.max())
    magnitude = max(abs(low), abs(high))
    if method is Method.PERCENTILE:
        magnitude = float(np.percentile(np.abs(values), PERCENTILE))
    elif method is Method.MSE and magnitude > 0:
        top = (1 << (bits - 1)) - 1
        candidates = magnitude * np.arange(CLIP_CANDIDATES, 0, -1) / CLIP_CANDIDATES
        errors = []
        for candidate in candidates:
            step = candidate / top
            errors.append(float(np.square(np.clip(np.round(values / step), -top, top) * step - values).mean()))
        magnitude = float(candidates[int(np.argmin(errors))])
    return max(low, -magnitude), min(high, magnitude)


COMPARING = {"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "TreeEnsembleRegressor"}
MOVING = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Gather", "Slice", "Transpose", "Split", "Concat"}


def _only_output(model: ImportedModel) -> set[str]:
    """Outputs, and what only becomes one by movement, that no other node reads."""
    readers, final = _readers(model), set[str]()
    for node in reversed(model.nodes):
        for name in node.outputs:
            if all(reader.operator in MOVING and set(reader.outputs) <= final for reader in readers.get(name, ())):
                final.add(name)
    return final


def _only_compared(model: ImportedModel) -> set[str]:
    """Tensors that come from the inputs by movement alone, and whose elements are only compared with something."""
    moved = {port.name for port in model.inputs}
    for node in model.nodes:
        if node.operator in MOVING and set(node.inputs) - set(model.constants) - {""} <= moved:
            moved |= set(node.outputs)
    wide = set(moved) - set(model.outputs)
    for node in reversed(model.nodes):
        if node.operator in COMPARING or (node.operator in MOVING and set(node.outputs) <= wide):
            continue
        wide -= set(node.inputs)
    # Moving several tensors gives them one scale, so one that is not only compared takes the others with it.
    changed = True
    while changed:
        before = len(wide)
        for node in model.nodes:
            if node.operator in MOVING and not set(node.outputs) <= wide:
                wide -= set(node.inputs)
        changed = len(wide) != before
    return wide
