"""BLAKE3 from its specification: one message at a time in Python integers, or many messages as numpy lanes.

Source: "BLAKE3: one function, fast everywhere" (O'Connor, Aumasson, Neves, Wilcox-O'Hearn), sections 2.1-2.6. This is the verifier's
hash: it needs numpy alone. Hashes of many messages are written as *steps*: generators that yield the inputs of their next compressions
and are sent the results. :func:`together` runs any number of them in lockstep, so that messages of different lengths, and trees of
different heights, share numpy calls.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np

from zkvm.stark.crypto.compression import (
    BLOCK_BYTES,
    CHUNK_BYTES,
    CHUNK_END,
    CHUNK_START,
    INITIAL_VECTOR,
    KEYED_HASH,
    PARENT,
    ROOT,
    U8Array,
    U32Array,
    U64Array,
    compress_lanes,
    compress_many,
    compress_scalar,
    lane_inputs,
)

T = TypeVar("T")
Steps: TypeAlias = Generator[U32Array, U32Array, T]
"""A hash in steps: yields (28, lanes) inputs of compressions (:func:`lane_inputs`), is sent their (8, lanes) results, returns a T."""

DIGEST_BYTES: Final = 32
KEY_BYTES: Final = 32

_SMALL_BYTES: Final = 2 * CHUNK_BYTES
"""Messages longer than this have chunks enough for numpy lanes; shorter ones are hashed on Python integers."""
_LANE_GROUP: Final = 2048
"""Lanes compressed at once: bounds the temporary arrays (one group holds 112 message words a lane, 900 KiB)."""


def _words_of(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}I", data)


def _bytes_of(words: list[int]) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


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
        data: the message.
        key: 32 bytes or None.
        length: bytes of extendable output.

    Returns:
        ``length`` bytes.

    Raises:
        ValueError: the key is not 32 bytes, or the length is negative.
    """
    key_words, flags = _key_words(key)
    if length < 0:
        raise ValueError("output length must not be negative")
    return run(_message_root_steps(data, key_words, flags)).output(length)


def message_steps(data: bytes) -> Steps[bytes]:
    """:func:`blake3` of one message in steps: 32 bytes. A short one is hashed at once."""
    return (yield from _message_root_steps(data, INITIAL_VECTOR, 0)).output(DIGEST_BYTES)


def _message_root_steps(data: bytes, key: tuple[int, ...], flags: int) -> Steps[_RootNode]:
    """The root node of one message."""
    if len(data) <= _SMALL_BYTES:
        return _small_root(data, key, flags)
    message = np.frombuffer(data, dtype=np.uint8)[None, :]
    chaining, block = yield from _large_root_steps(message, key, flags)
    return _RootNode(tuple(chaining[:, 0].tolist()), tuple(block[:, 0].tolist()), BLOCK_BYTES, flags | PARENT)


def _key_words(key: bytes | None) -> tuple[tuple[int, ...], int]:
    if key is None:
        return INITIAL_VECTOR, 0
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return _words_of(key), KEYED_HASH


# ----- many messages as lanes --------------------------------------------------------------------------------------------------


def together(tasks: Sequence[Steps[Any]]) -> Steps[list[Any]]:
    """Several hashes in steps as one, in lockstep: their compressions share numpy calls. Returns the results in order."""
    results: list[Any] = [None] * len(tasks)
    wanted: dict[int, U32Array] = {}

    def advance(number: int, values: U32Array | None) -> None:
        """Send a task what it waits for; note what it wants next, or what it returns."""
        try:
            wanted[number] = next(tasks[number]) if values is None else tasks[number].send(values)
        except StopIteration as end:
            wanted.pop(number, None)
            results[number] = end.value

    for number in range(len(tasks)):
        advance(number, None)
    while wanted:
        waiting = dict(wanted)
        values = yield np.concatenate(list(waiting.values()), axis=1)
        first = 0
        for number, inputs in waiting.items():
            last = first + inputs.shape[1]
            advance(number, values[:, first:last])
            first = last
    return results


def run(task: Steps[T]) -> T:
    """The result of a hash in steps."""
    try:
        wanted = next(task)
        while True:
            groups = [compress_many(wanted[:, first : first + _LANE_GROUP]) for first in range(0, wanted.shape[1], _LANE_GROUP)]
            wanted = task.send(groups[0] if len(groups) == 1 else np.concatenate(groups, axis=1))
    except StopIteration as end:
        result: T = end.value
        return result


