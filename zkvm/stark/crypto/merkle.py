"""Merkle trees: the leaf rule, the pruned multiproof and its check. The verifier's side, numpy only.

A tree stands over ``leaf_count`` (a power of two) digests in natural index order; a node is ``BLAKE3(KEY_NODE, left || right)``. A
multiproof opens a sorted set of leaves at once: it holds, level by level from the bottom and in ascending index order, the sibling digests
that the verifier cannot compute itself. Its length follows from the indices, so any other length is refused before hashing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.crypto.compression import U8Array, U64Array
from zkvm.stark.crypto.hashes import (
    DIGEST_BYTES,
    KEY_LEAF,
    KEY_NODE,
    Steps,
    blake3_many,
    digest_words,
    hash_steps,
    message_bytes,
    run,
    together,
)

IndexArray = NDArray[np.int64]

SALT_WORDS: Final = 2
"""64-bit words of salt in every leaf of a hiding tree."""
_ROWS: Final = 1 << 14
"""Rows that are laid out as messages at once: bounds the temporary arrays."""


def leaf_steps(rows: Sequence[U64Array], salts: U64Array | None) -> Steps[U8Array]:
    """Leaf digests of a tree that commits several matrices of different heights (the leaf rule), in steps.

    From the shortest matrix to the tallest, ``leaf_0 = H(row_0)`` and ``leaf_l = H(leaf_(l-1) || row_l)`` with
    ``H = BLAKE3`` keyed by :data:`KEY_LEAF`; the tallest level appends the salt. All words are little-endian 64-bit.

    Args:
        rows: for each height, from short to tall, the rows seen by the opened leaves: (k, w_l) uint64.
        salts: (k, SALT_WORDS) uint64, or None for a tree without salt.

    Returns:
        (k, 32) uint8.

    Raises:
        ValueError: no rows, or the arrays disagree on ``k``.
    """
    digests: U8Array | None = None
    for level, row in enumerate(rows):
        parts = [row] if digests is None else [digest_words(digests), row]
        if level == len(rows) - 1 and salts is not None:
            parts.append(salts)
        digests = yield from hash_steps(message_bytes(np.concatenate(parts, axis=1)), KEY_LEAF)
    if digests is None:
        raise ValueError("a leaf needs at least one row")
    return digests


def chain_leaves(rows: Sequence[U64Array], salts: U64Array | None) -> U8Array:
    """Result of :func:`leaf_steps`."""
    return run(leaf_steps(rows, salts))


def chain_level(below: U8Array | None, columns: U64Array) -> U8Array:
    """One level of the leaf rule (:func:`leaf_steps`) for all rows of a matrix: its leaf digests, if no taller one follows.

    Args:
        below: (m, 32) uint8, those of the level below, of which row k sees entry ``k mod m``; None for the shortest matrix.
        columns: (w, n) uint64.

    Returns:
        (n, 32) uint8.
    """
    out = np.empty((columns.shape[1], DIGEST_BYTES), np.uint8)
    for first in range(0, len(out), _ROWS):
        rows = columns[:, first : first + _ROWS].T
        if below is not None:
            seen = below[np.arange(first, first + len(rows)) % len(below)]
            rows = np.concatenate([digest_words(seen), rows], axis=1)
        out[first : first + _ROWS] = blake3_many(message_bytes(rows), KEY_LEAF)
    return out


def hash_pairs(digests: U8Array) -> U8Array:
    """Parents of adjacent digests: (2k, 32) uint8 to (k, 32)."""
    return blake3_many(digests.reshape(-1, 2 * DIGEST_BYTES), KEY_NODE)


def subtree_root(nodes: U8Array) -> U8Array:
    """The node over adjacent ones: (n, 32) uint8, n a power of two, to (1, 32)."""
    while len(nodes) > 1:
        nodes = hash_pairs(nodes)
    return nodes


def _has_partner(nodes: IndexArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For sorted unique node indices: which are left children with their right sibling present, and which are alone."""
    left_of_pair = np.zeros(nodes.size, dtype=np.bool_)
    left_of_pair[:-1] = (nodes[:-1] & 1 == 0) & (nodes[1:] == nodes[:-1] + 1)
    alone = ~left_of_pair
    alone[1:] &= ~left_of_pair[:-1]
    return left_of_pair, alone


def sibling_positions(leaf_count: int, indices: IndexArray) -> list[IndexArray]:
    """Node indices of a multiproof's siblings, one ascending array per level from the leaves up (the root's level has none)."""
    nodes = _checked_indices(leaf_count, indices)
    positions = []
    for _ in range(leaf_count.bit_length() - 1):
        left_of_pair, alone = _has_partner(nodes)
        positions.append(nodes[alone] ^ 1)
        nodes = nodes[left_of_pair | alone] >> 1
    return positions


