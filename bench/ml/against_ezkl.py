"""Proves the same ONNX file with this package and, if it is installed, with EZKL: seconds and peak memory of both, each in its own process.

Models: networks of ``networks.py`` with random weights, all attributes written out, which EZKL asks for; or ONNX files with one input. Ours
are compiled to fixed point, as EZKL computes.
EZKL runs with private input and parameters and public output, calibrated for resources. Its reference string is made on the spot; that time
is shown apart, as is the set-up: neither exists here.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.ml.networks import NETWORKS, write  # noqa: E402
from zkvm.session.resources import peak_memory_bytes  # noqa: E402

GIB = 1 << 30


def input_of(model: Path) -> tuple[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """The name of a model's input, and a random one."""
    import onnx

    value = onnx.load(str(model)).graph.input[0]
    shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    return value.name, np.random.default_rng(1).random(shape, np.float32)


class Steps:
    """Wall seconds of named steps, and for the long ones also processor seconds: a machine that is not idle shows in the difference."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a block."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.values[name] = time.perf_counter() - wall
        self.values[f"{name} (processor)"] = time.process_time() - processor


def ours(model: Path, params: str) -> dict[str, Any]:
    """Compile as the command does, prove twice (the second is warm), verify."""
    from zkvm import api
    from zkvm.ml import compiler

    steps, options = Steps(), compiler.Options(arithmetic=compiler.Arithmetic("fixed"))
    name, values = input_of(model)
    with steps.step("compile"):
        made = compiler.compile_imported(compiler.import_file(model, options), [{name: values}], options)
        compiler.add_measurements(made, [{name: values}], None)
    integers, _ = made.model.quantize([values])
    stdin = made.model.stdin(integers)
    for name in ("prove cold", "prove"):
        with steps.step(name):
            info = api.prove(made.model.elf, stdin, params=params)
    with steps.step("verify"):
        info.receipt.verify(info.image_id)
    return steps.values | {"cycles": info.cycles, "proof bytes": len(info.receipt.to_bytes()), "peak GiB": info.peak_memory_bytes / GIB}


def theirs(model: Path) -> dict[str, Any]:
    """EZKL's own sequence of steps, timed."""
    ezkl: Any = importlib.import_module("ezkl")
    steps = Steps()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = input_of(model)[1].reshape(-1).tolist()
        (folder / "input.json").write_text(json.dumps({"input_data": [data]}))
        paths = {name: str(folder / name) for name in ("input.json", "settings", "compiled", "srs", "witness", "vk", "pk", "proof")}
        arguments = ezkl.PyRunArgs()
        arguments.input_visibility = arguments.param_visibility = "private"
        arguments.output_visibility = "public"
        arguments.variables = [("batch", 1)]
        ezkl.gen_settings(str(model), paths["settings"], py_run_args=arguments)
        with steps.step("calibrate"):
            ezkl.calibrate_settings(paths["input.json"], str(model), paths["settings"], "resources")
        ezkl.compile_circuit(str(model), paths["compiled"], paths["settings"])
        rows_log2 = json.loads(Path(paths["settings"]).read_text())["run_args"]["logrows"]
        with steps.step("reference string"):
            ezkl.gen_srs(paths["srs"], rows_log2)
        ezkl.gen_witness(paths["input.json"], paths["compiled"], paths["witness"])
        with steps.step("set-up"):
            ezkl.setup(paths["compiled"], paths["vk"], paths["pk"], paths["srs"])
        with steps.step("prove"):
            ezkl.prove(paths["witness"], paths["compiled"], paths["pk"], paths["proof"], paths["srs"])
        with steps.step("verify"):
            accepted = ezkl.verify(paths["proof"], paths["settings"], paths["vk"], paths["srs"])
        assert accepted is True
        proof_bytes = len(json.loads(Path(paths["proof"]).read_text())["hex_proof"]) // 2 - 1
        sizes = {"rows": f"2^{rows_log2}", "proof bytes": proof_bytes, "key GiB": Path(paths["pk"]).stat().st_size / GIB}
        return steps.values | sizes | {"peak GiB": peak_memory_bytes() / GIB}


def shown(value: Any) -> str:
    """Three digits of a number that has more."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Every model in a process per system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models", nargs="*", default=["perceptron", "lenet5"], help=f"{', '.join(NETWORKS)}, or ONNX files; default: perceptron lenet5"
    )
    parser.add_argument("--params", default="balanced")
    parser.add_argument("--only", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        path = Path(arguments.models[0])
        print(json.dumps(ours(path, arguments.params) if arguments.only == "ours" else theirs(path)))
        return
    systems = ["ours", *(["theirs"] if importlib.util.find_spec("ezkl") else [])]
    with tempfile.TemporaryDirectory() as scratch:
        for given in arguments.models:
            model = write(given, Path(scratch))[0] if given in NETWORKS else Path(given).resolve()
            for system in systems:
                command = [sys.executable, __file__, str(model), "--only", system, "--params", arguments.params]
                result = subprocess.run(command, capture_output=True, text=True, check=False)
                name = "zkvm" if system == "ours" else "EZKL"
                lines = result.stdout.strip().splitlines()
                if result.returncode or not lines:
                    print(f"{model.stem:12} {name:5} failed: {result.stderr.strip().splitlines()[-1:]}")
                    continue
                values = json.loads(lines[-1])
                print(f"{model.stem:12} {name:5} " + ", ".join(f"{key} {shown(value)}" for key, value in values.items()), flush=True)
    if len(systems) == 1:
        print("ezkl is not installed: pip install ezkl")


if __name__ == "__main__":
    main()
