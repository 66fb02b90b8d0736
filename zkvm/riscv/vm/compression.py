"""The host's side of a BLAKE3 call: one compression of words in the guest's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.calls import BLAKE3_OUTPUTS, BLAKE3_WORDS
from zkvm.riscv.records import BLAKE3_CALL
from zkvm.riscv.vm.memory import ROM
from zkvm.riscv.vm.state import MachineState, outside_memory, trap
from zkvm.stark.crypto.compression import compress_scalar

_NUMBERS = np.arange(BLAKE3_WORDS, dtype=np.int64)


def compress_words(state: MachineState, address: int) -> NDArray[Any]:
    """Compress the words at an address, and write the new chaining value over the first of them.

    Args:
        state: of the guest; the call is its current instruction.
        address: byte address of the first word.

    Returns:
        (1,) BLAKE3_CALL.

    Raises:
        GuestTrap: the words are not aligned, or not all in memory that can be written.
    """
    what = f"blake3(0x{address:08x})"
    if address % 4:
        raise trap(state, "misaligned_access", f"{what}: the address is not a multiple of 4")
    if address + 4 * BLAKE3_WORDS > 1 << 32:
        raise trap(state, "outside_memory", f"{what}: its {BLAKE3_WORDS} words reach past 2^32")
    words = address // 4 + _NUMBERS
    positions = state.memory.locate(words)
    if np.any(positions < 0):
        outside = 4 * int(words[np.argmax(positions < 0)])
        raise outside_memory(state, outside, f"{what} accesses address 0x{outside:08x}, which is outside memory")
    if np.any(state.memory.origins[positions] == ROM):
        raise trap(state, "store_to_rom", f"{what}: its {BLAKE3_WORDS} words are not all in memory that can be written")
    record = np.zeros(1, BLAKE3_CALL)
    before = state.memory.values[positions]
    record["time"], record["address"], record["words"] = state.time, address, before
    record["t_prev"] = state.access_words(positions, words, state.time + 1)
    result, record["final"] = _compressed(before.tolist())
    state.memory.values[positions[:BLAKE3_OUTPUTS]] = result
    return record


def _compressed(words: list[int]) -> tuple[list[int], list[int]]:
    """The new chaining value, and the 16 words of the state after the last round."""
    chaining, block, (low, high, length, flags) = words[:8], words[8:24], words[24:]
    output = compress_scalar(chaining, block, low + (high << 32), length, flags)
    lower = [x ^ y for x, y in zip(output[8:], chaining, strict=True)]
    return output[:8], [x ^ y for x, y in zip(output[:8], lower, strict=True)] + lower
