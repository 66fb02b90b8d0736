"""Filling twiddle tables (layout: :mod:`zkvm.stark.kernels.source.transforms`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64, void

from zkvm.stark.kernels.source import goldilocks as gl
from zkvm.stark.kernels.source import vectors
from zkvm.stark.kernels.source.entry import entry
from zkvm.stark.kernels.source.transforms import WORDS
from zkvm.stark.kernels.source.words import LANES


@entry(void(WORDS, int64, int64, uint64, uint64))
def fill_geometric(out: Any, start: Any, count: Any, first: Any, ratio: Any) -> None:
    """``out[start + i] = first ratio^i`` for i < count, a multiple of 8."""
    value = first
    for i in range(LANES):
        out[start + i] = value
        value = gl.mul(value, ratio)
    step = vectors.splat(gl.power(ratio, np.uint64(LANES)))
    current = vectors.load(out, start)
    for i in range(LANES, count, LANES):
        current = vectors.mul(current, step)
        vectors.store(out, start + i, current)


@entry(void(WORDS, int64, int64, uint64, uint64, uint64))
def fill_natural(out: Any, rows: Any, stride: Any, factor: Any, shift: Any, root: Any) -> None:
    """``out[stride q + k] = factor (shift root^k)^rev(q)`` for q < rows and k < stride, powers of two; rev reverses the bits of q.

    The stride is 1 or a multiple of 8.
    """
    exponent = 0
    for row in range(rows):
        first = gl.mul(factor, gl.power(shift, np.uint64(exponent)))
        if stride == 1:
            out[row] = first
        else:
            fill_geometric(out, row * stride, stride, first, gl.power(root, np.uint64(exponent)))
        bit = rows >> 1
        while exponent & bit != 0:
            exponent ^= bit
            bit >>= 1
        exponent |= bit
