"""Inputs of a model, from files and from Python: calibration data, and what a compiled model runs on.

Numbers are taken as they are or refused: never another layout, never a fraction for an integer, never a part of the samples.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import InputError

Sample = dict[str, NDArray[Any]]
"""One input of a model: an array by the name of each of its inputs."""
Data = NDArray[Any] | Mapping[str, Any] | Sequence[Any]
"""Samples in Python: an array (of a model with one input), a dictionary of arrays by name, a list with one array per input, or a list of
such dictionaries. Nested lists of numbers do for arrays."""
MAX_FILE_BYTES = 1 << 31
MAGICS = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz"}
"""First bytes of files, by suffix; others are JSON."""
INT32 = np.iinfo(np.int32)
UNREADABLE = (OSError, ValueError, EOFError, RecursionError, zipfile.BadZipFile, zlib.error)
"""What readers of files raise on damaged ones."""


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


def load_samples(path: str | os.PathLike[str], inputs: Sequence[Port]) -> list[Sample]:
    """All samples of a file: ``.npy`` (one input), ``.npz`` (by name), else JSON, as EZKL writes it or by name.

    JSON is ``{"input_data": [...]}`` with a flat or nested list per input, or for one input the list itself; a list may go on with
    further samples. Or ``{"input_data": {"name": [...]}}``, or a list of such dictionaries, one a sample. ``output_data`` is ignored.

    Args:
        path: of the file.
        inputs: of the model.

    Raises:
        InputError: the file cannot be read, or does not fit the inputs: another shape, layout or type.
    """
    place = Path(path)
    with _refused_as(str(path)):
        if place.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{place.stat().st_size} bytes; files of at most {MAX_FILE_BYTES} are read")
        with place.open("rb") as file:
            return samples_of(_content(file, place.suffix, inputs), inputs)


def read_samples(data: bytes, inputs: Sequence[Port], name: str) -> list[Sample]:
    """All samples of a file's content, whose first bytes tell which of the kinds of :func:`load_samples` it is.

    Args:
        data: the content.
        inputs: of the model.
        name: what messages call it.

    Raises:
        InputError: it cannot be read, or does not fit the inputs.
    """
    suffix = next((suffix for magic, suffix in MAGICS.items() if data.startswith(magic)), "")
    with _refused_as(name):
        return samples_of(_content(BytesIO(data), suffix, inputs), inputs)


@contextmanager
def _refused_as(name: str) -> Iterator[None]:
    """Names what cannot be read or does not fit."""
    try:
        yield
    except UNREADABLE as error:
        raise InputError(f"{name}: cannot be read: {error}") from error
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _content(file: BinaryIO, suffix: str, inputs: Sequence[Port]) -> Any:
    """What a file of this suffix holds."""
    if suffix == ".npy":
        return np.load(file, allow_pickle=False)
    if suffix == ".npz":
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    return _input_data(json.loads(file.read()), inputs)


def samples_of(data: Data, inputs: Sequence[Port]) -> list[Sample]:
    """The samples that data hold.

    Args:
        data: see :data:`Data`.
        inputs: of the model.

    Raises:
        InputError: they do not fit the inputs.
    """
    if isinstance(data, Mapping):
        return _together(_by_name(data, inputs), inputs, lists=False)
    if not isinstance(data, (list, tuple)):
        if len(inputs) != 1:
            raise InputError(f"one array for {len(inputs)} inputs ({_names(inputs)})")
        return _together([data], inputs, lists=False)
    if data and all(isinstance(entry, Mapping) for entry in data):
        return [sample for entry in data for sample in samples_of(entry, inputs)]
    if len(inputs) != 1:
        if len(data) != len(inputs):
            raise InputError(f"{len(data)} arrays for {len(inputs)} inputs ({_names(inputs)})")
        return _together(data, inputs, lists=True)
    # Of one input: a list that holds its list, or the list of its numbers or samples.
    if len(data) == 1 and isinstance(data[0], (list, tuple, np.ndarray)):
        inner = _array(data[0], inputs[0])
        if _fitted(inner, inputs[0].shape, lists=True) is not None:
            return _together([inner], inputs, lists=True)
    return _together([data], inputs, lists=True)


def one_sample(data: Data, inputs: Sequence[Port]) -> Sample:
    """The only sample that data hold.

    Args:
        data: see :data:`Data`.
        inputs: of the model.

    Raises:
        InputError: they do not fit the inputs, or hold several samples.
    """
    samples = samples_of(data, inputs)
    if len(samples) != 1:
        raise InputError(f"{len(samples)} samples; one run takes one")
    return samples[0]


def fitted(array: NDArray[Any], port: Port) -> NDArray[Any]:
    """One sample of an input, in the input's shape and type.

    Raises:
        InputError: it does not fit.
    """
    shaped = _fitted(array, port.shape, lists=False)
    if shaped is None or len(shaped) != 1:
        raise InputError(_misfit(array, port))
    return np.asarray(_typed(shaped, port)[0])


def place_of(bad: NDArray[np.bool_]) -> tuple[int, ...]:
    """Where an array is true first."""
    return tuple(int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape))


def _names(inputs: Sequence[Port]) -> str:
    return ", ".join(port.name for port in inputs)


def _input_data(content: Any, inputs: Sequence[Port]) -> Any:
    """What a JSON file says of the inputs."""
    data = content
    if isinstance(content, dict):
        if "input_data" in content:
            data = content["input_data"]
            _check_layout(content.get("input_shapes"), inputs)
        elif not all(port.name in content for port in inputs):
            raise InputError(f'no "input_data", and no arrays by the names of the inputs ({_names(inputs)})')
    if not isinstance(data, (list, dict)):
        raise InputError('"input_data" is no list and no dictionary')
    return data


def _check_layout(shapes: Any, inputs: Sequence[Port]) -> None:
    """Refuse flat data whose stated axes are the input's in another order. Other statements are not used, and often wrong, as EZKL
    ignores them."""
    if not isinstance(shapes, list) or len(shapes) != len(inputs):
        return
    for shape, port in zip(shapes, inputs, strict=True):
        if not isinstance(shape, list) or not all(isinstance(length, int) for length in shape):
            continue
        stated, wanted = ([length for length in lengths if length != 1] for lengths in (shape, port.shape))
        if stated != wanted and sorted(stated) == sorted(wanted):
            raise InputError(f'"input_shapes" says {shape} of input {port.name!r}, whose shape is {port.shape}: another order of axes')


def _by_name(data: Mapping[str, Any], inputs: Sequence[Port]) -> list[Any]:
    """The arrays of all inputs; those of other names (outputs, inputs that the model does not use) are left."""
    missing = [port.name for port in inputs if port.name not in data]
    if missing and len(inputs) == len(data) == 1:
        return list(data.values())
    if missing:
        raise InputError(f"no array called {missing[0]!r}; there are {', '.join(map(str, data)) or 'none'}")
    return [data[port.name] for port in inputs]


def _together(columns: Sequence[Any], inputs: Sequence[Port], *, lists: bool) -> list[Sample]:
    """Samples from one array per input, which hold as many each."""
    split = [_samples_of(values, port, lists) for values, port in zip(columns, inputs, strict=True)]
    if len({len(column) for column in split}) != 1:
        raise InputError(f"the inputs have different numbers of samples: {[len(column) for column in split]}")
    return [dict(zip([port.name for port in inputs], row, strict=True)) for row in zip(*split, strict=True)]


def _samples_of(values: Any, port: Port, lists: bool) -> NDArray[Any]:
    """One input's samples along a first axis, in its shape and type."""
    array = _array(values, port)
    shaped = _fitted(array, port.shape, lists or isinstance(values, (list, tuple)))
    if shaped is None:
        raise InputError(_misfit(array, port))
    return np.ascontiguousarray(_typed(shaped, port))


