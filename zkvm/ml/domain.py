"""The domain of a model: which inputs it is compiled for, and inputs drawn from it.

What the user declares, else what calibration saw, widened, because data that a model meets later lie somewhat outside of those before.
Integers that choose rows of a table have the range of the table.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import FloatArray, IntArray, integer_limits
from zkvm.ml.importer import ImportedModel
from zkvm.ml.node import Node
from zkvm.ml.onnx_model import Port, inferred
from zkvm.ml.samples import Sample

Declared = Mapping[str, tuple[float, float]]
"""NAME or NAME[column] -> lowest and highest value."""
MAX_COLUMNS = 512
"""A last axis of at most so many, in inputs of rank 1 and 2, holds the columns of a table; a longer one is an image, or a text."""
FEW, MANY = 16, 100
"""Observed values of a column or tensor below which they say little about its range, and from which they say much."""
STANDARDISED = 16.0
"""What a standardised column practically never leaves: the chance for a bell curve is 10^-57, and for heavy tails still small."""
MAX_DRAWN, MIN_DRAWN = 256, 4
BUDGET = 1 << 30
"""Multiplications and elements that drawn inputs may cost in all: a number and not a time, so that every machine draws the same."""
CALIBRATION_SEED, GATE_SEED = 0, 1
NOISE = 0.1
"""Standard deviation of what is added to samples, in widths of the domain."""
CHANGED = 0.1
"""Share of a sample's elements that are drawn anew."""
MOVING = {"Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose", "Slice", "Expand", "Split", "Tile"}
"""Operators whose output has the numbers of its first input."""
INDEXED = {"Gather": (1, 0), "GatherElements": (1, 0), "GatherND": (1, 0), "ScatterElements": (1, 0), "ScatterND": (1, 0)}
"""Operators that choose places by number: which of their inputs are the indices, and which the table."""
KEY = re.compile(r"(.*)\[(\d+)\]")


def is_near(number: int) -> bool:
    """Whether the drawn input of this number is a sample, changed a little or in a few places."""
    return number % 4 >= 2


@dataclass(frozen=True, slots=True)
class Span:
    """Lowest and highest value of every element of an input; whether the user said so."""

    low: FloatArray
    high: FloatArray
    declared: bool


@dataclass(frozen=True, slots=True)
class Domain:
    """Which inputs a model is compiled for.

    Attributes:
        ports: the inputs.
        spans: by name.
    """

    ports: tuple[Port, ...]
    spans: Mapping[str, Span]

    @property
    def declared(self) -> bool:
        """Whether the user said all of it."""
        return all(span.declared for span in self.spans.values())

    def accepted(self) -> Domain:
        """What a guest takes: it looks at whole inputs, not at columns, and takes real numbers of either sign if any are negative."""
        spans = {}
        for port in self.ports:
            span = self.spans[port.name]
            low, high = float(span.low.min(initial=0.0)), float(span.high.max(initial=0.0))
            if port.dtype.kind == "f":
                high = max(-low, high)
                low = -high if low < 0 else 0.0
            spans[port.name] = Span(np.full(port.shape, low), np.full(port.shape, high), span.declared)
        same = all((spans[name].low == span.low).all() and (spans[name].high == span.high).all() for name, span in self.spans.items())
        return self if same else Domain(self.ports, spans)

    def draw(self, number: int, seed: int, samples: Sequence[Sample]) -> Sample:
        """An input of the domain, always the same for the same arguments.

        Args:
            number: of the input. In turns: a corner, all elements uniform, a sample with noise, a sample with a few elements drawn anew.
            seed: of the series.
            samples: what calibrated the model.
        """
        random = np.random.default_rng((seed, number))
        base = samples[int(random.integers(len(samples)))]
        return {port.name: self._drawn(port, number, random, base[port.name]) for port in self.ports}

    def _drawn(self, port: Port, number: int, random: np.random.Generator, sample: NDArray[Any]) -> NDArray[Any]:
        span, shape = self.spans[port.name], port.shape
        width = span.high - span.low
        uniform = span.low + random.random(shape) * width
        if port.dtype.kind in "iu":
            uniform = np.floor(span.low + random.random(shape) * (width + 1))
        if number % 4 == 0:
            side = random.random(shape) < 0.5 if number >= 8 else np.full(shape, number > 0)
            values = np.where(side, span.high, span.low)
        elif number % 4 == 1:
            values = uniform
        elif number % 4 == 2:
            values = sample.reshape(shape) + random.standard_normal(shape) * NOISE * width
        else:
            chosen = random.random(shape) < CHANGED
            if chosen.size and not chosen.any():
                chosen.reshape(-1)[int(random.integers(chosen.size))] = True
            values = np.where(chosen, uniform, sample.reshape(shape))
        if port.dtype.kind not in "f":
            values = np.round(values)
        return np.clip(values, span.low, span.high).astype(port.dtype)

    def describe(self) -> dict[str, Any]:
        """For the model card: lowest and highest value of each input, and whether they were declared."""
        return {
            name: {"low": float(span.low.min(initial=math.inf)), "high": float(span.high.max(initial=-math.inf)), "declared": span.declared}
            for name, span in self.spans.items()
        }


