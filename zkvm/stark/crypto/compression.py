"""BLAKE3's compression function, on Python integers and on numpy lanes.

Source: "BLAKE3: one function, fast everywhere" (O'Connor, Aumasson, Neves, Wilcox-O'Hearn), sections 2.1 and 2.2. What a numpy call costs
is the call, not the few words that it works on, so :func:`compress_many` works on all lanes with a fixed number of calls.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

U8Array = NDArray[np.uint8]
U32Array = NDArray[np.uint32]
U64Array = NDArray[np.uint64]

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

MASK32: Final = 0xFFFFFFFF


def _message_schedule() -> tuple[tuple[int, ...], ...]:
    """Indices of the original message words used by each round, ``ROUNDS`` tuples of 16."""
    rounds = [tuple(range(16))]
    for _ in range(ROUNDS - 1):
        rounds.append(tuple(rounds[-1][i] for i in MESSAGE_PERMUTATION))
    return tuple(rounds)


MESSAGE_SCHEDULE: Final = _message_schedule()

# A round mixes 4 columns, then 4 diagonals; a mixing takes an even and an odd word. Axes: round, (column, diagonal), (even, odd), 4.
_LANE_SCHEDULE: Final = np.array(MESSAGE_SCHEDULE, dtype=np.intp).reshape(ROUNDS, 2, 4, 2).transpose(0, 1, 3, 2).copy()


# ----- one compression on Python integers --------------------------------------------------------------------------------------

_FIELD: Final = 64
"""Bits between the words of a row of the 4 x 4 state that lie in one Python integer: room for a carry and for rotations."""
_WORDS: Final = sum(MASK32 << _FIELD * i for i in range(4))
_ROW: Final = (1 << 4 * _FIELD) - 1
_SCALAR_SCHEDULE: Final = itemgetter(*_LANE_SCHEDULE.ravel().tolist())
"""Of a block its words in the order in which the rounds take them."""
_STATE, _MESSAGE = struct.Struct("<16Q"), struct.Struct(f"<{16 * ROUNDS}Q")


def _rows(data: bytes) -> list[int]:
    """Rows of four words each."""
    step = 4 * _FIELD // 8
    return [int.from_bytes(data[i : i + step], "little") for i in range(0, len(data), step)]


def _mix_packed(a: int, b: int, c: int, d: int, even: int, odd: int) -> tuple[int, int, int, int]:
    """Four mixings at once (the function G of section 2.2) on packed rows."""
    a = (a + b + even) & _WORDS
    d ^= a
    d = (d >> 16 | d << 16) & _WORDS
    c = (c + d) & _WORDS
    b ^= c
    b = (b >> 12 | b << 20) & _WORDS
    a = (a + b + odd) & _WORDS
    d ^= a
    d = (d >> 8 | d << 24) & _WORDS
    c = (c + d) & _WORDS
    b ^= c
    return a, (b >> 7 | b << 25) & _WORDS, c, d


def compress_scalar(chaining: Sequence[int], block: Sequence[int], counter: int, block_length: int, flags: int) -> list[int]:
    """BLAKE3's compression function (section 2.2) on Python integers, each a row of the state.

    Args:
        chaining: 8 words, the chaining value.
        block: 16 words, the message block.
        counter: 64-bit chunk or output counter.
        block_length: bytes of the block that are used, 0..64.
        flags: domain flags.

    Returns:
        The 16 output words; the first 8 are the next chaining value.
    """
    state = _STATE.pack(*chaining, *INITIAL_VECTOR[:4], counter & MASK32, (counter >> 32) & MASK32, block_length, flags)
    first, second, c, d = _rows(state)
    a, b = first, second
    message = iter(_rows(_MESSAGE.pack(*_SCALAR_SCHEDULE(block))))
    for _ in range(ROUNDS):
        a, b, c, d = _mix_packed(a, b, c, d, next(message), next(message))
        b = b >> _FIELD | b << 3 * _FIELD & _ROW  # diagonals become columns
        c = c >> 2 * _FIELD | c << 2 * _FIELD & _ROW
        d = d >> 3 * _FIELD | d << _FIELD & _ROW
        a, b, c, d = _mix_packed(a, b, c, d, next(message), next(message))
        b = b >> 3 * _FIELD | b << _FIELD & _ROW
        c = c >> 2 * _FIELD | c << 2 * _FIELD & _ROW
        d = d >> _FIELD | d << 3 * _FIELD & _ROW
    output = b"".join(row.to_bytes(4 * _FIELD // 8, "little") for row in (a ^ c, b ^ d, c ^ first, d ^ second))
    return list(_STATE.unpack(output))


# ----- many compressions as lanes ------------------------------------------------------------------------------------------------

CHAINING, BLOCK, TAIL = slice(0, 8), slice(8, 24), slice(24, 28)
"""Rows of a lane's inputs: chaining value; message block; counter's low and high word, block length, flags."""
LANE_ROWS: Final = 28

_HEAD: Final = np.array(INITIAL_VECTOR[:4], np.uint32)[:, None]
_ROTATIONS: Final = tuple((np.array(32 - bits, np.uint32), np.array(bits, np.uint32)) for bits in (16, 12, 8, 7))
"""Shifts left and right of the rotations to the right, as arrays: numpy takes longer to convert a scalar than to shift a row."""


def lane_inputs(
    chaining: U32Array, block: U32Array, counter: U64Array | int, block_length: U32Array | int, flags: U32Array | int
) -> U32Array:
    """The inputs of many compressions as one array, a lane each.

    Args:
        chaining: (8, lanes) or (8, 1) uint32.
        block: (16, lanes) uint32.
        counter: (lanes,) uint64, or one integer for all lanes.
        block_length: (lanes,) uint32, or one integer for all lanes.
        flags: (lanes,) uint32, or one integer for all lanes.

    Returns:
        (28, lanes) uint32.
    """
    inputs = np.empty((LANE_ROWS, block.shape[1]), np.uint32)
    inputs[CHAINING] = chaining
    inputs[BLOCK] = block
    wide = np.asarray(counter, np.uint64)
    inputs[24] = wide & np.uint64(MASK32)
    inputs[25] = wide >> np.uint64(32)
    inputs[26] = block_length
    inputs[27] = flags
    return inputs


def _mix_rows(a: U32Array, b: U32Array, c: U32Array, d: U32Array, words: U32Array, x: U32Array) -> None:
    """Four mixings at once (the function G of section 2.2), in place.

    Args:
        a: (4, lanes) uint32, the first row of the 4 x 4 state.
        b: (4, lanes), the second row.
        c: (4, lanes), the third row.
        d: (4, lanes), the fourth row.
        words: (2, 4, lanes), the even and the odd message words.
        x: (4, lanes), scratch.
    """
    add, xor, left, right, either = np.add, np.bitwise_xor, np.left_shift, np.right_shift, np.bitwise_or
    for word, (d_left, d_right), (b_left, b_right) in ((words[0], *_ROTATIONS[:2]), (words[1], *_ROTATIONS[2:])):
        add(a, b, a)
        add(a, word, a)
        xor(d, a, x)
        left(x, d_left, d)
        right(x, d_right, x)
        either(d, x, d)
        add(c, d, c)
        xor(b, c, x)
        left(x, b_left, b)
        right(x, b_right, x)
        either(b, x, b)


def compress_many(inputs: U32Array, *, full_output: bool = False) -> U32Array:
    """BLAKE3's compression function on independent lanes.

    Args:
        inputs: (28, lanes) uint32, made by :func:`lane_inputs`.
        full_output: return all 16 words, for the extendable output.

    Returns:
        (8, lanes) uint32, or (16, lanes).
    """
    # Rows 1, 2 and 3 of the state have spare rows beside them, so that a rotated row is a view once one or two words are copied.
    state = np.empty((20, inputs.shape[1]), np.uint32)
    a, b, c, d = state[0:4], state[4:8], state[9:13], state[16:20]
    rotated_b, rotated_c, rotated_d = state[5:9], state[11:15], state[15:19]
    a[...], b[...], c[...], d[...] = inputs[0:4], inputs[4:8], _HEAD, inputs[TAIL]
    scratch = np.empty_like(a)
    for columns, diagonals in inputs[BLOCK][_LANE_SCHEDULE]:
        _mix_rows(a, b, c, d, columns, scratch)
        state[8], state[13:15], state[15] = state[4], state[9:11], state[19]
        _mix_rows(a, rotated_b, rotated_c, rotated_d, diagonals, scratch)
        state[4], state[9:11], state[19] = state[8], state[13:15], state[15]
    low = np.concatenate([a ^ c, b ^ d])
    if not full_output:
        return low
    return np.concatenate([low, c ^ inputs[0:4], d ^ inputs[4:8]])


def compress_lanes(
    chaining: U32Array,
    block: U32Array,
    counter: U64Array | int,
    block_length: U32Array | int,
    flags: U32Array | int,
    *,
    full_output: bool = False,
) -> U32Array:
    """:func:`compress_many` of inputs given one by one as :func:`lane_inputs` takes them."""
    return compress_many(lane_inputs(chaining, block, counter, block_length, flags), full_output=full_output)
