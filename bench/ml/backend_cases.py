"""The onnx package's own backend test cases, through the compiler in its default arithmetic.

A case passes if every output is within 1 % of the expected output's range, as the agreement gate demands (integers, booleans, texts, NaN
and infinities: equal). Of the others, *runtime* are those whose output is that of onnxruntime, which is not the expected one; *caught*
those that the gate refuses; the rest is *wrong*. Every compiled case also runs on other inputs, its own in another order and numbers
drawn from their range, against onnxruntime. The integer model runs in process; with ``--guest`` the guest of every compiled case is run
too and must give the integer model's bits. ``--write`` puts the tables into docs/ml.md.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.ml.tables import put, table  # noqa: E402
from zkvm.errors import InexactError, UsageError  # noqa: E402
from zkvm.ml import compiler, onnx_runtime  # noqa: E402
from zkvm.ml.candidate import GraphModel  # noqa: E402
from zkvm.ml.importer import ImportedModel  # noqa: E402
from zkvm.ml.ir import evaluate  # noqa: E402
from zkvm.ml.samples import Sample  # noqa: E402

Array = NDArray[Any]
DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
RESULTS = ("passed", "runtime", "caught", "wrong", "refused", "failed")
TOLERANCE = 0.01
LEAST_RANGE = 2.0**-12
"""Of a range, in units of the largest magnitude: below it the noise of float32 would show."""
MAX_REASON = 110
PERMUTED, DRAWN = 2, 2
"""Other inputs of each case."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case.

    Attributes:
        name, operator: of the case.
        result: one of ``RESULTS``.
        detail: why.
        others: other inputs with the right answer, of those that onnxruntime has one for and the guest takes. refused: that it does not.
        wrong: what differs on another input.
        constants: inputs of the case that had to be made constants.
    """

    name: str
    operator: str
    result: str
    detail: str = ""
    others: tuple[int, int] = (0, 0)
    refused: int = 0
    wrong: str = ""
    constants: tuple[str, ...] = ()


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


def _read(path: Path) -> Array:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def _array(data: Any) -> Any:
    """A tensor, or a number, as an array; other things as they are."""
    if isinstance(data, onnx.TensorProto):
        return numpy_helper.to_array(data)
    return np.asarray(data) if isinstance(data, (np.generic, int, float, bool)) else data


def run_case(case: Case, guest: bool = False) -> Outcome:
    """One case: compile with its own input as calibration, compare with its own output, then on other inputs with onnxruntime.

    Cases of nodes have everything as input. If that is refused, all but the first input become constants, as a model would have them.
    """
    operator = case.model.graph.node[0].op_type if len(case.model.graph.node) == 1 else f"{len(case.model.graph.node)} nodes"
    inputs, outputs = (list(map(_array, part)) for part in (case.inputs, case.outputs))
    case = replace(case, inputs=inputs, outputs=outputs)
    if any(not isinstance(array, np.ndarray) or array.dtype.kind in "OSU" for array in case.inputs):
        return Outcome(case.name, operator, "refused", "its inputs are texts, sequences or optionals")
    if any(not isinstance(array, np.ndarray) for array in case.outputs):
        return Outcome(case.name, operator, "refused", "its outputs are sequences or optionals")
    weights = {tensor.name for tensor in case.model.graph.initializer}
    names = [entry.name for entry in case.model.graph.input if entry.name not in weights]
    sample = dict(zip(names, case.inputs, strict=True))
    first = _outcome(case, operator, sample, (), guest)
    if first.result != "refused" or len(names) < 2:
        return first
    second = _outcome(case, operator, sample, tuple(names[1:]), guest)
    return first if second.result == "refused" else second


def _outcome(case: Case, operator: str, sample: Mapping[str, Array], constants: tuple[str, ...], guest: bool) -> Outcome:
    try:
        return _compared(case, Outcome(case.name, operator, "passed", constants=constants), sample, guest)
    except UsageError as error:
        return Outcome(case.name, operator, "refused", str(error))
    except Exception as error:  # a bug: counted, and named
        return Outcome(case.name, operator, "failed", f"{type(error).__name__}: {str(error)[:160]}")


def _compared(case: Case, outcome: Outcome, everything: Mapping[str, Array], guest: bool) -> Outcome:
    model = _with_constants(case.model, {name: everything[name] for name in outcome.constants})
    sample = {name: array for name, array in everything.items() if name not in outcome.constants}
    options = compiler.Options(shapes={name: array.shape for name, array in sample.items()})
    imported = compiler.import_file(model, options)
    sample = {port.name: sample[port.name] for port in imported.inputs}
    choice, _ = compiler.integer_model(imported, [sample], options)
    compiled = GraphModel(choice.graph, imported.inputs)
    difference = _difference(compiled, imported, sample, case.outputs)
    if difference:
        runner = onnx_runtime.session(imported.original, optimize=True)
        results = onnx_runtime.run_session(runner, sample)
        if not _difference(compiled, imported, sample, [results[name] for name in imported.outputs]):
            return replace(outcome, result="runtime", detail=difference)
        try:
            compiler.agreement(imported, choice.graph, [sample], options).demand()
        except InexactError:
            return replace(outcome, result="caught", detail=difference)
        return replace(outcome, result="wrong", detail=difference)
    if guest and not _guest_agrees(imported, sample, options):
        return replace(outcome, result="failed", detail="guest and integer model differ")
    return _on_others(outcome, compiled, imported, sample, case.outputs)


def _with_constants(model: onnx.ModelProto, constants: Mapping[str, Array]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for name, array in constants.items():
        copy.graph.initializer.append(numpy_helper.from_array(array, name))
        copy.graph.input.remove(next(entry for entry in copy.graph.input if entry.name == name))
    return copy


def _on_others(outcome: Outcome, compiled: GraphModel, imported: ImportedModel, sample: Sample, expected: Sequence[Array]) -> Outcome:
    """The same model on inputs that calibration did not see; those for which onnxruntime has no answer do not count, nor do cases of which
    it has another than the expected one.
    """
    runner, random = onnx_runtime.session(imported.original, optimize=True), np.random.default_rng(0)
    results = onnx_runtime.run_session(runner, sample)
    if any(_differs(real, np.asarray(results[name])) for name, real in zip(imported.outputs, expected, strict=True)):
        return outcome
    right = count = refused = 0
    wrong = ""
    for number in range(PERMUTED + DRAWN):
        other = {name: _other(array, number < PERMUTED, random) for name, array in sample.items()}
        try:
            results = onnx_runtime.run_session(runner, other)
            difference = _difference(compiled, imported, other, [results[name] for name in imported.outputs])
        except onnx_runtime.RuntimeRefusal:
            continue
        except UsageError:
            refused += 1
            continue
        count, right, wrong = count + 1, right + (not difference), wrong or difference
    return replace(outcome, others=(right, count), refused=refused, wrong=wrong)


def _other(array: Array, permuted: bool, random: np.random.Generator) -> Array:
    """The elements in another order, or elements from their range."""
    if permuted or array.size < 2 and array.dtype.kind not in "f" or array.dtype.kind not in "fiub":
        return random.permutation(array.reshape(-1)).reshape(array.shape)
    if array.dtype.kind == "b":
        return np.asarray(random.random(array.shape) < 0.5)
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    low, high = (finite.min(), finite.max()) if finite.size else (array.dtype.type(0), array.dtype.type(0))
    if array.dtype.kind == "f":
        return np.asarray(random.uniform(float(low), float(high), array.shape)).astype(array.dtype)
    return random.integers(int(low), int(high), array.shape, dtype=array.dtype, endpoint=True)


def _guest_agrees(imported: ImportedModel, sample: Sample, options: compiler.Options) -> bool:
    from zkvm.riscv.vm.elf import load_image
    from zkvm.riscv.vm.executor import execute

    made = compiler.compile_imported(imported, [sample], options)
    words, _ = made.model.quantize([sample[port.name] for port in imported.inputs])
    return execute(load_image(made.model.elf), made.model.stdin(words), trace=False).journal == made.journal(evaluate(made.graph, words))


def _difference(compiled: GraphModel, imported: ImportedModel, sample: Sample, expected: Sequence[Array]) -> str:
    """What is wrong about the outputs, or nothing.

    Raises:
        UsageError: the guest has none.
    """
    answer = compiled.evaluate(sample)
    if answer.refused or answer.saturated or answer.outside:
        raise UsageError(answer.refused or f"values saturate: {dict(answer.saturated)}, {answer.outside} of the input")
    for name, result, real in zip(imported.outputs, answer.outputs, map(np.asarray, expected), strict=True):
        names = np.asarray(imported.labels.get(name, ()), object)
        difference = _differs(names[result.astype(np.int64)] if names.size else result, real)
        if difference:
            return difference
    return ""


def _differs(result: Array, real: Array) -> str:
    """What is wrong about one output, or nothing."""
    if tuple(result.shape) != tuple(real.shape):
        return f"shape {result.shape}, expected {real.shape}"
    if real.dtype.kind in "OSU":
        return "" if result.astype(str).tolist() == real.astype(str).tolist() else "other texts"
    if real.dtype.kind in "iub":
        different = int((result.astype(np.int64) != real.astype(np.int64)).sum())
        return f"{different} of {real.size} elements differ" if different else ""
    error = _relative(_as_float32(result), _as_float32(real))
    return f"error {100 * error:.3g} % of the range" if error > TOLERANCE else ""


def _as_float32(array: Array) -> Array:
    """What remains of numbers in float32, which is what float64 is compiled to: some cases hold uninitialised memory."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32).astype(np.float64)


