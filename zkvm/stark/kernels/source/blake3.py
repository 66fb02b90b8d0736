"""BLAKE3 on as many lanes as a vector has 32-bit words: the compression as one intrinsic, and the search for a proof of work.

So many messages of one length are hashed together: 16 with 512-bit vectors, else 8. Word ``i`` of all of them is one vector, and a whole
compression is one intrinsic on such vectors: LLVM does not vectorise plain numba loops over lanes, and vectors wider than the machine's
spill most of the state. Twin: :mod:`zkvm.stark.crypto.compression`.

Layout. Digests are kept as 32-bit words, word-major: (8, count) uint32, so that neighbours are contiguous in every word. A buffer of
vectors is a flat uint32 array, vector ``i`` at ``LANES i``: chaining values and output are 8 vectors, a block is 16, a *tail* is the 4
words counter low, counter high, block length, flags.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import boolean, njit, types, uint32, uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

from zkvm.stark.kernels.source.entry import entry, readonly, stack_array
from zkvm.stark.kernels.width import WORD_LANES

U32Array = NDArray[np.uint32]
U64Array = NDArray[np.uint64]

INITIAL_VECTOR = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
MESSAGE_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)

LANES = 2 * WORD_LANES
CV_WORDS = 8 * LANES
"""Length of a buffer of one chaining value a lane."""
BLOCK_WORDS = 16 * LANES
TAIL_WORDS = 4 * LANES

CHUNK_START = np.uint32(1)
CHUNK_END = np.uint32(2)
PARENT = np.uint32(4)
ROOT = np.uint32(8)
KEYED_HASH = np.uint32(16)
FULL_BLOCK = np.uint32(64)

_VECTOR = ir.VectorType(ir.IntType(32), LANES)
_PAIR = ir.VectorType(ir.IntType(32), 2 * LANES)
_WORD = ir.IntType(32)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_HAS_ROTATIONS = LANES == 16
"""Narrower instruction sets have no rotations of 32-bit words, but shuffles of bytes."""


# ----- vector intrinsics -------------------------------------------------------------------------------------------------------


def _vector_at(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, index: int) -> Any:
    """Pointer to vector ``index`` of the buffer that starts at word ``offset`` of a flat uint32 array."""
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.add(offset, ir.Constant(offset.type, index * LANES))
    return builder.bitcast(builder.gep(data, [place]), _VECTOR.as_pointer())


def _fenced(builder: Any, value: Any) -> Any:
    """The same value, about which LLVM knows nothing: it would combine a shuffle with the one before, and then compute both."""
    name = f"llvm.arithmetic.fence.v{LANES}f32"
    fence = builder.module.declare_intrinsic(name, (), ir.FunctionType(_FLOATS, [_FLOATS]))
    return builder.bitcast(builder.call(fence, [builder.bitcast(value, _FLOATS)]), _VECTOR)


def _rotate_right(builder: Any, x: Any, bits: int) -> Any:
    """LLVM turns the pair of shifts into a rotation or, for whole bytes, into a shuffle."""
    right, left = (ir.Constant(_VECTOR, [count] * LANES) for count in (bits, 32 - bits))
    rotated = builder.or_(builder.lshr(x, right), builder.shl(x, left))
    return rotated if bits % 8 or _HAS_ROTATIONS else _fenced(builder, rotated)


def _mix(builder: Any, v: list[Any], diagonal: int, words: list[Any]) -> None:
    """BLAKE3's mixing of the four columns of the state, or of its diagonals: all four in step, so that none waits for its own results."""
    places = [(i, 4 + (i + diagonal) % 4, 8 + (i + 2 * diagonal) % 4, 12 + (i + 3 * diagonal) % 4) for i in range(4)]
    for half, first, second in ((0, 16, 12), (1, 8, 7)):
        for i, (a, _, _, _) in enumerate(places):
            v[a] = builder.add(v[a], words[2 * i + half])
        for a, b, _, _ in places:
            v[a] = builder.add(v[a], v[b])
        for a, _, _, d in places:
            v[d] = builder.xor(v[d], v[a])
        for _, _, _, d in places:
            v[d] = _rotate_right(builder, v[d], first)
        for _, _, c, d in places:
            v[c] = builder.add(v[c], v[d])
        for _, b, c, _ in places:
            v[b] = builder.xor(v[b], v[c])
        for _, b, _, _ in places:
            v[b] = _rotate_right(builder, v[b], second)


