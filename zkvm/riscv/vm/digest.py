"""The tensor calls that digest: one compares a tensor with its digest, one imports a tensor and makes its digest. And digests for hosts.

Poseidon2 absorbs rows in overwrite mode: seven vectors of bytes, or three of int16, are eight elements of the field, each seven lanes by
8 bits or three by 16. The capacity begins with a tag and the numbers of rows. The digest is the first four elements of the last state, as
16 lanes. A lane x stands for x + 2^15; one of bytes holds 2^8 b, and stands for b + 2^7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.poseidon2 import WIDTH
from zkvm.riscv.isa.tensors import (
    BYTE_OFFSET,
    BYTE_ROW_VECTORS,
    BYTE_STEP,
    DIGEST_TAG,
    DIGEST_VECTORS,
    INT16_OFFSET,
    LANES,
    PACKED,
    PACKED_BYTES,
    RATE,
    ROW_BYTES,
    ROW_VECTORS,
)
from zkvm.riscv.kernels.poseidon2 import absorb
from zkvm.riscv.records import TensorCall
from zkvm.riscv.vm.permuting import ADDED, DIAGONAL
from zkvm.riscv.vm.tensor_call import Call, Elements

STATE_BYTES = 2 * 8 * WIDTH
BYTES_OF_BYTES, BYTES_OF_INT16 = BYTE_ROW_VECTORS * LANES, ROW_VECTORS * ROW_BYTES
"""Bytes of the private input in a row of bytes, and in one of int16."""


def states_of(vectors: Elements, byte_rows: int = 0) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """What every permutation of a digest takes and gives: (n, 12) uint64 each.

    Args:
        vectors: (7 byte_rows + 3 k, 8) int16; the first 7 byte_rows hold bytes, 2^8 times.
        byte_rows: rows of bytes.
    """
    end = BYTE_ROW_VECTORS * byte_rows
    small = _elements(vectors[:end] // BYTE_STEP, byte_rows, PACKED_BYTES, BYTE_OFFSET, 8)
    rows = (len(vectors) - end) // ROW_VECTORS
    absorbed = np.concatenate([small, _elements(vectors[end:], rows, PACKED, INT16_OFFSET, 16)])
    start = np.zeros(WIDTH, np.uint64)
    start[RATE : RATE + 3] = DIGEST_TAG, rows, byte_rows
    before, after = np.zeros((2, len(absorbed), WIDTH), np.uint64)
    absorb(start, absorbed, ADDED, DIAGONAL, before, after)
    return before, after


def digest_of(vectors: Elements, byte_rows: int = 0) -> Elements:
    """The two vectors of a digest.

    Args:
        vectors: (7 byte_rows + 3 k, 8) int16; the first 7 byte_rows hold bytes, 2^8 times.
        byte_rows: rows of bytes.
    """
    return _as_vectors(states_of(vectors, byte_rows)[1])


def _elements(vectors: Elements, rows: int, packed: int, offset: int, bits: int) -> NDArray[np.uint64]:
    """(rows, 8) elements of the field, of so many lanes each."""
    lanes = (vectors.astype(np.int64) + offset).reshape(rows, RATE, packed).astype(np.uint64)
    found: NDArray[np.uint64] = np.bitwise_or.reduce(lanes << np.arange(0, bits * packed, bits, dtype=np.uint64), axis=2)
    return found


def _as_vectors(after: NDArray[np.uint64]) -> Elements:
    words = after[-1, :4] if len(after) else np.zeros(4, np.uint64)
    limbs = words[:, None] >> np.arange(0, 64, 16, dtype=np.uint64) & np.uint64(0xFFFF)
    return (limbs.astype(np.int64) - INT16_OFFSET).astype(np.int16).reshape(DIGEST_VECTORS, LANES)


def digest(call: Call) -> TensorCall:
    """digest: vectors, and behind them their digest."""
    count = ROW_VECTORS * call.words.blocks
    call.check_room(call.words.blocks, STATE_BYTES)
    x = call.vectors(call.first, call.words.x, (count + DIGEST_VECTORS, 1))
    before, after = states_of(x[:count])
    if np.any(_as_vectors(after) != x[count:]):
        raise call.refuse(f"the two vectors behind the {count} that it digests are not their digest")
    return call.record(x=x, permuted=np.stack([before, after]))


def import_digested(call: Call) -> TensorCall:
    """import_digested: bytes and then int16 of the private input, and the digest of both."""
    rows, byte_rows = call.words.blocks, call.words.channels
    if rows == 0:
        raise call.refuse("it has no row of int16, of which the last makes the digest")
    call.check_room(rows + byte_rows, STATE_BYTES + BYTE_ROW_VECTORS * ROW_BYTES)
    small, large = BYTES_OF_BYTES * byte_rows, BYTES_OF_INT16 * rows
    data = call.take(small + large)
    if len(data) < small + large:
        raise call.refuse(f"the private input ended: {len(data)} bytes are left, and its rows take {small + large}")
    parts = np.frombuffer(data[:small], np.int8).astype(np.int16) * BYTE_STEP, np.frombuffer(data[small:], "<i2").astype(np.int16)
    vectors = np.concatenate(parts).reshape(-1, LANES)
    before, after = states_of(vectors, byte_rows)
    return call.record(vectors=np.concatenate([vectors, _as_vectors(after)]), permuted=np.stack([before, after]))
