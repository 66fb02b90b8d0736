"""Twiddle tables of the transforms in :mod:`zkvm.stark.kernels.source.transforms`, in the order of use.

With x = shift w^k at the full size of a level, its natural twiddles are x^rev(q) for block q < radix and k < stride. One level's
part of a table is a permutation of them: what one iteration needs are vectors of :data:`LANES` words, one after the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.field.goldilocks import FieldArray, P, root_of_unity
from zkvm.stark.kernels.library import kernel
from zkvm.stark.kernels.width import WORD_LANES as LANES

Levels = NDArray[np.int64]

LEAF = 64
"""Points of the smallest transforms, which the others join."""
CHUNK = 32
"""Columns of a level of radix 16, 32 or 64 that are done together: up to 16 KiB."""
LEAVES = LEAF * LANES
"""Words of the leaves that are done together."""
TALL = 2**16
"""Columns from this height on do not fit the second-level cache together with their extension; their topmost level has radix 64."""

fill_geometric = kernel("twiddles.fill_geometric")
fill_natural = kernel("twiddles.fill_natural")


def _shapes(size: int) -> list[tuple[int, int]]:
    """(stride, radix) of every level, small to large: 64 but for the lowest, which makes up for the rest."""
    layers = (size // LEAF).bit_length() - 1
    radices = ([2 ** (layers % 6)] if layers % 6 else []) + [64] * (layers // 6)
    strides = LEAF * np.cumprod([1, *radices])
    return list(zip(strides[:-1].tolist(), radices, strict=True))


def _with_offsets(shapes: list[tuple[int, int]], words: list[int]) -> Levels:
    """Rows (stride, radix, offset), where ``words`` are the lengths of the table's parts, the leaf's first."""
    rows = [(stride, radix, offset) for (stride, radix), offset in zip(shapes, np.cumsum(words[: len(shapes)]).tolist(), strict=True)]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _natural(stride: int, radix: int, shift: int, root: int, factor: int = 1) -> FieldArray:
    """``factor`` (shift root^k)^rev(q), as (radix, stride)."""
    table = np.empty((radix, stride), dtype=np.uint64)
    fill_natural(table.reshape(-1), radix, stride, factor, shift, root)
    return table


def forward_transform(size: int, shift: int) -> tuple[Levels, FieldArray]:
    """Levels and twiddles from bit-reversed coefficients to values on ``shift <w_size>``.

    Levels are rows (stride, radix, offset), int64. Parts of the table: [block][lane] for the leaf (the same in all lanes);
    [chunk][group][vector][block of the group][lane] for a radix above 8; [vector][block, without the first][lane] for the rest.
    """
    shapes = _shapes(size)
    leaf = bit_reversed_powers(pow(shift, size // LEAF, P), LEAF)
    parts = [np.repeat(leaf, LANES)]
    for stride, radix in shapes:
        span = stride * radix
        natural = _natural(stride, radix, pow(shift, size // span, P), root_of_unity(span))
        if radix > 8:
            split = natural.reshape(radix // 8, 8, stride // CHUNK, CHUNK // LANES, LANES).transpose(2, 0, 3, 1, 4)
        else:
            split = natural.reshape(radix, stride // LANES, LANES)[1:].transpose(1, 0, 2)
        parts.append(split.reshape(-1))
    return _with_offsets(shapes, [part.size for part in parts]), np.concatenate(parts)


def inverse_transform(size: int) -> tuple[Levels, FieldArray]:
    """Levels and twiddles from values on ``<w_size>`` to bit-reversed coefficients, 1 / size included in the leaf's.

    A level has those of the level above, for its own place q in that: [q][chunk][point mod R/8][vector][point div R/8][lane] for a radix
    R above 8, [q][vector][point][lane] for the rest, where a point is an index div stride. The leaf:
    [leaves][point mod 8][point div 8][lane].
    """
    shapes = _shapes(size)
    inputs = [
        _natural(stride, radix, 1, pow(root_of_unity(stride * radix), -1, P), pow(size, -1, P) if stride == LEAF else 1)
        for stride, radix in shapes
    ]
    inputs = inputs or [np.full((1, LEAF), pow(size, -1, P), dtype=np.uint64)]
    siblings = len(inputs[0])
    leaves = np.arange(max(siblings, LANES)) % siblings if size >= LEAVES else np.repeat(np.arange(siblings), LANES)
    parts = [inputs[0][leaves].reshape(-1, LANES, 8, 8).transpose(0, 3, 2, 1).reshape(-1)]
    for (stride, radix), natural in zip(shapes, inputs[1:], strict=False):
        if radix > 8:
            split = natural.reshape(-1, 8, radix // 8, stride // CHUNK, CHUNK // LANES, LANES).transpose(0, 3, 2, 4, 1, 5)
        else:
            split = natural.reshape(-1, radix, stride // LANES, LANES).transpose(0, 2, 1, 3)
        parts.append(split.reshape(-1))
    return _with_offsets(shapes, [part.size for part in parts]), np.concatenate(parts)


def bit_reversed_powers(base: int, count: int) -> FieldArray:
    """``result[rev(i)] = base^i`` for a power of two ``count``: shape (count,)."""
    return _natural(1, count, base, 1).reshape(-1)
