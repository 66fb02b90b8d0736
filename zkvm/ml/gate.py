"""The agreement gate: does the integer model give the float model's answers, on the calibration samples and on inputs that were not seen?

It looks at outputs only, and asks the model itself where an error begins, so it does not care how that computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import InexactError, UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.answers import Candidate
from zkvm.ml.arithmetic import FloatArray
from zkvm.ml.domain import GATE_SEED, Domain, is_near
from zkvm.ml.importer import ImportedModel
from zkvm.ml.labels import Labels, differing_labels, differing_rows, label_sources, of_operator
from zkvm.ml.margins import Margins, Source
from zkvm.ml.origins import origins_of, span_of
from zkvm.ml.samples import Sample

Array = NDArray[Any]
ENOUGH, ENOUGH_DOUBLES = 16, 1
"""From so many numbers on the samples' own range counts too: inputs drawn at the ends of the domain may make that of all much wider. Inputs
that are doubles may differ in digits that the integer model does not hold, so a single number has to be right to its own size."""
DOUBLES = "digits of inputs in double precision that lie beyond the 24 bits of a float"
SIGMOID_NOISE = 5 * 2.0**-25
"""By how much onnxruntime's float sigmoid is off, however small its result is (``findings/sigmoid-onnxruntime.sh``)."""
NUMBERS_SHOWN = 8
ADVICE = (
    "Give typical data (--calibration) and say what the inputs can be (--domain NAME=lo:hi), take 16 bits if these are 8, compute in "
    "floats if that was not tried, as it never is with private weights (--arithmetic float), give features of different size scales of "
    "their own in the model, or accept it: --max-error, --max-flips, --accept-inexact"
)
MAX_SCORE_RANK = 3
"""Outputs of more dimensions are pictures, whose rows have no label."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gate lets through.

    Attributes:
        max_error: largest error of an output, relative to its range. max_flips: differing labels, beyond ties of the float model.
            accept_inexact: compile the model all the same; the card says so. saturate: let values inside saturate, as the guest will.
    """

    max_error: float = 0.01
    max_flips: int = 0
    accept_inexact: bool = False
    saturate: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Which input: a calibration sample or a drawn input, and its number among these."""

    drawn: bool
    number: int

    def __str__(self) -> str:
        return f"drawn input {self.number} (seed {GATE_SEED})" if self.drawn else f"calibration sample {self.number}"


@dataclass
class OutputError:
    """The comparison of one output.

    Attributes:
        low, high: range of the float model's numbers over all inputs. error: largest difference, relative to it. place: where.
        sample_error: the same on the samples, relative to their range, if they are enough to have one.
        flips, ties: rows (or inputs, of labels) that differ, and those of them that the float model itself does not decide.
        expected_flips: labels that are likely to differ in an input that was not tried.
        first_flip: where, and what both say.
    """

    low: float = np.inf
    high: float = -np.inf
    error: float = 0.0
    place: Place | None = None
    sample_error: float = 0.0
    flips: int = 0
    ties: int = 0
    expected_flips: float = 0.0
    first_flip: tuple[Place, str] | None = None


@dataclass
class Agreement:
    """What the gate found.

    Attributes:
        samples, drawn: inputs that were compared.
        undefined: drawn inputs that were not: the float model fails on them, or says NaN or infinity; or the guest ends, because an
            integer leaves its word.
        outputs: by name.
        saturated: inputs in which values were cut, by layer. outside: samples that the input's range cuts.
        same_top1: inputs in which all labels are the float model's.
        limits: of the gate.
        begins: the tensors where the largest error begins, if it is too large. origin: the first in words. worst: the input with it.
    """

    samples: int
    drawn: int
    limits: Limits
    undefined: int = 0
    outputs: dict[str, OutputError] = field(default_factory=dict)
    saturated: dict[str, int] = field(default_factory=dict)
    first_saturated: Place | None = None
    outside: int = 0
    same_top1: int = 0
    begins: tuple[str, ...] = ()
    origin: str = ""
    worst: Sample | None = None

    @property
    def error(self) -> float:
        """Largest relative error of all outputs."""
        return max((max(output.error, output.sample_error) for output in self.outputs.values()), default=0.0)

    @property
    def flips(self) -> int:
        """Differing labels of all outputs, without ties."""
        return sum(output.flips for output in self.outputs.values())

    @property
    def expected_flips(self) -> float:
        """Labels that are likely to differ in an input that was not tried."""
        return sum(output.expected_flips for output in self.outputs.values())

    @property
    def holds(self) -> bool:
        """Whether the answers are the same, within the limits."""
        silent = self.limits.saturate or not (self.saturated or self.outside)
        return self.error <= self.limits.max_error and self.flips <= self.limits.max_flips and silent

    def demand(self) -> None:
        """Refuse a model whose answers differ.

        Raises:
            InexactError: they do, and the limits do not accept it.
        """
        if not (self.holds or self.limits.accept_inexact):
            raise InexactError(self.message())

    def as_json(self) -> dict[str, Any]:
        """For the model card."""
        return {
            "samples": self.samples,
            "drawn": self.drawn,
            "undefined": self.undefined,
            "largest_relative_error": {name: max(output.error, output.sample_error) for name, output in self.outputs.items()},
            "range": {name: [output.low, output.high] for name, output in self.outputs.items() if output.low <= output.high},
            "label_disagreements": {name: output.flips for name, output in self.outputs.items()},
            "ties": {name: output.ties for name, output in self.outputs.items()},
            "expected_disagreements": {name: output.expected_flips for name, output in self.outputs.items()},
            "same_top1": self.same_top1,
            "saturated": self.saturated,
            "max_error": self.limits.max_error,
            "max_flips": self.limits.max_flips,
            "accepted_inexact": self.limits.accept_inexact and not self.holds,
        }

    def message(self) -> str:
        """Why the gate does not let the model through, and what to do."""
        found = []
        name, worst = max(self.outputs.items(), key=lambda item: max(item[1].error, item[1].sample_error), default=("", OutputError()))
        if self.error > self.limits.max_error:
            size = max(worst.error, worst.sample_error)
            where = "" if worst.place is None else f", on {worst.place}"
            found.append(
                f"output {name!r} is wrong by {100 * size:.3g} % of its range (at most {100 * self.limits.max_error:.3g} %){where}"
            )
        if self.flips > self.limits.max_flips:
            inputs = self.samples + self.drawn
            first = next(output.first_flip for output in self.outputs.values() if output.first_flip is not None)
            found.append(
                f"{self.flips} labels differ on {inputs} inputs (at most {self.limits.max_flips}), first on {first[0]}: {first[1]}"
            )
        if self.saturated and not self.limits.saturate:
            layers = ", ".join(f"{layer} ({count})" for layer, count in list(self.saturated.items())[:3])
            found.append(f"values saturate in layers {layers}, first on {self.first_saturated}")
        if self.outside and not self.limits.saturate:
            found.append(f"{self.outside} calibration samples lie outside of the inputs' range")
        begins = f" The error begins in {self.origin}." if self.origin else ""
        worst_input = ", ".join(f"{key} = {_shown(array)}" for key, array in (self.worst or {}).items())
        shown = f" That input: {worst_input}." if worst_input else ""
        return f"the integer model's answers are not the float model's: {'; '.join(found)}.{begins}{shown} {ADVICE}"


def measure(
    candidate: Candidate, imported: ImportedModel, samples: Sequence[Sample], domain: Domain, drawn: int, limits: Limits | None = None
) -> Agreement:
    """Compare a model with the float model that it stands for.

    Args:
        candidate: the model.
        imported: with the float model.
        samples: what calibrated it.
        domain: from which inputs are drawn.
        drawn: how many.
        limits: of the gate.
    """
    found = Agreement(len(samples), 0, limits or Limits(), outputs={name: OutputError() for name in imported.outputs})
    comparison = _Comparison(candidate, imported, found)
    inputs = [(Place(False, number), sample) for number, sample in enumerate(samples)]
    inputs += [(Place(True, number), domain.draw(number, GATE_SEED, samples)) for number in range(drawn)]
    for place, sample in inputs:
        comparison.take(place, sample, skip=place.drawn and not domain.declared)
    comparison.finish(len(samples))
    worst = None if found.holds else worst_place(found)
    if worst is not None:
        found.worst = next(sample for place, sample in inputs if place == worst)
        if found.error > found.limits.max_error or found.flips > found.limits.max_flips:
            # A label turns over by less than the limit, too.
            threshold = found.limits.max_error if found.error > found.limits.max_error else found.error / 2
            origins = origins_of(candidate, imported, found.worst, threshold)
            found.begins, found.origin = tuple(origins), next(iter(origins.values()), DOUBLES if _has_doubles(imported) else "")
        elif found.saturated:
            found.begins = tuple(name for node in imported.nodes if node.name in found.saturated for name in node.outputs if name)
    return found


def _shown(array: Array) -> str:
    """An array as a few of its numbers."""
    numbers = ", ".join(f"{number:.6g}" for number in array.reshape(-1)[:NUMBERS_SHOWN].tolist())
    return f"[{numbers}{', ...' if array.size > NUMBERS_SHOWN else ''}]"


def _has_doubles(imported: ImportedModel) -> bool:
    return any(port.dtype == np.float64 for port in imported.inputs)


def worst_place(found: Agreement) -> Place | None:
    """The input with the largest error if this is too large, else with a differing label, else with a saturated value."""
    worst = max(found.outputs.values(), key=lambda output: max(output.error, output.sample_error), default=None)
    if worst is not None and found.error > found.limits.max_error:
        return worst.place
    flips = [output.first_flip[0] for output in found.outputs.values() if output.first_flip is not None]
    return flips[0] if flips else found.first_saturated


class _Comparison:
    """The state of a comparison: numbers of the float model and differences, by output."""

    def __init__(self, candidate: Candidate, imported: ImportedModel, found: Agreement) -> None:
        self.candidate, self.imported, self.found = candidate, imported, found
        self.sources = label_sources(imported.original)
        hidden = sorted({source.scores for source in self.sources.values() if source.scores})
        shown = onnx_runtime.centred(onnx_runtime.with_outputs(imported.original, hidden))
        self.runner = onnx_runtime.session(shown, optimize=True)
        # Another way of the float model to compute the same, if it has one: what they differ by is its own noise.
        self.other: onnx_runtime.Session | None = None
        with suppress(onnx_runtime.RuntimeRefusal):
            self.other = onnx_runtime.session(shown)
        self.noise = dict.fromkeys(of_operator(imported.original, "Sigmoid"), SIGMOID_NOISE)
        self.differences: dict[str, list[tuple[float, Place]]] = {name: [] for name in imported.outputs}
        self.enough = ENOUGH_DOUBLES if _has_doubles(imported) else ENOUGH
        self.margins = {name: Margins() for name in imported.outputs}
        self.spans: dict[str, list[tuple[float, float, int]]] = {name: [] for name in imported.outputs}

    def take(self, place: Place, sample: Sample, skip: bool) -> None:
        """One more input. ``skip``: leave it out if the float model has no answer."""
        try:
            results = onnx_runtime.run_session(self.runner, sample)
        except UsageError:
            if not skip:
                raise
            self.found.undefined += 1
            return
        others = results
        with suppress(onnx_runtime.RuntimeRefusal):
            others = results if self.other is None else onnx_runtime.run_session(self.other, sample)
        expected = [as_array(results[name]) for name in self.imported.outputs]
        finite = all(np.isfinite(array.astype(np.float64)).all() for array in expected if array.dtype.kind == "f")
        if not finite and skip:
            self.found.undefined += 1
            return
        answer = self.candidate.evaluate(sample)
        found, same = self.found, True
        if answer.refused:
            if not place.drawn:
                raise InexactError(f"the guest has no answer for {place}: {answer.refused}")
            found.undefined += 1
            return
        found.drawn += place.drawn
        for layer in answer.saturated:
            found.saturated[layer] = found.saturated.get(layer, 0) + 1
            found.first_saturated = found.first_saturated or place
        found.outside += bool(answer.outside and not place.drawn)
        for name, result, real in zip(self.imported.outputs, answer.outputs, expected, strict=True):
            output, labels = found.outputs[name], None
            source = self.sources[name]
            if real.dtype.kind in "OSUiub" and not source.numbers:
                scores = as_array(results[source.scores]) if source.scores else None
                labels = differing_labels(result, real, source, scores)
                if scores is not None and source.scores not in found.outputs and source.scores in (inside := self.candidate.inside(sample)):
                    self._decided(name, inside[source.scores], scores, place)
            elif 0 < real.ndim <= MAX_SCORE_RANK and real.shape[-1] > 1:
                labels = differing_rows(result, real)
                self._decided(name, result, real, place)
            if real.dtype.kind == "f" or source.numbers:
                self._difference(name, place, result.astype(np.float64), real.astype(np.float64), as_array(others[name]).astype(np.float64))
            if labels is not None:
                same &= not labels.flips
                self._labels(output, place, labels)
        found.same_top1 += same

    def _decided(self, name: str, result: Array, real: Array, place: Place) -> None:
        if real.dtype.kind == "f" and real.ndim and real.shape[-1] > 1 and result.size == real.size:
            near = Source.NEAR if is_near(place.number) else Source.DRAWN
            self.margins[name].add(result, real, near if place.drawn else Source.SAMPLE)

    def _difference(self, name: str, place: Place, result: FloatArray, real: FloatArray, other: FloatArray) -> None:
        if not real.size:
            return
        finite = np.isfinite(real)
        equal = (result.reshape(real.shape) == real) | (np.isnan(result.reshape(real.shape)) & np.isnan(real))
        with np.errstate(invalid="ignore"):  # one infinity less another
            noise = np.abs(real - other)
            difference = np.abs(np.where(equal, 0.0, result.reshape(real.shape) - real))
        difference = np.where(np.isnan(difference), np.inf, difference)
        difference = np.maximum(difference - float(noise[np.isfinite(noise)].max(initial=self.noise.get(name, 0.0))), 0.0)
        self.differences[name].append((float(difference.max()), place))
        if finite.any():
            self.spans[name].append((float(real[finite].min()), float(real[finite].max()), int(real.size)))
        else:
            self.spans[name].append((np.inf, -np.inf, 0))

    def _labels(self, output: OutputError, place: Place, labels: Labels) -> None:
        output.flips, output.ties = output.flips + labels.flips, output.ties + labels.ties
        if labels.flips and output.first_flip is None:
            output.first_flip = place, labels.first

    def finish(self, samples: int) -> None:
        """Relate the differences to the ranges."""
        for name, output in self.found.outputs.items():
            output.expected_flips = self.margins[name].expected()
            spans, differences = self.spans[name], self.differences[name]
            if not spans:
                continue
            output.low, output.high = min(low for low, _, _ in spans), max(high for _, high, _ in spans)
            size, output.place = max(differences, key=lambda pair: pair[0])
            output.error = size / span_of(output.low, output.high)
            if sum(count for _, _, count in spans[:samples]) < self.enough or len(spans) == samples:
                continue
            span = span_of(min(low for low, _, _ in spans[:samples]), max(high for _, high, _ in spans[:samples]))
            size, place = max(differences[:samples], key=lambda pair: pair[0])
            output.sample_error = size / span
            output.place = place if output.sample_error > output.error else output.place


def as_array(value: Any) -> Array:
    """An output as an array; a list of dictionaries (class probabilities) as their values."""
    if isinstance(value, list):
        return np.array([list(entry.values()) if isinstance(entry, dict) else entry for entry in value])
    return np.asarray(value)