def _emit_compression(context: Any, builder: Any, signature: Any, arguments: Any, full_output: bool) -> Any:
    state_type, _, block_type, tail_type, out_type, _ = signature.args
    state, state_offset, block, tail, out, out_offset = arguments
    zero = ir.Constant(state_offset.type, 0)

    def load(array_type: Any, array: Any, offset: Any, index: int) -> Any:
        return builder.load(_vector_at(context, builder, array_type, array, offset, index), align=4)

    chaining = [load(state_type, state, state_offset, i) for i in range(8)]
    message = [load(block_type, block, zero, i) for i in range(16)]
    v = list(chaining)
    v += [ir.Constant(_VECTOR, [INITIAL_VECTOR[i]] * LANES) for i in range(4)]
    v += [load(tail_type, tail, zero, i) for i in range(4)]
    for _ in range(7):
        _mix(builder, v, 0, message[:8])
        _mix(builder, v, 1, message[8:])
        message = [message[i] for i in MESSAGE_PERMUTATION]
    result = [builder.xor(v[i], v[i + 8]) for i in range(8)]
    if full_output:
        result += [builder.xor(v[i + 8], chaining[i]) for i in range(8)]
    for i, value in enumerate(result):
        builder.store(value, _vector_at(context, builder, out_type, out, out_offset, i), align=4)
    return context.get_dummy_value()


def _compression_signature(state: Any, state_offset: Any, block: Any, tail: Any, out: Any, out_offset: Any) -> Any:
    return types.void(state, types.intp, block, tail, out, types.intp)


