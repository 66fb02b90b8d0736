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

FORMAT = 3
METADATA, GUEST, WEIGHTS, SOURCE, OWNERS_CARD = "model.json", "model.elf", "weights.bin", "model.c", "card.private.json"
SALT_BYTES = DIGEST_BYTES = 32
SCALE_BYTES = 8
OWNER_ONLY, EVERYBODY = 0o600, 0o644
PUBLIC_CARD = ("operators", "parameters", "macs", "activation_bits", "weight_bits", "activation_words", "constant_words", "layers")
"""Entries of a private model's card that everybody may read, because they follow from the architecture; of ``execution`` the digest."""
PUBLIC_LAYER = ("name", "kind", "output_shape", "macs")
SHOWN_OF_PRIVATE = (
    "operators, names, shapes, integer constants, sizes of trees, scales of inputs, and in journals with all outputs their scales"
)
"""What private weights do not hide: in one line what docs/ml.md lists."""
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
    """An input or output of a compiled model: real = integer * scale; inputs are within [lo, hi]. ``kind``: real, integer or boolean.

    Without a scale: it says something about private weights, and the journal holds it.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    scale: float | None
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
        assert self.scale is not None
        numbers = np.floor(array.astype(np.float64) / self.scale + 0.5) if self.kind == "real" else array.astype(np.int64)
        return np.clip(numbers, self.lo, self.hi).astype(np.int64), int(((numbers < self.lo) | (numbers > self.hi)).sum())

    def dequantize(self, integers: NDArray[np.int64], scale: float | None = None) -> NDArray[Any]:
        """The numbers that integers stand for; of a tensor without a scale with a given one."""
        shaped, chosen = integers.reshape(self.shape), self.scale if scale is None else scale
        if self.kind != "real":
            return shaped.astype(self.dtype)
        assert chosen is not None
        return shaped * chosen


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
                raise UsageError(f"{path}: format {metadata['format']}; this version reads {FORMAT}: compile the model again")
            return ModelInterface(
                _tensors(metadata["inputs"]),
                _tensors(metadata["outputs"], metadata["weights"] == "private"),
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
            UsageError: it has another length than this model writes, or scales that are none.
        """
        names = [name for name, on in (("weights", self.weights == "private"), ("input", self.input_mode == "digest")) if on]
        digests = {name: journal[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES].hex() for index, name in enumerate(names)}
        body = journal[len(names) * DIGEST_BYTES :]
        unknown = [tensor for tensor in self.outputs if tensor.scale is None]
        full = SCALE_BYTES * len(unknown) + sum(tensor.size for tensor in self.outputs) * 4
        written = {"full": full, "top1": 4, "digest": DIGEST_BYTES}[self.output_mode]
        expected = len(names) * DIGEST_BYTES + written
        if len(journal) != expected:
            raise UsageError(f"a journal of {len(journal)} bytes is not one of this model, which writes {expected}")
        if self.output_mode == "top1":
            return Output({}, int.from_bytes(body, "little", signed=True), digests or None)
        if self.output_mode == "digest":
            return Output({}, None, digests | {"output": body.hex()})
        scales = {tensor.name: _scale(body[SCALE_BYTES * place :]) for place, tensor in enumerate(unknown)}
        words = np.frombuffer(body[SCALE_BYTES * len(unknown) :], "<i4").astype(np.int64)
        tensors, first = {}, 0
        for tensor in self.outputs:
            tensors[tensor.name] = tensor.dequantize(words[first : first + tensor.size], scales.get(tensor.name))
            first += tensor.size
        return Output(tensors, None, digests or None)


@dataclass(frozen=True)
class CompiledModel(ModelInterface):
    """A compiled model. The card is the owner's, with what it says of private weights.

    Attributes:
        elf: the guest. private_weights: what a private model reads before its input: a salt, made once so that all its receipts show one
            digest, and the private words; else empty.
    """

    elf: bytes
    private_weights: bytes

    def save(self, directory: Path, source: str) -> None:
        """Write the guest, its source, metadata, and what only the owner of private weights may read."""
        directory.mkdir(parents=True, exist_ok=True)
        if self.weights == "private":
            _write(directory / WEIGHTS, self.private_weights, OWNER_ONLY)
            _write(directory / OWNERS_CARD, _json_bytes(self.card), OWNER_ONLY)
        _write(directory / GUEST, self.elf, EVERYBODY)
        _write(directory / SOURCE, source.encode(), EVERYBODY)
        metadata = {
            "format": FORMAT,
            "inputs": [_tensor_json(tensor) for tensor in self.inputs],
            "outputs": [_tensor_json(tensor) for tensor in self.outputs],
            "weights": self.weights,
            "input_mode": self.input_mode,
            "output_mode": self.output_mode,
            "card": public_card(self.card) if self.weights == "private" else self.card,
        }
        _write(directory / METADATA, _json_bytes(metadata), EVERYBODY)

    @staticmethod
    def load(directory: Path) -> CompiledModel:
        """Read a compiled model.

        Raises:
            UsageError: not a directory that :meth:`save` wrote.
        """
        public = ModelInterface.read(directory)
        try:
            private, known = b"", vars(public)
            if public.weights == "private":
                private = (directory / WEIGHTS).read_bytes()
                if (directory / OWNERS_CARD).exists():
                    known = known | {"card": dict(json.loads((directory / OWNERS_CARD).read_text()))}
            return CompiledModel(**known, elf=(directory / GUEST).read_bytes(), private_weights=private)
        except (OSError, ValueError, TypeError) as error:
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


def public_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """What of a private model's card everybody may read."""
    known = {name: card[name] for name in PUBLIC_CARD if name in card}
    if "layers" in known:
        known["layers"] = [{name: layer[name] for name in PUBLIC_LAYER if name in layer} for layer in known["layers"]]
    digest = card.get("execution", {}).get("weights_digest")
    return known if digest is None else known | {"execution": {"weights_digest": digest}}


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file as a whole or not at all; from its first byte on nobody reads it whom the mode keeps out, whatever was there before."""
    scratch = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def _scale(data: bytes) -> float:
    scale = float(np.frombuffer(data[:SCALE_BYTES], "<f8")[0])
    if not 0 < scale < math.inf:
        raise UsageError(f"the journal says that an output has the scale {scale}, so it is not one of an honest run of this model")
    return scale


def _tensor_json(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "kind": tensor.kind,
        "scale": tensor.scale,
        "lo": tensor.lo,
        "hi": tensor.hi,
    }


def _tensors(entries: list[dict[str, Any]], unknown_scales: bool = False) -> tuple[Tensor, ...]:
    tensors = tuple(_tensor(entry, unknown_scales) for entry in entries)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise ValueError("two tensors of one name")
    return tensors


def _tensor(entry: dict[str, Any], unknown_scale: bool) -> Tensor:
    shape, kind = tuple(map(int, entry["shape"])), entry["kind"]
    scale = float(entry["scale"]) if entry["scale"] is not None or kind != "real" or not unknown_scale else None
    bad_scale = scale is not None and not 0 < scale < math.inf
    if min(shape, default=1) < 1 or math.prod(shape) > MAX_ELEMENTS or kind not in DTYPES or bad_scale:
        raise ValueError(f"a tensor of shape {list(shape)}, kind {kind!r} and scale {scale}")
    return Tensor(str(entry["name"]), shape, kind, scale, int(entry["lo"]), int(entry["hi"]))


def _one_of(name: str, *choices: str) -> str:
    if name not in choices:
        raise ValueError(f"{name!r} is none of {', '.join(choices)}")
    return name
