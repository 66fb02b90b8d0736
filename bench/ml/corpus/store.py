"""Models of the corpus on disk, with inputs and what the float model makes of them: made once, and again when the recipe changes."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from bench.ml.adapter import Array, Sample
from bench.ml.corpus.entry import Absent, Columns, Entry, Made
from zkvm.ml.onnx_runtime import exact_products

PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "torch", "keras", "xgboost", "lightgbm", "catboost")
MAX_IR_VERSION = 10


@dataclass(frozen=True)
class Case:
    """A model of the corpus, ready to be measured.

    Attributes:
        entry: what it is.
        path: of the ONNX file.
        made: its inputs.
        outputs: their names.
        expected: what the float model gives for each input, by output; the first axis counts the inputs.
    """

    entry: Entry
    path: Path
    made: Made
    outputs: list[str]
    expected: list[Array]

    def calibration(self, count: int) -> list[Sample]:
        """So many samples."""
        return list(samples_of(self.made.calibration))[:count]


def samples_of(columns: Columns) -> Iterator[Sample]:
    """One sample after the other."""
    for index in range(len(next(iter(columns.values())))):
        yield {name: array[index] for name, array in columns.items()}


def float_session(model: bytes) -> onnxruntime.InferenceSession:
    """The float model as ONNX defines it: nothing is fused, or quantized forms would be something else, and no sum saturates."""
    options = onnxruntime.SessionOptions()
    exact = exact_products(onnx.load_from_string(model))
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(exact.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_float(session: onnxruntime.InferenceSession, sample: Sample) -> list[Array]:
    """The float model's outputs; a dictionary of probabilities by class as a row, a list of arrays as one."""
    return [
        np.array([_row(entry) for entry in result]) if isinstance(result, list) else np.asarray(result)
        for result in session.run(None, dict(sample))
    ]


def _row(entry: object) -> Array:
    return np.array(list(entry.values()), np.float32) if isinstance(entry, dict) else np.asarray(entry)


def load(entry: Entry, cache: Path, count: int) -> Case:
    """A model from the cache, or made and put there.

    Args:
        entry: which one.
        cache: a folder.
        count: how many inputs are wanted.

    Raises:
        Absent: it cannot be made here.
    """
    folder, stamp = cache / entry.family / entry.name, _stamp(entry)
    known = _read_json(folder / "made.json")
    if known.get("stamp") != stamp or known.get("count", 0) < count:
        known = _make(entry, folder, count) | {"stamp": stamp, "count": count}
        (folder / "made.json").write_text(json.dumps(known, indent=1))
    if known.get("absent"):
        raise Absent(known["absent"])
    arrays = dict(np.load(folder / "samples.npz", allow_pickle=False))
    expected = np.load(folder / "expected.npz", allow_pickle=False)
    calibration = {name[2:]: array for name, array in arrays.items() if name.startswith("c:")}
    inputs = {name[2:]: array[:count] for name, array in arrays.items() if name.startswith("i:")}
    made = Made(b"", calibration, inputs, known["scores"], known["by_column"])
    return Case(
        entry, folder / "model.onnx", made, known["outputs"], [expected[str(index)][:count] for index in range(len(known["outputs"]))]
    )


def _make(entry: Entry, folder: Path, count: int) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        made = entry.make(count)
        session = float_session(_readable(made.model))
        rows = [run_float(session, sample) for sample in samples_of(made.inputs)]
        columns = [np.stack(column) for column in zip(*rows, strict=True)]
    except (
        Exception
    ) as error:  # exporters of a dozen packages: whatever they raise, this model is not in the corpus, and the table says why
        return {"absent": f"{type(error).__name__}: {str(error)[:300]}"}
    (folder / "model.onnx").write_bytes(made.model)
    prefixed = {f"c:{name}": array for name, array in made.calibration.items()} | {
        f"i:{name}": array for name, array in made.inputs.items()
    }
    _save(folder / "samples.npz", prefixed)
    # Texts as numpy's own type: objects would have to be pickled.
    _save(folder / "expected.npz", {str(i): column.astype(str) if column.dtype == object else column for i, column in enumerate(columns)})
    names = [output.name for output in session.get_outputs()]
    return {"outputs": names, "scores": made.scores, "by_column": made.by_column}


def _readable(model: bytes) -> bytes:
    """The model with a file version that every runtime reads; operators keep theirs."""
    proto = onnx.load_from_string(model)
    proto.ir_version = min(proto.ir_version, MAX_IR_VERSION)
    return bytes(proto.SerializeToString())


def _save(path: Path, arrays: Mapping[str, Array]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]  # a name could be that of a parameter, and is not
    path.write_bytes(buffer.getvalue())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def _stamp(entry: Entry) -> str:
    """Changes with the code that makes a model, and with the packages."""
    module = sys.modules[f"bench.ml.corpus.{entry.family}"]
    return hashlib.sha256("\n".join([inspect.getsource(module), *map(_version, PACKAGES)]).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
