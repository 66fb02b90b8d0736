"""Sums of many base-field columns times extension factors, with one reduction for hundreds of terms.

A cell f = f0 + f1 2^32 times a factor c is f0 c + f1 c', with c' = 2^32 c in the field. Both factors are cut into limbs of
22 bits, so that the product of a half (32 bits) and a limb is below 2^54 and 1024 of them fit a 64-bit sum: six 32-bit
products and six additions per coordinate, against about 28 instructions for a product with its reduction. The three
sums of a coordinate have the weights 1, 2^22 and 2^44.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, njit, uint64, void

from zkvm.stark.kernels.dots import BLOCK
from zkvm.stark.kernels.source import goldilocks as gl
from zkvm.stark.kernels.source.entry import entry, readonly, stack_array
from zkvm.stark.kernels.source.tiles import load3, load6, store3, store6
from zkvm.stark.kernels.source.vectors import (
    add,
    add_any,
    add_product32,
    canonical,
    high_half,
    lane,
    limbs22,
    load,
    load_at,
    mul,
    mul_2_22,
    mul_2_44,
    prefetch,
    prefetch_at,
    splat,
    store,
)
from zkvm.stark.kernels.source.words import LANES

MATRIX = uint64[:, ::1]
DOT_BLOCK = 128
"""Rows per block of :func:`dot_columns`: the eighteen limbs of one block are 18 KiB."""
TERMS = 512
"""Cells that one sum can take: each adds two products below 2^54."""
_block_sums = stack_array(uint64, 9 * BLOCK)
_row_limbs = stack_array(uint64, 18 * DOT_BLOCK)
TWO_32 = np.uint64(2**32)
WORD_BYTES = 8


@njit(inline="always")
def cut(factor: Any) -> Any:
    """The limbs of c and of c' = 2^32 c."""
    low = limbs22(factor)
    high = limbs22(mul(factor, splat(TWO_32)))
    return low[0], low[1], low[2], high[0], high[1], high[2]


@njit(inline="always")
def extend_sums(s0: Any, s1: Any, s2: Any, cell: Any, limbs: Any) -> Any:
    """Adds one cell times the factor with these limbs to the three sums of a coordinate."""
    high = high_half(cell)
    s0 = add_product32(add_product32(s0, cell, limbs[0]), high, limbs[3])
    s1 = add_product32(add_product32(s1, cell, limbs[1]), high, limbs[4])
    s2 = add_product32(add_product32(s2, cell, limbs[2]), high, limbs[5])
    return s0, s1, s2


@njit(inline="always")
def reduced(s0: Any, s1: Any, s2: Any) -> Any:
    """s0 + 2^22 s1 + 2^44 s2 in the field."""
    return canonical(add_any(add_any(s0, mul_2_22(s1)), mul_2_44(s2)))


@njit(inline="always")
def _add_column(sums: Any, base: Any, cells: Any, count: Any, limbs: Any, following: Any) -> None:
    """``count`` cells from a byte address on times one coordinate of a factor, into the sums at ``base``.

    Fetches as many at the address ``following`` ahead: the next column is elsewhere in memory, where no hardware expects it.
    """
    for row in range(0, count, LANES):
        at, ahead = base + row, np.uint64(WORD_BYTES * row)
        prefetch_at(following + ahead)
        s0, s1, s2 = load(sums, at), load(sums, at + BLOCK), load(sums, at + 2 * BLOCK)
        s0, s1, s2 = extend_sums(s0, s1, s2, load_at(cells + ahead), limbs)
        store(sums, at, s0)
        store(sums, at + BLOCK, s1)
        store(sums, at + 2 * BLOCK, s2)


