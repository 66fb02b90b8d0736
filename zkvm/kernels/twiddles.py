"""Twiddle tables of the transforms in :mod:`zkvm.kernels.source.transforms` (which documents their layout)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.field.goldilocks import FieldArray, P, powers, root_of_unity
from zkvm.kernels.library import kernel

LEAF = 64
"""Points of the smallest transforms, which the others join."""
_LEAF_WORDS = 8 + LEAF

fill_geometric = kernel("twiddles.fill_geometric")


def _bit_reverse(value: int, bits: int) -> int:
    return int(format(value, f"0{bits}b")[::-1], 2) if bits else 0


def transform_levels(size: int) -> NDArray[np.int64]:
    """The levels (stride, radix, offset) of a transform of ``size`` points, int64 of shape (levels, 3), small to large."""
    rows = []
    stride, offset = LEAF, _LEAF_WORDS
    while stride < size:
        layers = (size // stride).bit_length() - 1
        radix = 8 if layers % 3 == 0 else 2 ** (layers % 3)
        rows.append((stride, radix, offset))
        offset += (radix - 1) * stride
        stride *= radix
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def transform_table(size: int, root: int, shift: int, scale: int) -> FieldArray:
    """The twiddles of one transform (layout: :mod:`zkvm.kernels.source.transforms`) with x = shift root^k at the full size.

    ``root`` is w_size or its inverse; ``scale`` multiplies the leaf's second pass.
    """
    levels = transform_levels(size)
    words = _LEAF_WORDS + sum(int(stride * (radix - 1)) for stride, radix, _ in levels)
    table = np.ones(words, dtype=np.uint64)

    def fill(offset: int, stride: int, radix: int, first_block: int, factor: int) -> None:
        power = size // (stride * radix)
        for block in range(first_block, radix):
            residue = _bit_reverse(block, radix.bit_length() - 1)
            start = factor * pow(shift, power * residue, P) % P
            ratio = pow(root, power * residue, P)
            fill_geometric(table, offset + (block - first_block) * stride, stride, np.uint64(start), np.uint64(ratio))

    for lane in range(8):
        table[lane] = pow(shift, size // 8 * _bit_reverse(lane, 3), P)
    fill(8, 8, 8, 0, scale)
    for stride, radix, offset in levels.tolist():
        fill(offset, stride, radix, 1, 1)
    return table


def forward_table(size: int, shift: int) -> FieldArray:
    """Twiddles from bit-reversed coefficients to values on ``shift <w_size>``."""
    return transform_table(size, root_of_unity(size), shift, 1)


def inverse_table(size: int, shift: int = 1) -> FieldArray:
    """Twiddles from values on ``shift <w_size>`` to bit-reversed coefficients, 1 / size included."""
    return transform_table(size, pow(root_of_unity(size), -1, P), pow(shift, -1, P), pow(size, -1, P))


def bit_reversed_powers(base: int, count: int) -> FieldArray:
    """``result[rev(i)] = base^i`` for a power of two ``count``: shape (count,)."""
    indices = np.array([_bit_reverse(i, count.bit_length() - 1) for i in range(count)], dtype=np.intp)
    return powers(base, count)[indices]
