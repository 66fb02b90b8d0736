"""Row-range kernels behind :mod:`zkvm.stark.kernels.columns`, which checks shapes and splits the rows over threads.

Every kernel works on rows first..last - 1; both are multiples of 8, and so is every row count. Extension vectors are
(3, m): coordinate i of row r is word i m + r.
"""

from __future__ import annotations

from typing import Any

from numba import int64, uint64, void

from zkvm.stark.kernels.source.entry import entry
from zkvm.stark.kernels.source.extension import ext_add, ext_load, ext_mul, ext_splat, ext_store, ext_sub
from zkvm.stark.kernels.source.words import LANES

MATRIX = uint64[:, ::1]
WORDS = uint64[::1]


@entry(void(MATRIX, WORDS, MATRIX, MATRIX, int64, int64))
def deep_divide_add_rows(accumulated: Any, constant: Any, inverses: Any, out: Any, first: Any, last: Any) -> None:
    """out += (accumulated - constant) inverses."""
    rows = out.shape[1]
    subtrahend = ext_splat(constant)
    for row in range(first, last, LANES):
        difference = ext_sub(ext_load(accumulated, row, rows), subtrahend)
        quotient = ext_mul(difference, ext_load(inverses, row, rows))
        ext_store(out, row, rows, ext_add(ext_load(out, row, rows), quotient))
