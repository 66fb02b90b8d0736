"""BLAKE3 against published vectors and the reference implementation's Python package."""

from __future__ import annotations

import blake3 as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkvm.stark.crypto import hashes

# From test_vectors/test_vectors.json of github.com/BLAKE3-team/BLAKE3 (input byte i is i mod 251): length, first 32 bytes of "hash".
PUBLISHED = [
    (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
    (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
]
PUBLISHED_KEY = b"whats the Elvish word for friend"

BOUNDARY_LENGTHS = sorted(
    {length + delta for length in (64, 128, 960, 1024, 1088, 2048, 3072, 4096, 5120, 8192) for delta in (-1, 0, 1)} | {0, 1, 7, 8, 4999}
)


def pattern(length: int) -> bytes:
    return bytes(i % 251 for i in range(length))


def reference_digest(data: bytes, key: bytes | None) -> bytes:
    return reference.blake3(data).digest() if key is None else reference.blake3(data, key=key).digest()


@pytest.mark.parametrize(("length", "expected"), PUBLISHED)
def test_published_vectors(length: int, expected: str) -> None:
    assert hashes.blake3(pattern(length)).hex() == expected


@pytest.mark.parametrize("length", [*BOUNDARY_LENGTHS, 31 * 1024 + 5, 100_000])
def test_one_message_equals_reference_package(length: int) -> None:
    data = pattern(length)
    assert hashes.blake3(data) == reference.blake3(data).digest()
    assert hashes.blake3(data, PUBLISHED_KEY, 131) == reference.blake3(data, key=PUBLISHED_KEY).digest(length=131)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64, 65, 256, 257, 5000, 2048 * 64 + 65])
def test_extendable_output_of_every_length_is_a_prefix(length: int) -> None:
    expected = reference.blake3(b"seed", key=PUBLISHED_KEY).digest(length=length)
    assert hashes.blake3(b"seed", PUBLISHED_KEY, length) == expected


def test_extendable_output_of_a_long_message() -> None:
    data = pattern(5000)
    assert hashes.blake3(data, length=1000) == reference.blake3(data).digest(length=1000)


@pytest.mark.parametrize("length", BOUNDARY_LENGTHS)
@pytest.mark.parametrize("key", [None, PUBLISHED_KEY])
def test_many_messages_equal_reference_package(length: int, key: bytes | None) -> None:
    messages = np.random.default_rng(length).integers(0, 256, (5, length), dtype=np.uint8)
    expected = [reference_digest(row.tobytes(), key) for row in messages]
    assert [row.tobytes() for row in hashes.blake3_many(messages, key)] == expected


@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=5000), key=st.none() | st.binary(min_size=32, max_size=32))
def test_scalar_and_lane_versions_agree_on_any_message(data: bytes, key: bytes | None) -> None:
    expected = reference_digest(data, key)
    assert hashes.blake3(data, key) == expected
    assert hashes.blake3_many(np.frombuffer(data, dtype=np.uint8)[None, :], key)[0].tobytes() == expected


def test_groups_of_lanes_do_not_change_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = np.random.default_rng(1).integers(0, 256, (23, 1500), dtype=np.uint8)
    whole = hashes.blake3_many(messages)
    monkeypatch.setattr(hashes, "_LANE_GROUP", 4)
    assert np.array_equal(hashes.blake3_many(messages), whole)


def test_no_messages_give_no_digests() -> None:
    assert hashes.blake3_many(np.empty((0, 40), dtype=np.uint8)).shape == (0, 32)


def test_words_are_hashed_as_little_endian_bytes() -> None:
    words = np.array([[0, 1, 2**32 - 1], [2**32, 2**63, 2**64 - 2**32]], dtype=np.uint64)
    expected = [b"".join(int(word).to_bytes(8, "little") for word in row) for row in words]
    digests = hashes.blake3_many(hashes.message_bytes(words), PUBLISHED_KEY)
    assert [row.tobytes() for row in digests] == [reference.blake3(data, key=PUBLISHED_KEY).digest() for data in expected]
    assert hashes.digest_words(digests)[1, 3] == int.from_bytes(digests[1, 24:].tobytes(), "little")


def test_non_contiguous_words_are_their_values() -> None:
    words = np.arange(60, dtype=np.uint64).reshape(6, 10)
    assert np.array_equal(hashes.message_bytes(words.T), hashes.message_bytes(words.T.copy()))


def test_hashes_in_lockstep_are_the_same_hashes() -> None:
    """Messages of different lengths and keys, none to several chunks, finish at different steps."""
    rng = np.random.default_rng(2)
    batches = [rng.integers(0, 256, (lanes, length), dtype=np.uint8) for lanes, length in ((3, 0), (1, 5000), (4, 64), (2, 1025), (5, 700))]
    keys = [None, PUBLISHED_KEY, None, None, PUBLISHED_KEY]
    results = hashes.run(hashes.together([hashes.hash_steps(batch, key) for batch, key in zip(batches, keys, strict=True)]))
    for batch, key, digests in zip(batches, keys, results, strict=True):
        assert [row.tobytes() for row in digests] == [reference_digest(row.tobytes(), key) for row in batch]
    assert hashes.run(hashes.together([])) == []


def test_keys_separate_leaves_from_nodes() -> None:
    assert hashes.KEY_LEAF == reference.blake3(b"zkvm/leaf/1").digest()
    assert hashes.KEY_NODE == reference.blake3(b"zkvm/node/1").digest()
    assert len({hashes.blake3(b"x", key) for key in (None, hashes.KEY_LEAF, hashes.KEY_NODE)}) == 3


def test_wrong_key_length_and_negative_output_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        hashes.blake3(b"", b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        hashes.blake3_many(np.zeros((1, 1), dtype=np.uint8), b"short")
    with pytest.raises(ValueError, match="negative"):
        hashes.blake3(b"", length=-1)