def _relative(result: Array, real: Array) -> float:
    """The largest difference over the range of what is finite; infinite where NaN or infinities differ."""
    finite = np.isfinite(real)
    if not np.array_equal(np.where(finite, 0, result), np.where(finite, 0, real), equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    reals = real[finite]
    # One number has no range.
    span = max(float(np.ptp(reals)), (LEAST_RANGE if reals.size > 1 else 1.0) * float(np.abs(reals).max())) or 1.0
    return float(np.abs(result[finite] - reals).max()) / span


SHORT = {
    r".*: dimension \d+ is 0.*": "an input has no elements",
    r".*[tT]ype FLOAT[84].*": "real numbers of 8 and 4 bits",
    r".*([tT]ype U?INT[42]|Int2x4|Numpy_type|less than 8 bits).*": "integers of 4 and 2 bits",
    r"zkvm's own rewriting of this model failed.*": "the compiler's own rewriting fails, and says so",
    r"operator \w+ \(node '[^']*', domain [\w.]+\) is not supported.*": "the operator is not supported",
    r".*has a subgraph whose steps.*": "steps or shapes of a subgraph are only known while the model runs",
}


def reason(outcome: Outcome) -> str:
    """Why a case was refused, without what is its own: names of nodes, shapes."""
    for pattern, text in SHORT.items():
        if re.fullmatch(pattern, outcome.detail, re.DOTALL):
            return text
    text = re.sub(r"^(operator )?\w+ (\(node '[^']*'\)|'[^']*')( \(node '[^']*'\))?(:| is not supported:?| )\s*", "", outcome.detail)
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "...", text.split(" [ONNXRuntimeError]")[0])
    return re.sub(r"[\[(][-\d, ]*[\])]|\b\d+\b", "N", text)[:MAX_REASON].rstrip(" :")


