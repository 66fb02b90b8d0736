"""Merkle commitments of the prover: one tree over matrices of several heights, or over the groups of a FRI layer.

The format is that of :mod:`zkvm.stark.crypto.merkle`; the hashing is done by kernels, split over threads by ranges of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.stark.crypto.hashes import KEY_LEAF, KEY_NODE
from zkvm.stark.crypto.merkle import SALT_WORDS, sibling_positions
from zkvm.stark.kernels.columns import column_addresses
from zkvm.stark.kernels.merkle import MAX_COLUMNS, TILE_ROWS, hash_columns, hash_pairs
from zkvm.stark.kernels.parallel import run_ranges

U8Array = NDArray[np.uint8]
U32Array = NDArray[np.uint32]
U64Array = NDArray[np.uint64]
IndexArray = NDArray[np.int64]
Level = U64Array | Sequence[U64Array]

FRI_POINTS = 8
"""Values of one FRI leaf: the points that one folding step joins."""
_TILE_LEVELS = TILE_ROWS.bit_length() - 1
"""Levels of nodes over the leaves of one tile; ranges of leaves are whole tiles."""
_KEY_LEAF_WORDS: U32Array = np.frombuffer(KEY_LEAF, dtype="<u4").astype(np.uint32)
_KEY_NODE_WORDS: U32Array = np.frombuffer(KEY_NODE, dtype="<u4").astype(np.uint32)
_NO_DIGESTS: U32Array = np.empty((8, 0), dtype=np.uint32)


@dataclass(frozen=True)
class Opening:
    """Rows of a tree with their multiproof.

    Attributes:
        rows: for each height, short to tall, (k, w_l) uint64, row ``i`` seen by the ``i``-th opened leaf.
        salts: (k, SALT_WORDS) uint64, or (k, 0) in a tree without salt.
        siblings: (m, 32) uint8.
    """

    rows: list[U64Array]
    salts: U64Array
    siblings: U8Array


def _addresses(columns: U64Array) -> U64Array:
    """Byte address of the first element of each column of (w, B, n) uint64, in which a column is contiguous: (w,)."""
    try:
        return column_addresses(columns)
    except ValueError as error:
        raise UsageError(f"a committed matrix must be uint64 (columns, cosets, rows) with contiguous columns: {error}") from error


def _level_addresses(tables: Sequence[U64Array]) -> U64Array:
    """The addresses of the columns of all tables of one height, one table after the other."""
    addresses = np.concatenate([_addresses(table) for table in tables])
    if len(addresses) > MAX_COLUMNS:
        raise UsageError(f"{len(addresses)} columns of one height: a leaf holds at most {MAX_COLUMNS}")
    return addresses


def _tables(level: Level) -> list[U64Array]:
    return [level] if isinstance(level, np.ndarray) else list(level)


def _tree_digests(leaves: U32Array, hash_leaves: Callable[[int, int], None], words_each: int, threads: int) -> list[U32Array]:
    """Digests of all levels of a tree.

    The nodes over a range of leaves are hashed together with it: the digests are still in the cache, and threads meet once a tree.

    Args:
        leaves: (8, leaves) uint32, filled by ``hash_leaves``.
        hash_leaves: ``hash_leaves(start, stop)`` fills these leaves.
        words_each: 64-bit words of a leaf.
        threads: at most this many.

    Returns:
        The leaves first: (8, leaves), (8, leaves / 2), .. (8, 1) uint32.
    """
    digests = [leaves]
    while digests[-1].shape[1] > 1:
        digests.append(np.empty((8, digests[-1].shape[1] // 2), dtype=np.uint32))

    def hash_range(start: int, stop: int) -> None:
        hash_leaves(start, stop)
        for below, above in pairwise(digests[: 1 + _TILE_LEVELS]):
            start, stop = start // 2, stop // 2
            hash_pairs(below, _KEY_NODE_WORDS, above, start, stop)

    run_ranges(hash_range, leaves.shape[1], words_each, threads, TILE_ROWS)
    for below, above in pairwise(digests[_TILE_LEVELS:]):
        hash_pairs(below, _KEY_NODE_WORDS, above, 0, above.shape[1])
    return digests


class MerkleTree:
    """A Merkle tree with the data under it.

    Attributes:
        leaf_count: number of leaves, a power of two.
        root: 32 bytes.
    """

    def __init__(self, digests: list[U32Array], levels: list[list[U64Array]], salt: U64Array | None) -> None:
        """A tree of given digests, the leaves' first. Use :meth:`commit` or :meth:`commit_fri`."""
        self.leaf_count = digests[0].shape[1]
        self._levels = levels
        self._salt = salt
        self._digests = digests
        self.root = digests[-1][:, 0].astype("<u4").tobytes()

    @classmethod
    def commit(cls, levels: Sequence[Level], salt: U64Array | None = None, threads: int = 1) -> MerkleTree:
        """Commit matrices of distinct heights, from the shortest to the tallest.

        Args:
            levels: for each height n_l a (w_l, B, n_l) uint64 array, or several of that height whose columns follow one another.
            salt: (SALT_WORDS, B, n) or (SALT_WORDS, B n) uint64 for the tallest height n, or None.
            threads: at most this many.

        Returns:
            The tree.

        Raises:
            UsageError: shapes, heights or layouts do not fit.
        """
        tables = [_tables(level) for level in levels]
        cosets, heights = _checked_heights(tables)
        salts: list[U64Array] = []
        if salt is not None:
            if salt.size != SALT_WORDS * cosets * heights[-1]:
                raise UsageError(f"salt must hold {SALT_WORDS} words for each of {cosets} x {heights[-1]} leaves")
            salts = [np.ascontiguousarray(salt).reshape(SALT_WORDS, cosets, heights[-1])]
        below, below_rows = _NO_DIGESTS, 1
        for height, level in zip(heights[:-1], tables[:-1], strict=True):
            addresses = _level_addresses(level)
            digests = np.empty((8, cosets * height), dtype=np.uint32)
            hash_rows = partial(hash_columns, addresses, height, height, below, below_rows, _KEY_LEAF_WORDS, digests)
            run_ranges(hash_rows, cosets * height, len(addresses), threads, TILE_ROWS)
            below, below_rows = digests, height
        height = heights[-1]
        addresses = _level_addresses(tables[-1] + salts)
        leaves = np.empty((8, cosets * height), dtype=np.uint32)
        hash_rows = partial(hash_columns, addresses, height, height, below, below_rows, _KEY_LEAF_WORDS, leaves)
        return cls(_tree_digests(leaves, hash_rows, len(addresses), threads), tables, salts[0] if salts else None)

    @classmethod
    def commit_fri(cls, values: U64Array, threads: int = 1) -> MerkleTree:
        """Commit a FRI layer: leaf (j, k) holds the values that fold together, at (j, k + t n/8) for t = 0..7, three words each.

        Args:
            values: (3, B, n) uint64 coordinates of an extension codeword; n is a multiple of 8.
            threads: at most this many.

        Returns:
            The tree.

        Raises:
            UsageError: the shape or layout does not fit.
        """
        coordinates, cosets, rows = values.shape
        if coordinates != 3 or rows % FRI_POINTS or cosets * rows & (cosets * rows - 1):
            raise UsageError(f"a FRI layer is (3, B, n) with n a multiple of {FRI_POINTS}, not {values.shape}")
        group_rows = rows // FRI_POINTS
        offsets = np.arange(FRI_POINTS, dtype=np.uint64) * np.uint64(8 * group_rows)
        addresses = (offsets[:, None] + _addresses(values)[None, :]).reshape(-1)
        leaves = np.empty((8, cosets * group_rows), dtype=np.uint32)
        hash_rows = partial(hash_columns, addresses, group_rows, rows, _NO_DIGESTS, 1, _KEY_LEAF_WORDS, leaves)
        # The same values as a matrix of 24 columns: a view, for opening.
        groups = values.reshape(3, cosets, FRI_POINTS, group_rows).transpose(2, 0, 1, 3)
        levels = [[groups[point] for point in range(FRI_POINTS)]]
        return cls(_tree_digests(leaves, hash_rows, len(addresses), threads), levels, None)

    def open(self, indices: IndexArray) -> Opening:
        """Open the leaves at ``indices``: (k,) int64, sorted and unique."""
        rows = []
        tallest = self._levels[-1][0].shape[2]
        coset, inner = np.divmod(indices, tallest)
        for level in self._levels:
            parts = [table[:, coset, inner % table.shape[2]].T for table in level]
            rows.append(np.ascontiguousarray(np.concatenate(parts, axis=1)))
        if self._salt is None:
            salts = np.empty((indices.size, 0), dtype=np.uint64)
        else:
            salts = np.ascontiguousarray(self._salt[:, coset, inner].T)
        return Opening(rows, salts, self._siblings(indices))

    def open_fri(self, indices: IndexArray) -> tuple[U64Array, U8Array]:
        """Open leaves of a FRI layer: values (k, 24) uint64, point by point with three words each, and siblings (m, 32) uint8."""
        opening = self.open(indices)
        return opening.rows[0], opening.siblings

    def _siblings(self, indices: IndexArray) -> U8Array:
        positions = sibling_positions(self.leaf_count, indices)
        parts = [digests[:, nodes].T for digests, nodes in zip(self._digests, positions, strict=False)]
        words = np.concatenate([*parts, np.empty((0, 8), dtype=np.uint32)])
        return np.ascontiguousarray(words).astype("<u4", copy=False).view(np.uint8)


def _checked_heights(tables: list[list[U64Array]]) -> tuple[int, list[int]]:
    """Cosets and heights of the levels of a tree."""
    if not tables or not all(tables):
        raise UsageError("a tree needs at least one matrix at every height")
    shapes = [{table.shape[1:] for table in level} for level in tables]
    if any(len(shape) != 1 for shape in shapes):
        raise UsageError("matrices of one level must have one height")
    cosets = {next(iter(shape))[0] for shape in shapes}
    heights = [int(next(iter(shape))[1]) for shape in shapes]
    powers = all(height > 0 and height & (height - 1) == 0 for height in heights)
    if len(cosets) != 1 or not powers or any(high <= low for low, high in zip(heights, heights[1:], strict=False)):
        raise UsageError(f"heights must be increasing powers of two over the same number of cosets, got {heights}, {cosets}")
    count = int(cosets.pop())
    if count < 1 or count & (count - 1):
        raise UsageError(f"{count} cosets: not a power of two")
    return count, heights
