"""Fixed-point rescaling: the one rounding rule of the integer model, in numpy and as a C expression."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, frexp, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import GuestError, UsageError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
MULTIPLIER_BITS = 31
MAX_SHIFT = 62
FAST_SHIFT = 33
"""From this shift on the rounding happens in the upper word of the product, which costs one multiplication and one addition."""
MAX_LEFT = 30
"""Largest shift to the left of a secret rescaling: 1 and -1 have to survive it."""


class Overflow(GuestError):
    """A run of the integer model has no answer, and the guest ends with an exit code that is not 0: names the layer and the reason."""

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"layer {layer}: {reason}")


def integer_limits(dtype: np.dtype[Any] | None) -> tuple[int, int]:
    """The least and the largest number of an integer type, as far as a signed word of 32 bits holds them; of an unknown one all words."""
    if dtype is None:
        return INT32_MIN, INT32_MAX
    limits = np.iinfo(dtype)
    return max(int(limits.min), INT32_MIN), min(int(limits.max), INT32_MAX)


def wraps(dtype: np.dtype[Any]) -> bool:
    """Whether a word holds all numbers of an integer type, so that arithmetic modulo its width does what ONNX says."""
    limits = np.iinfo(dtype)
    return integer_limits(dtype) == (int(limits.min), int(limits.max))


@dataclass(frozen=True, slots=True)
class Rescale:
    """y = floor((acc * multiplier + 2^(shift - 1)) / 2^shift), cut to [lo, hi]: rounding half up, with saturation.

    Attributes:
        multipliers: one per channel, or a single one; each below 2^31 in magnitude. shift: 1..62. bound: largest |acc|, below 2^31.
        secret: whether the numbers say something about private weights. Then the guest takes one path whatever they are: the fast
            one, for which accumulators are cut to what survives the shift to the left; what is cut saturates all the same, unless a
            channel is rescaled by far less than the others.
    """

    multipliers: tuple[int, ...]
    shift: int
    bound: int
    lo: int
    hi: int
    secret: bool = False

    def apply(self, accumulator: IntArray, channel_axis: int | None = None) -> IntArray:
        """Rescaled integers; ``channel_axis`` says where the channels lie if there are several multipliers."""
        shape = []  # a single multiplier adds no dimension to a number without any
        if len(self.multipliers) > 1:
            assert channel_axis is not None
            shape = [1] * accumulator.ndim
            shape[channel_axis] = len(self.multipliers)
        multipliers = np.array(self.multipliers, np.int64).reshape(shape)
        if self.secret:
            accumulator = np.clip(accumulator, -(INT32_MAX >> self.left), INT32_MAX >> self.left)
        scaled = (accumulator * multipliers + (1 << (self.shift - 1))) >> self.shift
        return np.asarray(np.clip(scaled, self.lo, self.hi), np.int64)

    @property
    def identity(self) -> bool:
        """Whether every accumulator within the bound is its own result, and everybody may know."""
        if self.secret:
            return False
        exact = all(multiplier == 1 << self.shift for multiplier in self.multipliers)
        return exact and self.lo <= -self.bound and self.hi >= self.bound

    @property
    def left(self) -> int:
        """Bits by which the guest shifts the accumulator left first, so that the fast path applies; 0 if it cannot."""
        needed = max(0, FAST_SHIFT - self.shift)
        return needed if self.secret or (self.bound << needed) < 1 << 31 else 0


def rescale(ratios: float | NDArray[np.float64], bound: int, lo: int, hi: int, name: str, *, secret: bool = False) -> Rescale:
    """The rescaling closest to multiplication by ``ratios``, with one shift for all of them.

    Args:
        ratios: one, or one per channel. Negative ones are for secret rescalings, which take the same path for either sign.
        bound: largest absolute accumulator.
        lo: least result; below it saturates.
        hi: largest result.
        name: of the layer, for messages.
        secret: whether the ratios are private words of the guest.

    Raises:
        UsageError: an accumulator, or its product by the ratio, could leave what the guest computes with; names the layer.
    """
    values = np.atleast_1d(np.asarray(ratios, np.float64))
    if bound >= 1 << 31:
        raise UsageError(f"{name}: its sums can reach {bound}, more than a 32-bit accumulator holds")
    largest = float(np.abs(values).max()) if secret else float(values.max())
    if not np.isfinite(largest) or largest < 0:
        raise UsageError(f"{name}: rescaling by {largest} is not possible: are its weights finite, and its variances positive?")
    if largest == 0:
        return Rescale((0,) * len(values), FAST_SHIFT, bound, lo, hi, secret)
    # ratio * 2^shift fits 31 bits; frexp gives ratio = m * 2^e with m in [1/2, 1).
    shift = min(MAX_SHIFT, MULTIPLIER_BITS - frexp(largest)[1])
    least = FAST_SHIFT - MAX_LEFT if secret else 1
    if shift < least:
        # So large a ratio sends every accumulator but 0 far beyond the bounds: saturation is all that is left of it.
        multipliers = np.where(values < 0, -INT32_MAX, INT32_MAX)
        return Rescale(tuple(multipliers.tolist()), least, bound, lo, hi, secret)
    multipliers = np.clip(np.round(values * 2.0**shift), -INT32_MAX, INT32_MAX).astype(np.int64)
    return Rescale(tuple(int(value) for value in multipliers), shift, bound, lo, hi, secret)


def power_of_two_at_least(value: float) -> float:
    """The smallest power of two >= value > 0."""
    mantissa, exponent = frexp(value)
    return float(2.0 ** (exponent - 1 if mantissa == 0.5 else exponent))


def floor_log2(value: float) -> int:
    """Largest k with 2^k <= value."""
    return floor(log2(value))
