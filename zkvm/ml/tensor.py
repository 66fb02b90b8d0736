"""An input or output of a compiled model: what its words say, and how metadata and journals hold them. numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, VerificationError
from zkvm.ml.layout import LANES, OFFSET, Layout
from zkvm.poseidon2 import tensor_digest

DTYPES: dict[str, type[np.generic]] = {"real": np.float32, "integer": np.int64, "boolean": np.bool_, "float": np.float32}
"""Kinds of tensors, and the numbers that people write for them."""
MAX_ELEMENTS = 1 << 30
"""More than any guest's memory holds."""
NAN = 0x7FC00000
"""The bits of every NaN that a guest gets or gives."""
MAX_WORD = (1 << 16) - 1
"""Difference of the bounds of an input that is a tensor."""
DIGESTED_BYTES = 48
"""Of three vectors, which a Poseidon2 digest takes at a time."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a compiled model: what its words say; inputs are within [lo, hi].

    Attributes:
        name: in the ONNX model.
        shape: of the array.
        kind: "real", integer * scale; "integer"; "boolean"; or "float", the bits of an IEEE 754 binary32 number.
        scale: of real numbers; 1 of others. None: it says something about private weights, and the journal holds it.
        lo: least word.
        hi: largest word.
        labels: names of classes: the integer k of an output stands for ``labels[k]``; empty if integers are what they are.
        layout: of an input that the guest makes a tensor as it comes: its bounds hold 2^16 words, the least of them as the least int16.
            Only who runs the guest needs it, or opens a digest of the input.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    scale: float | None
    lo: int
    hi: int
    labels: tuple[str, ...] = ()
    layout: Layout | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Numbers that people write for it."""
        return np.dtype(DTYPES[self.kind])

    def outside(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        """Which elements the words between the bounds do not hold."""
        numbers = self._numbers(array)
        return np.asarray((numbers < self.lo) | (numbers > self.hi))

    def quantize(self, array: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
        """The words of numbers, and how many elements were outside the bounds and were cut to them."""
        numbers = self._numbers(array)
        return np.clip(numbers, self.lo, self.hi).astype(np.int64), int(((numbers < self.lo) | (numbers > self.hi)).sum())

    def encoded(self, words: NDArray[np.int64]) -> bytes:
        """Words of an input as the guest reads them."""
        if self.layout is None:
            return words.reshape(-1).astype("<i4").tobytes()
        return self.layout.imported(words - self.lo - OFFSET)

    def committed(
        self, words: NDArray[np.int64], digest_of: Callable[[NDArray[np.int16]], NDArray[np.int16]] | None = None
    ) -> tuple[bytes, bytes]:
        """Words of an input whose digest is committed: as the guest reads them, and as BLAKE3 does.

        Vectors of a tensor are filled up with zeros to a multiple of three, and their Poseidon2 digest is hashed for them.

        Args:
            words: of the input.
            digest_of: :func:`zkvm.riscv.vm.digest.digest_of`, where there are kernels; None: Python.
        """
        encoded = self.encoded(words)
        if self.layout is None:
            return encoded, encoded
        vectors = np.frombuffer(encoded + bytes(-len(encoded) % DIGESTED_BYTES), "<i2")
        lanes = tensor_digest(vectors.tolist()) if digest_of is None else digest_of(vectors.astype(np.int16).reshape(-1, LANES)).reshape(-1)
        return vectors.tobytes(), np.array(lanes, "<i4").tobytes()

    def _numbers(self, array: NDArray[Any]) -> NDArray[Any]:
        """Words before anything is cut."""
        if self.kind == "float":
            floats = np.ascontiguousarray(array, np.float32)
            return np.where(np.isnan(floats), np.int32(NAN), floats.view(np.int32)).astype(np.int64)
        assert self.scale is not None
        return np.floor(array.astype(np.float64) / self.scale + 0.5) if self.kind == "real" else array.astype(np.int64)

    def dequantize(self, integers: NDArray[np.int64], scale: float | None = None) -> NDArray[Any]:
        """The numbers, or names of classes, that words stand for.

        Args:
            integers: the words.
            scale: of a tensor without one.

        Raises:
            VerificationError: MODEL, an integer that names no class.
        """
        shaped, chosen = integers.reshape(self.shape), self.scale if scale is None else scale
        if self.labels:
            return np.array([self.label_of(int(word)) for word in shaped.flat], object).reshape(self.shape)
        if self.kind == "float":
            return shaped.astype(np.int32).view(np.float32)
        if self.kind != "real":
            return shaped.astype(self.dtype)
        assert chosen is not None
        return shaped * chosen

    def label_of(self, word: int) -> str:
        """The class that an integer names.

        Raises:
            VerificationError: MODEL, none.
        """
        if not 0 <= word < len(self.labels):
            raise refused(f"output {self.name!r} says class {word}; the model has {len(self.labels)}")
        return self.labels[word]


def refused(detail: str) -> VerificationError:
    """The error of a journal that is not one of the model."""
    return VerificationError(RejectReason.MODEL, detail)


def tensor_json(tensor: Tensor) -> dict[str, Any]:
    """A tensor as it stands in the metadata."""
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "kind": tensor.kind,
        "scale": tensor.scale,
        "lo": tensor.lo,
        "hi": tensor.hi,
        **({"labels": list(tensor.labels)} if tensor.labels else {}),
        **({"layout": asdict(tensor.layout)} if tensor.layout is not None else {}),
    }


def tensors_of(entries: list[dict[str, Any]], outputs: bool, unknown_scales: bool = False) -> tuple[Tensor, ...]:
    """The tensors of the metadata's inputs or outputs.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: they are none.
    """
    tensors = tuple(_tensor(entry, unknown_scales) for entry in entries)
    if not outputs and any(tensor.labels for tensor in tensors):
        raise ValueError("an input with names of classes")
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise ValueError("two tensors of one name")
    return tensors


def _tensor(entry: dict[str, Any], unknown_scale: bool) -> Tensor:
    shape, kind = tuple(map(int, entry["shape"])), entry["kind"]
    scale = float(entry["scale"]) if entry["scale"] is not None or kind != "real" or not unknown_scale else None
    bad_scale = scale is not None and not 0 < scale < math.inf
    if min(shape, default=1) < 1 or math.prod(shape) > MAX_ELEMENTS or kind not in DTYPES or bad_scale:
        raise ValueError(f"a tensor of shape {list(shape)}, kind {kind!r} and scale {scale}")
    labels = entry.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels) or (labels and kind != "integer"):
        raise ValueError(f"names of classes that are no list of texts, or not of integers: {str(labels)[:60]}")
    tensor = Tensor(str(entry["name"]), shape, kind, scale, int(entry["lo"]), int(entry["hi"]), tuple(labels))
    return replace(tensor, layout=_layout(entry["layout"], tensor)) if "layout" in entry else tensor


def _layout(entry: dict[str, Any], tensor: Tensor) -> Layout:
    layout = Layout(entry["channels"], entry["positions"], entry["channels_first"])
    if [type(value) for value in astuple(layout)] != [int, int, bool]:
        raise ValueError(f"a layout of {layout.channels!r} channels and {layout.positions!r} positions, first {layout.channels_first!r}")
    if min(layout.channels, layout.positions) < 1 or layout.channels * layout.positions != tensor.size or tensor.hi - tensor.lo != MAX_WORD:
        raise ValueError(f"a tensor of {layout.channels} channels and {layout.positions} positions for an input that is none")
    return layout
