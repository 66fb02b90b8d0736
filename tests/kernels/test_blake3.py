"""The sixteen-lane compression and the search for a proof of work, in lockstep with their scalar twins."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from zkvm.crypto import hashes
from zkvm.crypto.transcript import proof_of_work_holds
from zkvm.kernels import blake3 as kernel

U32Array = NDArray[np.uint32]


@njit(nogil=True)
def run_compress(state: U32Array, block: U32Array, tail: U32Array, out: U32Array) -> None:
    kernel.compress(state, 0, block, tail, out, 0)


@njit(nogil=True)
def run_compress_at_offset(state: U32Array, block: U32Array, tail: U32Array) -> None:
    kernel.compress(state, 128, block, tail, state, 128)


@njit(nogil=True)
def run_compress_full(state: U32Array, block: U32Array, tail: U32Array, out: U32Array) -> None:
    kernel.compress_full(state, 0, block, tail, out, 0)


def random_inputs(seed: int) -> tuple[U32Array, U32Array, U32Array]:
    """State (8, 16), block (16, 16), tail (4, 16) with edge words in the first lanes."""
    rng = np.random.default_rng(seed)
    state = rng.integers(0, 2**32, (8, 16), dtype=np.uint32)
    block = rng.integers(0, 2**32, (16, 16), dtype=np.uint32)
    tail = rng.integers(0, 2**32, (4, 16), dtype=np.uint32)
    for lane, word in enumerate((0, 1, 2**31, 2**32 - 1)):
        state[:, lane], block[:, lane], tail[:, lane] = word, word, word
    return state, block, tail


def expected_output(state: U32Array, block: U32Array, tail: U32Array) -> U32Array:
    lanes = []
    for lane in range(16):
        counter = int(tail[0, lane]) | int(tail[1, lane]) << 32
        words = hashes.compress_scalar(state[:, lane].tolist(), block[:, lane].tolist(), counter, int(tail[2, lane]), int(tail[3, lane]))
        lanes.append(words)
    return np.array(lanes, dtype=np.uint32).T


@pytest.mark.parametrize("seed", range(3))
def test_compression_in_lockstep(seed: int) -> None:
    state, block, tail = random_inputs(seed)
    expected = expected_output(state, block, tail)
    short, full = np.zeros(128, dtype=np.uint32), np.zeros(256, dtype=np.uint32)
    run_compress(state.reshape(-1), block.reshape(-1), tail.reshape(-1), short)
    run_compress_full(state.reshape(-1), block.reshape(-1), tail.reshape(-1), full)
    assert np.array_equal(short.reshape(8, 16), expected[:8])
    assert np.array_equal(full.reshape(16, 16), expected)


def test_compression_in_place_touches_its_vectors_only() -> None:
    state, block, tail = random_inputs(5)
    buffer = np.full(3 * 128, 77, dtype=np.uint32)
    buffer[128:256] = state.reshape(-1)
    run_compress_at_offset(buffer, block.reshape(-1), tail.reshape(-1))
    assert np.array_equal(buffer[128:256].reshape(8, 16), expected_output(state, block, tail)[:8])
    assert set(buffer[:128].tolist()) == set(buffer[256:].tolist()) == {77}


def test_aligned_words() -> None:
    for count in (1, 16, 100):
        buffer = kernel.aligned_words(count)
        assert buffer.size == count
        assert buffer.ctypes.data % 64 == 0


@pytest.mark.parametrize("start", [0, 1 << 20, 2**32 - 64, 2**63])
@pytest.mark.parametrize("bits", [1, 7])
def test_grind_finds_the_smallest_nonce(start: int, bits: int) -> None:
    seed = bytes(range(100, 132))
    words = np.frombuffer(seed, dtype="<u4").astype(np.uint32)
    found = np.zeros(1, dtype=np.uint64)
    hit = kernel.grind(words, np.uint64(bits), np.uint64(start), np.uint64(2048), found)
    expected = [nonce for nonce in range(start, start + 2048) if proof_of_work_holds(seed, nonce, bits)]
    assert hit
    assert int(found[0]) == expected[0]


def test_grind_reports_failure() -> None:
    found = np.zeros(1, dtype=np.uint64)
    seed = np.arange(8, dtype=np.uint32)
    assert not kernel.grind(seed, np.uint64(40), np.uint64(0), np.uint64(1024), found)
