"""A compiled model on disk: guest, metadata, and what turns real inputs into bytes and a journal into real outputs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError

FORMAT = 2
METADATA, GUEST, WEIGHTS, SOURCE = "model.json", "model.elf", "weights.bin", "model.c"
SALT_BYTES = DIGEST_BYTES = 32
DTYPES: dict[str, type[np.generic]] = {"real": np.float32, "integer": np.int64, "boolean": np.bool_}
"""Kinds of tensors, and the numbers that people write for them."""
MAX_ELEMENTS = 1 << 30
"""More than any guest's memory holds."""


@dataclass(frozen=True, slots=True)
class GuestRun:
    """One run of the guest: journal, cycles, also by function, and what a proof is predicted to take (None: too long for one proof)."""

    journal: bytes
    cycles: int
    functions: dict[str, int]
    proof_seconds: float | None
    proof_bytes: int | None


Execute = Callable[[bytes, bytes], GuestRun]
"""Runs an ELF on a private input."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a compiled model: real = integer * scale; inputs are within [lo, hi]. ``kind``: real, integer or boolean."""

    name: str
    shape: tuple[int, ...]
    kind: str
    scale: float
    lo: int
    hi: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Numbers that people write for it."""
        return np.dtype(DTYPES[self.kind])

    def quantize(self, array: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
        """Integers, and how many elements were outside the calibrated range and saturated."""
        numbers = np.floor(array.astype(np.float64) / self.scale + 0.5) if self.kind == "real" else array.astype(np.int64)
        return np.clip(numbers, self.lo, self.hi).astype(np.int64), int(((numbers < self.lo) | (numbers > self.hi)).sum())

    def dequantize(self, integers: NDArray[np.int64]) -> NDArray[Any]:
        """The numbers that integers stand for."""
        shaped = integers.reshape(self.shape)
        return shaped * self.scale if self.kind == "real" else shaped.astype(self.dtype)


@dataclass(frozen=True, slots=True)
class Output:
    """What a journal says: the outputs by name, the label, or digests (hexadecimal), as the model was compiled."""

    tensors: dict[str, NDArray[Any]]
    label: int | None = None
    digests: dict[str, str] | None = None


@dataclass(frozen=True)
class ModelInterface:
    """What is public of a compiled model: enough to read its journals, without the guest and without private weights.

    Attributes:
        inputs, outputs: in order. weights: "public" or "private". input_mode: "none" or "digest".
        output_mode: "full", "top1" or "digest". card: the model card, as JSON.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: str
    input_mode: str
    output_mode: str
    card: dict[str, Any]

    @staticmethod
    def read(path: Path) -> ModelInterface:
        """Read the metadata of a compiled model: ``model.json``, or the directory that holds it.

        Raises:
            UsageError: not what :meth:`CompiledModel.save` wrote.
        """
        try:
            metadata = json.loads((path / METADATA if path.is_dir() else path).read_text())
            if metadata["format"] != FORMAT:
                raise UsageError(f"{path}: format {metadata['format']}; this version reads {FORMAT}")
            return ModelInterface(
                _tensors(metadata["inputs"]),
                _tensors(metadata["outputs"]),
                _one_of(metadata["weights"], "public", "private"),
                _one_of(metadata["input_mode"], "none", "digest"),
                _one_of(metadata["output_mode"], "full", "top1", "digest"),
                dict(metadata["card"]),
            )
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise UsageError(f"{path}: not a compiled model: {error}") from error

    def decode(self, journal: bytes) -> Output:
        """What a journal of this model says.

        Raises:
            UsageError: it has another length than this model writes.
        """
        names = [name for name, on in (("weights", self.weights == "private"), ("input", self.input_mode == "digest")) if on]
        digests = {name: journal[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES].hex() for index, name in enumerate(names)}
        body = journal[len(names) * DIGEST_BYTES :]
        written = {"full": sum(tensor.size for tensor in self.outputs) * 4, "top1": 4, "digest": DIGEST_BYTES}[self.output_mode]
        expected = len(names) * DIGEST_BYTES + written
        if len(journal) != expected:
            raise UsageError(f"a journal of {len(journal)} bytes is not one of this model, which writes {expected}")
        if self.output_mode == "top1":
            return Output({}, int.from_bytes(body, "little"), digests or None)
        if self.output_mode == "digest":
            return Output({}, None, digests | {"output": body.hex()})
        words = np.frombuffer(body, "<i4").astype(np.int64)
        tensors, first = {}, 0
        for tensor in self.outputs:
            tensors[tensor.name] = tensor.dequantize(words[first : first + tensor.size])
            first += tensor.size
        return Output(tensors, None, digests or None)


