"""Uniform field elements from the BLAKE3 keystream, sixteen output blocks at a time.

A stream is a sequence of groups of 128 words. Group ``g`` holds output blocks ``16 g`` to ``16 g + 15`` of a keyed hash, in the order that
sixteen lanes produce: its element ``16 w + l`` is 64-bit word ``w`` of block ``16 g + l``. Attempt ``a`` hashes ``a`` as 8 little-endian
bytes. An element is the first word below p at its position among attempts 0, 1, ...: rejection sampling (a word is refused with
probability below 2^-32), so elements are exactly uniform if the keystream is. As an element depends on its position alone, ranges can be
filled in any order on any number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from zkvm.kernels.blake3 import (
    BLOCK_WORDS,
    CHUNK_END,
    CHUNK_START,
    CV_WORDS,
    KEYED_HASH,
    LANES,
    ROOT,
    TAIL_WORDS,
    U32Array,
    U64Array,
    compress_full,
    set_all_lanes,
    set_tail,
)

MODULUS = np.uint64(0xFFFFFFFF00000001)
BLOCK_ELEMENTS = 8
"""Words of one 64-byte output block."""
GROUP_ELEMENTS = BLOCK_ELEMENTS * LANES
"""Elements made by one call of the compression: ranges filled separately start at multiples of it."""

_MASK32 = np.uint64(0xFFFFFFFF)
_SHIFT32 = np.uint64(32)


@njit(cache=True, nogil=True)
def _keystream(state: U32Array, attempt: np.uint64, first_block: np.uint64, block: U32Array, tail: U32Array, out: U32Array) -> None:
    """Output blocks ``first_block`` to ``first_block + 16`` of one attempt: lane ``l`` of ``out`` holds the words of block ``l``."""
    for lane in range(LANES):
        block[lane] = np.uint32(attempt & _MASK32)
        block[LANES + lane] = np.uint32(attempt >> _SHIFT32)
        counter = first_block + np.uint64(lane)
        tail[lane] = np.uint32(counter & _MASK32)
        tail[LANES + lane] = np.uint32(counter >> _SHIFT32)
    compress_full(state, 0, block, tail, out, 0)


@njit(cache=True, nogil=True)
def _join_halves(words: U32Array, out: U64Array) -> bool:
    """64-bit words of a group from its 32-bit vectors. Returns whether one may be p or more (its high half is all ones)."""
    top = np.uint32(0)
    for word in range(BLOCK_ELEMENTS):
        for lane in range(LANES):
            high = words[(2 * word + 1) * LANES + lane]
            top = max(top, high)
            out[word * LANES + lane] = np.uint64(high) << _SHIFT32 | np.uint64(words[2 * word * LANES + lane])
    return bool(top == np.uint32(0xFFFFFFFF))


@njit(cache=True, nogil=True)
def fill_random(key: U32Array, first: np.uint64, out: U64Array) -> None:
    """Fill ``out`` with elements ``first``, ``first + 1``, ... of the stream of a key.

    Args:
        key: (8,) uint32, secret and used for one stream only. first: multiple of :data:`GROUP_ELEMENTS`. out: (n,) uint64, contiguous.
    """
    state = np.empty(CV_WORDS, dtype=np.uint32)
    block = np.zeros(BLOCK_WORDS, dtype=np.uint32)
    tail = np.empty(TAIL_WORDS, dtype=np.uint32)
    words = np.empty(BLOCK_WORDS, dtype=np.uint32)
    group = np.empty(GROUP_ELEMENTS, dtype=np.uint64)
    retry = np.empty(GROUP_ELEMENTS, dtype=np.uint64)
    set_all_lanes(state, 0, key)
    set_tail(tail, np.uint64(0), np.uint32(8), CHUNK_START | CHUNK_END | ROOT | KEYED_HASH)
    for start in range(0, out.size, GROUP_ELEMENTS):
        first_block = (first + np.uint64(start)) // np.uint64(BLOCK_ELEMENTS)
        attempt = np.uint64(0)
        _keystream(state, attempt, first_block, block, tail, words)
        doubtful = _join_halves(words, group)
        while doubtful:
            attempt += np.uint64(1)
            _keystream(state, attempt, first_block, block, tail, words)
            _join_halves(words, retry)
            doubtful = False
            for i in range(GROUP_ELEMENTS):
                if group[i] >= MODULUS:
                    group[i] = retry[i]
                    if retry[i] >= MODULUS:
                        doubtful = True
        for i in range(min(GROUP_ELEMENTS, out.size - start)):
            out[start + i] = group[i]
