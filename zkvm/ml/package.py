"""A compiled model on disk: guest, metadata, and what turns real inputs into bytes and a journal into real outputs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.files import write_folder
from zkvm.ml.interface import FORMAT, METADATA, ModelInterface, tensor_json, weights_digest

GUEST, WEIGHTS, SOURCE, OWNERS_CARD = "model.elf", "weights.bin", "model.c", "card.private.json"
SALT_BYTES = 32
PUBLIC_CARD = ("operators", "parameters", "macs", "activation_bits", "weight_bits", "activation_words", "constant_words", "layers")
"""Entries of a private model's card that everybody may read, because they follow from the architecture."""
PUBLIC_LAYER = ("name", "kind", "output_shape", "macs")
SHOWN_OF_PRIVATE = (
    "operators, names, shapes, integer constants, sizes of trees, scales of inputs, and in journals with all outputs their scales"
)
"""What private weights do not hide: in one line what docs/ml.md lists."""


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
        metadata = {
            "format": FORMAT,
            "inputs": [tensor_json(tensor) for tensor in self.inputs],
            "outputs": [tensor_json(tensor) for tensor in self.outputs],
            "weights": self.weights,
            "input_mode": self.input_mode,
            "output_mode": self.output_mode,
            "saturation": self.saturation,
            "weights_digest": self.weights_digest,
            "card": public_card(self.card) if self.weights == "private" else self.card,
        }
        secret = {WEIGHTS: self.private_weights, OWNERS_CARD: _json_bytes(self.card)} if self.weights == "private" else {}
        public = {GUEST: self.elf, SOURCE: source.encode(), METADATA: _json_bytes(metadata)}
        write_folder(directory, secret | public, owner_only=secret)

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
                if weights_digest(private) != public.weights_digest:
                    raise UsageError(
                        f"{directory}: {WEIGHTS} does not hold the weights whose digest {METADATA} publishes; verifiers refuse them"
                    )
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
    return known


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