def counts(kinds: Mapping[str, Sequence[Outcome]]) -> str:
    """The table of results."""
    rows = []
    for kind, outcomes in kinds.items():
        found = Counter(outcome.result for outcome in outcomes)
        right, others = (sum(outcome.others[part] for outcome in outcomes) for part in (0, 1))
        rows.append([kind, len(outcomes), *(found[name] for name in RESULTS), others, right, sum(outcome.refused for outcome in outcomes)])
    return table(["kind", "cases", *RESULTS, "other inputs", "right", "refused by the guest"], rows)


def refusals(kinds: Mapping[str, Sequence[Outcome]]) -> str:
    """The table of refused operators: by reason, with how many cases of how many."""
    outcomes = [outcome for part in kinds.values() for outcome in part]
    total = Counter(outcome.operator for outcome in outcomes)
    found: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        if outcome.result == "refused":
            found.setdefault(reason(outcome), Counter())[outcome.operator] += 1
    rows = [
        [text, ", ".join(f"{name} {count} of {total[name]}" for name, count in sorted(operators.items()))]
        for text, operators in sorted(found.items(), key=lambda item: -item[1].total())
    ]
    return table(["reason", "operators, and how many of their cases"], rows)


def main() -> None:
    """Run all cases, print the tables, and with ``--verbose`` every case that does not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guest", action="store_true", help="also build and run every guest")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--match", default="", help="only cases whose name has this")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/ml.md")
    arguments = parser.parse_args()
    kinds = {}
    for kind in arguments.kind or KINDS:
        kinds[kind] = [run_case(case, arguments.guest) for case in cases(kind, arguments.match)]
        for outcome in kinds[kind]:
            if arguments.verbose and (outcome.result != "passed" or outcome.wrong):
                print(f"{outcome.result:8} {outcome.name} ({outcome.operator}): {outcome.detail or outcome.wrong}", flush=True)
    text = f"{counts(kinds)}\n\n{refusals(kinds)}"
    print(text)
    if arguments.write:
        put("backend cases", text)


if __name__ == "__main__":
    main()
