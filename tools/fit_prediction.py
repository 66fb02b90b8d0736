"""Fits the coefficients of ``zkvm/session/prediction.py`` to what ``python bench/run.py prediction`` printed.

    python tools/fit_prediction.py [--processor] FIGURES.json [FIGURES.json ...]

Prints the constants to put there, and how far off they are for cases that they were not fitted to. Errors are relative, so that small
proofs count as much as large ones; a coefficient that would be negative is left out.

With ``--processor`` later proofs are those on one thread, in seconds of the processor: on a machine with other load these say something
where the clock does not. What a whole process adds is then left out.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.session.prediction import BASE_BYTES, MEMORY_PART, SERIAL_SECONDS, Work, share

Case = dict[str, Any]


def non_negative(matrix: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares without negative coefficients: the most negative one is dropped until there is none."""
    kept = list(range(matrix.shape[1]))
    while True:
        found = np.linalg.lstsq(matrix[:, kept], values, rcond=None)[0]
        if (found >= 0).all():
            break
        kept.pop(int(found.argmin()))
    result = np.zeros(matrix.shape[1])
    result[kept] = found
    return result


def amounts(cases: list[Case]) -> NDArray[np.float64]:
    """A row for each case: what the coefficients are multiplied with, which are the reference machine's."""
    rows = np.array([Work(**case["work"]).amounts(case["threads"]) for case in cases])
    kernels, python = np.array([case["slowness"] for case in cases]).T[:, :, None]
    serial, shared = rows[:, : len(SERIAL_SECONDS)], rows[:, len(SERIAL_SECONDS) :]
    return np.concatenate([serial * python, shared * (MEMORY_PART + (1 - MEMORY_PART) * kernels)], 1)


def later_seconds(cases: list[Case]) -> NDArray[np.float64]:
    """Of later proofs."""
    return np.array([case["later_proof_s"][1] for case in cases])


def told(what: str, errors: NDArray[np.float64]) -> None:
    """Print how far off something is."""
    if len(errors):
        print(f"{what}: {np.sqrt(np.mean(errors**2)):.3f} root mean square, {np.abs(errors).max():.2f} at most")


def of_processor(cases: list[Case]) -> list[Case]:
    """Cases on one thread, with the processor's seconds for those of the clock."""
    return [case | {"later_proof_s": [None, case["later_processor_s"]]} for case in cases if case["threads"] == 1]


def fit(cases: list[Case], whole_processes: bool) -> None:
    """Print the coefficients, and how far off all cases are with them."""
    held = [case for case in cases if case.get("held_out")]
    cases = [case for case in cases if not case.get("held_out")]
    rows, seconds = amounts(cases), later_seconds(cases)
    found = non_negative(rows / seconds[:, None], np.ones(len(cases)))
    print(f"SERIAL_SECONDS = {tuple(float(f'{value:.3g}') for value in found[:2])}")
    print(f"SHARED_SECONDS = {tuple(float(f'{value:.3g}') for value in found[2:])}")
    told("later proofs", rows @ found / seconds - 1)
    if held:
        told("later proofs of other cases", amounts(held) @ found / later_seconds(held) - 1)
    if whole_processes:
        fit_start(cases)


def fit_start(cases: list[Case]) -> None:
    """Print what a whole process adds to a proof."""
    extra = np.array([case["process_s"][1] - case["later_proof_s"][1] for case in cases])
    touched = [case["memory_mib"][0] - BASE_BYTES / 2**20 for case in cases]
    parts = np.array(
        [
            [case["slowness"][1], share(case["threads"]) * math.sqrt(case["first_touch_s"] * max(count, 0) / 1024)]
            for case, count in zip(cases, touched, strict=True)
        ]
    )
    whole = np.array([case["process_s"][1] for case in cases])
    start, root = non_negative(parts / whole[:, None], extra / whole)
    print(f"START_SECONDS = {start:.3g}")
    print(f"TOUCH_SECONDS = {root * root:.3g} / (1 << 30)")
    told("whole processes", (parts @ [start, root] - extra) / whole)
    print(f"median slowness: {[round(statistics.median(case['slowness'][k] for case in cases), 2) for k in range(2)]}")


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--processor"]
    found = [case for name in names for case in json.loads(Path(name).read_text())["prediction"]["cases"]]
    fit(of_processor(found) if "--processor" in sys.argv else found, "--processor" not in sys.argv)