def input_domain(model: ImportedModel, samples: Sequence[Sample], declared: Declared) -> Domain:
    """What the user declared, else what the samples say.

    Raises:
        UsageError: a declaration of no input or column, without numbers, or that leaves out a sample.
    """
    _check_declared(model, declared)
    tables = table_sizes(model)
    spans = {}
    for port in model.inputs:
        values = np.stack([np.asarray(sample[port.name]).reshape(port.shape) for sample in samples])
        low, high = _observed(port, values.astype(np.float64), tables.get(port.name))
        known = np.zeros(port.shape, bool)
        for key, limits in sorted(declared.items(), key=lambda item: "[" in item[0]):  # columns after the whole
            name, column = _parts(key, model)
            if name == port.name:
                where = ... if column is None else (..., column)
                low[where], high[where], known[where] = *limits, True
        outside = known & ((values < low) | (values > high)).any(axis=0)
        if outside.any():
            raise UsageError(f"--domain: calibration data of {port.name!r} lie outside of it, at {np.argwhere(outside)[0].tolist()}")
        if port.dtype.kind in "iu":
            least, largest = integer_limits(port.dtype)
            low, high = np.clip(np.ceil(low), least, largest), np.clip(np.floor(high), least, largest)
        spans[port.name] = Span(low, high, bool(known.all()))
    return Domain(tuple(model.inputs), spans)


