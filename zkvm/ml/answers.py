"""What an integer model says of an input: the little that the agreement gate asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from zkvm.ml.samples import Sample

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the integer model says of an input.

    Attributes:
        outputs: as numbers that people read, in the model's order.
        saturated: how many values inside were cut, by layer. outside: how many elements of the input were.
        refused: why the guest ends without outputs, whatever it does when values saturate.
    """

    outputs: list[Array]
    saturated: Mapping[str, int]
    outside: int = 0
    refused: str = ""


class Candidate(Protocol):
    """A model that stands for the float model."""

    def evaluate(self, sample: Sample) -> Answer:
        """Its answer."""

    def inside(self, sample: Sample) -> Mapping[str, Array]:
        """What it computes for the tensors of the ONNX model, as real numbers, as far as it has them."""
