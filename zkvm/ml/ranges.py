"""What is known of the tensors of a model before its nodes are lowered: ranges, and the scales that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zkvm.ml.arithmetic import integer_limits, power_of_two_at_least
from zkvm.ml.value import Kind


@dataclass(frozen=True, slots=True)
class Precision:
    """How many bits the integers have.

    Attributes:
        activation_bits: 8 or 16. weight_bits: at most 16; fewer where the accumulator of a layer would not hold the sum.
    """

    activation_bits: int = 16
    weight_bits: int = 16


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What is known of an ONNX tensor: shape, kind, and its calibrated range [low, high] as real numbers.

    Attributes:
        bits: that it has at least, whatever the precision of activations: where bits cost nothing.
        most: that it has at most, if it is not 0: where its layers need the room of their sums for their weights.
        guarded: whether low, high are data and no bounds: then values beyond them are possible, and must not be cut silently.
        dtype: its type in the ONNX model.
        masked: whether low cuts what lies far below the rest of its row, as masks do.
        tight: whether its scale is the tightest one, as with 8 bits: layers alone read it, for which no number has to be exact.
    """

    shape: tuple[int, ...]
    kind: Kind
    low: float
    high: float
    bits: int = 0
    most: int = 0
    guarded: tuple[bool, bool] = (False, False)
    dtype: np.dtype[Any] | None = None
    masked: bool = False
    tight: bool = False


def _bits(info: TensorInfo, precision: Precision) -> int:
    """How many bits a tensor's integers have."""
    bits = max(info.bits, precision.activation_bits)
    return bits if bits == 8 or not info.most or info.bits else min(bits, info.most)


def widest(info: TensorInfo, precision: Precision) -> int:
    """Largest magnitude of a tensor's integers, whatever its range is."""
    bits = _bits(info, precision)
    return 255 if bits == 8 else (1 << (bits - 1)) - 1


def kind_of(dtype: np.dtype[Any]) -> Kind:
    """What the numbers of a dtype become in the integer model."""
    if dtype == np.bool_:
        return Kind.BOOLEAN
    return Kind.INTEGER if np.issubdtype(dtype, np.integer) else Kind.REAL


def quantization(info: TensorInfo, precision: Precision) -> tuple[float, int, int]:
    """Scale and bounds for a tensor: the best power of two for 16 bits and more, the tightest scale for 8, and where it is asked for.

    A power of two keeps integers, halves and comparisons with them exact, and costs less than a bit.
    """
    if info.kind is Kind.BOOLEAN:
        return 1.0, 0, 1
    magnitude = max(abs(info.low), abs(info.high))
    positive = info.low >= 0 and not info.guarded[0]
    if info.kind is Kind.INTEGER:
        least, largest = integer_limits(info.dtype)
        return 1.0, least if info.guarded[0] else int(max(info.low, least)), largest if info.guarded[1] else int(min(info.high, largest))
    bits = _bits(info, precision)
    if not magnitude:
        magnitude = 1.0
    if bits == 8 or info.tight:
        # What was never negative has all integers to itself, also if nothing says that it cannot become negative.
        top = (1 << (bits - 1)) - 1 if bits > 8 else 255 if info.low >= 0 else 127
        magnitude *= 1 + any(info.guarded) / top  # what may be there is no limit that counts as cut
        return magnitude / top, 0 if positive else -top, top
    top = (1 << (bits - 1)) - 1
    return power_of_two_at_least(magnitude / top), 0 if positive else -top, top
