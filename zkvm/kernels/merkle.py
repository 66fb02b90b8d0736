"""Digests of Merkle trees."""

from __future__ import annotations

from zkvm.kernels.source.merkle import TILE_ROWS, hash_columns, hash_pairs

__all__ = ["TILE_ROWS", "hash_columns", "hash_pairs"]
