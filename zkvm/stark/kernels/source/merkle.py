"""Digests of Merkle trees, a vector of them together: rows of column-major matrices to leaves, pairs of digests to nodes.

Digests are word-major, (8, count) uint32 (see :mod:`zkvm.stark.kernels.source.blake3`): neighbouring rows of a column, or pairs of
neighbouring digests, are one contiguous read that needs no transposition. A group is as many rows as there are lanes. Twin:
:mod:`zkvm.stark.crypto.merkle`.
"""

from __future__ import annotations

import numpy as np
from numba import int64, njit, uint32, uint64, void

from zkvm.stark.kernels.merkle import STACK_DEPTH, TILE_ROWS
from zkvm.stark.kernels.source.blake3 import (
    BLOCK_WORDS,
    CHUNK_END,
    CHUNK_START,
    CV_WORDS,
    FULL_BLOCK,
    KEYED_HASH,
    LANES,
    PARENT,
    ROOT,
    U32Array,
    U64Array,
    block_of_lanes,
    chaining_values,
    compress,
    compressed,
    read_word,
    set_all_lanes,
    set_tail,
    split_words,
    tails,
)
from zkvm.stark.kernels.source.entry import entry, readonly, stack_array

CHUNK_BLOCKS = 16
"""Blocks of a full chunk of 1024 bytes."""
TILE_GROUPS = TILE_ROWS // LANES
DIGESTS, READ_DIGESTS = uint32[:, ::1], readonly(uint32, 2)

_tile_values = stack_array(uint32, TILE_GROUPS * CV_WORDS)
_stacks = stack_array(uint32, STACK_DEPTH * TILE_GROUPS * CV_WORDS)


@njit(nogil=True)
def _read_pairs(address: np.uint64, lanes: int, block: U32Array, even: int, odd: int) -> None:
    """:func:`split_words` for an incomplete group: absent lanes read as 0, nothing beyond is touched."""
    for lane in range(LANES):
        first, second = np.uint32(0), np.uint32(0)
        if lane < lanes:
            place = address + np.uint64(8) * np.uint64(lane)
            first = read_word(place)
            second = read_word(place + np.uint64(4))
        block[even * LANES + lane] = first
        block[odd * LANES + lane] = second


@njit(nogil=True)
def _write_lanes(values: U32Array, offset: int, lanes: int, out: U32Array, first: int) -> None:
    """Copy the chaining values at ``values[offset:]`` to digests ``first`` to ``first + lanes``."""
    for i in range(8):
        if lanes == LANES:
            for lane in range(LANES):
                out[i, first + lane] = values[offset + i * LANES + lane]
        else:
            for lane in range(lanes):
                out[i, first + lane] = values[offset + i * LANES + lane]


@njit(nogil=True)
def _read_prefix(prefix: U32Array, prefix_rows: int, coset: int, row: int, block: U32Array) -> None:
    """The digests that begin the messages of rows ``row``, ``row + 1``, .. of a coset: the first 8 vectors of their first block."""
    first = coset * prefix_rows | (row & (prefix_rows - 1))
    if prefix_rows >= LANES and row & (LANES - 1) == 0:  # neighbours: vectors are copied
        for i in range(8):
            for lane in range(LANES):
                block[i * LANES + lane] = prefix[i, first + lane]
    else:
        for lane in range(LANES):
            below = coset * prefix_rows | ((row + lane) & (prefix_rows - 1))
            for i in range(8):
                block[i * LANES + lane] = prefix[i, below]


@njit(nogil=True)
def _block_flags(index: int, blocks: int) -> np.uint32:
    """Flags of block ``index`` of a keyed message of ``blocks`` blocks."""
    flags = KEYED_HASH
    if index & (CHUNK_BLOCKS - 1) == 0:
        flags |= CHUNK_START
    if index & (CHUNK_BLOCKS - 1) == CHUNK_BLOCKS - 1 or index == blocks - 1:
        flags |= CHUNK_END
        if blocks <= CHUNK_BLOCKS:
            flags |= ROOT
    return flags