def sibling_count(leaf_count: int, indices: IndexArray) -> int:
    """Number of sibling digests in the multiproof of ``indices`` (sorted, unique, (k,) int64).

    The first leaf's path takes one for each level. Every other path meets that of the leaf before it at the level of the highest bit in
    which they differ: it takes one for each level below the last, and makes one of the other path's siblings known.

    Raises:
        VerificationError: MERKLE, the indices are empty, unsorted, repeated or outside the tree.
    """
    nodes = _checked_indices(leaf_count, indices)
    meeting = np.frexp((nodes[1:] ^ nodes[:-1]).astype(np.float64))[1]  # bit lengths, exact below 2^53
    return leaf_count.bit_length() - 1 + int(np.sum(meeting - 2))


def _checked_indices(leaf_count: int, indices: IndexArray) -> IndexArray:
    if leaf_count < 1 or leaf_count & (leaf_count - 1):
        raise VerificationError(RejectReason.MERKLE, f"{leaf_count} leaves: not a power of two")
    nodes = np.asarray(indices, dtype=np.int64)
    if nodes.ndim != 1 or nodes.size == 0 or nodes[0] < 0 or nodes[-1] >= leaf_count or bool(np.any(nodes[1:] <= nodes[:-1])):
        raise VerificationError(RejectReason.MERKLE, f"opened indices must be increasing and within {leaf_count} leaves")
    return nodes


def multiproof_steps(leaf_count: int, indices: IndexArray, leaves: U8Array, siblings: U8Array) -> Steps[U8Array]:
    """Roots that follow from multiproofs of one index set in several trees of one size, in steps.

    Args:
        leaf_count: leaves of each tree, a power of two.
        indices: (k,) int64, sorted and unique.
        leaves: (trees, k, 32) uint8, the digests at the indices.
        siblings: (trees, m, 32) uint8, with ``m == sibling_count(leaf_count, indices)``.

    Returns:
        (trees, 32) uint8.

    Raises:
        VerificationError: MERKLE, the indices or the counts do not fit.
    """
    nodes = _checked_indices(leaf_count, indices)
    if leaves.ndim != 3 or siblings.ndim != 3 or leaves.shape[0] != siblings.shape[0]:
        raise VerificationError(RejectReason.MERKLE, "leaves and siblings must be given per tree")
    trees = leaves.shape[0]
    expected = sibling_count(leaf_count, nodes)
    if leaves.shape[1:] != (nodes.size, DIGEST_BYTES) or siblings.shape[1:] != (expected, DIGEST_BYTES):
        raise VerificationError(
            RejectReason.MERKLE,
            f"expected {nodes.size} leaves and {expected} siblings of 32 bytes, got {leaves.shape[1:]} and {siblings.shape[1:]}",
        )
    digests, used = leaves, 0
    for _ in range(leaf_count.bit_length() - 1):
        left_of_pair, alone = _has_partner(nodes)
        taken = int(np.count_nonzero(alone))
        mine = np.flatnonzero(left_of_pair | alone)  # the right child of a present pair is consumed by its left sibling
        other = np.where(alone[mine], nodes.size - 1 + np.cumsum(alone)[mine], mine + 1)
        is_right = nodes[mine] & 1 == 1
        children = np.stack([np.where(is_right, other, mine), np.where(is_right, mine, other)], axis=1)
        known = np.concatenate([digests, siblings[:, used : used + taken]], axis=1)
        hashed = yield from hash_steps(known[:, children].reshape(-1, 2 * DIGEST_BYTES), KEY_NODE)
        digests = hashed.reshape(trees, mine.size, DIGEST_BYTES)
        nodes, used = nodes[mine] >> 1, used + taken
    return digests[:, 0]


@dataclass(frozen=True, slots=True)
class OpenedTrees:
    """Trees of one size opened at the same indices.

    Attributes:
        names: of each tree, for messages.
        roots: of each tree, 32 bytes.
        leaf_count: leaves of each tree, a power of two.
        indices: (k,) int64, sorted and unique.
        rows: of each tree, for each height from short to tall (k, w) uint64, as :func:`leaf_steps` takes them.
        salts: of each tree, (k, SALT_WORDS) uint64, or None for one without salt.
        siblings: of each tree, (m, 32) uint8, as :func:`multiproof_steps` takes them.
    """

    names: Sequence[str]
    roots: Sequence[bytes]
    leaf_count: int
    indices: IndexArray
    rows: Sequence[Sequence[U64Array]]
    salts: Sequence[U64Array | None]
    siblings: Sequence[U8Array]

    def steps(self) -> Steps[U8Array]:
        """Roots that follow from what is opened, in steps: (trees, 32) uint8."""
        leaves = yield from together([leaf_steps(rows, salts) for rows, salts in zip(self.rows, self.salts, strict=True)])
        return (yield from multiproof_steps(self.leaf_count, self.indices, np.stack(leaves), np.stack(self.siblings)))


def verify_trees(groups: Sequence[OpenedTrees]) -> None:
    """Check that all opened rows are under their roots; all trees are hashed in lockstep.

    Raises:
        VerificationError: MERKLE, naming the first tree that fails.
    """
    for group, computed in zip(groups, run(together([group.steps() for group in groups])), strict=True):
        for name, root, digest in zip(group.names, group.roots, computed, strict=True):
            if digest.tobytes() != root:
                raise VerificationError(RejectReason.MERKLE, f"opened leaves do not lead to the root of {name}")
