"""Digests of Merkle trees on sixteen lanes: rows of column-major matrices to leaves, pairs of digests to nodes.

Digests are word-major, (8, count) uint32 (see :mod:`zkvm.kernels.blake3`): sixteen neighbouring rows of a column, or sixteen pairs of
neighbouring digests, are one contiguous read that needs no transposition. Twin: :mod:`zkvm.crypto.merkle`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from zkvm.kernels.blake3 import (
    BLOCK_WORDS,
    CHUNK_END,
    CHUNK_START,
    CV_WORDS,
    FULL_BLOCK,
    KEYED_HASH,
    LANES,
    PARENT,
    ROOT,
    TAIL_WORDS,
    U32Array,
    U64Array,
    compress,
    read_word,
    set_all_lanes,
    set_tail,
    split_words,
)

TILE_GROUPS = 16
"""Groups of 16 rows hashed block by block together: a block reads 8 columns, each 2 KiB in a row, which the prefetcher follows."""
TILE_ROWS = TILE_GROUPS * LANES
STACK_DEPTH = 16
"""Subtree values kept while a message's chunks are joined: enough for 2^16 chunks, 64 MiB a leaf."""


@njit(cache=True, nogil=True)
def _read_pairs(address: np.uint64, lanes: int, block: U32Array, even: int, odd: int) -> None:
    """:func:`split_words` for a group that may have fewer than 16 lanes; absent lanes read as 0 and nothing beyond is touched."""
    if lanes == LANES:
        split_words(address, block, even, odd)
        return
    for lane in range(LANES):
        first, second = np.uint32(0), np.uint32(0)
        if lane < lanes:
            place = address + np.uint64(8) * np.uint64(lane)
            first = read_word(place)
            second = read_word(place + np.uint64(4))
        block[even * LANES + lane] = first
        block[odd * LANES + lane] = second


@njit(cache=True, nogil=True)
def _join(left: U32Array, left_offset: int, values: U32Array, offset: int, key: U32Array, block: U32Array, tail: U32Array) -> None:
    """Replace the chaining values at ``values[offset:]`` by their parents with the left siblings at ``left[left_offset:]``."""
    for i in range(CV_WORDS):
        block[i] = left[left_offset + i]
        block[CV_WORDS + i] = values[offset + i]
    set_all_lanes(values, offset, key)
    compress(values, offset, block, tail, values, offset)


@njit(cache=True, nogil=True)
def _fill_block(
    addresses: U64Array, first_word: int, row: np.uint64, prefix: U32Array, child: int, prefix_rows: int, lanes: int, block: U32Array
) -> None:
    """One block of the messages of ``lanes`` rows: 64-bit words ``first_word`` to ``first_word + 8``, zeros after the end.

    ``row``: element offset of the first row in every column. ``child``: row of the prefix within its coset, lane 0.
    """
    prefix_words = 4 if prefix.shape[1] else 0
    for position in range(8):
        word = first_word + position
        if word < prefix_words:
            base = child - child % prefix_rows
            for lane in range(LANES):
                place = base + (child + lane) % prefix_rows if lane < lanes else base
                block[2 * position * LANES + lane] = prefix[2 * word, place]
                block[(2 * position + 1) * LANES + lane] = prefix[2 * word + 1, place]
        elif word < prefix_words + addresses.size:
            _read_pairs(addresses[word - prefix_words] + np.uint64(8) * row, lanes, block, 2 * position, 2 * position + 1)
        else:
            for lane in range(2 * LANES):
                block[2 * position * LANES + lane] = np.uint32(0)


