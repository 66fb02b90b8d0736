"""The onnx package's own backend test cases, through the compiler: how many pass, are inexact, are unsupported, or fail.

A case passes if the integer model is within 1 % of the expected output's range (integers and booleans: equal), and is inexact otherwise.
With ``--guest`` the guest of every compiled case is run too and must give the integer model's bits.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from zkvm.errors import UsageError
from zkvm.ml import compiler
from zkvm.ml.calibrate import calibrate
from zkvm.ml.card import error_relative_to_range
from zkvm.ml.ir import Graph, Kind, evaluate
from zkvm.ml.quantize import quantize

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Outcome:
    """``passed``, ``inexact``, ``unsupported`` or ``failed``, and why."""

    name: str
    operator: str
    result: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A model with inputs and expected outputs."""

    name: str
    model: onnx.ModelProto
    inputs: list[Any]
    outputs: list[Any]


def cases(kind: str, match: str = "") -> Iterator[Case]:
    """The cases of a kind whose name contains ``match``; those of single nodes are made by the onnx package, the others are files."""
    if kind == "node":
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            collected = collect_testcases(None)
        for case in collected:
            if match in case.name and case.model is not None and case.data_sets:
                inputs, outputs = case.data_sets[0]
                yield Case(case.name, case.model, list(inputs), list(outputs))
        return
    for path in sorted((DATA / kind).glob("*/model.onnx")):
        if match in path.parent.name:
            data = path.parent / "test_data_set_0"
            inputs, outputs = (
                [_read(data / f"{part}_{index}.pb") for index in range(len(list(data.glob(f"{part}_*.pb"))))]
                for part in ("input", "output")
            )
            yield Case(path.parent.name, onnx.load(str(path)), inputs, outputs)


def _read(path: Path) -> NDArray[Any]:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def run_case(case: Case, guest: bool) -> Outcome:
    """One case: compile with its own input as calibration, compare with its own output."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    operator = model.graph.node[0].op_type if len(model.graph.node) == 1 else f"{len(model.graph.node)} nodes"
    try:
        weights = {tensor.name for tensor in model.graph.initializer}
        names = [entry.name for entry in model.graph.input if entry.name not in weights]
        if any(not isinstance(array, np.ndarray) or array.dtype.kind in "OSU" for array in (*case.inputs, *case.outputs)):
            return Outcome(case.name, operator, "unsupported", "sequences, optionals and texts")
        sample = dict(zip(names, case.inputs, strict=True))
        _bind_parameters(model, sample)
        shapes = {name: array.shape for name, array in sample.items()}
        imported = compiler.import_file(model, compiler.Options(shapes=shapes))
        if guest:
            made = compiler.compile_imported(imported, [sample], compiler.Options())
            graph = made.graph
            if not _guest_agrees(made, [sample[port.name] for port in imported.inputs]):
                return Outcome(case.name, operator, "failed", "guest and integer model differ")
        else:
            graph = quantize(imported, calibrate(imported, [sample]), compiler.Precision())
        return Outcome(case.name, operator, *_compare(graph, [sample[port.name] for port in imported.inputs], case.outputs))
    except UsageError as error:
        return Outcome(case.name, operator, "unsupported", str(error)[:160])
    except Exception as error:  # a bug: counted, and named
        return Outcome(case.name, operator, "failed", f"{type(error).__name__}: {str(error)[:160]}")


def _bind_parameters(model: onnx.ModelProto, sample: dict[str, NDArray[Any]]) -> None:
    """Node cases have everything as input: turn what a model would have as constants (all but the first input) into constants.

    Operators of several activations keep floating-point inputs of more than one element.
    """
    from zkvm.ml.operators.move import MOVED
    from zkvm.ml.rewrites import REWRITES

    assert REWRITES is not None
    parameters = {"Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "RNN"}
    parameters |= {
        "LSTM",
        "GRU",
        "Clip",
        "Pow",
        "TopK",
        "OneHot",
        "QuantizeLinear",
        "DequantizeLinear",
        "RMSNormalization",
        "QLinearMatMul",
    }
    parameters |= {"QLinearConv", "BitShift", "CumSum", "CumProd", "Col2Im", "AffineGrid", "CenterCropPad", "DFT", "STFT"}
    for position, name in enumerate(list(sample)):
        node = next((node for node in model.graph.node if name in node.input), None)
        if node is None or position == 0:
            continue
        moved = (
            node.op_type in MOVED and MOVED[node.op_type] is not None and list(node.input).index(name) not in (MOVED[node.op_type] or ())
        )
        reduction = node.op_type.startswith("Reduce")
        if moved or reduction or node.op_type in parameters:
            model.graph.initializer.append(numpy_helper.from_array(sample.pop(name), name))
            model.graph.input.remove(next(entry for entry in model.graph.input if entry.name == name))


def _guest_agrees(made: compiler.Compilation, arrays: list[NDArray[Any]]) -> bool:
    from zkvm.riscv.vm.elf import load_image
    from zkvm.riscv.vm.executor import execute

    integers, _ = made.model.quantize(arrays)
    return execute(load_image(made.model.elf), made.model.stdin(integers), trace=False).journal == made.journal(
        evaluate(made.graph, integers)
    )


def _compare(graph: Graph, arrays: list[NDArray[Any]], expected: list[NDArray[Any]]) -> tuple[str, str]:
    integers = []
    for value, array in zip(graph.inputs, arrays, strict=True):
        numbers = np.floor(array.astype(np.float64) / value.scale + 0.5) if value.kind is Kind.REAL else array
        integers.append(np.clip(np.nan_to_num(numbers), value.lo, value.hi).astype(np.int64))
    worst = 0.0
    for value, result, real in zip(graph.outputs, evaluate(graph, integers), expected, strict=True):
        if tuple(result.shape) != tuple(real.shape):
            return "failed", f"shape {result.shape}, expected {real.shape}"
        if not np.isfinite(real.astype(np.float64)).all():
            return "inexact", "the expected output is not finite"
        worst = max(worst, error_relative_to_range(value.dequantize(result), real))
    return ("passed" if worst <= TOLERANCE else "inexact"), f"error {100 * worst:.3f} % of the range"


def main() -> None:
    """Run all cases, print the counts, and with ``--verbose`` every case that does not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guest", action="store_true", help="also build and run every guest")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--match", default="", help="only cases whose name has this")
    arguments = parser.parse_args()
    for kind in arguments.kind or KINDS:
        outcomes = [run_case(case, arguments.guest) for case in cases(kind, arguments.match)]
        if arguments.verbose:
            for outcome in outcomes:
                if outcome.result != "passed":
                    print(f"{outcome.result:12} {outcome.name} ({outcome.operator}): {outcome.detail}")
        counts = Counter(outcome.result for outcome in outcomes)
        print(
            f"{kind}: {len(outcomes)} cases: "
            + ", ".join(f"{counts[name]} {name}" for name in ("passed", "inexact", "unsupported", "failed"))
        )


if __name__ == "__main__":
    main()
