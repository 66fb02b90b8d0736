"""BLAKE3 from its specification: one message at a time in Python integers, or many equal-length messages as numpy lanes.

Source: "BLAKE3: one function, fast everywhere" (O'Connor, Aumasson, Neves, Wilcox-O'Hearn), sections 2.1-2.6. This is the verifier's
hash: it needs numpy alone. A verifier hashes a few hundred equal-length messages a tree level, so :func:`blake3_many` spends a fixed
number of numpy calls for all of them, whatever their count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

U8Array = NDArray[np.uint8]
U32Array = NDArray[np.uint32]
U64Array = NDArray[np.uint64]

DIGEST_BYTES: Final = 32
KEY_BYTES: Final = 32
BLOCK_BYTES: Final = 64
CHUNK_BYTES: Final = 1024

INITIAL_VECTOR: Final = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
"""Chaining value of an unkeyed hash (table 1 of the specification: the initial value of SHA-256)."""

MESSAGE_PERMUTATION: Final = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
"""Word ``i`` of a round's message is word ``MESSAGE_PERMUTATION[i]`` of the round before (table 2)."""

ROUNDS: Final = 7

CHUNK_START: Final = 1
CHUNK_END: Final = 2
PARENT: Final = 4
ROOT: Final = 8
KEYED_HASH: Final = 16
"""Domain flags of a compression (table 3)."""

_MASK32: Final = 0xFFFFFFFF
_SMALL_BYTES: Final = 2 * CHUNK_BYTES
"""Above this the numpy lanes over chunks are faster than Python integers."""
_LANE_GROUP: Final = 2048
"""Lanes compressed at once: bounds the temporary arrays (one group holds 112 message words a lane, 900 KiB)."""


def _message_schedule() -> tuple[tuple[int, ...], ...]:
    """Indices of the original message words used by each round, ``ROUNDS`` tuples of 16."""
    rounds = [tuple(range(16))]
    for _ in range(ROUNDS - 1):
        rounds.append(tuple(rounds[-1][i] for i in MESSAGE_PERMUTATION))
    return tuple(rounds)


MESSAGE_SCHEDULE: Final = _message_schedule()

# A round mixes 4 columns, then 4 diagonals; a mixing takes an even and an odd word. Axes: round, (column, diagonal), (even, odd), 4.
_LANE_SCHEDULE: Final = np.array(MESSAGE_SCHEDULE, dtype=np.intp).reshape(ROUNDS, 2, 4, 2).transpose(0, 1, 3, 2).copy()

_DIAGONALS: Final = tuple((i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4))
_MIXINGS: Final = tuple((i, 4 + i, 8 + i, 12 + i) for i in range(4)) + _DIAGONALS
"""State words of the eight mixings of a round (figure 1 of the specification)."""


# ----- one compression on Python integers --------------------------------------------------------------------------------------


def compress_scalar(
    chaining: tuple[int, ...] | list[int], block: tuple[int, ...] | list[int], counter: int, block_length: int, flags: int
) -> list[int]:
    """BLAKE3's compression function (section 2.2) on Python integers: the plain reference of every other version.

    Args:
        chaining: 8 words. block: 16 words. counter: 64-bit chunk or output counter. block_length: bytes used, 0..64. flags: domain flags.

    Returns:
        The 16 output words; the first 8 are the next chaining value.
    """
    v = [*chaining, *INITIAL_VECTOR[:4], counter & _MASK32, (counter >> 32) & _MASK32, block_length, flags]
    for schedule in MESSAGE_SCHEDULE:
        for mixing, (a, b, c, d) in enumerate(_MIXINGS):
            va = (v[a] + v[b] + block[schedule[2 * mixing]]) & _MASK32
            x = v[d] ^ va
            vd = (x >> 16 | x << 16) & _MASK32
            vc = (v[c] + vd) & _MASK32
            x = v[b] ^ vc
            vb = (x >> 12 | x << 20) & _MASK32
            va = (va + vb + block[schedule[2 * mixing + 1]]) & _MASK32
            x = vd ^ va
            vd = (x >> 8 | x << 24) & _MASK32
            vc = (vc + vd) & _MASK32
            x = vb ^ vc
            v[a], v[b], v[c], v[d] = va, (x >> 7 | x << 25) & _MASK32, vc, vd
    low = [v[i] ^ v[i + 8] for i in range(8)]
    return low + [v[i + 8] ^ chaining[i] for i in range(8)]


def _words_of(data: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4))


def _bytes_of(words: list[int]) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in words)