@dataclass(frozen=True)
class CompiledModel(ModelInterface):
    """A compiled model.

    Attributes:
        elf: the guest. private_weights: what a private model reads before its input: a salt, made once so that all its receipts show one
            digest, and the weights' words; else empty.
    """

    elf: bytes
    private_weights: bytes

    def save(self, directory: Path, source: str) -> None:
        """Write the guest, its source, metadata and private weights."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / GUEST).write_bytes(self.elf)
        (directory / SOURCE).write_text(source)
        if self.weights == "private":
            (directory / WEIGHTS).write_bytes(self.private_weights)
        metadata = {
            "format": FORMAT,
            "inputs": [_tensor_json(tensor) for tensor in self.inputs],
            "outputs": [_tensor_json(tensor) for tensor in self.outputs],
            "weights": self.weights,
            "input_mode": self.input_mode,
            "output_mode": self.output_mode,
            "card": self.card,
        }
        (directory / METADATA).write_text(json.dumps(metadata, indent=2) + "\n")

    @staticmethod
    def load(directory: Path) -> CompiledModel:
        """Read a compiled model.

        Raises:
            UsageError: not a directory that :meth:`save` wrote.
        """
        public = ModelInterface.read(directory)
        try:
            private = (directory / WEIGHTS).read_bytes() if public.weights == "private" else b""
            return CompiledModel(**vars(public), elf=(directory / GUEST).read_bytes(), private_weights=private)
        except OSError as error:
            raise UsageError(f"{directory}: not a compiled model: {error}") from error

    def fresh_salts(self) -> dict[str, bytes]:
        """A salt for every digest of this model but that of the weights; who knows it can show later what was hashed."""
        committed = {"input": self.input_mode == "digest", "output": self.output_mode == "digest"}
        return {name: os.urandom(SALT_BYTES) for name, on in committed.items() if on}

    def stdin(self, integers: Sequence[NDArray[np.int64]], salts: Mapping[str, bytes] | None = None) -> bytes:
        """The private input of the guest; with fresh salts if none are given."""
        chosen = self.fresh_salts() if salts is None else salts
        words = [array.reshape(-1).astype("<i4").tobytes() for array in integers]
        return b"".join([self.private_weights, chosen.get("input", b""), *words, chosen.get("output", b"")])

    def quantize(self, arrays: Sequence[NDArray[Any]]) -> tuple[list[NDArray[np.int64]], int]:
        """Integers for all inputs, and the number of saturated elements.

        Raises:
            UsageError: another number of arrays or elements, or a NaN.
        """
        if len(arrays) != len(self.inputs):
            raise UsageError(f"{len(arrays)} arrays for {len(self.inputs)} inputs")
        results, saturated = [], 0
        for tensor, array in zip(self.inputs, arrays, strict=True):
            if array.size != tensor.size:
                raise UsageError(f"input {tensor.name!r} has shape {tensor.shape}, {tensor.size} numbers; got {array.size}")
            if tensor.kind == "real" and not np.isfinite(array.astype(np.float64)).all():
                raise UsageError(f"input {tensor.name!r} holds a NaN or an infinity")
            integers, outside = tensor.quantize(array.reshape(tensor.shape))
            results.append(integers)
            saturated += outside
        return results, saturated


def _tensor_json(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "kind": tensor.kind,
        "scale": tensor.scale,
        "lo": tensor.lo,
        "hi": tensor.hi,
    }


def _tensors(entries: list[dict[str, Any]]) -> tuple[Tensor, ...]:
    tensors = tuple(_tensor(entry) for entry in entries)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise ValueError("two tensors of one name")
    return tensors


def _tensor(entry: dict[str, Any]) -> Tensor:
    shape, kind, scale = tuple(map(int, entry["shape"])), entry["kind"], float(entry["scale"])
    if min(shape, default=1) < 1 or math.prod(shape) > MAX_ELEMENTS or kind not in DTYPES or not 0 < scale < math.inf:
        raise ValueError(f"a tensor of shape {list(shape)}, kind {kind!r} and scale {scale}")
    return Tensor(str(entry["name"]), shape, kind, scale, int(entry["lo"]), int(entry["hi"]))


def _one_of(name: str, *choices: str) -> str:
    if name not in choices:
        raise ValueError(f"{name!r} is none of {', '.join(choices)}")
    return name