@njit(nogil=True)
def _absorb_block(
    addresses: U64Array,
    index: int,
    coset: int,
    inner: int,
    rows: int,
    coset_stride: int,
    prefix: U32Array,
    prefix_rows: int,
    key_state: U32Array,
    block: U32Array,
    tail: U32Array,
    values: U32Array,
) -> None:
    """Absorb block ``index`` of rows ``inner`` to ``inner + rows`` of a coset; a chunk's first block starts from the key."""
    prefix_words = 4 if prefix.shape[1] else 0
    first = prefix_words if index == 0 else 0
    column = 8 * index - prefix_words
    last = min(8, addresses.size - column)  # words first to last of the block are of columns, those after the message's end are 0
    for i in range(2 * LANES * last, BLOCK_WORDS):
        block[i] = np.uint32(0)
    for group in range((rows + LANES - 1) // LANES):
        row = inner + group * LANES
        lanes = min(LANES, rows - group * LANES)
        place = np.uint64(8) * np.uint64(coset * coset_stride + row)
        if first > 0:
            _read_prefix(prefix, prefix_rows, coset, row, block)
        if lanes < LANES:
            for word in range(first, last):
                _read_pairs(addresses[column + word] + place, lanes, block, 2 * word, 2 * word + 1)
        elif last - first == 8:  # nearly all blocks of a wide matrix: no loop
            for word in range(8):
                split_words(addresses[column + word] + place, block, 2 * word, 2 * word + 1)
        else:
            for word in range(first, last):
                split_words(addresses[column + word] + place, block, 2 * word, 2 * word + 1)
        if index & (CHUNK_BLOCKS - 1) == 0:
            compress(key_state, 0, block, tail, values, group * CV_WORDS)
        else:
            compress(values, group * CV_WORDS, block, tail, values, group * CV_WORDS)


@njit(nogil=True)
def _join_subtrees(
    stack: U32Array, depth: int, groups: int, key_state: U32Array, block: U32Array, tail: U32Array, values: U32Array
) -> None:
    """Replace a tile's chaining values by their parents, whose left children are at ``depth`` of the stack."""
    for group in range(groups):
        left, right = (depth * TILE_GROUPS + group) * CV_WORDS, group * CV_WORDS
        for i in range(CV_WORDS):
            block[i] = stack[left + i]
            block[CV_WORDS + i] = values[right + i]
        compress(key_state, 0, block, tail, values, right)


# ----- leaves and nodes --------------------------------------------------------------------------------------------------------


@entry(void(readonly(uint64), int64, int64, READ_DIGESTS, int64, readonly(uint32), DIGESTS, int64, int64))
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
        addresses: (columns,) uint64 byte addresses of each column's first element, at most MAX_COLUMNS; the caller keeps the arrays alive.
        coset_rows: rows of a coset.
        coset_stride: elements between two cosets of a column.
        prefix: (8, cosets * prefix_rows) uint32 digests, or (8, 0) for none.
        prefix_rows: rows of a coset in the prefix, a power of two.
        key: (8,) uint32.
        out: (8, rows) uint32 digests.
        start: first row to hash.
        stop: row after the last.
    """
    words = addresses.size + (4 if prefix.shape[1] else 0)
    blocks = max((words + 7) // 8, 1)
    chunks = (blocks + CHUNK_BLOCKS - 1) // CHUNK_BLOCKS
    key_state, values, stack, block, tail = chaining_values(), _tile_values(), _stacks(), block_of_lanes(), tails()
    set_all_lanes(key_state, 0, key)
    row = start
    while row < stop:
        coset = row // coset_rows
        inner = row - coset * coset_rows
        rows = min(TILE_ROWS, min(stop - row, coset_rows - inner))
        groups = (rows + LANES - 1) // LANES
        depth = 0
        for chunk in range(chunks):
            for index in range(CHUNK_BLOCKS * chunk, min(CHUNK_BLOCKS * (chunk + 1), blocks)):
                set_tail(tail, np.uint64(chunk), np.uint32(min(8 * words - 64 * index, 64)), _block_flags(index, blocks))
                _absorb_block(addresses, index, coset, inner, rows, coset_stride, prefix, prefix_rows, key_state, block, tail, values)
            # The chunk tree: completed subtrees wait on a stack; equal ones are joined, and the last chunk joins all that wait.
            subtrees = chunk + 1
            while depth > 0 and (chunk == chunks - 1 or subtrees & 1 == 0):
                depth -= 1
                is_root = chunk == chunks - 1 and depth == 0
                set_tail(tail, np.uint64(0), FULL_BLOCK, KEYED_HASH | PARENT | ROOT if is_root else KEYED_HASH | PARENT)
                _join_subtrees(stack, depth, groups, key_state, block, tail, values)
                subtrees >>= 1
            if chunk < chunks - 1:
                for i in range(groups * CV_WORDS):
                    stack[depth * TILE_GROUPS * CV_WORDS + i] = values[i]
                depth += 1
        for group in range(groups):
            _write_lanes(values, group * CV_WORDS, min(LANES, rows - group * LANES), out, row + group * LANES)
        row += rows


@entry(void(READ_DIGESTS, readonly(uint32), DIGESTS, int64, int64))
def hash_pairs(digests: U32Array, key: U32Array, out: U32Array, start: int, stop: int) -> None:
    """Nodes ``start`` to ``stop`` of a Merkle level: keyed BLAKE3 of digests ``2 i`` and ``2 i + 1``.

    Args:
        digests: (8, 2 m) uint32, C order.
        key: (8,) uint32.
        out: (8, m) uint32.
        start: first node.
        stop: node after the last.
    """
    key_state, state, block, tail = chaining_values(), compressed(), block_of_lanes(), tails()
    set_all_lanes(key_state, 0, key)
    set_tail(tail, np.uint64(0), FULL_BLOCK, KEYED_HASH | CHUNK_START | CHUNK_END | ROOT)
    base = np.uint64(digests.ctypes.data)
    stride = np.uint64(4) * np.uint64(digests.shape[1])
    for first in range(start, stop, LANES):
        lanes = min(LANES, stop - first)
        place = base + np.uint64(8) * np.uint64(first)
        if lanes == LANES:  # everything inline: a group is a single compression, beside which calls would count
            for i in range(8):
                split_words(place + np.uint64(i) * stride, block, i, 8 + i)
            compress(key_state, 0, block, tail, state, 0)
            for i in range(8):
                for lane in range(LANES):
                    out[i, first + lane] = state[i * LANES + lane]
        else:
            for i in range(8):
                _read_pairs(place + np.uint64(i) * stride, lanes, block, i, 8 + i)
            compress(key_state, 0, block, tail, state, 0)
            _write_lanes(state, 0, lanes, out, first)
