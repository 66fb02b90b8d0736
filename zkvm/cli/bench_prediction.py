"""How far predictions are off: cases predicted, proven by a whole ``zkvm run``, proven again in a process that has proven before."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from zkvm import speed
from zkvm.cli.bench import Figures, guest, prove_in_child, warm_environment
from zkvm.params import parameters
from zkvm.prediction import BASE_BYTES

CASES = (
    ("digits", "", "balanced"), ("mixed", "2^16", "fast"), ("mixed", "2^16", "compact"),
    ("mixed", "2^18", "balanced"), ("mixed", "2^18", "fast"), ("mixed", "2^20", "fast"), ("mixed", "2^20", "balanced"),
)  # fmt: skip


def run_command(arguments: list[str]) -> tuple[float, Any]:
    """Wall seconds of a whole ``zkvm`` process and its JSON object."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "zkvm", *arguments, "--json"]
    output = subprocess.run(command, capture_output=True, check=True, env=warm_environment()).stdout
    return time.perf_counter() - started, json.loads(output)


def compare(name: str, case: str, params: str, threads: int, runs: int) -> Figures:
    """One case: predicted, then measured, and the ratios of the two; and what a fit of the coefficients needs."""
    path, stdin = guest(name, case or None)
    slowness = [speed.kernel_slowness.__wrapped__(), speed.python_slowness.__wrapped__()]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "input"
        source.write_bytes(stdin)
        proof = ["run", str(path), "--input", str(source), "--params", params, "--threads", str(threads)]
        execution = run_command([*proof, "--execute-only"])[1]
        touch = speed.first_touch.__wrapped__().seconds(execution["prediction"]["memory_bytes"] - BASE_BYTES)
        process, first = run_command([*proof, "--out", str(Path(folder) / "receipt")])
    predicted = execution["prediction"]
    later = prove_in_child(name, case, params, threads, runs)["seconds"]["total"]
    return {
        "case": " ".join(filter(None, (name, case, params))),
        "threads": threads,
        "cells": execution["cells"],
        "blowup": parameters(params).blowup,
        "slowness": [round(value, 3) for value in slowness],
        "first_touch_s": round(touch, 2),
        "first_proof_s": round(first["seconds"]["total"], 2),
        "process_s": [round(predicted["process_seconds"], 2), round(process, 2)],
        "later_proof_s": [round(predicted["seconds"], 2), later],
        "memory_mib": [round(value / 2**20) for value in (predicted["memory_bytes"], first["peak_memory_bytes"])],
        "process_ratio": round(predicted["process_seconds"] / process, 2),
        "later_proof_ratio": round(predicted["seconds"] / later, 2),
        "memory_ratio": round(predicted["memory_bytes"] / first["peak_memory_bytes"], 2),
    }


def bench_prediction(runs: int) -> Figures:
    """Pairs of predicted and measured figures, and over all cases the root mean square and the largest error of each ratio."""
    cases = [compare(*case, threads, runs) for case in CASES for threads in (2, 1)]
    errors: Figures = {}
    for name in ("process_ratio", "later_proof_ratio", "memory_ratio"):
        off = [abs(case[name] - 1) for case in cases]
        errors[name] = {"root_mean_square": round(math.hypot(*off) / math.sqrt(len(off)), 3), "largest": round(max(off), 2)}
    return {"cases": cases, "errors": errors}
