"""Tiles: transposes between rows and columns of either width."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from zkvm.kernels.source import tiles, vectors
from zkvm.kernels.source.words import LANES


@njit
def run_transpose(a: Any, out: Any) -> Any:
    for row in range(0, 8, LANES):
        columns = tiles.from_rows(tiles.load8(a, 8 * row, LANES))
        for column in range(8):
            out[0, column, row] = vectors.lane(columns[column], LANES - 1)
        tiles.store8(out[1].reshape(-1), 8 * row, LANES, tiles.to_rows(columns))
    tiles.transpose_tile(a, 0, 8, out[2].reshape(-1), 0, 8)


def test_tiles() -> None:
    matrix = np.arange(64, dtype=np.uint64).reshape(8, 8)
    out = np.zeros((3, 8, 8), dtype=np.uint64)
    run_transpose(matrix.reshape(-1), out)
    last = np.arange(LANES - 1, 8, LANES)
    assert np.array_equal(out[0][:, ::LANES], matrix.T[:, last])
    assert np.array_equal(out[1], matrix)
    assert np.array_equal(out[2], matrix.T)
