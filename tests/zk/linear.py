"""Exact linear algebra over the base field."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.field import goldilocks
from zkvm.stark.field.goldilocks import P

U64 = NDArray[np.uint64]


def eliminate(matrix: U64) -> tuple[U64, list[int]]:
    """Row echelon form of a matrix (r, c) by Gauss, and its pivot columns; the rank is their number."""
    rows = np.array(matrix, np.uint64)
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        rank = len(pivots)
        if rank == len(rows):
            break
        found = np.flatnonzero(rows[rank:, column])
        if not len(found):
            continue
        first = rank + int(found[0])
        rows[[rank, first]] = rows[[first, rank]]
        rows[rank] = goldilocks.mul(rows[rank], np.uint64(pow(int(rows[rank, column]), -1, P)))
        below = rank + 1 + np.flatnonzero(rows[rank + 1 :, column])
        if len(below):
            product = goldilocks.mul(rows[below, column][:, None], rows[rank][None, column:])
            rows[below, column:] = goldilocks.sub(rows[below, column:], product)
        pivots.append(column)
    return rows, pivots


def rank(matrix: U64) -> int:
    """Rank mod p of a matrix."""
    return len(eliminate(matrix)[1])


def explains(vectors: U64, target: U64) -> bool:
    """Whether some combination of the vectors (k, d) is the target (d,)."""
    return rank(np.concatenate([vectors, target[None]])) == rank(vectors)
