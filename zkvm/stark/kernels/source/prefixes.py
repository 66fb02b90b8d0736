"""Running products and sums of extension vectors, from a given start: out[0] = start, out[i + 1] = out[i] op terms[i]."""

from __future__ import annotations

from typing import Any

from numba import int64, njit, uint64, void

from zkvm.stark.kernels.source import goldilocks as gl
from zkvm.stark.kernels.source.entry import entry, stack_array
from zkvm.stark.kernels.source.extension import ext_load, ext_mul, ext_splat, ext_store
from zkvm.stark.kernels.source.tiles import TILE, transpose_tile
from zkvm.stark.kernels.source.words import LANES

MATRIX = uint64[:, ::1]
WORDS = uint64[::1]
SEGMENTS = 8
"""A long product is cut into segments, a lane each: a single chain would wait for every product."""
_PLANE = SEGMENTS * TILE
_tiles, _totals = stack_array(uint64, 3 * _PLANE), stack_array(uint64, 3 * SEGMENTS)


@entry(void(MATRIX, WORDS, MATRIX, WORDS))
def prefix_sum_rows(terms: Any, start: Any, out: Any, final: Any) -> None:
    """out[:, 0] = start, out[:, i + 1] = out[:, i] + terms[:, i]; ``out`` has m or m + 1 columns."""
    rows, kept = terms.shape[1], out.shape[1]
    s0, s1, s2 = start[0], start[1], start[2]
    for row in range(rows):
        out[0, row], out[1, row], out[2, row] = s0, s1, s2
        s0, s1, s2 = gl.add(s0, terms[0, row]), gl.add(s1, terms[1, row]), gl.add(s2, terms[2, row])
    if kept > rows:
        out[0, rows], out[1, rows], out[2, rows] = s0, s1, s2
    final[0], final[1], final[2] = s0, s1, s2


@njit(inline="always")
def _products_in_order(ratios: Any, first: Any, last: Any, value: Any, out: Any) -> None:
    """One row after the other; ``value`` (3,) goes from the product before ``first`` to the one before ``last``."""
    v0, v1, v2 = value[0], value[1], value[2]
    for row in range(first, last):
        out[0, row], out[1, row], out[2, row] = v0, v1, v2
        v0, v1, v2 = gl.ext_mul(v0, v1, v2, ratios[0, row], ratios[1, row], ratios[2, row])
    value[0], value[1], value[2] = v0, v1, v2


@njit(void(MATRIX, int64, MATRIX, int64, WORDS), nogil=True)
def _products_by_segment(ratios: Any, rows: Any, out: Any, kept: Any, totals: Any) -> None:
    """Every segment's running products from 1, and the product of every segment: ``totals`` (3 * 8).

    Tiles of eight rows of all segments are transposed, so that a lane is a segment; ``out`` has ``kept`` words a plane.
    """
    segment = rows // SEGMENTS
    tile = _tiles()
    totals[:SEGMENTS], totals[SEGMENTS:] = gl.ONE, gl.ZERO
    for row in range(0, segment, TILE):
        for plane in range(3):
            transpose_tile(ratios, plane * rows + row, segment, tile, plane * _PLANE, TILE)
        for part in range(0, SEGMENTS, LANES):
            running = ext_load(totals, part, SEGMENTS)
            for i in range(part, _PLANE, SEGMENTS):
                ratio = ext_load(tile, i, _PLANE)
                ext_store(tile, i, _PLANE, running)
                running = ext_mul(running, ratio)
            ext_store(totals, part, SEGMENTS, running)
        for plane in range(3):
            transpose_tile(tile, plane * _PLANE, TILE, out, plane * kept + row, segment)


@entry(void(MATRIX, WORDS, MATRIX, WORDS))
def prefix_product_rows(ratios: Any, start: Any, out: Any, final: Any) -> None:
    """out[:, 0] = start, out[:, i + 1] = out[:, i] ratios[:, i]; ``out`` has m or m + 1 columns."""
    rows, kept = ratios.shape[1], out.shape[1]
    final[0], final[1], final[2] = start[0], start[1], start[2]
    if rows % (SEGMENTS * TILE) != 0:
        _products_in_order(ratios, 0, rows, final, out)
    else:
        segment = rows // SEGMENTS
        totals = _totals()
        _products_by_segment(ratios, rows, out, kept, totals)
        for i in range(SEGMENTS):
            factor = ext_splat(final)
            for row in range(i * segment, (i + 1) * segment, LANES):
                ext_store(out, row, kept, ext_mul(ext_load(out, row, kept), factor))
            product = gl.ext_mul(final[0], final[1], final[2], totals[i], totals[SEGMENTS + i], totals[2 * SEGMENTS + i])
            final[0], final[1], final[2] = product
    if kept > rows:
        out[0, rows], out[1, rows], out[2, rows] = final[0], final[1], final[2]
