"""A table over a folder of public ONNX models (``NAME/network.onnx`` with ``NAME/input.json``, as the examples of zkonduit/ezkl have them).

For each: whether it compiles, whether guest and integer model agree bit for bit on the sample and on random inputs of its size, the largest
error against onnxruntime relative to the output's range, the same for the label, cycles; with ``--prove`` also a proof, verified.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from zkvm import api
from zkvm.errors import ZkvmError
from zkvm.ml import compile as compiler
from zkvm.ml.card import error_relative_to_range
from zkvm.ml.compile import float_outputs
from zkvm.ml.importer import Port
from zkvm.ml.ir import Kind, evaluate
from zkvm.ml.samples import Sample, load_samples

VARIABLE = "ZKVM_MODELS"
RANDOM_INPUTS = 3


@dataclass(slots=True)
class Row:
    """One model. ``error`` is relative to the output's range, of the sample and the random inputs; ``status`` is "ok" or a message."""

    name: str
    status: str = "ok"
    parameters: int = 0
    macs: int = 0
    exact: bool = False
    error: float = 0.0
    same_label: bool = True
    cycles: int = 0
    seconds: float = 0.0
    peak_gib: float = 0.0
    receipt_bytes: int = 0


def like(sample: Sample, ports: list[Port], random: np.random.Generator) -> Sample:
    """A random input within the range of a sample, of the same kind."""
    result: dict[str, NDArray[Any]] = {}
    for port in ports:
        array = sample[port.name]
        if array.dtype == np.bool_:
            result[port.name] = random.random(array.shape) < 0.5
        elif np.issubdtype(array.dtype, np.integer):
            result[port.name] = random.integers(array.min(), array.max() + 1, array.shape)
        else:
            result[port.name] = random.uniform(array.min(), array.max(), array.shape).astype(array.dtype)
    return result


def measure(folder: Path, prove: bool = False, params: str = "balanced") -> Row:
    """Compile, compare, and prove if asked."""
    from zkvm.vm.executor import execute

    row = Row(folder.name)
    try:
        imported = compiler.import_file(folder / "network.onnx", compiler.Options())
        sample = load_samples(folder / "input.json", imported.inputs)[0]
        random = np.random.default_rng(0)
        samples = [sample, *(like(sample, imported.inputs, random) for _ in range(RANDOM_INPUTS))]
        made = compiler.compile_imported(imported, samples, compiler.Options())
        row.parameters, row.macs, row.exact = made.model.card["parameters"], made.graph.macs, True
        image = api.load_image(made.model.elf)
        for inputs, expected in zip(samples, float_outputs(imported, samples), strict=True):
            integers, _ = made.model.quantize([inputs[port.name] for port in imported.inputs])
            results = evaluate(made.graph, integers)
            run = execute(image, made.model.stdin(integers), trace=False)
            row.exact &= run.exit_code == 0 and run.journal == b"".join(result.astype("<i4").tobytes() for result in results)
            row.cycles = run.cycles
            for value, result, real in zip(made.graph.outputs, results, expected, strict=True):
                row.error = max(row.error, error_relative_to_range(value.dequantize(result), real))
                row.same_label &= value.kind is not Kind.REAL or bool(
                    real.reshape(-1)[int(result.argmax())] >= real.max() - 1e-3 * float(np.ptp(real) or abs(real).max())
                )
        if prove:
            integers, _ = made.model.quantize([sample[port.name] for port in imported.inputs])
            info = api.prove(made.model.elf, made.model.stdin(integers), params=params)
            info.receipt.verify(info.image_id)
            row.seconds, row.peak_gib = info.seconds["total"], info.peak_memory_bytes / api.GIB
            row.receipt_bytes = len(info.receipt.to_bytes())
    except ZkvmError as error:
        row.status = str(error)[:200]
    return row


def main() -> None:
    """Print the table as Markdown, or JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=os.environ.get(VARIABLE), help=f"default: the variable {VARIABLE}")
    parser.add_argument("--only", nargs="*", default=[], help="names of models")
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--params", default="balanced")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.folder is None:
        parser.error(f"name a folder of models, or set {VARIABLE}")
    folders = sorted(path.parent for path in arguments.folder.glob("*/network.onnx"))
    rows = []
    if not arguments.json:
        print("| model | parameters | MACs | guest = integer model | largest error | same label | cycles | prove s | peak GiB |")
        print("|---|---|---|---|---|---|---|---|---|")
    for folder in folders:
        if arguments.only and folder.name not in arguments.only:
            continue
        row = measure(folder, arguments.prove, arguments.params)
        rows.append(row)
        if arguments.json:
            print(json.dumps(asdict(row)), flush=True)
        elif row.status != "ok":
            print(f"| {row.name} | {row.status} |", flush=True)
        else:
            print(
                f"| {row.name} | {row.parameters} | {row.macs} | {'yes' if row.exact else 'NO'} | {100 * row.error:.4f} % | "
                f"{'yes' if row.same_label else 'NO'} | {row.cycles} | {row.seconds:.2f} | {row.peak_gib:.2f} |",
                flush=True,
            )
    good = [row for row in rows if row.status == "ok" and row.exact]
    if not arguments.json:
        print(f"\n{len(rows)} models: {len(good)} compile with guest = integer model; {sum(row.error <= 0.01 for row in good)} within 1 %")


if __name__ == "__main__":
    main()
