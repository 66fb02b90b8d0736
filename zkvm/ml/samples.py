"""Files with inputs of a model: calibration data, and what a compiled model runs on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError

Sample = dict[str, NDArray[Any]]
MAX_FILE_BYTES = 1 << 31


class Port(Protocol):
    """An input of a model."""

    @property
    def name(self) -> str:
        """Its ONNX name."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Fixed."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers that people write."""


def load_samples(path: Path, inputs: Sequence[Port]) -> list[Sample]:
    """Samples from ``.npy`` (one input), ``.npz`` (by name), or JSON ``{"input_data": [[...], ...]}`` with one list per input.

    An array may hold one sample, or several along a first axis.

    Raises:
        UsageError: the file cannot be read, or does not fit the inputs.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"{path}: {path.stat().st_size} bytes; files of at most {MAX_FILE_BYTES} are read")
        if path.suffix == ".npy":
            arrays: list[Any] = [np.load(path, allow_pickle=False)]
        elif path.suffix == ".npz":
            archive = np.load(path, allow_pickle=False)
            missing = [port.name for port in inputs if port.name not in archive]
            if missing and len(inputs) > 1:
                raise UsageError(f"{path}: no array called {missing[0]!r}; it has {', '.join(archive.files)}")
            arrays = [archive[port.name] for port in inputs] if not missing else [archive[archive.files[0]]]
        else:
            content = json.loads(path.read_text())
            if not isinstance(content, dict) or not isinstance(content.get("input_data"), list):
                raise UsageError(f'{path}: no "input_data" list')
            arrays = content["input_data"]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if len(arrays) != len(inputs):
        raise UsageError(f"{path}: {len(arrays)} arrays for {len(inputs)} inputs ({', '.join(port.name for port in inputs)})")
    columns = [_samples_of(path, array, port) for array, port in zip(arrays, inputs, strict=True)]
    if len({len(column) for column in columns}) != 1:
        raise UsageError(f"{path}: the inputs have different numbers of samples: {[len(column) for column in columns]}")
    return [dict(zip([port.name for port in inputs], row, strict=True)) for row in zip(*columns, strict=True)]


def _samples_of(path: Path, values: Any, port: Port) -> list[NDArray[Any]]:
    """Split one input's array into samples.

    Raises:
        UsageError: the number of elements is no multiple of the input's, or they are not finite numbers.
    """
    try:
        flat = np.asarray(values)
        flat = flat.reshape(-1) if flat.dtype != object else np.concatenate([np.asarray(part).reshape(-1) for part in values])
        flat = flat.astype(port.dtype)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: input {port.name!r} is not an array of numbers: {error}") from error
    size = int(np.prod(port.shape, dtype=np.int64))
    if size == 0 or len(flat) == 0 or len(flat) % size:
        raise UsageError(f"{path}: {len(flat)} numbers for input {port.name!r}, whose shape {port.shape} takes {size}")
    if np.issubdtype(port.dtype, np.floating) and not np.isfinite(flat).all():
        raise UsageError(f"{path}: input {port.name!r} holds a NaN or an infinity")
    return [np.ascontiguousarray(part.reshape(port.shape)) for part in flat.reshape(-1, size)]