@dataclass(frozen=True)
class _RootNode:
    """The last compression's inputs: hashing it with output counters 0, 1, ... gives the extendable output (section 2.6)."""

    chaining: tuple[int, ...]
    block: tuple[int, ...]
    block_length: int
    flags: int

    def output(self, length: int) -> bytes:
        """The first ``length`` bytes of the extendable output."""
        count = -(-length // BLOCK_BYTES)
        if count <= 4:
            blocks = [_bytes_of(compress_scalar(self.chaining, self.block, i, self.block_length, self.flags | ROOT)) for i in range(count)]
            return b"".join(blocks)[:length]
        pieces = []
        for first in range(0, count, _LANE_GROUP):
            counters = np.arange(first, min(first + _LANE_GROUP, count), dtype=np.uint64)
            chaining = np.repeat(np.array(self.chaining, dtype=np.uint32)[:, None], counters.size, axis=1)
            block = np.repeat(np.array(self.block, dtype=np.uint32)[:, None], counters.size, axis=1)
            words = compress_lanes(chaining, block, counters, self.block_length, self.flags | ROOT, full_output=True)
            pieces.append(np.ascontiguousarray(words.T).astype("<u4").tobytes())
        return b"".join(pieces)[:length]


def _small_root(data: bytes, key: tuple[int, ...], flags: int) -> _RootNode:
    """The root node of a message, chunk by chunk on Python integers (section 2.4 and 2.5)."""
    nodes: list[_RootNode] = []
    for counter, start in enumerate(range(0, max(len(data), 1), CHUNK_BYTES)):
        chunk = data[start : start + CHUNK_BYTES]
        chaining = key
        last = (max(len(chunk), 1) - 1) // BLOCK_BYTES
        for index in range(last):
            block = _words_of(chunk[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES])
            start_flag = CHUNK_START if index == 0 else 0
            chaining = tuple(compress_scalar(chaining, block, counter, BLOCK_BYTES, flags | start_flag)[:8])
        tail = chunk[last * BLOCK_BYTES :]
        end_flags = flags | CHUNK_END | (CHUNK_START if last == 0 else 0)
        node = _RootNode(chaining, _words_of(tail.ljust(BLOCK_BYTES, b"\0")), len(tail), end_flags)
        if start == 0 and len(data) <= CHUNK_BYTES:
            return node
        value = tuple(compress_scalar(node.chaining, node.block, counter, node.block_length, node.flags)[:8])
        nodes.append(_RootNode(value, (), 0, 0))
    values = [node.chaining for node in nodes]
    while len(values) > 2:
        values = _merge_level(values, key, flags)
    return _RootNode(key, values[0] + values[1], BLOCK_BYTES, flags | PARENT)


def _merge_level(values: list[tuple[int, ...]], key: tuple[int, ...], flags: int) -> list[tuple[int, ...]]:
    """One level of the chunk tree: adjacent pairs are joined, an odd last value moves up unchanged.

    Level by level this builds BLAKE3's tree, whose left subtrees are the largest powers of two (section 2.1).
    """
    merged = []
    for i in range(0, len(values) - 1, 2):
        merged.append(tuple(compress_scalar(key, values[i] + values[i + 1], 0, BLOCK_BYTES, flags | PARENT)[:8]))
    if len(values) % 2:
        merged.append(values[-1])
    return merged


def blake3(data: bytes, key: bytes | None = None, length: int = DIGEST_BYTES) -> bytes:
    """BLAKE3 of one message: plain mode, or keyed mode when ``key`` is given.

    Args:
        data: the message. key: 32 bytes or None. length: bytes of extendable output.

    Raises:
        ValueError: the key is not 32 bytes, or the length is negative.
    """
    key_words, flags = _key_words(key)
    if length < 0:
        raise ValueError("output length must not be negative")
    if len(data) <= _SMALL_BYTES:
        return _small_root(data, key_words, flags).output(length)
    message = np.frombuffer(data, dtype=np.uint8)[None, :]
    chaining, block = _large_root(message, key_words, flags)
    node = _RootNode(tuple(chaining[:, 0].tolist()), tuple(block[:, 0].tolist()), BLOCK_BYTES, flags | PARENT)
    return node.output(length)


def _key_words(key: bytes | None) -> tuple[tuple[int, ...], int]:
    if key is None:
        return INITIAL_VECTOR, 0
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return _words_of(key), KEYED_HASH


# ----- many messages as lanes --------------------------------------------------------------------------------------------------


def _rotate_right(words: U32Array, bits: int, scratch: U32Array) -> None:
    """Rotate every word right in place, using ``scratch`` of the same shape."""
    np.left_shift(words, np.uint32(32 - bits), out=scratch)
    np.right_shift(words, np.uint32(bits), out=words)
    np.bitwise_or(words, scratch, out=words)


def _mix_rows(a: U32Array, b: U32Array, c: U32Array, d: U32Array, even: U32Array, odd: U32Array, scratch: U32Array) -> None:
    """Four mixings at once (the function G of section 2.2): arrays are (4, lanes), a row of the 4 x 4 state each."""
    a += b
    a += even
    d ^= a
    _rotate_right(d, 16, scratch)
    c += d
    b ^= c
    _rotate_right(b, 12, scratch)
    a += b
    a += odd
    d ^= a
    _rotate_right(d, 8, scratch)
    c += d
    b ^= c
    _rotate_right(b, 7, scratch)


_ROLL_1: Final = np.array([1, 2, 3, 0])
_ROLL_2: Final = np.array([2, 3, 0, 1])
_ROLL_3: Final = np.array([3, 0, 1, 2])


def compress_lanes(
    chaining: U32Array,
    block: U32Array,
    counter: U64Array | int,
    block_length: U32Array | int,
    flags: U32Array | int,
    *,
    full_output: bool = False,
) -> U32Array:
    """BLAKE3's compression function on ``lanes`` independent inputs.

    Args:
        chaining: (8, lanes) or (8, 1) uint32. block: (16, lanes) uint32. counter: (lanes,) uint64 or one integer.
        block_length, flags: (lanes,) uint32 or one integer. full_output: return all 16 words (for the extendable output).

    Returns:
        (8, lanes) uint32, or (16, lanes).
    """
    lanes = block.shape[1]
    state = np.empty((4, 4, lanes), dtype=np.uint32)
    state[:2] = chaining.reshape(2, 4, chaining.shape[1])
    state[2] = np.array(INITIAL_VECTOR[:4], dtype=np.uint32)[:, None]
    wide = np.asarray(counter, dtype=np.uint64)
    state[3, 0] = wide & np.uint64(_MASK32)
    state[3, 1] = wide >> np.uint64(32)
    state[3, 2] = block_length
    state[3, 3] = flags
    a, b, c, d = state
    scratch = np.empty((4, lanes), dtype=np.uint32)
    message = block[_LANE_SCHEDULE]
    for columns, diagonals in message:
        _mix_rows(a, b, c, d, columns[0], columns[1], scratch)
        b, c, d = b[_ROLL_1], c[_ROLL_2], d[_ROLL_3]  # diagonals become columns
        _mix_rows(a, b, c, d, diagonals[0], diagonals[1], scratch)
        b, c, d = b[_ROLL_3], c[_ROLL_2], d[_ROLL_1]
    low = np.concatenate([a ^ c, b ^ d])
    if not full_output:
        return low
    return np.concatenate([low, c ^ chaining[:4], d ^ chaining[4:]])


def _message_words(messages: U8Array) -> U32Array:
    """(lanes, length) bytes to (blocks, 16, lanes) words, the last block padded with zeros; an empty message has one block."""
    lanes, length = messages.shape
    blocks = max(-(-length // BLOCK_BYTES), 1)
    if length != blocks * BLOCK_BYTES:
        padded = np.zeros((lanes, blocks * BLOCK_BYTES), dtype=np.uint8)
        padded[:, :length] = messages
        messages = padded
    words = np.ascontiguousarray(messages).view("<u4").reshape(lanes, blocks, 16)
    return np.ascontiguousarray(words.transpose(1, 2, 0), dtype=np.uint32)


def _chunk_values(words: U32Array, length: int, key: U32Array, flags: int) -> U32Array:
    """Chaining values of all chunks of messages longer than one chunk: (8, chunks, lanes).

    The chunks are lanes too. The last chunk may be shorter: it leaves the group when its blocks are used up.
    """
    blocks, _, lanes = words.shape
    per_chunk = CHUNK_BYTES // BLOCK_BYTES
    chunks = -(-blocks // per_chunk)
    last_blocks = blocks - (chunks - 1) * per_chunk
    counter = np.repeat(np.arange(chunks, dtype=np.uint64), lanes)
    values = np.repeat(key[:, None], chunks * lanes, axis=1)
    for index in range(per_chunk):
        here = words[index::per_chunk]
        active = here.shape[0] * lanes
        if active == 0:
            break
        block = np.ascontiguousarray(here.transpose(1, 0, 2)).reshape(16, active)
        block_length = np.full(active, BLOCK_BYTES, dtype=np.uint32)
        block_flags = np.full(active, flags | (CHUNK_START if index == 0 else 0), dtype=np.uint32)
        if index == per_chunk - 1:
            block_flags |= np.uint32(CHUNK_END)
        if index == last_blocks - 1:
            block_flags[(chunks - 1) * lanes :] |= np.uint32(CHUNK_END)
            block_length[(chunks - 1) * lanes :] = length - (blocks - 1) * BLOCK_BYTES
        values[:, :active] = compress_lanes(values[:, :active], block, counter[:active], block_length, block_flags)
    return values.reshape(8, chunks, lanes)


def _large_root(messages: U8Array, key: tuple[int, ...], flags: int) -> tuple[U32Array, U32Array]:
    """Root node of messages longer than one chunk: chaining (8, 1) and block (16, lanes); its flags are ``flags | PARENT``."""
    key_column = np.array(key, dtype=np.uint32)
    lanes, length = messages.shape
    values = _chunk_values(_message_words(messages), length, key_column, flags)
    while values.shape[1] > 2:
        pairs = values.shape[1] // 2
        left, right = values[:, 0 : 2 * pairs : 2], values[:, 1 : 2 * pairs : 2]
        block = np.concatenate([left, right]).reshape(16, pairs * lanes)
        merged = compress_lanes(key_column[:, None], block, 0, BLOCK_BYTES, flags | PARENT).reshape(8, pairs, lanes)
        values = np.concatenate([merged, values[:, 2 * pairs :]], axis=1)  # an odd last value moves up unchanged
    return key_column[:, None], np.concatenate([values[:, 0], values[:, 1]])


def _hash_group(messages: U8Array, key: tuple[int, ...], flags: int) -> U32Array:
    """Digests (8, lanes) of one group of equal-length messages."""
    length = messages.shape[1]
    if length > CHUNK_BYTES:
        chaining, block = _large_root(messages, key, flags)
        return compress_lanes(chaining, block, 0, BLOCK_BYTES, flags | PARENT | ROOT)
    words = _message_words(messages)
    value = np.array(key, dtype=np.uint32)[:, None]
    last = words.shape[0] - 1
    for index, block in enumerate(words):
        block_flags = flags | (CHUNK_START if index == 0 else 0) | (CHUNK_END | ROOT if index == last else 0)
        value = compress_lanes(value, block, 0, length - last * BLOCK_BYTES if index == last else BLOCK_BYTES, block_flags)
    return value


def blake3_many(messages: U8Array, key: bytes | None = None) -> U8Array:
    """BLAKE3 of many messages of one length.

    Args:
        messages: (lanes, length) uint8. key: 32 bytes or None.

    Returns:
        (lanes, 32) uint8 digests.

    Raises:
        ValueError: the key is not 32 bytes.
    """
    key_words, flags = _key_words(key)
    lanes, length = messages.shape
    out = np.empty((lanes, DIGEST_BYTES), dtype=np.uint8)
    group = max(_LANE_GROUP * CHUNK_BYTES // max(length, CHUNK_BYTES), 1)  # chunks are lanes too
    for start in range(0, lanes, group):
        digests = _hash_group(messages[start : start + group], key_words, flags)
        out[start : start + group] = np.ascontiguousarray(digests.T).astype("<u4", copy=False).view(np.uint8)
    return out


def blake3_many_words(words: U64Array, key: bytes | None = None) -> U8Array:
    """BLAKE3 of many messages given as 64-bit words, each read as 8 little-endian bytes.

    Args:
        words: (lanes, count) uint64. key: 32 bytes or None.

    Returns:
        (lanes, 32) uint8 digests.
    """
    data = np.ascontiguousarray(words).astype("<u8", copy=False)
    lanes, count = data.shape
    return blake3_many(data.view(np.uint8).reshape(lanes, 8 * count), key)


def digest_words(digests: U8Array) -> U64Array:
    """(..., 32) uint8 digests as (..., 4) uint64 little-endian words."""
    return np.ascontiguousarray(digests).view("<u8").astype(np.uint64, copy=False)


KEY_LEAF: Final = blake3(b"zkvm/leaf/1")
"""Key of leaf digests. Keyed mode separates leaves from nodes: no node's preimage can pass as a leaf's."""

KEY_NODE: Final = blake3(b"zkvm/node/1")
"""Key of inner nodes of a Merkle tree."""
