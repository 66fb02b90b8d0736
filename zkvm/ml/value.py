"""Tensors of the integer model: what their integers stand for, between which bounds they lie, and who owns their memory.

A value holds 32-bit integers q; a real number is q * scale (there is no zero point). Bounds [lo, hi] hold for every input that the
guest accepts, so accumulators can be bounded before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import prod

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.arithmetic import IntArray


class Kind(StrEnum):
    """What the integers of a value stand for."""

    REAL = "real"
    """q * scale."""
    INTEGER = "integer"
    """Themselves: an integer tensor of the ONNX model. The scale is 1."""
    BOOLEAN = "boolean"
    """0 or 1."""


@dataclass(eq=False, slots=True)
class Value:
    """One tensor of the integer model.

    In a model with private weights the bounds decide which code is written, so they follow from shapes and bit widths alone, as wide as
    any weights could make them; what the weights and ranges make of them is the cut.

    Attributes:
        shape: of the tensor, without symbolic dimensions.
        lo, hi: inclusive bounds of its integers.
        scale: real = integer * scale.
        data: its integers if it is a constant.
        root: the value whose memory this one is a view of.
        private: whether the constant says something about the weights, which private models read as input.
        secret: whether the scale does; only in models with private weights.
        cut: bounds within [lo, hi] to which its operation cuts, where these are secret.
        repeats: the constant that this one repeats along axes, if it was broadcast: what element by element operations read instead.
    """

    name: str
    shape: tuple[int, ...]
    lo: int
    hi: int
    scale: float = 1.0
    kind: Kind = Kind.REAL
    data: IntArray | None = None
    root: Value | None = None
    private: bool = True
    secret: bool = False
    cut: tuple[int, int] | None = None
    repeats: Value | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def magnitude(self) -> int:
        """Largest absolute integer."""
        return max(abs(self.lo), abs(self.hi))

    @property
    def limits(self) -> tuple[int, int]:
        """What its operation cuts to."""
        return (self.lo, self.hi) if self.cut is None else self.cut

    def storage(self) -> Value:
        """The value that owns the memory."""
        return self if self.root is None else self.root.storage()

    def dequantize(self, integers: IntArray) -> NDArray[np.generic]:
        """The numbers that integers of this value stand for: float64, int64 or bool."""
        if self.kind is Kind.BOOLEAN:
            return integers.astype(np.bool_)
        return integers if self.kind is Kind.INTEGER else integers * self.scale
