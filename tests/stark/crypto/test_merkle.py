"""The leaf rule and the multiproof, against a slow tree made with the reference package, and against forgeries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import blake3 as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.stark.trees import multiproof_roots, tree_levels, verify_multiproof
from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.crypto import merkle
from zkvm.stark.crypto.hashes import KEY_LEAF, KEY_NODE
from zkvm.stark.crypto.merkle import (
    OpenedTree,
    chain_leaves,
    chain_level,
    check_roots,
    opened_leaves,
    opened_roots,
    sibling_count,
    sibling_positions,
    subtree_root,
)

U8Array = NDArray[np.uint8]
IndexArray = NDArray[np.int64]


def random_leaves(count: int, seed: int = 0) -> U8Array:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def siblings_of(levels: list[U8Array], indices: IndexArray) -> U8Array:
    positions = sibling_positions(levels[0].shape[0], indices)
    parts = [level[nodes] for level, nodes in zip(levels, positions, strict=False)]
    return np.concatenate([*parts, np.empty((0, 32), dtype=np.uint8)])


def slow_root(leaves: U8Array) -> bytes:
    nodes: list[bytes] = [row.tobytes() for row in leaves]
    while len(nodes) > 1:
        nodes = [reference.blake3(nodes[i] + nodes[i + 1], key=KEY_NODE).digest() for i in range(0, len(nodes), 2)]
    return nodes[0]


def slow_siblings(leaf_count: int, indices: list[int]) -> list[list[int]]:
    """Siblings by level, by the definition: those of known nodes that are not known themselves."""
    known, result = set(indices), []
    for _ in range(leaf_count.bit_length() - 1):
        result.append(sorted(node ^ 1 for node in known if node ^ 1 not in known))
        known = {node >> 1 for node in known}
    return result


def as_indices(*values: int) -> IndexArray:
    return np.array(values, dtype=np.int64)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_multiproof_of_any_index_set_verifies(data: st.DataObject) -> None:
    leaf_count = 1 << data.draw(st.integers(0, 7))
    chosen = sorted(data.draw(st.sets(st.integers(0, leaf_count - 1), min_size=1, max_size=leaf_count)))
    indices = np.array(chosen, dtype=np.int64)
    leaves = random_leaves(leaf_count)
    levels = tree_levels(leaves)
    assert levels[-1][0].tobytes() == slow_root(leaves)
    assert [level.tolist() for level in sibling_positions(leaf_count, indices)] == slow_siblings(leaf_count, chosen)
    siblings = siblings_of(levels, indices)
    assert sibling_count(leaf_count, indices) == siblings.shape[0]
    verify_multiproof(levels[-1][0].tobytes(), leaf_count, indices, leaves[indices], siblings)


@pytest.fixture
def proof() -> tuple[bytes, int, IndexArray, U8Array, U8Array]:
    leaves = random_leaves(64, 7)
    levels = tree_levels(leaves)
    indices = as_indices(0, 1, 5, 33, 34, 63)
    return levels[-1][0].tobytes(), 64, indices, leaves[indices], siblings_of(levels, indices)


Proof = tuple[bytes, int, IndexArray, U8Array, U8Array]


def assert_refused(root: bytes, leaf_count: int, indices: IndexArray, leaves: U8Array, siblings: U8Array) -> None:
    with pytest.raises(VerificationError) as caught:
        verify_multiproof(root, leaf_count, indices, leaves, siblings)
    assert caught.value.reason is RejectReason.MERKLE


def test_every_changed_leaf_sibling_or_root_is_refused(proof: Proof) -> None:
    root, leaf_count, indices, leaves, siblings = proof
    verify_multiproof(*proof)
    for position in range(leaves.shape[0]):
        changed = leaves.copy()
        changed[position, position] ^= 1
        assert_refused(root, leaf_count, indices, changed, siblings)
    for position in range(siblings.shape[0]):
        changed = siblings.copy()
        changed[position, 31 - position] ^= 128
        assert_refused(root, leaf_count, indices, leaves, changed)
    assert_refused(bytes([root[0] ^ 1]) + root[1:], leaf_count, indices, leaves, siblings)


def test_every_other_place_is_refused(proof: Proof) -> None:
    root, leaf_count, indices, leaves, siblings = proof
    assert_refused(root, leaf_count, as_indices(0, 1, 4, 33, 34, 63), leaves, siblings)
    assert_refused(root, leaf_count, indices, leaves[[1, 0, 2, 3, 4, 5]], siblings)
    assert_refused(root, 128, indices, leaves, siblings)
    assert_refused(root, 32, indices, leaves, siblings)


def test_wrong_number_of_siblings_or_leaves_is_refused(proof: Proof) -> None:
    root, leaf_count, indices, leaves, siblings = proof
    assert_refused(root, leaf_count, indices, leaves, siblings[:-1])
    assert_refused(root, leaf_count, indices, leaves, np.concatenate([siblings, siblings[:1]]))
    assert_refused(root, leaf_count, indices, leaves[:-1], siblings)
    assert_refused(root, leaf_count, indices, leaves[:, :31], siblings)


@pytest.mark.parametrize("bad", [(), (1, 0), (1, 1), (-1, 2), (3, 64)])
def test_bad_indices_are_refused(bad: tuple[int, ...]) -> None:
    with pytest.raises(VerificationError, match="increasing"):
        sibling_count(64, as_indices(*bad))


@pytest.mark.parametrize("leaf_count", [0, 3, -4])
def test_leaf_count_must_be_a_power_of_two(leaf_count: int) -> None:
    with pytest.raises(VerificationError, match="power of two"):
        sibling_count(leaf_count, as_indices(0))


def test_a_node_does_not_pass_as_a_leaf() -> None:
    """A node's two children, presented as a row of eight words, must not hash to the node: the keys differ."""
    leaves = random_leaves(4)
    level = tree_levels(leaves)[1]
    as_row = np.ascontiguousarray(leaves[:2]).view(np.uint64).reshape(1, 8)
    assert chain_leaves([as_row], None)[0].tobytes() != level[0].tobytes()


