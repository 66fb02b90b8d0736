"""Layers in floats whose outputs read unlike inputs: each kind of output is a layer of its own.

The inputs of a layer are aligned to the largest of them, which costs the small ones their last bits. Where outputs are sums over all
inputs nothing is lost by that. But an output that does not read the large inputs (a matrix that selects columns, as trees written as
matrix products have it) would be nothing but their rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.arithmetic import FloatArray, IntArray

NEAR = 2.0**16
"""Outputs whose weights have ratios that differ by less are of one kind: the bits beyond those of a float, and some that nobody misses."""
MAX_KINDS = 32
COST_OF_INPUT, COST_OF_PRODUCT = 30, 7
ALWAYS = 1 << 13
"""Instructions that may be spent on it whatever the layer costs."""


def kinds_of_outputs(weights: FloatArray) -> list[NDArray[np.intp]] | None:
    """The outputs that are computed together, or nothing if that is all of them, or more were too dear.

    Args:
        weights: (outputs, inputs).
    """
    outputs, inputs = weights.shape
    sizes = np.abs(weights)
    kinds: list[tuple[FloatArray, list[int]]] = []
    places: dict[bytes, list[int]] = {}
    for output, row in enumerate(sizes):
        near = places.setdefault((row > 0).tobytes(), [])
        found = next((kinds[kind][1] for kind in near if _spread(row, kinds[kind][0]) <= NEAR), None)
        if found is None:
            near.append(len(kinds))
            kinds.append((row, []))
            found = kinds[-1][1]
        found.append(output)
        if len(kinds) > max(MAX_KINDS, inputs + 1):
            return None
    read = sum(int(np.count_nonzero(row)) for row, _ in kinds)
    products = sum(int(np.count_nonzero(row)) * len(members) for row, members in kinds)
    cost = COST_OF_INPUT * (read + 2 * inputs + outputs) + COST_OF_PRODUCT * (products + len(kinds) * inputs)
    if len(kinds) < 2 or cost > max(ALWAYS, 1.5 * (COST_OF_PRODUCT * outputs * inputs + COST_OF_INPUT * inputs)):
        return None
    return [np.array(members) for _, members in kinds]


def _spread(row: FloatArray, other: FloatArray) -> float:
    """How much the ratios of two rows of sizes with the same zeros differ."""
    used = row > 0
    if not used.any():
        return 1.0
    ratios = np.log2(row[used]) - np.log2(other[used])
    return float(np.exp2(min(1000.0, ratios.max() - ratios.min())))


def order_of(kinds: list[NDArray[np.intp]], rows: int) -> IntArray:
    """Where the elements (rows, outputs) lie, if the results of every kind, (rows, members), lie one after the other."""
    outputs = sum(len(members) for members in kinds)
    index = np.empty((rows, outputs), np.int64)
    start = 0
    for members in kinds:
        index[:, members] = start + np.arange(rows * len(members)).reshape(rows, -1)
        start += rows * len(members)
    return index
