"""Two builds of this project beside each other, on the same models and in turns, because machines are shared and their speed changes.

Each build lies in an environment of its own, whose Python is named. Every model is compiled by both, and proven by both in turns: in each
turn a fresh process of a build proves twice; the second time is that of a later proof, the first and the process's are given too. What
counts is the ratio of the medians; on a machine with other load, that of the processor's seconds (user and system, all threads). The models
are those of ``networks.py`` with random weights, or ONNX files with their calibration data beside them (``NAME.onnx`` and ``NAME.npy``).

    python bench/ml/against.py --before old/bin/python --after new/bin/python perceptron lenet5
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.common import machine_description  # noqa: E402
from bench.ml.networks import NETWORKS, write  # noqa: E402

BUILDS = ("before", "after")
FIGURES = ("first", "later", "process", "gib", "receipt", "first_cpu", "later_cpu", "process_cpu")
CHILD = """
import json, sys, time
from pathlib import Path
import numpy as np
import zkvm.ml
from zkvm import api
folder, data, params, security, proofs = sys.argv[1:]
started = time.perf_counter()
model = zkvm.ml.CompiledModel.load(Path(folder))
words, _ = model.quantize([np.load(data)[0].reshape(model.inputs[0].shape)])
seconds, processor = [], []
for _ in range(int(proofs)):
    begin, used = time.perf_counter(), time.process_time()
    info = api.prove(model.elf, model.stdin(words), params=params, security=int(security), verify=False)
    seconds.append(time.perf_counter() - begin)
    processor.append(time.process_time() - used)
print(json.dumps({"first": seconds[0], "later": min(seconds[1:] or seconds), "gib": info.peak_memory_bytes / 2**30,
                  "first_cpu": processor[0], "later_cpu": min(processor[1:] or processor), "process_cpu": time.process_time(),
                  "receipt": len(info.receipt.to_bytes()), "cycles": info.session.cycles}))
"""


def compiled(python: str, model: Path, data: Path, directory: Path, *more: str) -> float:
    """Compile with one build, to fixed point, so that both prove the same arithmetic; seconds."""
    start = time.perf_counter()
    options = ["--calibration", str(data), "-o", str(directory), "--no-measure", "--accept-inexact", "--arithmetic", "fixed", *more]
    command = [python, "-m", "zkvm", "compile", str(model), *options]
    subprocess.run(command, check=True, capture_output=True, cwd=directory.parent)
    return time.perf_counter() - start


def proven(python: str, directory: Path, data: Path, params: str, security: int, proofs: int = 2) -> dict[str, Any]:
    """Proofs in a fresh process, two unless it is said."""
    start = time.perf_counter()
    command = [python, "-c", CHILD, str(directory), str(data), params, str(security), str(proofs)]
    # An installed package has its modules compiled; a first proof would pay for that where nobody may keep them.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": ""}
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=directory.parent, env=env)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures | {"process": time.perf_counter() - start}


def compare(name: str, pythons: dict[str, str], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures of a model: medians by build, and their ratios."""
    model, data = write(name, folder) if name in NETWORKS else (Path(name).resolve(), Path(name).resolve().with_suffix(".npy"))
    directories = {build: folder / f"{model.stem}-{build}" for build in BUILDS}
    compiling = {build: compiled(pythons[build], model, data, directories[build]) for build in BUILDS}
    rows: dict[str, list[dict[str, Any]]] = {build: [] for build in BUILDS}
    for _ in range(options.turns):
        for build in BUILDS:
            rows[build].append(proven(pythons[build], directories[build], data, options.params, options.security))
    found: dict[str, Any] = {"model": model.stem, "compile": compiling}
    for figure in FIGURES:
        medians = {build: statistics.median(row[figure] for row in rows[build]) for build in BUILDS}
        found[figure] = medians | {"ratio": medians["before"] / medians["after"]}
    found["cycles"] = {build: rows[build][0]["cycles"] for build in BUILDS}
    return found


def line(found: dict[str, Any]) -> str:
    """A row of the table."""
    pairs = [f"{found[figure]['before']:.2f} / {found[figure]['after']:.2f} ({found[figure]['ratio']:.1f}x)" for figure in FIGURES[:4]]
    receipt = f"{found['receipt']['before']:,.0f} / {found['receipt']['after']:,.0f}"
    cycles = f"{found['cycles']['before']:,} / {found['cycles']['after']:,}"
    used = [f"{found[figure]['before']:.2f} / {found[figure]['after']:.2f}" for figure in FIGURES[5:]]
    return " | ".join([found["model"], *pairs, receipt, cycles, *used])


def main() -> None:
    """Compare the builds on all models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(NETWORKS), help=f"{', '.join(NETWORKS)}, or ONNX files (default: all of these)")
    parser.add_argument("--before", required=True, help="Python of the environment with the old build")
    parser.add_argument("--after", required=True, help="Python of the environment with the new build")
    parser.add_argument("--params", default="balanced", help="parameter set (default: %(default)s)")
    parser.add_argument("--security", type=int, default=100, help="proven bits (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="processes of each build (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    results = []
    print(
        "model | first proof, s | later proof, s | process, s | peak, GiB | receipt, bytes | cycles | the same in processor seconds",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            results.append(compare(name, {"before": options.before, "after": options.after}, options, Path(folder)))
            print(line(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine_description(), "models": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
