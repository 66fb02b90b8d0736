"""Tensors of the integer model: what their integers stand for, between which bounds they lie, and who owns their memory.

A value holds 32-bit integers q; a real number is q * scale (there is no zero point), or the bits of a float. Bounds [lo, hi] hold for
every input that the guest accepts, so accumulators can be bounded before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import prod

import numpy as np
from numpy.typing import NDArray

from zkvm.ml import float32
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.layout import Layout


class Kind(StrEnum):
    """What the integers of a value stand for."""

    REAL = "real"
    """q * scale."""
    INTEGER = "integer"
    """Themselves: an integer tensor of the ONNX model. The scale is 1."""
    BOOLEAN = "boolean"
    """0 or 1."""
    FLOAT = "float"
    """The bits of an IEEE 754 binary32 number, as a signed word. The scale is 1."""


@dataclass(frozen=True, eq=False, slots=True)
class Moved:
    """Elements of tensors laid end to end, in another order.

    Attributes:
        sources: tensors, all of one scale and origin.
        index: for each element its number among theirs, or -1: the number 0.
    """

    sources: tuple[Value, ...]
    index: IntArray


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
        guarded: whether a result equal to the lower, the upper limit is one that may have been cut: limits that follow from data are no
            legal values. A bound that the model itself sets, as a Relu does, is.
        repeats: the constant that this one repeats along axes, if it was broadcast: what element by element operations read instead.
        layout: how a tensor of the machine holds it; None: it is in RAM, a word each element.
        origin: the integer for which its tensor holds 0.
        moved: which elements of other tensors it consists of, if no tensor holds it yet: who reads it says how it has to lie.
        zeros: (size,) whether an element is 0 whatever the input is; None: of no element is it known.
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
    guarded: tuple[bool, bool] = (False, False)
    repeats: Value | None = None
    layout: Layout | None = None
    origin: int = 0
    moved: Moved | None = None
    zeros: NDArray[np.bool_] | None = None

    @property
    def resident(self) -> bool:
        """Whether tensors hold its elements, and not RAM."""
        return self.layout is not None or self.moved is not None

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

    def saturated(self, integers: IntArray) -> int:
        """How many of its operation's results may have been cut."""
        low, high = (limit if guarded else None for limit, guarded in zip(self.limits, self.guarded, strict=True))
        return sum(int((integers == limit).sum()) for limit in (low, high) if limit is not None)

    def storage(self) -> Value:
        """The value that owns the memory."""
        return self if self.root is None else self.root.storage()

    def dequantize(self, integers: IntArray) -> NDArray[np.generic]:
        """The numbers that integers of this value stand for: float64, int64, bool or float32."""
        if self.kind is Kind.BOOLEAN:
            return integers.astype(np.bool_)
        if self.kind is Kind.FLOAT:
            return float32.to_floats(integers)
        return integers if self.kind is Kind.INTEGER else integers * self.scale