def _array(values: Any, port: Port) -> NDArray[Any]:
    """Values as an array of numbers."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"input {port.name!r} is no array of numbers (lists of different lengths?): {error}") from error
    if array.dtype == object and all(isinstance(value, (int, float)) for value in array.flat):
        array = array.astype(np.float64)  # integers of more than 64 bits
    if array.dtype.kind in "USO":
        found = next((value for value in array.flat if isinstance(value, (str, bytes))), None)
        kind = "None or other objects" if found is None else f"texts, such as {found[:20]!r}"
        raise InputError(f"input {port.name!r} is not an array of numbers: it holds {kind}")
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise InputError(f"input {port.name!r} is not an array of numbers: its type is {array.dtype}")
    return array


def _fitted(array: NDArray[Any], shape: tuple[int, ...], lists: bool) -> NDArray[Any] | None:
    """The samples that an array holds, along a first axis; None if it does not fit an input of this shape.

    Args:
        array: of numbers.
        shape: of the input.
        lists: whether the numbers come from lists, as EZKL writes them: then flat samples may follow each other.
    """
    size, dimensions = int(np.prod(shape, dtype=np.int64)), array.shape
    if array.size == 0 or size == 0:
        return None
    batched = dimensions[1:] == shape or (shape[:1] == (1,) and dimensions[1:] == shape[1:])
    if dimensions != shape and array.ndim and batched:
        return array.reshape(-1, *shape)
    left_out = len(shape) - array.ndim
    single = left_out >= 0 and dimensions == shape[left_out:] and set(shape[:left_out]) <= {1}
    flat = array.ndim == 1 and (array.size == size or (lists and array.size % size == 0))
    rows = lists and array.ndim == 2 and dimensions[1] == size
    return array.reshape(-1, *shape) if single or flat or rows else None


def _misfit(array: NDArray[Any], port: Port) -> str:
    """What is said of an array that does not fit."""
    size = int(np.prod(port.shape, dtype=np.int64))
    several = port.shape[1:] if port.shape[:1] == (1,) else port.shape
    rest = array.shape[-len(several) :] if several else ()
    turned = "; the axes are in another order: transpose them" if rest != several and sorted(rest) == sorted(several) else ""
    samples = ", ".join(map(str, ("N", *several)))
    return (
        f"an array of shape {array.shape}: {array.size} numbers for input {port.name!r}, whose shape {port.shape} takes {size}: "
        f"one sample of this shape or flat, or several of shape ({samples}){turned}"
    )


def _typed(array: NDArray[Any], port: Port) -> NDArray[Any]:
    """Samples in the input's type, which must say the same numbers."""
    dtype = port.dtype
    if dtype.kind == "b":
        _refuse(array, (array != 0) & (array != 1), port, "is neither true nor false")
    elif dtype.kind in "iu":
        if array.dtype.kind == "f":
            _refuse(array, ~np.isfinite(array), port, "is no integer, and the input takes integers")
            _refuse(array, array != np.floor(array), port, f"is no integer, and the input takes integers ({dtype})")
        limits = np.iinfo(dtype)
        low, high = max(int(limits.min), int(INT32.min)), min(int(limits.max), int(INT32.max))
        reason = f"does not fit the input, {dtype}: {low} to {high}" + (" in a guest" if limits.bits > 32 else "")
        _refuse(array, (array < low) | (array > high), port, reason)
    else:
        finite = np.isfinite(array)
        # An input of a model of the file may become a float; one of a compiled model says whether it is.
        if getattr(port, "kind", "float") != "float":
            _refuse(array, ~finite, port, "is a NaN or an infinity, which this model, compiled to fixed point, does not take")
        with np.errstate(over="ignore"):
            _refuse(array, finite & ~np.isfinite(array.astype(dtype)), port, f"is too large for the input, {dtype}")
            _refuse(array, finite & ~np.isfinite(array.astype(np.float32)), port, "is too large: real numbers of guests are float32")
    return array.astype(dtype)


def _refuse(array: NDArray[Any], bad: NDArray[np.bool_], port: Port, reason: str) -> None:
    """Refuse an array, naming the first bad place.

    Raises:
        InputError: there is one.
    """
    if bad.any():
        sample, *place = place_of(bad)
        which = f"sample {sample}, " if len(array) > 1 else ""
        value = array[(sample, *place)].item()
        more = f" ({int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
        raise InputError(f"input {port.name!r}, {which}place {place}: {value!r} {reason}{more}")