# ----- leaves and nodes --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def hash_columns(
    addresses: U64Array,
    coset_rows: int,
    coset_stride: int,
    prefix: U32Array,
    prefix_rows: int,
    key: U32Array,
    out: U32Array,
    start: int,
    stop: int,
) -> None:
    """Keyed BLAKE3 of the rows ``start`` to ``stop`` of a column-major matrix, split in cosets.

    Row ``r = j coset_rows + k`` (coset ``j``) hashes, as little-endian bytes, the digest ``prefix[:, j prefix_rows + k mod prefix_rows]``
    if there is a prefix, then one 64-bit word of each column: element ``j coset_stride + k`` of the column.

    Args:
        addresses: (columns,) uint64 byte addresses of each column's first element; the caller keeps the arrays alive.
        coset_rows, coset_stride: rows of a coset, and elements between two cosets of a column.
        prefix: (8, cosets * prefix_rows) uint32 digests, or (8, 0) for none. prefix_rows: rows of a coset there, at least 1.
        key: (8,) uint32. out: (8, rows) uint32 digests. start, stop: rows to hash.
    """
    words = addresses.size + (4 if prefix.shape[1] else 0)
    blocks = max((words + 7) // 8, 1)
    chunks = (blocks + 15) // 16
    values = np.empty(TILE_GROUPS * CV_WORDS, dtype=np.uint32)
    stack = np.empty(STACK_DEPTH * TILE_GROUPS * CV_WORDS, dtype=np.uint32)
    block = np.empty(BLOCK_WORDS, dtype=np.uint32)
    tail = np.empty(TAIL_WORDS, dtype=np.uint32)
    row = start
    while row < stop:
        coset = row // coset_rows
        inner = row - coset * coset_rows
        rows = min(TILE_ROWS, min(stop - row, coset_rows - inner))
        groups = (rows + LANES - 1) // LANES
        depth = 0
        for chunk in range(chunks):
            last_chunk = chunk == chunks - 1
            for group in range(groups):
                set_all_lanes(values, group * CV_WORDS, key)
            for index in range(16 * chunk, min(16 * chunk + 16, blocks)):
                flags = KEYED_HASH
                if index == 16 * chunk:
                    flags |= CHUNK_START
                if index == 16 * chunk + 15 or index == blocks - 1:
                    flags |= CHUNK_END
                    if chunks == 1:
                        flags |= ROOT
                length = np.uint32(8 * words - 64 * index) if index == blocks - 1 else FULL_BLOCK
                set_tail(tail, np.uint64(chunk), length, flags)
                for group in range(groups):
                    lane_row = inner + group * LANES
                    child = coset * prefix_rows + lane_row % prefix_rows
                    lanes = min(LANES, rows - group * LANES)
                    _fill_block(addresses, 8 * index, np.uint64(coset * coset_stride + lane_row), prefix, child, prefix_rows, lanes, block)
                    compress(values, group * CV_WORDS, block, tail, values, group * CV_WORDS)
            # The chunk tree: completed subtrees wait on a stack; equal ones are joined, and the last chunk joins all.
            remaining = chunk + 1
            while depth > 0 and (last_chunk or remaining % 2 == 0):
                depth -= 1
                parent_flags = KEYED_HASH | PARENT
                if last_chunk and depth == 0:
                    parent_flags |= ROOT
                set_tail(tail, np.uint64(0), FULL_BLOCK, parent_flags)
                for group in range(groups):
                    _join(stack, (depth * TILE_GROUPS + group) * CV_WORDS, values, group * CV_WORDS, key, block, tail)
                remaining //= 2
            if not last_chunk:
                for i in range(groups * CV_WORDS):
                    stack[depth * TILE_GROUPS * CV_WORDS + i] = values[i]
                depth += 1
        for group in range(groups):
            for i in range(8):
                for lane in range(min(LANES, rows - group * LANES)):
                    out[i, row + group * LANES + lane] = values[group * CV_WORDS + i * LANES + lane]
        row += rows


@njit(cache=True, nogil=True)
def hash_pairs(digests: U32Array, key: U32Array, out: U32Array, start: int, stop: int) -> None:
    """Nodes ``start`` to ``stop`` of a Merkle level: keyed BLAKE3 of digests ``2 i`` and ``2 i + 1``.

    Args:
        digests: (8, 2 m) uint32, C order. key: (8,) uint32. out: (8, m) uint32.
    """
    state = np.empty(CV_WORDS, dtype=np.uint32)
    key_state = np.empty(CV_WORDS, dtype=np.uint32)
    block = np.empty(BLOCK_WORDS, dtype=np.uint32)
    tail = np.empty(TAIL_WORDS, dtype=np.uint32)
    set_all_lanes(key_state, 0, key)
    set_tail(tail, np.uint64(0), FULL_BLOCK, KEYED_HASH | CHUNK_START | CHUNK_END | ROOT)
    base = np.uint64(digests.ctypes.data)
    stride = np.uint64(4) * np.uint64(digests.shape[1])
    for first in range(start, stop, LANES):
        lanes = min(LANES, stop - first)
        for i in range(8):
            _read_pairs(base + np.uint64(i) * stride + np.uint64(8) * np.uint64(first), lanes, block, i, 8 + i)
        compress(key_state, 0, block, tail, state, 0)
        for i in range(8):
            for lane in range(lanes):
                out[i, first + lane] = state[i * LANES + lane]