def test_several_trees_of_one_size(proof: Proof) -> None:
    _, leaf_count, indices, _, _ = proof
    trees = [tree_levels(random_leaves(leaf_count, seed)) for seed in range(3)]
    leaves = np.stack([levels[0][indices] for levels in trees])
    siblings = np.stack([siblings_of(levels, indices) for levels in trees])
    roots = multiproof_roots(leaf_count, indices, leaves, siblings)
    assert [row.tobytes() for row in roots] == [levels[-1][0].tobytes() for levels in trees]
    with pytest.raises(ValueError, match="shorter"):
        multiproof_roots(leaf_count, indices, leaves, siblings[:2])


def opened_tree(name: str, leaf_count: int, indices: IndexArray, widths: list[int], salted: bool = True) -> OpenedTree:
    """An honest opening of a tree of several matrices."""
    rng = np.random.default_rng(sum(map(ord, name)))
    matrices = [rng.integers(0, 2**64, (leaf_count, width), dtype=np.uint64) for width in widths]
    salt = rng.integers(0, 2**64, (leaf_count, 2), dtype=np.uint64) if salted else None
    levels = tree_levels(chain_leaves(matrices, salt))
    rows = [matrix[indices] for matrix in matrices]
    salts = None if salt is None else salt[indices]
    return OpenedTree(name, levels[-1][0].tobytes(), leaf_count, indices, rows, salts, siblings_of(levels, indices))


def refused_trees(groups: list[list[OpenedTree]]) -> list[str]:
    """Names of the first trees of groups that are refused; all groups at once."""
    refused = []
    for group, roots in zip(groups, opened_roots(groups), strict=True):
        try:
            check_roots(group, roots)
        except VerificationError as error:
            refused.append(str(error).removeprefix("MERKLE: opened leaves do not lead to the root of "))
    return refused


def test_trees_of_any_sizes_together() -> None:
    """Trees of different heights and leaf lengths are climbed at once, some of them alike; each is refused under its own name."""
    some = as_indices(0, 1, 5, 33, 34, 63)
    groups = [
        [opened_tree("a", 64, some, [3, 150]), opened_tree("b", 64, as_indices(2, 62), [3, 150])],
        [opened_tree("c", 1, as_indices(0), [1]), opened_tree("d", 2, as_indices(0, 1), [1], salted=False)],
        [opened_tree("e", 256, as_indices(7, 200), [300, 2, 9]), opened_tree("f", 64, some, [3, 150])],
        [opened_tree("g", 64, some, [3, 150], salted=False), opened_tree("h", 1024, as_indices(1023), [5])],
    ]
    assert refused_trees(groups) == []
    for group in groups:
        for tree in group:
            tree.rows[-1][0, 0] ^= np.uint64(1)
            assert refused_trees(groups) == [tree.name]
            tree.rows[-1][0, 0] ^= np.uint64(1)
            if len(tree.siblings):
                tree.siblings[-1, 0] ^= np.uint8(1)
                assert refused_trees(groups) == [tree.name]
                tree.siblings[-1, 0] ^= np.uint8(1)
            if tree.salts is not None:
                tree.salts[-1, 1] ^= np.uint64(1 << 63)
                assert refused_trees(groups) == [tree.name]
                tree.salts[-1, 1] ^= np.uint64(1 << 63)
    assert refused_trees(groups) == []


def test_siblings_of_one_tree_are_not_taken_for_another() -> None:
    """Two trees with one sibling too few and one too many: as many as there must be, all together."""
    first, second = opened_tree("a", 64, as_indices(1, 50), [2]), opened_tree("b", 64, as_indices(1, 50), [2])
    together = np.concatenate([first.siblings, second.siblings])
    split = len(first.siblings) - 1
    wrong = [replace(first, siblings=together[:split]), replace(second, siblings=together[split:])]
    with pytest.raises(VerificationError, match=f"expected {split + 1} siblings of 32 bytes, got \\({split}, 32\\)"):
        opened_roots([wrong])


