"""Digests of Merkle trees (definition: ``source/merkle.py``)."""

from __future__ import annotations

from zkvm.stark.kernels.library import kernel

TILE_ROWS = 512
"""Rows hashed block by block together: a block reads 8 columns, each 4 KiB in a row, which the prefetcher follows."""

STACK_DEPTH = 6
"""Subtree values kept while a message's chunks are joined: enough for 2^6 chunks, 64 KiB a leaf, in 96 KiB of a thread's stack."""
MAX_COLUMNS = 128 * 2**STACK_DEPTH - 4
"""Columns of one height that a leaf can hold, beside the digest of the height below."""

hash_columns = kernel("merkle.hash_columns")
hash_pairs = kernel("merkle.hash_pairs")
