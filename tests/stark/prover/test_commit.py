"""The prover's trees: equal to trees of the verifier's hashes, and their openings verify."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.stark.trees import blake3_many_words, tree_levels, verify_multiproof
from zkvm.errors import UsageError, VerificationError
from zkvm.stark.crypto.hashes import KEY_LEAF
from zkvm.stark.crypto.merkle import chain_leaves
from zkvm.stark.kernels import parallel
from zkvm.stark.kernels.merkle import MAX_COLUMNS
from zkvm.stark.prover.commit import MerkleTree

U64Array = NDArray[np.uint64]
IndexArray = NDArray[np.int64]


def random_words(*shape: int) -> U64Array:
    return np.random.default_rng(sum(shape)).integers(0, 2**64, shape, dtype=np.uint64)


def all_rows(levels: list[U64Array]) -> list[U64Array]:
    """Rows seen by every leaf of the tall domain, by the definition of lifting."""
    _, cosets, tallest = levels[-1].shape
    rows = []
    for level in levels:
        seen = [level[:, coset, inner % level.shape[2]] for coset in range(cosets) for inner in range(tallest)]
        rows.append(np.array(seen, dtype=np.uint64))
    return rows


SHAPES = [
    [(3, 2, 16)],
    [(1, 1, 1)],
    [(2, 4, 8), (5, 4, 16), (1, 4, 64)],
    [(130, 2, 16), (9, 2, 32)],
    [(3, 2, 2), (3, 2, 4)],
    [(1, 1, 8), (MAX_COLUMNS - 2, 1, 16)],
]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("salted", [False, True])
def test_tree_equals_that_of_the_verifiers_hashes(shapes: list[tuple[int, int, int]], salted: bool) -> None:
    levels = [random_words(*shape) for shape in shapes]
    _, cosets, tallest = shapes[-1]
    salt = random_words(2, cosets, tallest) if salted else None
    tree = MerkleTree.commit(levels, salt)
    salts = salt.reshape(2, -1).T if salt is not None else None
    leaves = chain_leaves(all_rows(levels), salts)
    assert tree.root == tree_levels(leaves)[-1][0].tobytes()
    assert tree.leaf_count == cosets * tallest

    rng = np.random.default_rng(0)
    for size in (1, 3, cosets * tallest):
        indices = np.unique(rng.integers(0, cosets * tallest, size))
        opening = tree.open(indices)
        for rows, expected in zip(opening.rows, all_rows(levels), strict=True):
            assert np.array_equal(rows, expected[indices])
        assert opening.salts.shape == (indices.size, 2 if salted else 0)
        opened = chain_leaves(opening.rows, opening.salts if salted else None)
        verify_multiproof(tree.root, tree.leaf_count, indices, opened, opening.siblings)


def test_threads_do_not_change_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "TASK_WORDS", 64)
    monkeypatch.setattr(parallel, "SERIAL_WORDS", 0)
    levels = [random_words(3, 4, 512), random_words(6, 4, 2048)]
    salt = random_words(2, 4, 2048)
    assert MerkleTree.commit(levels, salt, threads=3).root == MerkleTree.commit(levels, salt).root
    values = random_words(3, 4, 4096)
    assert MerkleTree.commit_fri(values, threads=3).root == MerkleTree.commit_fri(values).root


def test_several_matrices_of_one_height_follow_one_another() -> None:
    a, b, tall = random_words(3, 2, 16), random_words(4, 2, 16), random_words(2, 2, 32)
    together = MerkleTree.commit([np.concatenate([a, b]), tall])
    apart = MerkleTree.commit([[a, b], [tall]])
    assert together.root == apart.root
    indices = np.array([0, 17, 40], dtype=np.int64)
    assert np.array_equal(together.open(indices).rows[0], apart.open(indices).rows[0])


def test_a_slice_of_columns_commits_like_its_copy() -> None:
    block = random_words(8, 2, 32)
    assert MerkleTree.commit([block[2:7]]).root == MerkleTree.commit([block[2:7].copy()]).root


def test_flat_salt_is_the_same_salt() -> None:
    level, salt = random_words(3, 2, 32), random_words(2, 64)
    assert MerkleTree.commit([level], salt).root == MerkleTree.commit([level], salt.reshape(2, 2, 32)).root
    assert MerkleTree.commit([level], salt).root != MerkleTree.commit([level]).root


def test_an_opening_of_another_tree_is_refused() -> None:
    tree, other = MerkleTree.commit([random_words(3, 2, 32)]), MerkleTree.commit([random_words(4, 2, 32)])
    indices = np.array([5, 9], dtype=np.int64)
    opening = tree.open(indices)
    with pytest.raises(VerificationError):
        verify_multiproof(other.root, 64, indices, chain_leaves(opening.rows, None), opening.siblings)


@pytest.mark.parametrize(("cosets", "rows"), [(2, 8), (4, 256), (1, 64)])
def test_fri_layer(cosets: int, rows: int) -> None:
    values = random_words(3, cosets, rows)
    tree = MerkleTree.commit_fri(values)
    group = rows // 8
    leaves = [
        [values[coordinate, coset, inner + point * group] for point in range(8) for coordinate in range(3)]
        for coset in range(cosets)
        for inner in range(group)
    ]
    expected = np.array(leaves, dtype=np.uint64)
    digests = chain_leaves([expected], None)
    assert tree.root == tree_levels(digests)[-1][0].tobytes()
    indices = np.unique(np.random.default_rng(1).integers(0, cosets * group, 5))
    opened, siblings = tree.open_fri(indices)
    assert np.array_equal(opened, expected[indices])
    verify_multiproof(tree.root, tree.leaf_count, indices, chain_leaves([opened], None), siblings)


def test_leaf_digests_use_the_documented_words() -> None:
    """One leaf, spelt out: row words, then the salt, little-endian, under the leaf key."""
    level, salt = random_words(2, 1, 1), random_words(2, 1, 1)
    words = np.array([[level[0, 0, 0], level[1, 0, 0], salt[0, 0, 0], salt[1, 0, 0]]], dtype=np.uint64)
    assert MerkleTree.commit([level], salt).root == blake3_many_words(words, KEY_LEAF)[0].tobytes()


def test_misuse_is_refused() -> None:
    good = random_words(2, 2, 16)
    with pytest.raises(UsageError, match="at least one matrix"):
        MerkleTree.commit([])
    with pytest.raises(UsageError, match="increasing"):
        MerkleTree.commit([random_words(2, 2, 32), good])
    with pytest.raises(UsageError, match="increasing"):
        MerkleTree.commit([good, random_words(2, 4, 32)])
    with pytest.raises(UsageError, match="one height"):
        MerkleTree.commit([[good, random_words(2, 2, 8)]])
    with pytest.raises(UsageError, match="a leaf holds at most"):
        MerkleTree.commit([random_words(MAX_COLUMNS - 1, 1, 16)], random_words(2, 1, 16))
    with pytest.raises(UsageError, match="power of two"):
        MerkleTree.commit([random_words(2, 3, 16)])
    with pytest.raises(UsageError, match="contiguous"):
        MerkleTree.commit([random_words(2, 2, 32)[:, :, ::2]])
    with pytest.raises(UsageError, match="contiguous"):
        MerkleTree.commit([good.astype(np.int64)])
    with pytest.raises(UsageError, match="salt"):
        MerkleTree.commit([good], random_words(2, 2, 8))
    with pytest.raises(UsageError, match="FRI layer"):
        MerkleTree.commit_fri(random_words(3, 2, 12))
