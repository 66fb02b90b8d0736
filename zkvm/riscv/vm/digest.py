"""The tensor call that compares a tensor with its digest, and the digest on its own, for hosts that write both.

Three vectors are eight elements of the field, each three lanes by 16 bits; Poseidon2 absorbs them in overwrite mode. The capacity begins
with a tag and the number of such rows. The digest is the first four elements of the last state, as 16 lanes. A lane x stands for x + 2^15.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.poseidon2 import WIDTH
from zkvm.riscv.isa.tensors import DIGEST_TAG, DIGEST_VECTORS, INT16_OFFSET, LANES, PACKED, RATE, ROW_VECTORS
from zkvm.riscv.kernels.poseidon2 import absorb
from zkvm.riscv.records import TensorCall
from zkvm.riscv.vm.permuting import ADDED, DIAGONAL
from zkvm.riscv.vm.tensor_call import Call, Elements

STATE_BYTES = 2 * 8 * WIDTH


def states_of(vectors: Elements) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """What every permutation of a digest takes and gives: (n, 12) uint64 each.

    Args:
        vectors: (3 n, 8) int16.
    """
    rows = len(vectors) // ROW_VECTORS
    lanes = (vectors.astype(np.int64) + INT16_OFFSET).reshape(rows, RATE, PACKED).astype(np.uint64)
    absorbed = np.ascontiguousarray(lanes[:, :, 0] | lanes[:, :, 1] << np.uint64(16) | lanes[:, :, 2] << np.uint64(32))
    start = np.zeros(WIDTH, np.uint64)
    start[RATE : RATE + 2] = DIGEST_TAG, rows
    before, after = np.zeros((rows, WIDTH), np.uint64), np.zeros((rows, WIDTH), np.uint64)
    absorb(start, absorbed, ADDED, DIAGONAL, before, after)
    return before, after


def digest_of(vectors: Elements) -> Elements:
    """The two vectors of a digest.

    Args:
        vectors: (3 n, 8) int16.
    """
    return _as_vectors(states_of(vectors)[1])


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
