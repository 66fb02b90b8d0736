"""Merkle trees: the leaf rule, the pruned multiproof and its check. The verifier's side, numpy only.

A tree stands over ``leaf_count`` (a power of two) digests in natural index order; a node is ``BLAKE3(KEY_NODE, left || right)``. A
multiproof opens a sorted set of leaves at once: it holds, level by level from the bottom and in ascending index order, the sibling digests
that the verifier cannot compute itself. Its length follows from the indices, so any other length is refused before hashing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
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


@dataclass(frozen=True, slots=True)
class OpenedTree:
    """A tree opened at some indices.

    Attributes:
        name: for messages.
        root: 32 bytes.
        leaf_count: a power of two.
        indices: (k,) int64, sorted and unique.
        rows: for each height from short to tall (k, w) uint64, as :func:`leaf_steps` takes them.
        salts: (k, SALT_WORDS) uint64, or None for a tree without salt.
        siblings: (m, 32) uint8, with ``m == sibling_count(leaf_count, indices)``.
    """

    name: str
    root: bytes
    leaf_count: int
    indices: IndexArray
    rows: Sequence[U64Array]
    salts: U64Array | None
    siblings: U8Array


def opened_leaves(trees: Sequence[OpenedTree]) -> list[U8Array]:
    """Digests of the leaves that each tree opens: (k, 32) uint8. Leaves of one length are hashed at once, the others in lockstep.

    Raises:
        VerificationError: MERKLE, a tree opens no rows, other numbers of rows or salts than of leaves, or salts of another width.
    """
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, tree in enumerate(trees):
        _check_parts(tree)
        alike.setdefault((tree.salts is None, *(row.shape[1] for row in tree.rows)), []).append(number)
    tasks = []
    for numbers in alike.values():
        rows = [np.concatenate(level) for level in zip(*(trees[number].rows for number in numbers), strict=True)]
        salts = [own for number in numbers if (own := trees[number].salts) is not None]
        tasks.append(leaf_steps(rows, np.concatenate(salts) if salts else None))
    leaves: dict[int, U8Array] = {}
    for numbers, digests in zip(alike.values(), run(together(tasks)), strict=True):
        ends = list(accumulate(len(trees[number].indices) for number in numbers))
        leaves.update(zip(numbers, np.split(digests, ends[:-1]), strict=True))
    return [leaves[number] for number in range(len(trees))]


def _check_parts(tree: OpenedTree) -> None:
    """What is hashed for a leaf has no marks between its parts: only their widths tell a wider salt from a wider row."""
    count = len(tree.indices)
    if not tree.rows or any(row.ndim != 2 or len(row) != count for row in tree.rows):
        raise VerificationError(RejectReason.MERKLE, f"expected {count} rows on each level of {tree.name}")
    if tree.salts is not None and tree.salts.shape != (count, SALT_WORDS):
        raise VerificationError(RejectReason.MERKLE, f"expected {count} salts of {SALT_WORDS} words of {tree.name}, got {tree.salts.shape}")


def forest_roots(
    leaf_counts: Sequence[int],
    indices: Sequence[IndexArray],
    siblings: Sequence[U8Array],
    hash_leaves: Callable[[], Sequence[U8Array]],
) -> U8Array:
    """Roots that follow from the multiproofs of several trees, all of which are climbed at once, level by level.

    On a level of ``2^l`` nodes a tree, node ``i`` of tree ``t`` has the number ``t 2^l + i``: as if the trees stood side by side. The
    highest trees come first; a lower one joins at the level of its leaves.

    Args:
        leaf_counts: of each tree, a power of two.
        indices: of each tree (k,) int64, sorted and unique.
        siblings: of each tree (m, 32) uint8, with ``m == sibling_count(leaf_count, indices)``.
        hash_leaves: called once all these fit; of each tree (k, 32) uint8, the digests at the indices.

    Returns:
        (trees, 32) uint8.

    Raises:
        VerificationError: MERKLE, the indices or the counts do not fit.
    """
    for leaf_count, own, given in zip(leaf_counts, indices, siblings, strict=True):
        _check_count("siblings", given, sibling_count(leaf_count, own))
    leaves = hash_leaves()
    for own, hashed in zip(indices, leaves, strict=True):
        _check_count("leaves", hashed, len(own))
    order = sorted(range(len(leaf_counts)), key=lambda number: -leaf_counts[number])
    unused = np.concatenate([siblings[number] for number in order])
    following = np.cumsum([0, *(len(siblings[number]) for number in order)])[:-1]  # of each tree, its next sibling
    nodes, digests, joined = np.empty(0, np.int64), np.empty((0, DIGEST_BYTES), np.uint8), 0
    for level in range(leaf_counts[order[0]].bit_length() - 1, -1, -1):
        while joined < len(order) and leaf_counts[order[joined]] == 1 << level:
            nodes = np.concatenate([nodes, (joined << level) + indices[order[joined]]])
            digests = np.concatenate([digests, leaves[order[joined]]])
            joined += 1
        if level == 0:
            break
        left_of_pair, alone = _has_partner(nodes)
        owners = nodes[alone] >> level
        counts = np.bincount(owners, minlength=len(order))
        before = np.cumsum(counts) - counts
        taken = unused[(following - before)[owners] + np.arange(len(owners))]
        following += counts
        mine = np.flatnonzero(left_of_pair | alone)  # the right child of a present pair is consumed by its left sibling
        other = np.where(alone[mine], nodes.size - 1 + np.cumsum(alone)[mine], mine + 1)
        is_right = nodes[mine] & 1 == 1
        children = np.stack([np.where(is_right, other, mine), np.where(is_right, mine, other)], axis=1)
        digests = hash_pairs(np.concatenate([digests, taken])[children])
        nodes = nodes[mine] >> 1
    roots = np.empty_like(digests)
    roots[order] = digests
    return roots


def _check_count(name: str, digests: U8Array, expected: int) -> None:
    if digests.shape != (expected, DIGEST_BYTES):
        raise VerificationError(RejectReason.MERKLE, f"expected {expected} {name} of {DIGEST_BYTES} bytes, got {digests.shape}")


def opened_roots(groups: Sequence[Sequence[OpenedTree]]) -> list[list[bytes]]:
    """Roots that follow from what is opened, of all trees of all groups at once: 32 bytes for each.

    Raises:
        VerificationError: MERKLE, the indices or the counts of a tree do not fit: then nothing is hashed.
    """
    trees = [tree for group in groups for tree in group]
    roots = forest_roots(
        [tree.leaf_count for tree in trees],
        [tree.indices for tree in trees],
        [tree.siblings for tree in trees],
        lambda: opened_leaves(trees),
    )
    each = iter(root.tobytes() for root in roots)
    return [[next(each) for _ in group] for group in groups]


def check_roots(trees: Sequence[OpenedTree], computed: Sequence[bytes]) -> None:
    """Check that all opened rows are under their roots; ``computed``: the roots that follow from them (:func:`opened_roots`).

    Raises:
        VerificationError: MERKLE, naming the first tree that fails.
    """
    for tree, root in zip(trees, computed, strict=True):
        if root != tree.root:
            raise VerificationError(RejectReason.MERKLE, f"opened leaves do not lead to the root of {tree.name}")
