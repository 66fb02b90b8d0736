"""Random field elements in lockstep with the extendable output of the verifier's BLAKE3."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from zkvm.stark.crypto import compression, hashes
from zkvm.stark.field.goldilocks import P
from zkvm.stark.kernels.random import GROUP_ELEMENTS, fill_random

U32Array = NDArray[np.uint32]
U64Array = NDArray[np.uint64]

ZERO_KEY: U32Array = np.zeros(8, dtype=np.uint32)
REFUSED_ELEMENT = 5_471_194_698
"""First word of p or more in attempt 0 of the all-zero key, found by scanning the keystream."""


def group_twin(key: U32Array, group: int, attempt: int) -> U64Array:
    """The 128 words of a group by the definition, from the lane compression of :mod:`zkvm.stark.crypto.compression`."""
    block = np.zeros((16, 16), dtype=np.uint32)
    block[0], block[1] = attempt % 2**32, attempt >> 32
    counters = np.arange(16 * group, 16 * group + 16, dtype=np.uint64)
    flags = compression.CHUNK_START | compression.CHUNK_END | compression.ROOT | compression.KEYED_HASH
    words = compression.compress_lanes(np.repeat(key[:, None], 16, axis=1), block, counters, 8, flags, full_output=True)
    return np.ascontiguousarray(words.T).view(np.uint64).T.reshape(-1)


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 1000])
def test_elements_are_the_extendable_output(count: int) -> None:
    key = np.random.default_rng(1).integers(0, 2**32, 8, dtype=np.uint32)
    out = np.zeros(count, dtype=np.uint64)
    fill_random(key, np.uint64(0), out)
    stream = np.frombuffer(hashes.blake3(bytes(8), key.tobytes(), 8192), dtype="<u8")
    expected = stream.reshape(8, 16, 8).transpose(0, 2, 1).reshape(-1)[:count]
    assert np.array_equal(out, expected)


def test_ranges_join_to_the_whole() -> None:
    whole, pieces = np.zeros(1000, dtype=np.uint64), np.zeros(1000, dtype=np.uint64)
    fill_random(ZERO_KEY, np.uint64(0), whole)
    for start in (512, 0, 256):
        stop = {0: 256, 256: 512, 512: 1000}[start]
        fill_random(ZERO_KEY, np.uint64(start), pieces[start:stop])
    assert np.array_equal(whole, pieces)


def test_a_word_of_p_or_more_is_replaced_by_the_next_attempt() -> None:
    group = REFUSED_ELEMENT // GROUP_ELEMENTS
    first_attempt, second_attempt = group_twin(ZERO_KEY, group, 0), group_twin(ZERO_KEY, group, 1)
    refused = first_attempt >= np.uint64(P)
    assert np.flatnonzero(refused).tolist() == [REFUSED_ELEMENT % GROUP_ELEMENTS]
    out = np.zeros(GROUP_ELEMENTS, dtype=np.uint64)
    fill_random(ZERO_KEY, np.uint64(group * GROUP_ELEMENTS), out)
    assert np.array_equal(out, np.where(refused, second_attempt, first_attempt))
    assert int(out.max()) < P


def test_nothing_beyond_the_output_is_written() -> None:
    buffer = np.full(300, 7, dtype=np.uint64)
    fill_random(ZERO_KEY, np.uint64(0), buffer[100:205])
    assert set(buffer[:100].tolist()) == set(buffer[205:].tolist()) == {7}
