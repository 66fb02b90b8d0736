"""Which constants of a model are integers of 8 bits times scales: its file says it by types, and by where scales stand. No weight does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.node import Node

WHOLE = -1
"""Instead of an axis: all of a tensor has one scale."""
SMALL = ("int8", "int4")
"""Types of such integers."""
KEEPING = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""Operators whose output is their input under another shape."""


def scale_axis(integers: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any] | None, axis: int) -> int | None:
    """The axis whose positions have a scale each, or :data:`WHOLE`; None: these are no small integers times such scales.

    Args:
        integers: as they are in the file.
        scale: of all, or of each position of an axis.
        zero: their zero point, if there is one: it has to be 0, as it is where integers have a sign.
        axis: which one.
    """
    if integers.dtype.name not in SMALL or (zero is not None and zero.astype(np.int64).any()):
        return None
    if scale.size == 1:
        return WHOLE
    return axis % integers.ndim if scale.shape == (integers.shape[axis % integers.ndim],) else None


def note_scaled(node: Node, constants: Mapping[str, NDArray[Any]], scaled: dict[str, int]) -> None:
    """Add what a node makes of constants to what is known of those that are such numbers, if it is one of them."""
    axis = _folded_axis(node, constants, scaled)
    if axis is not None:
        scaled[node.outputs[0]] = axis


def _folded_axis(node: Node, constants: Mapping[str, NDArray[Any]], known: Mapping[str, int]) -> int | None:
    if node.operator == "DequantizeLinear" and not node.attributes.get("block_size", 0):
        zero = constants[node.inputs[2]] if node.has(2) else None
        return scale_axis(constants[node.inputs[0]], constants[node.inputs[1]], zero, node.attributes.get("axis", 1))
    axis = known.get(node.inputs[0]) if node.inputs and node.domain == "" else None
    if axis is not None and node.operator == "Transpose":
        permutation = node.attributes.get("perm") or list(range(constants[node.inputs[0]].ndim))[::-1]
        return axis if axis == WHOLE else list(permutation).index(axis)
    if node.operator == "Identity" or (axis == WHOLE and node.operator in KEEPING):
        return axis
    return None


def in_small_integers(scaled: Mapping[str, int], name: str, axis: int) -> bool:
    """Whether a constant is such integers with one scale for each position of an axis: its channels, or with one for all."""
    return scaled.get(name) in (WHOLE, axis)
