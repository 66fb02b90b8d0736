"""A compiled model against the float model: differing labels beyond the float model's own ties, errors, cut values, refused runs.

**A label** is an element of an output of integers, booleans or texts; where a model has only scores, their largest along the last axis.

**A tie** is a differing label that the float model does not decide: its score of its own label exceeds the score of the other one (where
that is not known, its second best) by no more than 2^-20 of the largest score among all inputs, eight units in the last place of a
float32; or it changes the label itself when every number of the input is moved by up to two units in its last place, in one of eight
random ways. The second does not hold for models with trees, whose comparisons are exact.

**The error** is the largest difference over the range that the float output has over all inputs; of outputs whose columns are
quantities of their own, over the range of the column; a range counts as at least 2^-12 of the largest magnitude, because below that the
noise of float32 itself would show. Where the float output is not finite, the same NaN or infinity is error 0, and
everything else is infinitely wrong.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from bench.ml.adapter import Array, Compiled, Run
from bench.ml.corpus.store import Case, float_session, run_float, samples_of

NOISE = 2.0**-20
MOVES, STEPS = 8, 2
LEAST_RANGE = 2.0**-12
WRONG = 0.01
"""An error from which a run counts as wrong."""


@dataclass
class Row:
    """What became of a model with one calibration.

    Attributes:
        model: family and name.
        calibration: how many samples.
        status: ``measured``, ``refused`` by the compiler, ``failed`` (neither an answer nor a refusal), or ``absent``.
        reason: why not measured.
        inputs: how many were run. refused: how many of them were refused. refusals: why, and how often.
        flips, ties: inputs with a differing label, and those that differ in ties only.
        error: the largest. saturated: runs whose values were cut and whose journal does not say so. flagged: whose journal says so.
        wrong: runs with a differing label or an error of more than 1 % that nobody was told of. causes: what else is known of them.
    """

    model: str
    calibration: int
    status: str = "measured"
    reason: str = ""
    inputs: int = 0
    refused: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    flips: int = 0
    ties: int = 0
    error: float = 0.0
    saturated: int = 0
    flagged: int = 0
    wrong: int = 0
    causes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def measure(case: Case, compiled: Compiled, calibration: int, seconds: float) -> Row:
    """Run a compiled model on all inputs of a case.

    Args:
        case: model, inputs and expected outputs.
        compiled: from the same model.
        calibration: number of samples.
        seconds: after which no further input is run.
    """
    start, runs = time.monotonic(), list[Run]()
    for sample in samples_of(case.made.inputs):
        runs.append(compiled.run(sample))
        if time.monotonic() - start > seconds:
            break
    row = Row(case.entry.path, calibration, inputs=len(runs), seconds=time.monotonic() - start)
    row.refused = sum(bool(run.refused) for run in runs)
    row.refusals = dict(Counter(run.refused[:160] for run in runs if run.refused).most_common(3))
    good = [index for index, run in enumerate(runs) if not run.refused]
    if not good:
        return row
    shapes = [(tuple(got.shape), expected.shape[1:]) for got, expected in zip(runs[good[0]].outputs, case.expected, strict=False)]
    if len(runs[good[0]].outputs) != len(case.expected) or any(got != expected for got, expected in shapes):
        row.status, row.reason = "failed", f"outputs of other shapes (got, expected): {shapes}"
        return row
    _compare(row, case, runs, good)
    return row


def _compare(row: Row, case: Case, runs: list[Run], good: list[int]) -> None:
    errors, differing = np.zeros(len(good)), np.zeros(len(good), bool)
    tied = np.zeros(len(good), bool)
    for position, full in enumerate(case.expected):
        expected, got = full[good], np.stack([runs[index].outputs[position] for index in good])
        if expected.dtype.kind in "f":
            errors = np.maximum(errors, relative_errors(got.astype(np.float64), expected, full, case.made.by_column))
        differs = _differs(case, position, expected, got)
        for place in np.flatnonzero(differs):
            if _tie(case, position, good[place], got[place]):
                tied[place] = True
            else:
                differing[place] = True
    kept = [runs[index] for index in good]
    row.flips, row.ties = int(differing.sum()), int((tied & ~differing).sum())
    row.error = float(errors.max(initial=0.0))
    row.flagged = sum(run.flagged for run in kept)
    row.saturated = sum((run.cut or bool(run.inside)) and not run.flagged for run in kept)
    wrong = [run for run, bad in zip(kept, differing | (errors > WRONG), strict=True) if bad and not run.flagged]
    row.wrong = len(wrong)
    row.causes = dict(Counter(_cause(run) for run in wrong).most_common(4))


def _cause(run: Run) -> str:
    if run.cut:
        return "input cut"
    return f"value cut in {run.inside[0]}" if run.inside else "precision"


def relative_errors(got: Array, expected: Array, full: Array, by_column: bool) -> Array:
    """The largest error of each input.

    Args:
        got: of the compiled model; the first axis counts the inputs.
        expected: of the float model.
        full: of the float model on all inputs.
        by_column: whether each column of the last axis has its own range.
    """
    rows = full.reshape(-1, full.shape[-1]) if by_column and full.ndim > 1 else full.reshape(-1, 1)
    finite = np.where(np.isfinite(rows), rows, np.nan).astype(np.float64)
    known = ~np.isnan(finite).all(axis=0)
    low, high = (pick(np.where(np.isnan(finite), fill, finite), axis=0) for pick, fill in ((np.min, np.inf), (np.max, -np.inf)))
    magnitude = np.where(known, np.maximum(np.abs(low), np.abs(high)), 0.0)
    span = np.where(known & (high > low), high - low, magnitude)
    span = np.maximum(span, LEAST_RANGE * magnitude)
    span = np.where(span > 0, span, 1.0)
    reals = expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.abs(got - reals) / span
    usual = np.isfinite(reals)
    same = (np.isnan(reals) & np.isnan(got)) | (reals == got)
    difference = np.where(same, 0.0, np.where(usual & np.isfinite(got), difference, np.inf))
    return np.asarray(difference.reshape(len(difference), -1).max(axis=1, initial=0.0))


def _differs(case: Case, position: int, expected: Array, got: Array) -> Array:
    """For which inputs an output has another label."""
    if len(expected) == 0 or expected[0].size == 0:
        return np.zeros(len(expected), bool)
    if expected.dtype.kind not in "f":
        different = got.astype(expected.dtype) != expected if expected.dtype.kind in "biu" else got.astype(str) != expected
    elif case.made.scores == case.outputs[position]:
        different = got.argmax(axis=-1) != expected.argmax(axis=-1)
    else:
        return np.zeros(len(expected), bool)
    return np.asarray(different.reshape(len(expected), -1).any(axis=1))


def _tie(case: Case, position: int, index: int, got: Array) -> bool:
    """Whether the float model does not decide the labels that differ for an input."""
    expected = case.expected[position][index]
    if expected.dtype.kind == "f":
        margins = np.take_along_axis(expected, expected.argmax(-1)[..., None], -1) - np.take_along_axis(
            expected, got.argmax(-1)[..., None], -1
        )
        scores = case.expected[position]
    else:
        found = _scores(case)
        if found is None:
            return _unstable(case, position, index)
        scores = found
        ordered = np.sort(scores[index].reshape(-1).astype(np.float64))
        margins = ordered[-1:] - ordered[-2:-1] if ordered.size > 1 else np.abs(ordered)
    finite = np.abs(scores[np.isfinite(scores)].astype(np.float64))
    if margins.size and float(margins.max()) <= NOISE * float(finite.max(initial=0.0)):
        return True
    return _unstable(case, position, index)


def _scores(case: Case) -> Array | None:
    """The scores beside a single label: an output of floats with one row for each input."""
    if any(column.dtype.kind not in "f" and column[0].size != 1 for column in case.expected):
        return None
    return next((column for column in case.expected if column.dtype.kind == "f"), None)


def _unstable(case: Case, position: int, index: int) -> bool:
    """Whether the float model changes its label with the last bits of its input."""
    content = case.path.read_bytes()
    if any(node.op_type.startswith("TreeEnsemble") for node in onnx.load_from_string(content).graph.node):
        return False
    sample = {name: array[index] for name, array in case.made.inputs.items()}
    if all(array.dtype.kind != "f" for array in sample.values()):
        return False
    session, random = float_session(content), np.random.default_rng(index)
    expected = case.expected[position][index]
    for _ in range(MOVES):
        moved = run_float(session, {name: _moved(array, random) for name, array in sample.items()})[position]
        if expected.dtype.kind == "f":
            changed: Any = moved.argmax(-1) != expected.argmax(-1)
        else:
            changed = moved.astype(expected.dtype) != expected
        if np.any(changed):
            return True
    return False


def _moved(array: Array, random: np.random.Generator) -> Array:
    if array.dtype.kind != "f":
        return array
    steps = random.integers(-STEPS, STEPS + 1, size=array.shape)
    return np.asarray(array + steps * np.spacing(array), array.dtype)
