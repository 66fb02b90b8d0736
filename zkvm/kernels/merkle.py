"""Digests of Merkle trees (definition: ``source/merkle.py``)."""

from __future__ import annotations

from zkvm.kernels.library import kernel

TILE_ROWS = 512
"""Rows hashed block by block together: a block reads 8 columns, each 4 KiB in a row, which the prefetcher follows."""

hash_columns = kernel("merkle.hash_columns")
hash_pairs = kernel("merkle.hash_pairs")
