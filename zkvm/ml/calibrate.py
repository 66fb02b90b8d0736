"""Calibration: what ranges the tensors of a model take, from bounds, from the user's data, and from inputs drawn beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN
from zkvm.ml.bits import few_bits
from zkvm.ml.bounds import tensor_bounds
from zkvm.ml.domain import CALIBRATION_SEED, Declared, Domain, drawn_count, input_domain
from zkvm.ml.importer import ImportedModel
from zkvm.ml.ir import Kind
from zkvm.ml.node import Node
from zkvm.ml.ranges import TensorInfo, kind_of
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


WORTH = 4.0
"""How much wider than what was seen a bound may be to be used: it costs a bit more than headroom does, and nothing leaves it."""
HEADROOM = 2.0
"""How much wider than what was seen a range without a bound is: one bit. Values beyond it end the run, so this is no question of right
and wrong, but of how seldom that is."""
ROUNDED = 1 + 2.0**-10
"""What rounding of weights and values before may add to a bound."""


@dataclass
class _Seen:
    """What tensors looked like: extremes, shapes and dtypes, and for some methods the values, by name."""

    rows: dict[str, int]
    keep: bool
    extremes: dict[str, tuple[float, float]] = field(default_factory=dict)
    kept: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = field(default_factory=dict)

    def take(self, name: str, value: Any) -> None:
        """One more value of a tensor."""
        array = np.asarray(value)
        self.shapes.setdefault(name, (array.shape, array.dtype))
        values = _finite(array) if name not in self.rows else _without_masked(array, self.rows[name])
        low, high = self.extremes.get(name, (np.inf, -np.inf))
        if values.size:
            self.extremes[name] = min(low, float(values.min())), max(high, float(values.max()))
        if self.keep:
            self.kept.setdefault(name, []).append(values[:: max(1, values.size // MAX_VALUES)])


def calibrate(
    model: ImportedModel,
    samples: Sequence[Sample],
    method: Method = Method.MINMAX,
    bits: int = 16,
    declared: Declared | None = None,
) -> dict[str, TensorInfo]:
    """Shape, kind and range of every tensor that depends on an input.

    Inputs have the range of their domain. A tensor inside has the bounds that domain and weights give it, where these are not much wider
    than what samples and drawn inputs show; else what these show, with headroom.

    Args:
        model: the simplified model.
        samples: typical inputs.
        method: how ranges follow from values.
        bits: of activations.
        declared: what the user said of the domain.

    Raises:
        UsageError: no samples, or the model fails on one, or shows integers that no word holds, or the domain leaves one out.
    """
    if not samples:
        raise UsageError("calibration needs at least one sample")
    domain = input_domain(model, samples, declared or {})
    seen = _observed(model, samples, domain, method is not Method.MINMAX)
    most = few_bits(model)
    least = dict.fromkeys(_only_output(model), OUTPUT_BITS) | dict.fromkeys(_only_compared(model), COMPARED_BITS)
    ranges = seen.extremes
    if seen.keep:
        ranges = {name: observed_range(np.concatenate(seen.kept[name]), method, max(bits, least.get(name, 0))) for name in ranges}
    bounds = tensor_bounds(model, domain, seen.shapes)
    accepted = domain.accepted()
    certain = bounds if accepted is domain else tensor_bounds(model, accepted, seen.shapes)
    inputs = {port.name for port in model.inputs}
    tensors = {}
    for name, (shape, dtype) in seen.shapes.items():
        data, bound = ranges.get(name, (0.0, 0.0)), bounds.get(name, (-np.inf, np.inf))
        if name in inputs:
            low, high, guarded = *bound, (False, False)
        else:
            low, high = _range(data, bound)
            least_certain, most_certain = certain.get(name, (-np.inf, np.inf))
            guarded = least_certain < low, most_certain > high
        masked = name in seen.rows and guarded[0]
        if name in seen.rows:  # what lies far below the rest of its row may be cut
            low, guarded = min(low, high - MASKED), (False, guarded[1])
        tensors[name] = TensorInfo(shape, kind_of(dtype), low, high, least.get(name, 0), most.get(name, 0), guarded, dtype, masked)
    return tensors


def _observed(model: ImportedModel, samples: Sequence[Sample], domain: Domain, keep: bool) -> _Seen:
    """What the tensors look like on the samples, and on inputs drawn from the domain."""
    runner = onnx_runtime.session(onnx_runtime.with_intermediates(model.proto))
    wanted = {name for node in model.nodes for name in node.outputs if name} | {port.name for port in model.inputs}
    wanted |= {name for name in model.outputs if name not in model.constants}
    seen = _Seen(only_softmax(model), keep)
    for sample in samples:
        results = onnx_runtime.run_session(runner, sample) | sample
        for name in wanted & set(results):
            seen.take(name, results[name])
    _refuse_wide_integers(seen)
    for number in range(drawn_count(_work(model, seen.shapes))):
        drawn = domain.draw(number, CALIBRATION_SEED, samples)
        try:
            results = onnx_runtime.run_session(runner, drawn) | drawn
        except UsageError:  # the domain holds what the model does not take: the gate tells
            continue
        for name in wanted & set(results):
            if np.shape(results[name]) == seen.shapes[name][0]:
                seen.take(name, results[name])
    return seen


def _range(data: tuple[float, float], bound: tuple[float, float]) -> tuple[float, float]:
    """The range of a tensor inside; it holds 0, as those of integers do."""
    size = max(abs(data[0]), abs(data[1]))
    if size and max(abs(bound[0]), abs(bound[1])) <= WORTH * size:
        low, high = bound[0] * ROUNDED, bound[1] * ROUNDED
    else:
        low, high = max(data[0] * HEADROOM, bound[0] * ROUNDED), min(data[1] * HEADROOM, bound[1] * ROUNDED)
    return min(low, 0.0), max(high, 0.0)


def _refuse_wide_integers(seen: _Seen) -> None:
    """Refuse integers that are no word of the guest."""
    for name, (_, dtype) in seen.shapes.items():
        low, high = seen.extremes.get(name, (0.0, 0.0))
        if kind_of(dtype) is Kind.INTEGER and not INT32_MIN <= low <= high <= INT32_MAX:
            raise UsageError(f"integers of tensor {name!r} reach from {low:.0f} to {high:.0f} in the calibration; a word holds 32 bits")


def _work(model: ImportedModel, shapes: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> int:
    """About how many multiplications and elements a run takes."""
    total = 0
    for node in model.nodes:
        size = sum(prod(shapes[name][0]) for name in node.outputs if name in shapes)
        taps = 1
        constants = [model.constants[name] for name in node.inputs if name in model.constants]
        if node.operator in ("Conv", "ConvTranspose") and constants:
            taps = prod(constants[0].shape[1:])
        elif node.operator in ("Gemm", "MatMul") and node.inputs[0] in shapes:
            taps = shapes[node.inputs[0]][0][-1] if shapes[node.inputs[0]][0] else 1
        total += size * (1 + taps) + 8 * len(node.attributes.get("nodes_treeids", ()))
    return total


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


def only_softmax(model: ImportedModel) -> dict[str, int]:
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
