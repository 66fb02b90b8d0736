"""The compression of a vector of messages and the search for a proof of work, in lockstep with their scalar twins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from zkvm.stark.crypto import compression
from zkvm.stark.crypto.transcript import proof_of_work_holds
from zkvm.stark.kernels.blake3 import grind
from zkvm.stark.kernels.source import blake3 as kernel

U32Array = NDArray[np.uint32]

LANES = kernel.LANES
CV_WORDS = 8 * LANES


@njit(nogil=True)
def run_compress(state: U32Array, block: U32Array, tail: U32Array, out: U32Array) -> None:
    kernel.compress(state, 0, block, tail, out, 0)


@njit(nogil=True)
def run_compress_at_offset(state: U32Array, block: U32Array, tail: U32Array) -> None:
    kernel.compress(state, CV_WORDS, block, tail, state, CV_WORDS)


@njit(nogil=True)
def run_compress_full(state: U32Array, block: U32Array, tail: U32Array, out: U32Array) -> None:
    kernel.compress_full(state, 0, block, tail, out, 0)


def random_inputs(seed: int) -> tuple[U32Array, U32Array, U32Array]:
    """State (8, LANES), block (16, LANES), tail (4, LANES) with edge words in the first lanes."""
    rng = np.random.default_rng(seed)
    state = rng.integers(0, 2**32, (8, LANES), dtype=np.uint32)
    block = rng.integers(0, 2**32, (16, LANES), dtype=np.uint32)
    tail = rng.integers(0, 2**32, (4, LANES), dtype=np.uint32)
    for lane, word in enumerate((0, 1, 2**31, 2**32 - 1)):
        state[:, lane], block[:, lane], tail[:, lane] = word, word, word
    return state, block, tail


def expected_output(state: U32Array, block: U32Array, tail: U32Array) -> U32Array:
    lanes = []
    for lane in range(LANES):
        counter = int(tail[0, lane]) | int(tail[1, lane]) << 32
        length, flags = int(tail[2, lane]), int(tail[3, lane])
        words = compression.compress_scalar(state[:, lane].tolist(), block[:, lane].tolist(), counter, length, flags)
        lanes.append(words)
    return np.array(lanes, dtype=np.uint32).T


@pytest.mark.parametrize("seed", range(3))
def test_compression_in_lockstep(seed: int) -> None:
    state, block, tail = random_inputs(seed)
    expected = expected_output(state, block, tail)
    short, full = np.zeros(CV_WORDS, dtype=np.uint32), np.zeros(2 * CV_WORDS, dtype=np.uint32)
    run_compress(state.reshape(-1), block.reshape(-1), tail.reshape(-1), short)
    run_compress_full(state.reshape(-1), block.reshape(-1), tail.reshape(-1), full)
    assert np.array_equal(short.reshape(8, LANES), expected[:8])
    assert np.array_equal(full.reshape(16, LANES), expected)


def test_compression_in_place_touches_its_vectors_only() -> None:
    state, block, tail = random_inputs(5)
    buffer = np.full(3 * CV_WORDS, 77, dtype=np.uint32)
    middle = buffer[CV_WORDS : 2 * CV_WORDS]
    middle[:] = state.reshape(-1)
    run_compress_at_offset(buffer, block.reshape(-1), tail.reshape(-1))
    assert np.array_equal(middle.reshape(8, LANES), expected_output(state, block, tail)[:8])
    assert set(buffer[:CV_WORDS].tolist()) == set(buffer[2 * CV_WORDS :].tolist()) == {77}


@njit(nogil=True)
def run_split_and_join(source: np.uint64, block: U32Array, target: np.uint64) -> None:
    kernel.split_words(source, block, 1, 3)
    kernel.join_words(block, 1, 3, target)


def test_words_are_split_and_joined() -> None:
    source = np.arange(1000, 1000 + 2 * LANES + 1, dtype=np.uint32)
    block, target = np.zeros(4 * LANES, dtype=np.uint32), np.full(2 * LANES + 2, 7, dtype=np.uint32)
    # One word on: no address is aligned to a vector.
    run_split_and_join(np.uint64(source[1:].ctypes.data), block, np.uint64(target[1:].ctypes.data))
    expected = np.zeros((4, LANES), dtype=np.uint32)
    expected[1], expected[3] = source[1::2], source[2::2]
    assert np.array_equal(block.reshape(4, LANES), expected)
    assert target.tolist() == [7, *source[1:].tolist(), 7]


@pytest.mark.parametrize("start", [0, 1 << 20, 2**32 - 64, 2**63])
@pytest.mark.parametrize("bits", [1, 7])
def test_grind_finds_the_smallest_nonce(start: int, bits: int) -> None:
    seed = bytes(range(100, 132))
    words = np.frombuffer(seed, dtype="<u4").astype(np.uint32)
    found = np.zeros(1, dtype=np.uint64)
    hit = grind(words, np.uint64(bits), np.uint64(start), np.uint64(2048), found)
    expected = [nonce for nonce in range(start, start + 2048) if proof_of_work_holds(seed, nonce, bits)]
    assert hit
    assert int(found[0]) == expected[0]


def test_grind_reports_failure() -> None:
    found = np.zeros(1, dtype=np.uint64)
    seed = np.arange(8, dtype=np.uint32)
    assert not grind(seed, np.uint64(40), np.uint64(0), np.uint64(1024), found)


OTHER_WIDTH = """
import sys
import pytest
import zkvm.stark.kernels.width as width
width.WORD_LANES = 12 - width.WORD_LANES
from zkvm.stark.kernels.source.blake3 import LANES
assert LANES == int(sys.argv[1])
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


@pytest.mark.skipif("ZKVM_OTHER_WIDTH" in os.environ, reason="this is the run at the other width")
def test_hashes_at_the_other_width() -> None:
    """All tests of the hash kernels with 16 lanes where this machine's vectors have 8, and the other way round: LLVM splits or narrows.

    In a process of its own; compiled kernels of the two widths are kept apart.
    """
    files = [str(Path(__file__).with_name(name)) for name in ("test_blake3.py", "test_merkle.py", "test_random.py")]
    environment = {**os.environ, "ZKVM_OTHER_WIDTH": "1"}
    command = [sys.executable, "-c", OTHER_WIDTH, str(24 - LANES), *files]
    result = subprocess.run(command, cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
