"""Whole Merkle trees and single multiproofs by the verifier's code: what the prover's trees and their openings are compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.crypto.hashes import blake3_many, message_bytes
from zkvm.stark.crypto.merkle import forest_roots, hash_pairs

U8Array = NDArray[np.uint8]
U64Array = NDArray[np.uint64]
IndexArray = NDArray[np.int64]


def blake3_many_words(words: U64Array, key: bytes | None = None) -> U8Array:
    """BLAKE3 of many messages given as 64-bit words, each read as 8 little-endian bytes: (lanes, count) to (lanes, 32)."""
    return blake3_many(message_bytes(words), key)


def tree_levels(leaves: U8Array) -> list[U8Array]:
    """All levels of a tree, from the leaves (n, 32) to the root (1, 32)."""
    levels = [leaves]
    while levels[-1].shape[0] > 1:
        levels.append(hash_pairs(levels[-1]))
    return levels


def multiproof_roots(leaf_count: int, indices: IndexArray, leaves: U8Array, siblings: U8Array) -> U8Array:
    """The verifier's roots of trees of one size that are opened at the same indices: (trees, k, 32) and (trees, m, 32) to (trees, 32)."""
    return forest_roots([leaf_count] * len(leaves), [indices] * len(leaves), list(siblings), lambda: list(leaves))


def verify_multiproof(root: bytes, leaf_count: int, indices: IndexArray, leaves: U8Array, siblings: U8Array) -> None:
    """Refuse digests ``leaves`` (k, 32) that do not stand at ``indices`` of the tree with this root, by their multiproof (m, 32)."""
    computed = multiproof_roots(leaf_count, indices, leaves[None], siblings[None])
    if computed[0].tobytes() != root:
        raise VerificationError(RejectReason.MERKLE, "opened leaves do not lead to the root")