@entry(void(readonly(uint64), MATRIX, MATRIX, int64, int64))
def accumulate_rows(addresses: Any, coefficients: Any, accumulator: Any, first: Any, last: Any) -> None:
    """accumulator += sum_c coefficients[c] (column c) on rows first..last - 1, multiples of 8.

    ``addresses``: (w,) byte address of every column's first row; the caller keeps the columns alive.
    """
    width, rows = len(addresses), accumulator.shape[1]
    sums = _block_sums()
    for block in range(first, last, BLOCK):
        count, place = min(BLOCK, last - block), np.uint64(WORD_BYTES * block)
        for group in range(0, width, TERMS):
            sums[:] = gl.ZERO
            for column in range(group, min(group + TERMS, width)):
                cells, following = addresses[column] + place, addresses[min(column + 1, width - 1)] + place
                for coordinate in range(3):
                    limbs = cut(splat(coefficients[column, coordinate]))
                    _add_column(sums, 3 * BLOCK * coordinate, cells, count, limbs, following)
            for coordinate in range(3):
                for row in range(0, count, LANES):
                    at = 3 * BLOCK * coordinate + row
                    total = reduced(load(sums, at), load(sums, at + BLOCK), load(sums, at + 2 * BLOCK))
                    target = coordinate * rows + block + row
                    store(accumulator, target, add(load(accumulator, target), total))


@njit(inline="always")
def _cut_rows(weights: Any, first: Any, count: Any, limbs: Any) -> None:
    """The 18 limb vectors of every vector of rows, one after the other."""
    rows = weights.shape[1]
    for row in range(0, count, LANES):
        for coordinate in range(3):
            pieces = cut(load(weights, coordinate * rows + first + row))
            store6(limbs, 18 * row + 6 * LANES * coordinate, LANES, pieces)


@njit(inline="always")
def _dot_block(sums: Any, at: Any, matrix: Any, first: Any, count: Any, limbs: Any, following: Any) -> None:
    """Adds one column's rows of a block to its nine sums, and fetches the rows at ``following`` ahead."""
    a, b, c = load3(sums, at, LANES), load3(sums, at + 3 * LANES, LANES), load3(sums, at + 6 * LANES, LANES)
    for row in range(0, count, LANES):
        prefetch(matrix, following + row)
        cell = load(matrix, first + row)
        a = extend_sums(a[0], a[1], a[2], cell, load6(limbs, 18 * row, LANES))
        b = extend_sums(b[0], b[1], b[2], cell, load6(limbs, 18 * row + 6 * LANES, LANES))
        c = extend_sums(c[0], c[1], c[2], cell, load6(limbs, 18 * row + 12 * LANES, LANES))
    store3(sums, at, LANES, a)
    store3(sums, at + 3 * LANES, LANES, b)
    store3(sums, at + 6 * LANES, LANES, c)


@njit(inline="always")
def _lane_sum(vector: Any) -> Any:
    total = gl.ZERO
    for i in range(LANES):
        total = gl.add(total, lane(vector, i))
    return total


@entry(void(MATRIX, MATRIX, MATRIX, uint64[::1], int64, int64))
def dot_columns(matrix: Any, weights: Any, out: Any, sums: Any, first: Any, last: Any) -> None:
    """out[c] = sum_k weights[:, k] matrix[c, k] for columns first..last - 1, over as many leading rows as there are weights.

    ``sums``: scratch, :data:`DOT_WORDS` for every column.
    """
    rows, stride = weights.shape[1], matrix.shape[1]
    limbs = _row_limbs()
    sums[: 9 * LANES * (last - first)] = gl.ZERO
    out[first:last] = gl.ZERO
    for block in range(0, rows, DOT_BLOCK):
        count = min(DOT_BLOCK, rows - block)
        _cut_rows(weights, block, count, limbs)
        for column in range(first, last):
            _dot_block(sums, 9 * LANES * (column - first), matrix, column * stride + block, count, limbs, (column + 1) * stride + block)
        end = block + count
        if end == rows or end % (LANES * TERMS) == 0:
            for column in range(first, last):
                for coordinate in range(3):
                    at = 9 * LANES * (column - first) + 3 * LANES * coordinate
                    total = _lane_sum(reduced(load(sums, at), load(sums, at + LANES), load(sums, at + 2 * LANES)))
                    out[column, coordinate] = gl.add(out[column, coordinate], total)
            sums[:] = gl.ZERO
