"""What is public of a compiled model, and how its journals are read: all that a relying party needs beside a receipt. numpy only."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, UsageError, VerificationError
from zkvm.stark.crypto.hashes import DIGEST_BYTES, blake3
from zkvm.stark.protocol.params import Policy
from zkvm.verifier.receipt import DEFAULT_POLICY, Receipt

FORMAT = 5
METADATA = "model.json"
SCALE_BYTES = 8
FLAG_BYTES = 4
SATURATED_EXIT = 3
"""How a guest ends in which a value saturated, unless it was compiled to go on."""
DOMAIN = b"zkvm/model interface/2"
DTYPES: dict[str, type[np.generic]] = {"real": np.float32, "integer": np.int64, "boolean": np.bool_}
"""Kinds of tensors, and the numbers that people write for them."""
MAX_ELEMENTS = 1 << 30
"""More than any guest's memory holds."""


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
    """What a journal says: the outputs by name, the label, or digests (hexadecimal), as the model was compiled.

    Attributes:
        saturated: whether a value inside was cut; None if a run in which one is has no answer.
    """

    tensors: dict[str, NDArray[Any]]
    label: int | None = None
    digests: dict[str, str] | None = None
    saturated: bool | None = None


@dataclass(frozen=True)
class ModelInterface:
    """What is public of a compiled model: enough to read its journals, without the guest and without private weights.

    The guest commits to the :attr:`digest` of all this but the card and the weights, so that an interface that gives a journal's numbers
    another meaning is refused; and to its private weights, so that a run with others is.

    Attributes:
        inputs: in order.
        outputs: in order.
        weights: "public" or "private".
        input_mode: "none" or "digest".
        output_mode: "full", "top1" or "digest".
        saturation: of a value inside: "refuse", the guest ends with :data:`SATURATED_EXIT`, or "flag", it goes on and the journal says so.
        card: the model card, as JSON; it binds nobody.
        weights_digest: of private weights, 64 hexadecimal digits; of public ones, which are part of the program, empty.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: str
    input_mode: str
    output_mode: str
    saturation: str
    card: dict[str, Any]
    weights_digest: str

    @property
    def digest(self) -> bytes:
        """32 bytes that the guest holds and commits to: BLAKE3 of a domain and of the interface as compact JSON.

        The JSON is [inputs, outputs, weights, input mode, output mode, saturation], a tensor [name, shape, kind, scale, lo, hi], and a
        scale the 16 hexadecimal digits of its float64 in big-endian order, or null.
        """
        tensors = [[_canonical(tensor) for tensor in group] for group in (self.inputs, self.outputs)]
        content = [*tensors, self.weights, self.input_mode, self.output_mode, self.saturation]
        return blake3(DOMAIN + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))

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
                _one_of(metadata["saturation"], "refuse", "flag"),
                dict(metadata["card"]),
                _hex_digest(metadata["weights_digest"]) if metadata["weights"] == "private" else "",
            )
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise UsageError(f"{path}: not a compiled model: {error}") from error

    def verify(self, receipt: Receipt, image_id: str | bytes, *, policy: Policy = DEFAULT_POLICY) -> Output:
        """Accept a receipt as the proof of a run of this model with its published weights, or refuse it.

        Args:
            receipt: of the run.
            image_id: of the model's guest, which the caller trusts.
            policy: what else the caller demands.

        Returns:
            What the journal says.

        Raises:
            VerificationError: with the reason of the first check that fails; MODEL, of those that concern the model.
            UsageError: ``image_id`` is not an image ID.
        """
        receipt.verify(image_id, policy=policy)
        return self.decode(receipt.journal)

    def decode(self, journal: bytes) -> Output:
        """What a journal of this model says.

        Raises:
            VerificationError: MODEL, it is not one of this model: of another interface, of other weights, of another length, or with
                scales that are none.
        """
        if journal[:DIGEST_BYTES] != self.digest:
            raise _refused("the journal is not one of a model with this interface: names, shapes, scales or modes differ")
        if self.weights == "private":
            check_weights(journal, self.weights_digest)
        names = [name for name, on in (("weights", self.weights == "private"), ("input", self.input_mode == "digest")) if on]
        places = {name: DIGEST_BYTES * (number + 1) for number, name in enumerate(names)}
        digests = {name: journal[start : start + DIGEST_BYTES].hex() for name, start in places.items()}
        first, saturated = DIGEST_BYTES * (len(names) + 1), None
        if self.saturation == "flag":
            first, flag = first + FLAG_BYTES, int.from_bytes(journal[first : first + FLAG_BYTES], "little")
            saturated = flag != 0
        body = journal[first:]
        unknown = [tensor for tensor in self.outputs if tensor.scale is None]
        full = SCALE_BYTES * len(unknown) + sum(tensor.size for tensor in self.outputs) * 4
        written = {"full": full, "top1": 4, "digest": DIGEST_BYTES}[self.output_mode]
        expected = first + written
        if len(journal) != expected:
            raise _refused(f"a journal of {len(journal)} bytes is not one of this model, which writes {expected}")
        if self.output_mode == "top1":
            return Output({}, int.from_bytes(body, "little", signed=True), digests or None, saturated)
        if self.output_mode == "digest":
            return Output({}, None, digests | {"output": body.hex()}, saturated)
        scales = {tensor.name: _scale(body[SCALE_BYTES * number :]) for number, tensor in enumerate(unknown)}
        words = np.frombuffer(body[SCALE_BYTES * len(unknown) :], "<i4").astype(np.int64)
        tensors, place = {}, 0
        for tensor in self.outputs:
            tensors[tensor.name] = tensor.dequantize(words[place : place + tensor.size], scales.get(tensor.name))
            place += tensor.size
        return Output(tensors, None, digests or None, saturated)


def check_weights(journal: bytes, weights_digest: str) -> None:
    """Refuse the journal of a run with other private weights than those that were published.

    Args:
        journal: of a compiled model with private weights: it begins with the digests of interface and weights.
        weights_digest: the published one, 64 hexadecimal digits.

    Raises:
        VerificationError: MODEL.
        UsageError: ``weights_digest`` is none.
    """
    try:
        expected = bytes.fromhex(_hex_digest(weights_digest))
    except ValueError as error:
        raise UsageError(f"--weights-digest: {error}") from error
    found = journal[DIGEST_BYTES : 2 * DIGEST_BYTES]
    if found != expected:
        raise _refused(f"the run's private weights have the digest {found.hex() or '(none)'}, not {expected.hex()}")


def weights_digest(private_weights: bytes) -> str:
    """What a guest commits to: BLAKE3 of the salt and the private words, 64 hexadecimal digits."""
    return blake3(private_weights).hex()


def _refused(detail: str) -> VerificationError:
    return VerificationError(RejectReason.MODEL, detail)


def _hex_digest(text: str) -> str:
    if len(text) != 2 * DIGEST_BYTES or not set(text) <= set("0123456789abcdefABCDEF"):
        raise ValueError(f"a digest has {2 * DIGEST_BYTES} hexadecimal digits, not {text!r}")
    return text.lower()


def _canonical(tensor: Tensor) -> list[Any]:
    """What the interface's digest says of a tensor."""
    scale = None if tensor.scale is None else struct.pack(">d", tensor.scale).hex()
    return [tensor.name, list(tensor.shape), tensor.kind, scale, tensor.lo, tensor.hi]


def _scale(data: bytes) -> float:
    scale = float(np.frombuffer(data[:SCALE_BYTES], "<f8")[0])
    if not 0 < scale < math.inf:
        raise _refused(f"the journal says that an output has the scale {scale}: no compiled model has")
    return scale


def tensor_json(tensor: Tensor) -> dict[str, Any]:
    """A tensor as it stands in the metadata."""
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
