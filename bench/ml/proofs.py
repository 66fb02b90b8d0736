"""Networks proven by this build alone: seconds, memory, receipt, and which tables the committed cells are in.

    python bench/ml/proofs.py block blocks
    python bench/ml/proofs.py lenet5 wide --weights private

Each network of ``networks.py`` (or ONNX file with its calibration data beside it) is compiled to fixed point and proven in a fresh process,
several times: the first proof of a process touches memory and derives what later ones have.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.ml.against import compiled, proven  # noqa: E402
from bench.ml.networks import NETWORKS, write  # noqa: E402
from zkvm.ml import CompiledModel  # noqa: E402
from zkvm.session.profiling import profile  # noqa: E402

MILLION = 1e6


def tables(directory: Path, data: Path, rows: int) -> list[str]:
    """The chips with most cells: rows used, height, columns, million cells."""
    model = CompiledModel.load(directory)
    words, _ = model.quantize([np.load(data)[0].reshape(model.inputs[0].shape)])
    chips = sorted(profile(model.elf, model.stdin(words), params="balanced", security=100).chips, key=lambda chip: -chip.cells)
    lines = [f"  {chip.name:22} {chip.rows:9,} {chip.height:9,} {chip.columns:5} {chip.cells / MILLION:8.2f}" for chip in chips[:rows]]
    return [*lines, f"  all: {sum(chip.cells for chip in chips) / MILLION:.2f} million cells"]


def main() -> None:
    """Every model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help=f"{', '.join(NETWORKS)}, or ONNX files")
    parser.add_argument("--weights", choices=("public", "private"), default="public")
    parser.add_argument("--params", default="balanced")
    parser.add_argument("--security", type=int, default=100)
    parser.add_argument("--proofs", type=int, default=3, help="of one process (default: %(default)s); 0: only the tables")
    parser.add_argument("--tables", type=int, default=12, help="how many are shown (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for given in options.models:
            model, data = write(given, folder) if given in NETWORKS else (Path(given).resolve(), Path(given).resolve().with_suffix(".npy"))
            seconds = compiled(sys.executable, model, data, folder / "model", "--weights", options.weights)
            print(f"{model.stem}, {options.weights} weights: compiled in {seconds:.1f} s", flush=True)
            print("\n".join(tables(folder / "model", data, options.tables)), flush=True)
            if options.proofs:
                found = proven(sys.executable, folder / "model", data, options.params, options.security, options.proofs)
                print("  first {first:.2f} s, later {later:.2f} s, process {process:.2f} s".format(**found), end=", ")
                print("{gib:.2f} GiB, receipt {receipt:,} bytes, {cycles:,} cycles".format(**found), flush=True)


if __name__ == "__main__":
    main()
