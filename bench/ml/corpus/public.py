"""Public models in a folder: ``NAME/network.onnx`` with a sample in ``NAME/input.json``, as people publish them for proof systems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.ml.adapter import Array
from bench.ml.corpus.entry import CALIBRATION, Absent, Entry, Made, generator
from bench.ml.corpus.store import float_session

FAMILY = "public"
KINDS = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(bool)": np.bool_, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8,
}  # fmt: skip


def entries(folder: Path) -> Iterator[Entry]:
    """All models of the folder; if there is none, one that says so."""
    paths = sorted(folder.glob("*/network.onnx"))
    if not paths:
        yield Entry(FAMILY, "all", partial(_absent, f"no models in {folder}: name their folder with --models"))
    for path in paths:
        yield Entry(FAMILY, path.parent.name, partial(_public, path))


def _absent(reason: str, count: int) -> Made:
    raise Absent(reason)


def _public(path: Path, count: int) -> Made:
    """The published sample is the first of calibration; the others and the inputs are drawn around it."""
    model = path.read_bytes()
    content = json.loads((path.parent / "input.json").read_text())["input_data"]
    ports = float_session(model).get_inputs()
    if len(content) != len(ports):
        raise Absent(f"{len(content)} arrays for {len(ports)} inputs")
    random, calibration, inputs = generator(path.parent.name), {}, {}
    for port, values in zip(ports, content, strict=True):
        shape = [dimension if isinstance(dimension, int) and dimension > 0 else 1 for dimension in port.shape]
        flat = np.concatenate([np.asarray(part).reshape(-1) for part in values]) if isinstance(values[0], list) else np.asarray(values)
        size = int(np.prod(shape))
        if flat.size < size or flat.size % size:
            raise Absent(f"{flat.size} numbers for input {port.name!r} of shape {shape}")
        sample: Array = flat.reshape(-1)[:size].reshape(shape).astype(KINDS[port.type])
        drawn = _drawn(sample, CALIBRATION - 1 + count, random)
        calibration[port.name] = np.concatenate([sample[None], drawn[: CALIBRATION - 1]])
        inputs[port.name] = drawn[CALIBRATION - 1 :]
    return Made(model, calibration, inputs)


def _drawn(sample: Array, count: int, random: np.random.Generator) -> Array:
    """Inputs like a sample: half of them uniform over its range, half the sample with noise; integers and booleans from its own values."""
    if sample.dtype.kind not in "f":
        values = np.array([False, True]) if sample.dtype.kind == "b" else np.unique(sample)
        return values[random.integers(len(values), size=(count, *sample.shape))].astype(sample.dtype)
    low, high = float(sample.min()), float(sample.max())
    width = (high - low) or abs(high) or 1.0
    if high == low:
        low, high = low - width / 2, high + width / 2
    uniform = random.uniform(low, high, (count, *sample.shape))
    noisy = np.clip(sample + random.standard_normal((count, *sample.shape)) * width / 10, low, high)
    every_second = (np.arange(count) % 2 == 0).reshape(-1, *[1] * sample.ndim)
    drawn: Any = np.where(every_second, uniform, noisy)
    return np.asarray(drawn.astype(sample.dtype))
