"""Integers of layers with private weights. How many bits they have, and what their multipliers count, is public; what they are is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.arithmetic import FloatArray, IntArray
from zkvm.ml.code import BYTE_BITS, BYTE_STEP
from zkvm.ml.ir import Value
from zkvm.ml.layout import OFFSET
from zkvm.ml.operations.tensors import BIAS_UNIT, SHIFT
from zkvm.ml.operators.layers import MAX_MARKED_BIAS, MAX_PRODUCT_LIMIT, Layer, Quantized

PRIVATE_BITS, MOST_PRIVATE_LIMIT = 17, 1 << 29
"""Taps times a private layer's limit are at most 2^15 times 2 to this power, which is what a call takes; the largest limit."""
SMALL_LIMIT_BITS = 25
"""The limit of a layer of n small weights, whose operand and result have as many integers, is 2 to this power over the root of n: then its
largest weight may make of its operand's range 256 ranges of its result over the root of n. A sum of so many terms of alike sizes needs a
few over the root of n, and factors have the bits in between to tell scales apart."""
LEAST_TAPS = 64
"""Of a layer whose weights stay small integers. Few weights cost little, and a single one may be much larger than their sum's range."""
LEAST, MOST = -128, 127
"""Integers of 8 bits."""
ITSELF = 2.0**-12
"""Parts of a step that float32 numbers are off an integer's multiple of it, and more."""


def private_limit(taps: int) -> int:
    """The limit of a layer with private weights, from its taps alone: the largest, because factors reach no farther. With the multipliers
    that count it least all weights that are rounded change a sum by half a step of the result at most."""
    return min(1 << (15 + max(0, PRIVATE_BITS - (taps - 1).bit_length())), MOST_PRIVATE_LIMIT)


