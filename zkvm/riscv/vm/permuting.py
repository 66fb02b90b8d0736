"""The call permute: Poseidon2 on words of RAM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.poseidon2 import CONSTANTS, INNER_DIAGONAL, MODULUS, WIDTH, WORD_BYTES, WORDS
from zkvm.riscv.kernels.poseidon2 import permute
from zkvm.riscv.records import TENSOR_WORD
from zkvm.riscv.vm.memory import ROM
from zkvm.riscv.vm.state import MachineState, outside_memory, trap

ADDED = np.array([number for added in CONSTANTS for number in added], np.uint64)
DIAGONAL = np.array(INNER_DIAGONAL, np.uint64)


def permute_kernel(states: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The kernel as a :data:`zkvm.riscv.records.Permuter`."""
    columns = np.empty((WIDTH + 2 * len(ADDED), len(states)), np.uint64)
    permute(np.ascontiguousarray(states), ADDED, DIAGONAL, columns)
    return columns


def run_permutation(state: MachineState, address: int) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """Permute the words at an address, at the time after the call's.

    Args:
        state: of the guest, whose memory changes.
        address: of the first word, in bytes.

    Returns:
        rows: (1, 24) TENSOR_WORD, what was accessed.
        elements: (1, 12) uint64 below p, what was permuted.

    Raises:
        GuestTrap: the words are not aligned, or not in RAM.
    """
    what = f"permute(0x{address:08x})"
    if address % WORD_BYTES:
        raise trap(state, "misaligned_access", f"{what}: the address is not a multiple of {WORD_BYTES}")
    words = np.arange(address // WORD_BYTES, address // WORD_BYTES + WORDS, dtype=np.int64)
    reachable = int(words[-1]) < 1 << 30
    positions = state.memory.locate(words) if reachable else np.full(WORDS, -1, np.int64)
    if np.any(positions < 0):
        outside = WORD_BYTES * int(words[np.argmax(positions < 0)]) if reachable else address
        raise outside_memory(state, outside, f"{what}: its {WORDS} words are outside memory at 0x{outside:08x}")
    if np.any(state.memory.origins[positions] == ROM):
        raise trap(state, "store_to_rom", f"{what} would write to read-only memory")
    rows = np.zeros((1, WORDS), TENSOR_WORD)
    old = state.memory.values[positions]
    elements = old.astype("<u4").view("<u8").astype(np.uint64) % np.uint64(MODULUS)
    rows["address"], rows["old"] = WORD_BYTES * words, old
    rows["t_prev"] = state.access_words(positions, words, state.time + 1)
    rows["new"] = permute_kernel(elements[None])[-WIDTH:, 0].astype("<u8").view("<u4")
    state.memory.values[positions] = rows["new"][0]
    return rows, elements[None]
