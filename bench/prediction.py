"""How far predictions are off: cases predicted, proven by a whole ``zkvm run``, proven again in a process that has proven before.

The cases take turns, so that a machine which drifts within minutes is seen in several of its states by each of them.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.common import Figures, guest, prove_in_child, warm_environment
from zkvm.riscv.machine import machine
from zkvm.session import speed
from zkvm.session.prediction import BASE_BYTES, work_of
from zkvm.stark.protocol.shape import ProofShape
from zkvm.verifier.receipt import Receipt

CASES = (
    ("digits", "", "balanced"), ("mixed", "2^16", "fast"), ("mixed", "2^16", "compact"),
    ("mixed", "2^18", "balanced"), ("mixed", "2^18", "fast"), ("mixed", "2^20", "fast"), ("mixed", "2^20", "balanced"),
    ("network", "perceptron", "balanced"), ("network", "lenet5", "balanced"),
    ("network", "block", "balanced"), ("network", "block", "fast"),
)  # fmt: skip
HELD_OUT = (
    ("mixed", "rounds 1560", "balanced"), ("mixed", "rounds 24928", "fast"),
    ("network", "cnn", "balanced"), ("network", "blocks", "balanced"),
    ("mixed", "rounds 71700", "fast"), ("mixed", "rounds 95600", "fast"), ("mixed", "rounds 35000", "balanced"),
)  # fmt: skip
"""Cases that the coefficients are not fitted to."""

LATER_PROOFS = 2
PAIRS = ("process_s", "later_proof_s", "memory_mib")


def run_command(arguments: list[str]) -> tuple[float, Any]:
    """Wall seconds of a whole ``zkvm`` process and its JSON object."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "zkvm", *arguments, "--json"]
    output = subprocess.run(command, capture_output=True, check=True, env=warm_environment()).stdout
    return time.perf_counter() - started, json.loads(output)


def compare(name: str, case: str, params: str, threads: int) -> Figures:
    """One case once: pairs of what was predicted and what was then measured; and what a fit of the coefficients needs."""
    path, stdin = guest(name, case or None)
    slowness = [speed.kernel_slowness.__wrapped__(), speed.python_slowness.__wrapped__()]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "input"
        source.write_bytes(stdin)
        proof = ["run", str(path), "--input", str(source), "--params", params, "--threads", str(threads)]
        execution = run_command([*proof, "--execute-only"])[1]
        touch = speed.first_touch.__wrapped__().seconds(execution["prediction"]["memory_bytes"] - BASE_BYTES)
        process, first = run_command([*proof, "--out", str(Path(folder) / "receipt")])
        receipt = Receipt.load(Path(folder) / "receipt")
    assert receipt.seal is not None
    work = asdict(work_of(ProofShape(machine(), receipt.parameters, receipt.seal.log_heights)))
    predicted = execution["prediction"]
    later = prove_in_child(name, case, params, threads, LATER_PROOFS)
    return {
        "case": " ".join(filter(None, (name, case, params))),
        "threads": threads,
        "held_out": (name, case, params) in HELD_OUT,
        "work": work,
        "slowness": [round(value, 3) for value in slowness],
        "first_touch_s": round(touch, 2),
        "first_proof_s": round(first["seconds"]["total"], 2),
        "process_s": [round(predicted["process_seconds"], 2), round(process, 2)],
        "later_proof_s": [round(predicted["seconds"], 2), later["seconds"]["total"]],
        "later_processor_s": later["processor_s"],
        "memory_mib": [round(value / 2**20) for value in (predicted["memory_bytes"], first["peak_memory_bytes"])],
    }


def bench_prediction(runs: int) -> Figures:
    """Rounds of all cases; of each case the medians of the predicted and of the measured figures, and how far these are apart."""
    rounds = [[compare(*case, threads) for case in CASES + HELD_OUT for threads in (2, 1)] for _ in range(runs)]
    medians: list[Figures] = []
    errors: Figures = {}
    for seen in zip(*rounds, strict=True):
        pairs = {name: [statistics.median(sample[name][k] for sample in seen) for k in range(2)] for name in PAIRS}
        ratios = {f"{name}_ratio": round(predicted / measured, 2) for name, (predicted, measured) in pairs.items()}
        medians.append({"case": seen[0]["case"], "threads": seen[0]["threads"], **pairs, **ratios})
    for name in PAIRS:
        off = [abs(case[f"{name}_ratio"] - 1) for case in medians]
        single = [abs(sample[name][0] / sample[name][1] - 1) for seen in rounds for sample in seen]
        errors[name] = {
            "root_mean_square": round(math.hypot(*off) / math.sqrt(len(off)), 3),
            "largest": round(max(off), 2),
            "within_25_percent": f"{sum(value <= 0.25 for value in off)} of {len(off)}",
            "single_runs_within_25_percent": f"{sum(value <= 0.25 for value in single)} of {len(single)}",
        }
    return {"errors": errors, "medians": medians, "cases": [sample for seen in rounds for sample in seen]}
