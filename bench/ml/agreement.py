"""Do compiled models give the float model's answers? A corpus of public models and of what people export, each on many unseen inputs.

Every model is compiled with one calibration sample and with two hundred, and run on inputs that calibration did not see; what is compared,
and what a tie is, says ``comparison.py``. Nothing is downloaded: the models are made here, by the packages of
``agreement-requirements.txt``, once, and kept in a folder. What is not installed is left out, and named.

Exit code 1 if a goal is missed: a label differs beyond the float model's own ties, the largest error of a model is above 1 % of the
output's range, or above 0.1 % at the median of all models, a value was cut silently, or a model was neither compiled nor refused.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.common import machine_description
from bench.ml.adapter import compiled_from
from bench.ml.comparison import Row, measure
from bench.ml.corpus import boosters, keras_exports, public, quantized, tabular, torch_exports
from bench.ml.corpus.entry import CALIBRATION, Absent, Entry
from bench.ml.corpus.store import load
from zkvm.errors import ZkvmError

INPUTS, QUICK_INPUTS = 1000, 50
QUICK = 8
"""With ``--quick`` every so many-th model of a family."""
MEDIAN, LARGEST = 0.001, 0.01
SAID = {"measured": "compiled", "refused": "refused", "failed": "neither compiled nor refused"}
FAMILIES = ("public", "tabular", "boosters", "torch_exports", "keras_exports", "quantized")


def entries(models: Path, families: Sequence[str]) -> Iterator[Entry]:
    """The models of the families, in order."""
    for family in families:
        if family == "public":
            yield from public.entries(models)
        else:
            modules = {"tabular": tabular, "boosters": boosters, "torch_exports": torch_exports}
            yield from (modules | {"keras_exports": keras_exports, "quantized": quantized})[family].entries()


@dataclass(frozen=True, slots=True)
class Settings:
    """How models are measured.

    Attributes:
        models: folder of public ones.
        cache: folder of made ones.
        inputs: for each.
        calibrations: numbers of samples.
        seconds: after which no further input of a model is run.
    """

    models: Path
    cache: Path
    inputs: int
    calibrations: Sequence[int]
    seconds: float


@lru_cache
def _family(models: Path, family: str) -> dict[str, Entry]:
    return {entry.path: entry for entry in entries(models, [family])}


def measured_by_name(path: str, settings: Settings) -> list[Row]:
    """One row for each calibration of a model, in a process that knows its name only."""
    warnings.simplefilter("ignore")
    return list(measured(_family(settings.models, path.split("/")[0])[path], settings))


def measured(entry: Entry, settings: Settings) -> Iterator[Row]:
    """One row for each calibration of a model."""
    try:
        case = load(entry, settings.cache, settings.inputs)
    except Absent as reason:
        yield Row(entry.path, 0, "absent", str(reason))
        return
    for calibration in settings.calibrations:
        start = time.monotonic()
        try:
            compiled = compiled_from(case.path, case.calibration(calibration))
            row = measure(case, compiled, calibration, settings.seconds)
        except ZkvmError as error:
            row = Row(entry.path, calibration, "refused", str(error))
        except Exception as error:  # a bug of the compiler: counted, and named
            row = Row(entry.path, calibration, "failed", f"{type(error).__name__}: {error}")
        row.seconds = round(time.monotonic() - start, 2)
        row.reason = row.reason.replace(str(case.path), "the file")
        yield row


HEADER = f"{'model':52} {'calib':>5} {'inputs':>6} {'refused':>7} {'labels':>6} {'ties':>4} {'error %':>9} {'cut':>5} {'wrong':>5}"


def line(row: Row) -> str:
    """A row of the table."""
    start = f"{row.model:52} {row.calibration or '':>5}"
    if row.status != "measured":
        return f"{start} {row.status}: {' '.join(row.reason.split())[:150]}"
    numbers = f"{row.inputs:6} {row.refused:7} {row.flips:6} {row.ties:4} {100 * row.error:9.4f} {row.saturated:5} {row.wrong:5}"
    causes = ", ".join(f"{count} {cause}" for cause, count in row.causes.items())
    return f"{start} {numbers}  {causes[:90]}".rstrip()


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """What came out, for each calibration."""
    for calibration in sorted({row.calibration for row in rows if row.calibration}):
        chosen = [row for row in rows if row.calibration == calibration]
        good = [row for row in chosen if row.status == "measured"]
        answered = [row.error for row in good if row.inputs > row.refused]
        counts = Counter(row.status for row in chosen)
        exact = sum(not row.flips and row.error <= LARGEST and row.refused < row.inputs for row in good)
        compiled = ", ".join(f"{counts[key]} {said}" for key, said in SAID.items())
        yield f"calibrated on {calibration}: {len(chosen)} models: {compiled}"
        yield f"  without a differing label and within 1 %: {exact} of {len(good)}"
        if answered:
            median, largest = 100 * statistics.median(answered), 100 * max(answered)
            yield f"  largest error of a model, in % of the output's range: median {median:.4f}, largest {largest:.4g}"
        total = {key: sum(getattr(row, key) for row in good) for key in ("inputs", "refused", "flagged", "ties")}
        yield f"  inputs: {total['inputs']} run, {total['refused']} of them refused, {total['flagged']} flagged as saturated"
        for what, counted in (("differing labels", "flips"), ("silent saturations", "saturated"), ("silently wrong runs", "wrong")):
            numbers = [getattr(row, counted) for row in good]
            yield f"  {what}: {sum(numbers)} in {sum(number > 0 for number in numbers)} models"
        yield f"  labels that differ in ties only: {total['ties']}"
    absent = [row for row in rows if row.status == "absent"]
    if absent:
        yield f"not made here: {len(absent)} models"


def missed(rows: Sequence[Row]) -> Iterator[str]:
    """Which goals are missed, for each calibration."""
    for calibration in sorted({row.calibration for row in rows if row.calibration}):
        good = [row for row in rows if row.calibration == calibration and row.status == "measured"]
        answered = [row.error for row in good if row.inputs > row.refused]
        found = {
            "labels differ": sum(row.flips for row in good) > 0,
            "the median of the largest errors is above 0.1 %": bool(answered) and statistics.median(answered) > MEDIAN,
            "a largest error is above 1 %": bool(answered) and max(answered) > LARGEST,
            "values were cut silently": any(row.saturated for row in good),
            "a model was neither compiled nor refused": any(row.status == "failed" for row in rows if row.calibration == calibration),
        }
        yield from (f"calibrated on {calibration}: {what}" for what, is_so in found.items() if is_so)


def _all(chosen: Sequence[Entry], settings: Settings, jobs: int) -> Iterator[list[Row]]:
    """The rows of all models, in order; each family in processes of its own, because not all exporters can be loaded into one.

    Spawned: the exporters' packages start threads, which do not survive a fork.
    """
    for _, family in groupby(chosen, key=lambda entry: entry.path.split("/")[0]):
        paths = [entry.path for entry in family]
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            yield from pool.map(measured_by_name, paths, [settings] * len(paths))


def main() -> int:
    """Measure, print the table and the summary; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("../shared/models"), help="folder of public models (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "agreement-cache", help="where made models are kept")
    parser.add_argument("--family", action="append", choices=FAMILIES, help="only this family")
    parser.add_argument("--only", default="", help="only models whose family/name has this")
    parser.add_argument("--inputs", type=int, default=INPUTS, help="for each model (default: %(default)s)")
    parser.add_argument("--calibration", type=int, action="append", help=f"samples (default: 1 and {CALIBRATION})")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no further input of a model is run")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help=f"one model in {QUICK}, {QUICK_INPUTS} inputs each")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = [entry for entry in entries(arguments.models, arguments.family or FAMILIES) if arguments.only in entry.path]
    count = arguments.inputs
    if arguments.quick:
        chosen, count = chosen[::QUICK], min(count, QUICK_INPUTS)
    settings = Settings(arguments.models, arguments.cache, count, arguments.calibration or (1, CALIBRATION), arguments.seconds)
    rows = []
    print(HEADER)
    for found in _all(chosen, settings, arguments.jobs):
        rows += found
        print(*map(line, found), sep="\n", flush=True)
    print(*summary(rows), sep="\n")
    goals = list(missed(rows))
    if arguments.json:
        figures = {"machine": machine_description(), "rows": [asdict(row) for row in rows], "missed": goals}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(*(f"goal missed: {goal}" for goal in goals), sep="\n")
    return 1 if goals else 0


if __name__ == "__main__":
    sys.exit(main())