def test_counts_are_looked_at_before_anything_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the last tree, too."""
    first, second = opened_tree("a", 64, as_indices(1, 50), [2]), opened_tree("b", 64, as_indices(1, 50), [2])
    hashed: list[list[OpenedTree]] = []

    def recording(trees: list[OpenedTree]) -> list[U8Array]:
        leaves = opened_leaves(trees)  # which counts rows and salts before it hashes
        hashed.append(trees)
        return leaves

    monkeypatch.setattr(merkle, "opened_leaves", recording)
    for wrong in (
        replace(second, siblings=second.siblings[:-1]),
        replace(second, siblings=second.siblings[:, :31]),
        replace(second, indices=as_indices(50, 1)),
        replace(second, indices=as_indices(1, 64)),
        replace(second, leaf_count=63),
        replace(second, rows=[second.rows[0][:1]]),
    ):
        with pytest.raises(VerificationError, match="^MERKLE: "):
            opened_roots([[first], [wrong]])
    assert hashed == []
    opened_roots([[first], [second]])
    assert len(hashed) == 1


def test_rows_of_one_tree_are_not_taken_for_another() -> None:
    """The same with rows and salts, which are hashed together."""
    first, second = opened_tree("a", 64, as_indices(1, 50), [2]), opened_tree("b", 64, as_indices(1, 50), [2])
    rows = np.concatenate([first.rows[0], second.rows[0]])
    with pytest.raises(VerificationError, match="expected 2 rows on each level of a"):
        opened_roots([[replace(first, rows=[rows[:1]]), replace(second, rows=[rows[1:]])]])
    with pytest.raises(VerificationError, match="expected 2 salts of 2 words of b"):
        opened_roots([[first, replace(second, salts=rows[:3])]])


def test_a_wider_salt_does_not_pass_for_a_row() -> None:
    """Their words are hashed one behind the other: with the last of a row as the first of a salt the root would be the same."""
    tree = opened_tree("a", 64, as_indices(1, 50), [4])
    assert tree.salts is not None
    words = np.concatenate([tree.rows[0], tree.salts], axis=1)
    assert np.array_equal(chain_leaves([words[:, :3]], words[:, 3:]), chain_leaves(tree.rows, tree.salts))
    for width in (3, 5):
        with pytest.raises(VerificationError, match="expected 2 salts of 2 words of a"):
            opened_roots([[replace(tree, rows=[words[:, :width]], salts=words[:, width:])]])
    with pytest.raises(VerificationError, match="expected 2 salts of 2 words of a"):
        opened_roots([[tree, replace(tree, salts=tree.salts[:, :1])]])


@pytest.mark.parametrize("rows", [[], [np.zeros(2, np.uint64)], [np.zeros((2, 2, 1), np.uint64)], [np.uint64(0)]])
def test_rows_that_are_no_matrices_are_refused(rows: list[Any]) -> None:
    tree = opened_tree("a", 64, as_indices(1, 50), [2])
    with pytest.raises(VerificationError, match="expected 2 rows on each level of a"):
        opened_roots([[replace(tree, rows=rows)]])


def slow_leaf(rows: list[list[int]], salt: list[int]) -> bytes:
    """The leaf rule on Python integers with the reference package."""
    digest = b""
    for level, row in enumerate(rows):
        words = row + (salt if level == len(rows) - 1 else [])
        digest = reference.blake3(digest + b"".join(word.to_bytes(8, "little") for word in words), key=KEY_LEAF).digest()
    return digest


@pytest.mark.parametrize("widths", [[1], [5], [3, 2], [4, 1, 7], [200, 3, 150]])
@pytest.mark.parametrize("salted", [False, True])
def test_leaf_rule(widths: list[int], salted: bool) -> None:
    rng = np.random.default_rng(len(widths))
    rows = [rng.integers(0, 2**64, (6, width), dtype=np.uint64) for width in widths]
    salts = rng.integers(0, 2**64, (6, 2), dtype=np.uint64) if salted else None
    digests = chain_leaves(rows, salts)
    for i in range(6):
        expected = slow_leaf([row[i].tolist() for row in rows], salts[i].tolist() if salts is not None else [])
        assert digests[i].tobytes() == expected


def test_a_leaf_needs_rows() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        chain_leaves([], None)


@pytest.mark.parametrize("heights", [(1,), (64,), (4, 64), (2, 64, 1 << 15)])
def test_levels_of_whole_matrices(heights: tuple[int, ...]) -> None:
    """The leaf rule, level by level for all rows, gives what it gives for the rows that each leaf sees."""
    rng = np.random.default_rng(len(heights))
    matrices = [rng.integers(0, 2**64, (width, height), dtype=np.uint64) for width, height in zip((3, 150, 9), heights, strict=False)]
    digests = None
    for matrix in matrices:
        digests = chain_level(digests, matrix)
    rows = [matrix[:, np.arange(heights[-1]) % matrix.shape[1]].T for matrix in matrices]
    expected = chain_leaves(rows, None)
    assert digests is not None
    assert np.array_equal(digests, expected)
    assert np.array_equal(subtree_root(digests), tree_levels(expected)[-1])