def hash_together(tasks: Sequence[Steps[T]]) -> list[T]:
    """The results of several hashes in steps, in order."""
    return run(together(tasks))


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


def _chunk_steps(words: U32Array, length: int, key: U32Array, flags: int) -> Steps[U32Array]:
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
        values[:, :active] = yield lane_inputs(values[:, :active], block, counter[:active], block_length, block_flags)
    return values.reshape(8, chunks, lanes)


def _large_root_steps(messages: U8Array, key: tuple[int, ...], flags: int) -> Steps[tuple[U32Array, U32Array]]:
    """Root node of messages longer than one chunk: chaining (8, 1) and block (16, lanes); its flags are ``flags | PARENT``."""
    key_column = np.array(key, dtype=np.uint32)
    lanes, length = messages.shape
    values = yield from _chunk_steps(_message_words(messages), length, key_column, flags)
    while values.shape[1] > 2:
        pairs = values.shape[1] // 2
        left, right = values[:, 0 : 2 * pairs : 2], values[:, 1 : 2 * pairs : 2]
        block = np.concatenate([left, right]).reshape(16, pairs * lanes)
        merged = yield lane_inputs(key_column[:, None], block, 0, BLOCK_BYTES, flags | PARENT)
        values = np.concatenate([merged.reshape(8, pairs, lanes), values[:, 2 * pairs :]], axis=1)  # an odd last value moves up unchanged
    return key_column[:, None], np.concatenate([values[:, 0], values[:, 1]])


def hash_steps(messages: U8Array, key: bytes | None = None) -> Steps[U8Array]:
    """:func:`blake3_many` in steps, all messages at once: (lanes, length) uint8 to (lanes, 32) uint8.

    Raises:
        ValueError: the key is not 32 bytes.
    """
    key_words, flags = _key_words(key)
    length = messages.shape[1]
    if length > CHUNK_BYTES:
        chaining, block = yield from _large_root_steps(messages, key_words, flags)
        value = yield lane_inputs(chaining, block, 0, BLOCK_BYTES, flags | PARENT | ROOT)
    else:
        words = _message_words(messages)
        value = np.array(key_words, dtype=np.uint32)[:, None]
        last = words.shape[0] - 1
        for index, block in enumerate(words):
            block_flags = flags | (CHUNK_START if index == 0 else 0) | (CHUNK_END | ROOT if index == last else 0)
            value = yield lane_inputs(value, block, 0, length - last * BLOCK_BYTES if index == last else BLOCK_BYTES, block_flags)
    return np.ascontiguousarray(value.T).astype("<u4", copy=False).view(np.uint8)


def blake3_many(messages: U8Array, key: bytes | None = None) -> U8Array:
    """BLAKE3 of many messages of one length.

    Args:
        messages: (lanes, length) uint8.
        key: 32 bytes or None.

    Returns:
        (lanes, 32) uint8 digests.

    Raises:
        ValueError: the key is not 32 bytes.
    """
    lanes, length = messages.shape
    out = np.empty((lanes, DIGEST_BYTES), dtype=np.uint8)
    group = max(_LANE_GROUP * CHUNK_BYTES // max(length, CHUNK_BYTES), 1)  # chunks are lanes too
    for start in range(0, lanes, group):
        out[start : start + group] = run(hash_steps(messages[start : start + group], key))
    return out


def message_bytes(words: U64Array) -> U8Array:
    """Messages given as 64-bit words, (lanes, count) uint64, each word as 8 little-endian bytes: (lanes, 8 count) uint8."""
    lanes, count = words.shape
    return np.ascontiguousarray(words).astype("<u8", copy=False).view(np.uint8).reshape(lanes, 8 * count)


def digest_words(digests: U8Array) -> U64Array:
    """(..., 32) uint8 digests as (..., 4) uint64 little-endian words."""
    return np.ascontiguousarray(digests).view("<u8").astype(np.uint64, copy=False)


KEY_LEAF: Final = blake3(b"zkvm/leaf/1")
"""Key of leaf digests. Keyed mode separates leaves from nodes: no node's preimage can pass as a leaf's."""

KEY_NODE: Final = blake3(b"zkvm/node/1")
"""Key of inner nodes of a Merkle tree."""