def drawn_count(work: int) -> int:
    """How many inputs to draw for a model of so many multiplications and elements."""
    return min(MAX_DRAWN, max(MIN_DRAWN, BUDGET // max(1, work)))


def parse_domain(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Declarations ``NAME=lo:hi``, ``NAME[column]=lo:hi``, or JSON files with ``{"NAME": [lo, hi], "NAME[2]": [lo, hi]}``.

    Raises:
        UsageError: something else.
    """
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, equals, limits = text.rpartition("=")
        try:
            if not equals:
                content = json.loads(Path(text).read_text())
                found |= {str(key): _limits(*map(float, pair)) for key, pair in content.items()}
            else:
                found[name] = _limits(*map(float, limits.split(":")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"--domain {text}: write NAME=lo:hi, NAME[column]=lo:hi, or a JSON file of them: {error}") from error
    return found


def _limits(low: float, high: float) -> tuple[float, float]:
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"from {low} to {high} is no range")
    return low, high


def _parts(key: str, model: ImportedModel) -> tuple[str, int | None]:
    """Name and column of a declaration."""
    match = KEY.fullmatch(key)
    if match is None or key in {port.name for port in model.inputs}:
        return key, None
    return match[1], int(match[2])


def _check_declared(model: ImportedModel, declared: Declared) -> None:
    ports = {port.name: port for port in model.inputs}
    for key, limits in declared.items():
        name, column = _parts(key, model)
        try:
            _limits(*limits)
        except ValueError as error:
            raise UsageError(f"--domain {key}: {error}") from error
        if name not in ports:
            raise UsageError(f"--domain {key}: no input is called {name!r}; inputs: {', '.join(ports)}")
        shape = ports[name].shape
        if column is not None and not (0 < len(shape) <= 2 and column < shape[-1]):
            raise UsageError(f"--domain {key}: input {name!r} has the shape {list(shape)}, and no column {column}")


def _observed(port: Port, values: FloatArray, table: IntArray | None) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest value of every element, from samples along the first axis; NaN and infinities say nothing of it."""
    if port.dtype.kind == "b":
        return np.zeros(port.shape), np.ones(port.shape)
    if port.dtype.kind in "iu" and port.dtype.itemsize == 1:  # pixels, or what a quantizer made: all of them occur
        limits = np.iinfo(port.dtype)
        return np.full(port.shape, float(limits.min)), np.full(port.shape, float(limits.max))
    if table is not None:
        rows = np.broadcast_to(table.astype(np.float64), port.shape) if port.shape else table.reshape(-1)[0].astype(np.float64)
        return -rows, rows - 1.0
    reach = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    if 0 < len(port.shape) <= 2 and port.shape[-1] <= MAX_COLUMNS:
        columns = values.reshape(-1, port.shape[-1])
    else:
        columns = values.reshape(-1, 1)
    low, high = np.empty(columns.shape[1]), np.empty(columns.shape[1])
    for column, numbers in enumerate(columns.T):
        low[column], high[column] = widened(numbers[np.isfinite(numbers)], reach, whole=port.dtype.kind in "iu")
    if not port.shape:
        return low.reshape(()), high.reshape(())
    return np.broadcast_to(low, port.shape).copy(), np.broadcast_to(high, port.shape).copy()


def widened(numbers: FloatArray, reach: float, whole: bool) -> tuple[float, float]:
    """The range in which numbers of the kind of those that were seen are taken to be.

    A new number lies beyond all n earlier ones with a chance of 2 / (n + 1), mostly by less than half of their range. From 100 numbers on
    a quarter is room for all but the strangest data; of fewer than 16, or of equal ones, not even the range is known: four times their
    size, and no less than the whole input reaches, or a standardised column does. What was never negative stays so: prices, pixels.

    Args:
        numbers: what was seen of a column or tensor.
        reach: largest magnitude in the whole input.
        whole: whether the numbers are integers. Flags, 0 and 1, stay flags.
    """
    least, largest = float(numbers.min(initial=math.inf)), float(numbers.max(initial=-math.inf))
    if not numbers.size:
        return 0.0, 0.0
    if whole and 0 <= least and largest <= 1:
        return 0.0, 1.0
    few = numbers.size < FEW or least == largest
    size = max(abs(least), abs(largest))
    margin = max(4 * size, min(4 * reach, STANDARDISED), 1.0) if few else (largest - least) * (0.25 if numbers.size >= MANY else 0.5)
    low, high = least - margin, largest + margin
    return max(low, 0.0) if least >= 0 and (whole or not few) else low, high


def table_sizes(model: ImportedModel) -> dict[str, IntArray]:
    """Inputs of integers that choose rows of a table, and how many rows it has: one number, or one for each place of the last axis."""
    ports = {port.name: port for port in model.inputs if port.dtype.kind in "iu"}
    source = {name: name for name in ports}
    shapes: dict[str, tuple[int, ...]] | None = None
    found: dict[str, IntArray] = {}
    for node in model.nodes:
        if node.operator in MOVING and node.inputs[0] in source:
            source |= dict.fromkeys(node.outputs, source[node.inputs[0]])
        indices, table = INDEXED.get(node.operator, (0, 0))
        name = source.get(node.inputs[indices]) if node.operator in INDEXED and len(node.inputs) > indices else None
        if name is None:
            continue
        shapes = inferred(model.proto).shapes if shapes is None else shapes
        constant = model.constants.get(node.inputs[table])
        rows = _rows(node, shapes.get(node.inputs[table], ()) if constant is None else constant.shape, ports[name].shape)
        if rows.size and (rows > 0).all():
            found[name] = np.minimum(found.get(name, rows), rows)
    return found


def _rows(node: Node, shape: tuple[int, ...], indices: tuple[int, ...]) -> IntArray:
    """Sizes of the axes of a table, of this shape, along which a node takes indices."""
    if not node.operator.endswith("ND") or not indices:
        return np.asarray(shape, np.int64)[int(node.attributes.get("axis", 0)) :][:1]
    first = int(node.attributes.get("batch_dims", 0))
    rows = np.asarray(shape, np.int64)[first : first + indices[-1]]
    return rows if len(rows) == indices[-1] else rows[:0]
