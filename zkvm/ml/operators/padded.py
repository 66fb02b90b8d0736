"""Layers that put their results where the windows of a depthwise convolution read them, zeros of its padding included.

A pointwise convolution often has fewer channels before it than behind it. So what it reads is gathered in the order of the planes, and what
it makes is read as it lies. Its result is 0 where the planes have zeros if its input is, and its bias too: the bias becomes weights of
three more channels, *marks*, which are 0 there and not elsewhere. Two of them have the largest int16, and the third has 1.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.layout import LANES
from zkvm.ml.operations.rearranging import applying_cost, gathering_cost
from zkvm.ml.operations.tensors import layer_cost
from zkvm.ml.operators.layers import MARKS, Layer

LEAST_GAIN = 1 + 2.0**-5
"""By how much the way before has to cost more: less may be lost again in the heights of tables."""


def padded_for(layer: Layer, shape: tuple[int, ...], windowed: Layer, size: int, *, held: bool, functions: int = 0) -> Layer | None:
    """The same layer in the order of planes; None if that costs more, or if these do not hold all its results once.

    Args:
        layer: a convolution.
        shape: of its result, samples first.
        windowed: the convolution of single channels that alone reads it.
        size: elements of the layer's input.
        held: whether a tensor holds them as the layer reads them.
        functions: how many there are of each element in between, which are 0 for 0.
    """
    assert layer.index is not None
    assert windowed.index is not None
    samples, channels, positions = shape[0], shape[1], prod(shape[2:])
    planes = windowed.index[0]
    wanted = np.where(planes < 0, -1, planes + np.arange(channels)[:, None] * positions)
    if windowed.index.shape != wanted.shape or (windowed.index != wanted).any():
        return None
    read = np.where(planes < 0, -1, planes // (channels * positions) * positions + planes % positions)
    places = np.flatnonzero(read >= 0)
    if not np.array_equal(np.sort(read[places]), np.arange(samples * positions)):
        return None
    index = np.where(read < 0, -1, layer.index[:, read])
    result = replace(layer, index=index, order=_order(read, places, (samples, channels, positions)), marked=True)
    after, before = _cost(result, size), _cost_before(layer, windowed, size, held)
    if functions:
        after += functions * applying_cost(result.layouts(size)[1].vectors, shared=True)
        before += functions * applying_cost(layer.layouts(size)[1].vectors, shared=True)
    return result if LEAST_GAIN * after < before else None


def _order(read: IntArray, places: IntArray, shape: tuple[int, int, int]) -> IntArray:
    """Where the elements of the output (samples, channels, positions) are among the results (channels, places of a plane)."""
    samples, channels, positions = shape
    place = np.empty(len(places), np.int64)
    place[read[places]] = places
    return (place.reshape(samples, 1, positions) + np.arange(channels)[:, None] * len(read)).reshape(-1)


def _cost(layer: Layer, size: int) -> int:
    taken, given = layer.layouts(size)
    return gathering_cost(taken.vectors, -(-size // LANES)) + layer_cost(given, taken.channels)


def _cost_before(layer: Layer, windowed: Layer, size: int, held: bool) -> int:
    taken, given = layer.layouts(size)
    gathers = 0 if held else gathering_cost(taken.vectors, -(-size // LANES))
    return gathers + layer_cost(given, taken.channels) + gathering_cost(windowed.layouts(size)[0].vectors, given.vectors)


def with_marks(layer: Layer, size: int) -> IntArray:
    """What the taps of a marked layer and its marks read of its input, of so many elements, and of the two numbers of the marks behind it.
    Positions of its output have marks, also those whose taps are all in its own padding."""
    assert layer.index is not None
    assert layer.order is not None
    marked = np.zeros(layer.index.shape[1], np.bool_)
    marked[layer.order % len(marked)] = True
    return np.concatenate([layer.index, [np.where(marked, size + number, -1) for number in MARKS]])
