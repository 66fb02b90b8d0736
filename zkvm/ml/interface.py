"""What is public of a compiled model, and how its journals are read: all that a relying party needs beside a receipt. numpy only."""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.samples import Data, one_sample
from zkvm.ml.tensor import Tensor, refused, tensors_of
from zkvm.stark.crypto.hashes import DIGEST_BYTES, blake3
from zkvm.stark.protocol.params import Policy
from zkvm.verifier.receipt import DEFAULT_POLICY, Receipt

FORMAT = 6
METADATA = "model.json"
SCALE_BYTES, FLAG_BYTES = 8, 4
SATURATED_EXIT = 3
"""How a guest ends in which a value saturated, unless it was compiled to go on."""
DOMAIN = b"zkvm/model interface/2"
REFUSE, FLAG = "refuse", "flag"
"""What becomes of a value that leaves the integers that the model has for it: the run ends, or the journal says that it was cut."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a journal says, as the model was compiled.

    Attributes:
        tensors: the outputs by name, if all are shown; names of classes are texts.
        label: with ``top1``, the integer.
        digests: hexadecimal.
        label_name: the class that the label names, if it has names.
        saturated: whether a value was cut on the way, so that the outputs are not the model's; None: the run would have ended.
    """

    tensors: dict[str, NDArray[Any]]
    label: int | None = None
    digests: dict[str, str] | None = None
    label_name: str | None = None
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
        card: the model card, as JSON; it binds nobody.
        weights_digest: of private weights, 64 hexadecimal digits; of public ones, which are part of the program, empty.
        private_rows: how many rows of a digest the private vectors fill: of seven vectors of bytes, and of three of int16.
        saturation: "refuse": a run in which a value leaves its integers ends with :data:`SATURATED_EXIT`; "flag": it goes on, and the
            journal says so.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: str
    input_mode: str
    output_mode: str
    card: dict[str, Any]
    weights_digest: str
    saturation: str = field(default=REFUSE, kw_only=True)
    private_rows: tuple[int, int] = field(default=(0, 0), kw_only=True)

    @property
    def digest(self) -> bytes:
        """32 bytes that the guest holds and commits to: BLAKE3 of a domain and of the interface as compact JSON.

        The JSON is [inputs, outputs, weights, input mode, output mode, saturation], a tensor [name, shape, kind, scale, lo, hi, labels],
        and a scale the 16 hexadecimal digits of its float64 in big-endian order, or null. What a digest of inputs means depends on their
        layouts: with one, such an input has [channels, positions, channels first] behind its labels.
        """
        inputs = [[*_canonical(tensor), *self._digested(tensor)] for tensor in self.inputs]
        outputs = [_canonical(tensor) for tensor in self.outputs]
        content = [inputs, outputs, self.weights, self.input_mode, self.output_mode, self.saturation]
        return blake3(DOMAIN + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))

    @staticmethod
    def read(path: str | os.PathLike[str]) -> ModelInterface:
        """Read the metadata of a compiled model: ``model.json``, or the directory that holds it.

        Raises:
            UsageError: not what :meth:`CompiledModel.save` wrote.
        """
        file = Path(path)
        try:
            metadata = json.loads((file / METADATA if file.is_dir() else file).read_text())
            if metadata["format"] != FORMAT:
                raise UsageError(f"{path}: format {metadata['format']}; this version reads {FORMAT}: compile the model again")
            return ModelInterface(
                tensors_of(metadata["inputs"], False),
                tensors_of(metadata["outputs"], True, metadata["weights"] == "private"),
                _one_of(metadata["weights"], "public", "private"),
                _one_of(metadata["input_mode"], "none", "digest"),
                _one_of(metadata["output_mode"], "full", "top1", "digest"),
                dict(metadata["card"]),
                _hex_digest(metadata["weights_digest"]) if metadata["weights"] == "private" else "",
                saturation=_one_of(metadata["saturation"], REFUSE, FLAG),
                private_rows=_rows(metadata.get("private_rows", [0, 0])),
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
            raise refused("the journal is not one of a model with this interface: names, shapes, scales or modes differ")
        if self.weights == "private":
            check_weights(journal, self.weights_digest)
        names = [name for name, on in (("weights", self.weights == "private"), ("input", self.input_mode == "digest")) if on]
        places = {name: DIGEST_BYTES * (number + 1) for number, name in enumerate(names)}
        digests = {name: journal[start : start + DIGEST_BYTES].hex() for name, start in places.items()}
        start = DIGEST_BYTES * (len(names) + 1)
        unknown = [tensor for tensor in self.outputs if tensor.scale is None]
        full = SCALE_BYTES * len(unknown) + sum(tensor.size for tensor in self.outputs) * 4
        written = {"full": full, "top1": 4, "digest": DIGEST_BYTES}[self.output_mode]
        flag = FLAG_BYTES if self.saturation == FLAG else 0
        if len(journal) != start + flag + written:
            raise refused(f"a journal of {len(journal)} bytes is not one of this model, which writes {start + flag + written}")
        saturated, body = _flag(journal[start : start + flag]) if flag else None, journal[start + flag :]
        if self.output_mode == "top1":
            label, named = int.from_bytes(body, "little", signed=True), self._label_tensor()
            name = None if named is None or not named.labels else named.label_of(label)
            return Output({}, label, digests or None, name, saturated)
        if self.output_mode == "digest":
            return Output({}, None, digests | {"output": body.hex()}, None, saturated)
        scales = {tensor.name: _scale(body[SCALE_BYTES * place :]) for place, tensor in enumerate(unknown)}
        words = np.frombuffer(body[SCALE_BYTES * len(unknown) :], "<i4").astype(np.int64)
        tensors, first = {}, 0
        for tensor in self.outputs:
            tensors[tensor.name] = tensor.dequantize(words[first : first + tensor.size], scales.get(tensor.name))
            first += tensor.size
        return Output(tensors, None, digests or None, None, saturated)

    def input_digest(self, inputs: Data, salt: bytes) -> str:
        """What ``digests["input"]`` of a run on these inputs is, with ``commit_input``: 64 hexadecimal digits.

        Args:
            inputs: one sample; numbers outside of what the model was compiled for count as the nearest ones inside.
            salt: 32 bytes, ``salts["input"]`` of that run.

        Raises:
            UsageError: the inputs do not fit the model (InputError), or the salt is none.
        """
        if len(salt) != DIGEST_BYTES:
            raise UsageError(f"a salt has {DIGEST_BYTES} bytes, not {len(salt)}")
        sample = one_sample(inputs, self.inputs)
        return blake3(salt + b"".join(tensor.committed(tensor.quantize(sample[tensor.name])[0])[1] for tensor in self.inputs)).hex()

    def _digested(self, tensor: Tensor) -> list[list[Any]]:
        return [list(astuple(tensor.layout))] if tensor.layout is not None and self.input_mode == "digest" else []

    def _label_tensor(self) -> Tensor | None:
        """The output that ``top1`` shows, as the code generator chooses it, unless the label is a place among scores."""
        return next((tensor for tensor in self.outputs if tensor.size == 1 and tensor.kind in ("integer", "boolean")), None)


def check_weights(journal: bytes, weights_digest: str) -> None:
    """Refuse the journal of a run with other private weights than those that were published.

    Args:
        journal: of a compiled model with private weights: it begins with the digests of interface and weights.
        weights_digest: the published one, 64 hexadecimal digits, with or without ``0x`` before them.

    Raises:
        VerificationError: MODEL.
        UsageError: ``weights_digest`` is none.
    """
    try:
        expected = bytes.fromhex(_hex_digest(weights_digest.removeprefix("0x")))
    except ValueError as error:
        raise UsageError(f"--weights-digest: {error}") from error
    found = journal[DIGEST_BYTES : 2 * DIGEST_BYTES]
    if found != expected:
        raise refused(f"the run's private weights have the digest {found.hex() or '(none)'}, not {expected.hex()}")


def _rows(numbers: list[int]) -> tuple[int, int]:
    small, large = numbers
    if [type(number) for number in numbers] != [int, int] or min(numbers) < 0:
        raise ValueError(f"rows of private vectors: {numbers!r}")
    return small, large


def _hex_digest(text: str) -> str:
    if len(text) != 2 * DIGEST_BYTES or not set(text) <= set("0123456789abcdefABCDEF"):
        raise ValueError(f"a digest has {2 * DIGEST_BYTES} hexadecimal digits, not {text!r}")
    return text.lower()


def _canonical(tensor: Tensor) -> list[Any]:
    """What the interface's digest says of a tensor."""
    scale = None if tensor.scale is None else struct.pack(">d", tensor.scale).hex()
    return [tensor.name, list(tensor.shape), tensor.kind, scale, tensor.lo, tensor.hi, list(tensor.labels)]


def _flag(data: bytes) -> bool:
    word = int.from_bytes(data, "little")
    if word > 1:
        raise refused(f"the journal's word on saturation is {word}, neither 0 nor 1: no compiled model writes it")
    return bool(word)


def _scale(data: bytes) -> float:
    scale = float(np.frombuffer(data[:SCALE_BYTES], "<f8")[0])
    if not 0 < scale < math.inf:
        raise refused(f"the journal says that an output has the scale {scale}: no compiled model has")
    return scale


def _one_of(name: str, *choices: str) -> str:
    if name not in choices:
        raise ValueError(f"{name!r} is none of {', '.join(choices)}")
    return name