def _compress(typing_context: Any, state: Any, state_offset: Any, block: Any, tail: Any, out: Any, out_offset: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _emit_compression(context, builder, signature, arguments, full_output=False)

    return _compression_signature(state, state_offset, block, tail, out, out_offset), generate


def _compress_full(typing_context: Any, state: Any, state_offset: Any, block: Any, tail: Any, out: Any, out_offset: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _emit_compression(context, builder, signature, arguments, full_output=True)

    return _compression_signature(state, state_offset, block, tail, out, out_offset), generate


def _split_words(typing_context: Any, address: Any, block: Any, even: Any, odd: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, array, even_index, odd_index = arguments
        words = builder.load(builder.inttoptr(place, _PAIR.as_pointer()), align=4)
        undefined = ir.Constant(_PAIR, ir.Undefined)
        for first, index in ((0, even_index), (1, odd_index)):
            mask = ir.Constant(_VECTOR, [2 * lane + first for lane in range(LANES)])
            offset = builder.mul(index, ir.Constant(index.type, LANES))
            target = _vector_at(context, builder, signature.args[1], array, offset, 0)
            builder.store(builder.shuffle_vector(words, undefined, mask), target, align=4)
        return context.get_dummy_value()

    return types.void(types.uint64, block, types.intp, types.intp), generate


def _join_words(typing_context: Any, block: Any, even: Any, odd: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, even_index, odd_index, place = arguments
        words = []
        for index in (even_index, odd_index):
            offset = builder.mul(index, ir.Constant(index.type, LANES))
            words.append(builder.load(_vector_at(context, builder, signature.args[0], array, offset, 0), align=4))
        mask = ir.Constant(_PAIR, [lane + LANES * which for lane in range(LANES) for which in (0, 1)])
        builder.store(builder.shuffle_vector(*words, mask), builder.inttoptr(place, _PAIR.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(block, types.intp, types.intp, types.uint64), generate


def _read_word(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], _WORD.as_pointer()), align=4)

    return types.uint32(types.uint64), generate


compress: Any = intrinsic(_compress)
"""``compress(state, offset, block, tail, out, out_offset)``: compress all lanes.

The chaining values are 8 vectors at ``state[offset:]``; 8 vectors are written at ``out[out_offset:]``, which may be the same place.
"""

compress_full: Any = intrinsic(_compress_full)
"""As :data:`compress` with all 16 output vectors, for extendable output."""

split_words: Any = intrinsic(_split_words)
"""``split_words(address, block, even, odd)``: read two vectors at a byte address, separate their even words from the odd ones.

They become vectors ``even`` and ``odd`` of ``block``. On little-endian 64-bit words these are low and high halves; on pairs of digest
words, left and right children.
"""

join_words: Any = intrinsic(_join_words)
"""``join_words(block, even, odd, address)``: the inverse of :data:`split_words`, from vectors of ``block`` to a byte address."""

read_word: Any = intrinsic(_read_word)
"""``read_word(address)``: the 32-bit word at a byte address."""


# ----- helpers -----------------------------------------------------------------------------------------------------------------


chaining_values, compressed = stack_array(uint32, CV_WORDS), stack_array(uint32, CV_WORDS)
"""Scratch space of a kernel: one chaining value a lane, and those that a compression returns."""
block_of_lanes, tails = stack_array(uint32, BLOCK_WORDS), stack_array(uint32, TAIL_WORDS)
"""One block a lane, and one tail."""
_INITIAL_WORDS = np.array(INITIAL_VECTOR, dtype=np.uint32)


@njit(nogil=True)
def set_tail(tail: U32Array, counter: np.uint64, block_length: np.uint32, flags: np.uint32) -> None:
    """Give every lane the same counter, block length and flags."""
    low = np.uint32(counter & np.uint64(0xFFFFFFFF))
    high = np.uint32(counter >> np.uint64(32))
    for lane in range(LANES):
        tail[lane] = low
        tail[LANES + lane] = high
        tail[2 * LANES + lane] = block_length
        tail[3 * LANES + lane] = flags


@njit(nogil=True)
def set_all_lanes(state: U32Array, offset: int, words: U32Array) -> None:
    """Write ``words`` to the vectors from ``offset`` on, the same in every lane."""
    for i in range(words.size):
        for lane in range(LANES):
            state[offset + i * LANES + lane] = words[i]


# ----- proof of work -----------------------------------------------------------------------------------------------------------


@entry(boolean(readonly(uint32), uint64, uint64, uint64, uint64[::1]))
def grind(seed: U32Array, bits: np.uint64, start: np.uint64, count: np.uint64, found: U64Array) -> bool:
    """Search ``start <= nonce < start + count`` for BLAKE3(seed || nonce) with a first little-endian 64-bit word below 2^(64 - bits).

    Args:
        seed: (8,) uint32, little-endian words.
        bits: 1..63.
        start: first nonce, a multiple of 16.
        count: number of nonces, a multiple of 16.
        found: (1,) uint64, set to the smallest such nonce.

    Returns:
        Whether there is one.
    """
    state, out, block, tail = chaining_values(), compressed(), block_of_lanes(), tails()
    set_all_lanes(state, 0, _INITIAL_WORDS)
    block[:] = np.uint32(0)
    set_all_lanes(block, 0, seed)
    set_tail(tail, np.uint64(0), np.uint32(40), CHUNK_START | CHUNK_END | ROOT)
    limit = np.uint64(1) << (np.uint64(64) - bits)
    nonce = start
    while nonce - start < count:
        for lane in range(LANES):
            mine = nonce + np.uint64(lane)
            block[8 * LANES + lane] = np.uint32(mine & np.uint64(0xFFFFFFFF))
            block[9 * LANES + lane] = np.uint32(mine >> np.uint64(32))
        compress(state, 0, block, tail, out, 0)
        for lane in range(LANES):
            if (np.uint64(out[LANES + lane]) << np.uint64(32) | np.uint64(out[lane])) < limit:
                found[0] = nonce + np.uint64(lane)
                return True
        nonce += np.uint64(LANES)
    return False
