"""Uniform field elements from the BLAKE3 keystream, a vector of output blocks at a time.

A stream is a sequence of groups of 128 words. Group ``g`` holds output blocks ``16 g`` to ``16 g + 15`` of a keyed hash, in the order that
sixteen lanes produce: its element ``16 w + l`` is 64-bit word ``w`` of block ``16 g + l``, whatever the width of this machine's vectors.
Attempt ``a`` hashes ``a`` as 8 little-endian bytes. An element is the first word below p at its position among attempts 0, 1, ...:
rejection sampling (a word is refused with probability below 2^-32), so elements are exactly uniform if the keystream is. As an element
depends on its position alone, ranges can be filled in any order on any number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint32, uint64, void

from zkvm.stark.kernels.random import BLOCK_ELEMENTS, GROUP_BLOCKS, GROUP_ELEMENTS
from zkvm.stark.kernels.source.blake3 import (
    BLOCK_WORDS,
    CHUNK_END,
    CHUNK_START,
    KEYED_HASH,
    LANES,
    ROOT,
    U32Array,
    U64Array,
    block_of_lanes,
    chaining_values,
    compress_full,
    join_words,
    set_all_lanes,
    set_tail,
    tails,
)
from zkvm.stark.kernels.source.entry import entry, readonly, stack_array

MODULUS = np.uint64(0xFFFFFFFF00000001)

_outputs = stack_array(uint32, BLOCK_WORDS)
_last_groups, _retries = stack_array(uint64, GROUP_ELEMENTS), stack_array(uint64, GROUP_ELEMENTS)
_MASK32 = np.uint64(0xFFFFFFFF)
_SHIFT32 = np.uint64(32)


@njit(nogil=True)
def _fill_group(
    state: U32Array, attempt: np.uint64, first_block: np.uint64, block: U32Array, tail: U32Array, words: U32Array, out: np.uint64
) -> None:
    """The group of output blocks from ``first_block`` on, a multiple of 16, of one attempt: 128 uint64 at byte address ``out``.

    ``words``: room for the full output of a compression.
    """
    for lane in range(LANES):
        block[lane] = np.uint32(attempt & _MASK32)
    for lane in range(LANES):
        block[LANES + lane] = np.uint32(attempt >> _SHIFT32)
    for lane in range(LANES):
        tail[LANES + lane] = np.uint32(first_block >> _SHIFT32)
    for first_lane in range(0, GROUP_BLOCKS, LANES):
        counter = np.uint32(first_block & _MASK32) + np.uint32(first_lane)
        for lane in range(LANES):
            tail[lane] = counter + np.uint32(lane)
        compress_full(state, 0, block, tail, words, 0)
        for word in range(BLOCK_ELEMENTS):
            join_words(words, 2 * word, 2 * word + 1, out + np.uint64(8 * (word * GROUP_BLOCKS + first_lane)))


@njit(nogil=True)
def _has_refused(group: U64Array) -> bool:
    """Whether an element is p or more."""
    refused = False
    for i in range(GROUP_ELEMENTS):
        refused |= group[i] >= MODULUS
    return refused


@entry(void(readonly(uint32), uint64, uint64[::1]))
def fill_random(key: U32Array, first: np.uint64, out: U64Array) -> None:
    """Fill ``out`` with elements ``first``, ``first + 1``, ... of the stream of a key.

    Args:
        key: (8,) uint32, secret and used for one stream only.
        first: multiple of :data:`GROUP_ELEMENTS`.
        out: (n,) uint64, contiguous.
    """
    state, block, tail, words = chaining_values(), block_of_lanes(), tails(), _outputs()
    last_group, retry = _last_groups(), _retries()
    block[:] = np.uint32(0)
    set_all_lanes(state, 0, key)
    set_tail(tail, np.uint64(0), np.uint32(8), CHUNK_START | CHUNK_END | ROOT | KEYED_HASH)
    for start in range(0, out.size, GROUP_ELEMENTS):
        first_block = (first + np.uint64(start)) // np.uint64(BLOCK_ELEMENTS)
        count = min(GROUP_ELEMENTS, out.size - start)
        group = out[start : start + count] if count == GROUP_ELEMENTS else last_group
        attempt = np.uint64(0)
        _fill_group(state, attempt, first_block, block, tail, words, np.uint64(group.ctypes.data))
        while _has_refused(group):
            attempt += np.uint64(1)
            _fill_group(state, attempt, first_block, block, tail, words, np.uint64(retry.ctypes.data))
            for i in range(GROUP_ELEMENTS):
                if group[i] >= MODULUS:
                    group[i] = retry[i]
        if count < GROUP_ELEMENTS:
            for i in range(count):
                out[start + i] = group[i]
