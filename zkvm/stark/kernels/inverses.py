"""Batch inversion (definition: ``source/inverses.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

BLOCK = 4096
"""Elements per Fermat power: 72 products of vectors, one waiting for the other."""

base_inverse_rows = kernel("inverses.base_inverse_rows")
fraction_rows = kernel("inverses.fraction_rows")
rational_rows = kernel("inverses.rational_rows")
