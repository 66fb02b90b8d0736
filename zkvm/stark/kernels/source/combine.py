"""Vanishing-polynomial divisions of the quotient. Readable twin: :func:`zkvm.stark.prover.tape_twin.combine_groups`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64, void
from numpy.typing import NDArray

from zkvm.stark.kernels.source.entry import entry, readonly
from zkvm.stark.kernels.source.vectors import add, load, mul, store
from zkvm.stark.kernels.source.words import LANES

Flat = NDArray[np.uint64]
READ, WORDS = readonly(uint64), uint64[::1]


@entry(void(READ, int64, READ, int64, WORDS, int64, int64, int64))
def combine_groups(sums: Flat, stride: Any, inverses: Flat, inverse_stride: Any, out: Flat, out_stride: Any, start: Any, stop: Any) -> None:
    """out[c] += sum over groups g of sums[3 g + c] times inverses[g], for every coordinate c.

    Args:
        sums: (9, rows), flat.
        stride: words between two rows of ``sums``.
        inverses: (3, rows) of the base field, flat.
        inverse_stride: words between two rows of ``inverses``.
        out: (3, rows), flat.
        out_stride: words between two rows of ``out``.
        start: first row, a multiple of 8.
        stop: row after the last, a multiple of 8.
    """
    for row in range(start, stop, LANES):
        for c in range(3):
            value = load(out, c * out_stride + row)
            for group in range(3):
                term = mul(load(sums, (3 * group + c) * stride + row), load(inverses, group * inverse_stride + row))
                value = add(value, term)
            store(out, c * out_stride + row, value)
