"""Tiles: transposes between rows and columns of either width."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from zkvm.stark.kernels.source import tiles, vectors
from zkvm.stark.kernels.source.words import LANES


@njit
def run_transpose(a: Any, out: Any) -> None:
    rows = tiles.load_lanes(a, 0, 8)
    columns = tiles.transpose(rows)
    reversed_rows = tiles.bit_reversed(rows)
    for i in range(LANES):
        vectors.store(out[0, i], 0, columns[i])
        vectors.store(out[1, i], 0, reversed_rows[i])
    tiles.transpose_tile(a, 0, 8, out[2].reshape(-1), 0, 8)


def test_tiles() -> None:
    matrix = np.arange(64, dtype=np.uint64).reshape(8, 8)
    out = np.zeros((3, 8, 8), dtype=np.uint64)
    run_transpose(matrix.reshape(-1), out)
    square, bits = matrix[:LANES, :LANES], LANES.bit_length() - 1
    assert np.array_equal(out[0, :LANES, :LANES], square.T)
    assert np.array_equal(out[1, :LANES, :LANES], square[[int(f"{i:0{bits}b}"[::-1], 2) for i in range(LANES)]])
    assert np.array_equal(out[2], matrix.T)
