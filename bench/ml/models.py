"""A table over a folder of public ONNX models (``NAME/network.onnx`` with ``NAME/input.json``, as the examples of zkonduit/ezkl are).

Each is compiled in the default arithmetic, calibrated on its one sample. Shown are what real numbers became, whether guest and integer
model agree bit for bit on the sample and on random inputs of its range, the largest error against onnxruntime relative to the output's
range (on these inputs and on those that the agreement gate draws), whether the gate holds and the labels are the same, cycles; with
``--prove`` also a proof, verified. Ends with 1 if any model fails. With ``--rows FILE`` every row is added to a file, and models in it are
not measured again; ``--write`` puts the table into docs/ml.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.ml.tables import put, table
from zkvm import api
from zkvm.errors import ZkvmError
from zkvm.ml import compiler
from zkvm.ml.card import error_relative_to_range
from zkvm.ml.compiler import float_outputs
from zkvm.ml.ir import Kind, evaluate
from zkvm.ml.onnx_model import Port
from zkvm.ml.samples import Sample, load_samples
from zkvm.session.memory import GIB

VARIABLE = "ZKVM_MODELS"
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "models"
"""Where the folder is if the variable names none."""
RANDOM_INPUTS = 3
TOLERANCE = 0.01


@dataclass(slots=True)
class Row:
    """One model. ``error`` is relative to the output's range, of all inputs; ``status`` is "ok" or a message.

    ``arithmetic`` is what real numbers became: floats, fixed point, both, or neither where there are none. ``seconds``, ``peak_gib`` and
    ``receipt_bytes`` are those of the proof if it was made; ``proven`` says that its receipt was accepted.
    """

    name: str
    status: str = "ok"
    parameters: int = 0
    macs: int = 0
    arithmetic: str = ""
    exact: bool = False
    error: float = 0.0
    same_label: bool = True
    cycles: int = 0
    proven: bool = False
    seconds: float = 0.0
    peak_gib: float = 0.0
    receipt_bytes: int = 0

    @property
    def good(self) -> bool:
        """It compiles, guest and integer model agree, label and numbers are those of the float model."""
        return self.status == "ok" and self.exact and self.same_label and self.error <= TOLERANCE

    def cells(self) -> list[object]:
        """As a row of a table."""
        if self.status != "ok":
            return [self.name, self.status, *[""] * (len(HEADING) - 2)]
        exact, same = ("yes" if flag else "NO" for flag in (self.exact, self.same_label))
        shown = [self.name, self.parameters, self.macs, self.arithmetic, exact, f"{100 * self.error:.2g} %", same, self.cycles]
        return [*shown, f"{self.seconds:.2f}", f"{self.peak_gib:.2f}"] if self.proven else [*shown, "-", "-"]


HEADING = (
    "model", "parameters", "MACs", "arithmetic", "guest = integer model", "largest error", "same label", "cycles", "prove s", "peak GiB",
)  # fmt: skip


def default_folder() -> Path:
    """The folder of models that the variable names, else the one beside the checkout."""
    return Path(os.environ.get(VARIABLE) or BESIDE)


def folders(folder: Path) -> list[Path]:
    """One per model, in order."""
    return sorted(path.parent for path in folder.glob("*/network.onnx"))


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
    row = Row(folder.name)
    try:
        imported = compiler.import_file(folder / "network.onnx", compiler.Options())
        sample = load_samples(folder / "input.json", imported.inputs)[0]
        random = np.random.default_rng(0)
        samples = [sample, *(like(sample, imported.inputs, random) for _ in range(RANDOM_INPUTS))]
        made = compiler.compile_imported(imported, [sample], compiler.Options())
        row.parameters, row.macs, row.arithmetic = made.model.card["parameters"], made.graph.macs, arithmetic_of(made.model.card)
        gate = compiler.add_measurements(made, [sample], None)
        gate.demand()
        row.error, row.same_label = gate.error, gate.flips == 0
        compare(row, made, samples)
        if prove:
            prove_sample(row, made, sample, params)
    except ZkvmError as error:
        row.status = str(error)[:200]
    return row


def arithmetic_of(card: dict[str, Any]) -> str:
    """What real numbers became, of a model card."""
    floats, fixed = (card["arithmetic"][f"{kind}_operations"] for kind in ("float", "fixed"))
    return ("float and fixed" if fixed else "float") if floats else "fixed" if fixed else "-"


def compare(row: Row, made: compiler.Compilation, samples: list[Sample]) -> None:
    """Guest against integer model, integer model against float model, on every sample."""
    from zkvm.riscv.vm.executor import execute

    image = api.load_image(made.model.elf)
    row.exact = True
    for inputs, expected in zip(samples, float_outputs(made.imported, samples), strict=True):
        integers, _ = made.model.quantize([inputs[port.name] for port in made.imported.inputs])
        results = evaluate(made.graph, integers)
        run = execute(image, made.model.stdin(integers), trace=False)
        row.exact &= run.exit_code == 0 and run.journal == made.journal(results)
        row.cycles = run.cycles
        for value, result, real in zip(made.graph.outputs, results, expected, strict=True):
            row.error = max(row.error, error_relative_to_range(value.dequantize(result), real))
            if value.kind in (Kind.REAL, Kind.FLOAT):
                nearly_largest = real.max() - 1e-3 * float(np.ptp(real) or abs(real).max())
                row.same_label &= bool(real.reshape(-1)[int(value.dequantize(result).argmax())] >= nearly_largest)


def prove_sample(row: Row, made: compiler.Compilation, sample: Sample, params: str) -> None:
    """Prove, verify, and see that the receipt says what the integer model computes."""
    integers, _ = made.model.quantize([sample[port.name] for port in made.imported.inputs])
    _forget_peak()
    info = api.prove(made.model.elf, made.model.stdin(integers), params=params)
    info.receipt.verify(info.image_id)
    row.proven = info.receipt.journal == made.journal(evaluate(made.graph, integers))
    row.receipt_bytes = len(info.receipt.to_bytes())
    row.seconds, row.peak_gib = info.seconds["total"], info.peak_memory_bytes / GIB


def _forget_peak() -> None:
    """Start the process's largest resident size anew, where the system can: every model shows its own."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def known_rows(path: Path | None) -> dict[str, Row]:
    """The rows that a former run left, by name."""
    if path is None or not path.exists():
        return {}
    rows = [Row(**json.loads(line)) for line in path.read_text().splitlines()]
    return {row.name: row for row in rows}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=default_folder(), help=f"default: {VARIABLE}, else ../shared/models")
    parser.add_argument("--only", nargs="*", default=[], help="names of models")
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--params", default="balanced")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="rows as JSON lines: added to, and not measured again")
    parser.add_argument("--write", action="store_true", help="put the table into docs/ml.md")
    arguments = parser.parse_args()
    chosen = [path for path in folders(arguments.folder) if not arguments.only or path.name in arguments.only]
    if not chosen:
        parser.error(f"{arguments.folder} holds no NAME/network.onnx")
    known = known_rows(arguments.rows)
    if arguments.prove and any(path.name not in known for path in chosen):
        measure(chosen[0], True, arguments.params)  # the first proof of a process loads the kernels
    rows = []
    for path in chosen:
        row = known.get(path.name) or measure(path, arguments.prove, arguments.params)
        rows.append(row)
        print(*row.cells(), sep="  ", flush=True)
        if arguments.rows is not None and path.name not in known:
            with arguments.rows.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
    good, proven = sum(row.good for row in rows), sum(row.proven for row in rows)
    columns = len(HEADING) if proven else -2
    shown = table(HEADING[:columns], [row.cells()[:columns] for row in rows])
    print(f"\n{shown}\n\n{len(rows)} models: {good} with guest = integer model, the gate's consent and the same label; {proven} proven")
    if arguments.write:
        put("public models", shown)
    raise SystemExit(good < len(rows) or (arguments.prove and proven < len(rows)))


if __name__ == "__main__":
    main()