def limit_of(layer: Layer, source: Value, output: Value) -> int:
    """The limit of a private layer that reads and makes values with such bounds: how many integers these hold has a part in it, no more.
    Weights that are small integers times a scale keep them, so that factors are rounded: their limit is no larger than it has to be."""
    limit = private_limit(layer.taps)
    if not keeps_steps(layer):
        return limit
    finer = (output.hi - output.lo).bit_length() - (source.hi - source.lo).bit_length()
    return max(OFFSET, min(limit, 1 << max(0, SMALL_LIMIT_BITS - (layer.taps - 1).bit_length() // 2 + finer)))


def keeps_steps(layer: Layer) -> bool:
    """Whether a layer's weights stay the small integers that the model has. Weights of marks have more bits."""
    return layer.small and not layer.marked and layer.taps >= LEAST_TAPS


def of_bytes(layer: Layer, weight_bits: int) -> bool:
    """Whether all weights of a private layer are a byte each, at most."""
    return keeps_steps(layer) or (weight_bits <= BYTE_BITS and not layer.marked)


def quantized_secretly(name: str, layer: Layer, source: Value, scale: float, weight_bits: int, limit: int) -> Quantized:
    """The integers of a layer with private weights. Multipliers count limit / 2^15, biases 2^29 / limit.

    Args:
        name: of the layer, for messages.
        layer: the layer.
        source: its input.
        scale: of the output.
        weight_bits: of the weights, at most.
        limit: of the layer: see :func:`limit_of`.

    Raises:
        UsageError: its weights or biases are not finite, or its results are too small beside them. It never computes otherwise, which
            would say something of them. Or it has more taps than a call takes.
    """
    if not (np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all()):
        raise UsageError(f"{name}: a weight is NaN or infinite")
    if layer.taps * limit > MAX_PRODUCT_LIMIT:
        raise UsageError(
            f"{name}: sums of {layer.taps} terms are too long to be private in tensor calls, which take {MAX_PRODUCT_LIMIT // OFFSET}; "
            "use arithmetic float"
        )
    unit, step = limit // OFFSET, BIAS_UNIT // limit
    bits = min(weight_bits, BYTE_BITS) if of_bytes(layer, weight_bits) else weight_bits
    size = scale / (source.scale * 2.0**SHIFT)  # the step of weights with the multiplier 1
    # Of the 2^31 steps of a bias half are for it, with what the input's origin adds, and half for what rounded weights do to that.
    offset = layer.bias + source.origin * source.scale * layer.weights.sum(axis=1)
    most = np.abs(offset) / (size * source.scale * step * (1 << 30))
    if layer.marked:
        most = np.maximum(most, np.abs(offset) / (size * source.scale * MAX_MARKED_BIAS))
    factors, weights = _rounded(layer.weights, unit * size, most / unit, bits)
    if keeps_steps(layer) and bits == BYTE_BITS:
        factors, weights = _with_own_steps(layer.weights, unit * size, most / unit, (factors, weights), _leaning((source.lo, source.hi)))
    bias = np.round((layer.bias / (factors * unit * size * source.scale) + source.origin * weights.sum(axis=1)) / step)
    if factors.max() >= OFFSET or np.abs(bias).max() >= 1 << 31:
        raise UsageError(
            f"{name}: its results are too small beside its weights, for sums of {layer.weights.shape[1]} terms that are to be private in "
            "tensor calls; use precompiles none"
        )
    return Quantized(weights, bias.astype(np.int64) * step, factors * unit)


def _rounded(weights: FloatArray, unit: float, least: FloatArray, bits: int) -> tuple[IntArray, IntArray]:
    """Factors (channels,), the least ones, and weights (channels, taps) of so many bits, the upper ones of 16.

    Args:
        weights: (channels, taps).
        unit: what a weight of 1 with the factor 1 is.
        least: (channels,) of the factors.
        bits: of the weights.
    """
    top, shift = (1 << (bits - 1)) - 1, 16 - bits
    needed = np.maximum(np.abs(weights).max(axis=1) / (unit * (top << shift)), least)
    factors = np.maximum(np.ceil(np.minimum(needed, OFFSET)), 1).astype(np.int64)
    integers = np.clip(np.round(weights / (factors * unit * 2.0**shift)[:, None]), -top, top)
    return factors, integers.astype(np.int64) << shift


def _leaning(ends: tuple[int, int]) -> float:
    """The square of the mean over the variance, of numbers that are spread between these ends: how much the error of all of a channel's
    weights together counts beside that of each."""
    low, high = ends
    return 3.0 * ((low + high) / max(high - low, 1)) ** 2


def _with_own_steps(
    weights: FloatArray, unit: float, least: FloatArray, others: tuple[IntArray, IntArray], leaning: float
) -> tuple[IntArray, IntArray]:
    """The same with the integers that the weights are in their own steps, and factors that are the nearest to these: of the channels whose
    sums this brings closer than ``others``. Where a channel's weights and what it reads lean to one side, factors are coarse and their
    errors add up, while those of rounded weights do not."""
    steps, integers = own_steps(weights)
    factors = np.round(np.minimum(steps / (unit * BYTE_STEP), OFFSET)).astype(np.int64)

    def error(factors: IntArray, integers: IntArray) -> FloatArray:
        off = integers * (factors * unit)[:, None] - weights
        return np.asarray(np.square(off).sum(axis=1) + leaning * np.square(off.sum(axis=1)))

    better = (factors >= np.maximum(least, 1)) & (factors < OFFSET) & (error(factors, integers * BYTE_STEP) <= error(*others))
    return np.where(better, factors, others[0]), np.where(better[:, None], integers * BYTE_STEP, others[1])


def own_steps(weights: FloatArray) -> tuple[FloatArray, IntArray]:
    """Of each channel the step of which its weights are multiples by integers of 8 bits, and these, (channels, taps).

    It is the largest weight over an integer: the largest one with which all are such multiples, up to what float32 numbers are off, else
    the one with which they are nearest to some. A channel of zeros has the step 0.
    """
    largest = np.abs(weights).max(axis=1)
    steps, integers = np.zeros(len(weights)), np.zeros(weights.shape, np.int64)
    errors: NDArray[np.float64] = np.full(len(weights), np.inf)
    left = np.flatnonzero(largest > 0)
    for most in range(-LEAST, 0, -1):
        own = largest[left] / most
        multiples = weights[left] / own[:, None]
        rounded = np.round(multiples)
        off = np.abs(rounded - multiples)
        found = np.square(off * own[:, None]).sum(axis=1)
        better = (rounded.max(axis=1) <= MOST) & (found < errors[left])
        exact = better & (off.max(axis=1) < ITSELF)
        taken = left[better]
        steps[taken], integers[taken], errors[taken] = own[better], rounded[better].astype(np.int64), found[better]
        left = left[~exact]
        if not len(left):
            break
    return steps, integers
