"""Leaf and node kernels in lockstep with the numpy tree of the verifier."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.stark.trees import blake3_many_words
from zkvm.stark.crypto import hashes, merkle
from zkvm.stark.kernels.merkle import TILE_ROWS, hash_columns, hash_pairs

U8Array = NDArray[np.uint8]
U32Array = NDArray[np.uint32]
U64Array = NDArray[np.uint64]

EDGES = np.array([0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 2**33 + 1, 2**64 - 2**32], dtype=np.uint64)
KEY_LEAF: U32Array = np.frombuffer(hashes.KEY_LEAF, dtype="<u4").astype(np.uint32)
KEY_NODE: U32Array = np.frombuffer(hashes.KEY_NODE, dtype="<u4").astype(np.uint32)
NO_PREFIX: U32Array = np.empty((8, 0), dtype=np.uint32)


def addresses_of(matrix: U64Array) -> U64Array:
    return np.uint64(matrix.ctypes.data) + np.arange(matrix.shape[0], dtype=np.uint64) * np.uint64(matrix.strides[0])


def random_matrix(width: int, rows: int) -> U64Array:
    rng = np.random.default_rng(width * 1000 + rows)
    matrix = rng.integers(0, 2**64, (width, rows), dtype=np.uint64)
    edge = rng.random(matrix.shape) < 0.2
    matrix[edge] = rng.choice(EDGES, int(edge.sum()))
    return matrix


def as_bytes(digests: U32Array) -> U8Array:
    return np.ascontiguousarray(digests.T).astype("<u4").view(np.uint8)


# Widths around blocks (8 words), chunks (128 words) and every shape of a small chunk tree (2 to 9 chunks).
@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 16, 24, 127, 128, 129, 256, 257, 384, 385, 520, 650, 768, 900, 1025])
@pytest.mark.parametrize("rows", [32, 40])
def test_rows_of_one_coset(width: int, rows: int) -> None:
    matrix = random_matrix(width, rows)
    out = np.zeros((8, rows), dtype=np.uint32)
    hash_columns(addresses_of(matrix), rows, rows, NO_PREFIX, 1, KEY_LEAF, out, 0, rows)
    assert np.array_equal(as_bytes(out), blake3_many_words(matrix.T, hashes.KEY_LEAF))


@pytest.mark.parametrize("rows", [1, 2, 4, 8, 16, TILE_ROWS - 16, TILE_ROWS, TILE_ROWS + 16, 4 * TILE_ROWS])
def test_any_number_of_rows(rows: int) -> None:
    matrix = random_matrix(5, rows)
    out = np.zeros((8, rows), dtype=np.uint32)
    hash_columns(addresses_of(matrix), rows, rows, NO_PREFIX, 1, KEY_LEAF, out, 0, rows)
    assert np.array_equal(as_bytes(out), blake3_many_words(matrix.T, hashes.KEY_LEAF))


@pytest.mark.parametrize(("cosets", "rows", "below"), [(4, 64, 16), (2, 64, 64), (2, 32, 4), (8, 16, 1), (2, 1024, 512), (4, 2, 2)])
@pytest.mark.parametrize("width", [1, 4, 12, 125])
def test_prefix_rows_repeat_within_their_coset(cosets: int, rows: int, below: int, width: int) -> None:
    matrix = random_matrix(width, cosets * rows)
    prefix = np.random.default_rng(below).integers(0, 2**32, (8, cosets * below), dtype=np.uint32)
    out = np.zeros((8, cosets * rows), dtype=np.uint32)
    hash_columns(addresses_of(matrix), rows, rows, prefix, below, KEY_LEAF, out, 0, cosets * rows)
    coset, inner = np.divmod(np.arange(cosets * rows), rows)
    seen = hashes.digest_words(as_bytes(prefix))[coset * below + inner % below]
    expected = blake3_many_words(np.concatenate([seen, matrix.T], axis=1), hashes.KEY_LEAF)
    assert np.array_equal(as_bytes(out), expected)


def test_ranges_write_their_rows_only_and_join_to_the_whole() -> None:
    rows = 1024
    matrix = random_matrix(11, rows)
    whole, pieces = np.zeros((8, rows), dtype=np.uint32), np.zeros((8, rows), dtype=np.uint32)
    hash_columns(addresses_of(matrix), rows, rows, NO_PREFIX, 1, KEY_LEAF, whole, 0, rows)
    hash_columns(addresses_of(matrix), rows, rows, NO_PREFIX, 1, KEY_LEAF, pieces, 100, 700)
    assert not pieces[:, :100].any()
    assert not pieces[:, 700:].any()
    hash_columns(addresses_of(matrix), rows, rows, NO_PREFIX, 1, KEY_LEAF, pieces, 0, 100)
    hash_columns(addresses_of(matrix), rows, rows, NO_PREFIX, 1, KEY_LEAF, pieces, 700, rows)
    assert np.array_equal(whole, pieces)


def test_cosets_may_be_wider_than_the_hashed_rows() -> None:
    """As for FRI leaves: 8 of 32 rows of each of 3 cosets, every column starting somewhere else."""
    values = random_matrix(2, 3 * 32)
    starts = np.array([0, 8, 24], dtype=np.uint64)
    addresses = np.concatenate([addresses_of(values)[column] + np.uint64(8) * starts for column in range(2)])
    out = np.zeros((8, 24), dtype=np.uint32)
    hash_columns(addresses, 8, 32, NO_PREFIX, 1, KEY_LEAF, out, 0, 24)
    coset, inner = np.divmod(np.arange(24), 8)
    columns = [values[column, coset * 32 + int(start) + inner] for column in range(2) for start in starts]
    assert np.array_equal(as_bytes(out), blake3_many_words(np.stack(columns, axis=1), hashes.KEY_LEAF))


@pytest.mark.parametrize("parents", [1, 2, 15, 16, 17, 64, 100])
def test_pairs(parents: int) -> None:
    digests = np.random.default_rng(parents).integers(0, 2**32, (8, 2 * parents), dtype=np.uint32)
    out = np.zeros((8, parents), dtype=np.uint32)
    hash_pairs(digests, KEY_NODE, out, 0, parents)
    assert np.array_equal(as_bytes(out), merkle.hash_pairs(as_bytes(digests)))


def test_ranges_of_pairs() -> None:
    digests = np.random.default_rng(9).integers(0, 2**32, (8, 200), dtype=np.uint32)
    whole, pieces = np.zeros((8, 100), dtype=np.uint32), np.zeros((8, 100), dtype=np.uint32)
    hash_pairs(digests, KEY_NODE, whole, 0, 100)
    hash_pairs(digests, KEY_NODE, pieces, 37, 90)
    assert not pieces[:, :37].any()
    assert not pieces[:, 90:].any()
    assert np.array_equal(whole[:, 37:90], pieces[:, 37:90])
