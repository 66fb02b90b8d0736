"""What the executor does in a tensor call: reads the descriptor, computes with numpy, records what the chips need.

What has no witness is a trap here. Its message says which rule of ``docs/tensors.md`` is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import LimitError
from zkvm.riscv.isa import semantics, tensors
from zkvm.riscv.isa.tensors import (
    APPLY,
    COMBINE,
    DEPTHWISE,
    DIGEST,
    DIGESTED,
    EXPORT,
    GATHER,
    IMPORT,
    LANES,
    LINEAR,
    LOAD,
    MAXIMUM,
    MULTIPLY,
    RELATIVE,
    ROW_BYTES,
    SCALED,
    SCALED_DEPTHWISE,
    Descriptor,
)  # fmt: skip
from zkvm.riscv.records import TENSOR_WORD, TensorCall
from zkvm.riscv.vm.combining import check_limit, check_results, combine, rescale
from zkvm.riscv.vm.depthwise import depthwise
from zkvm.riscv.vm.digest import digest, import_digested
from zkvm.riscv.vm.memory import ROM
from zkvm.riscv.vm.rearranging import apply, gather, maximum, relative
from zkvm.riscv.vm.state import MachineState, outside_memory, trap
from zkvm.riscv.vm.tensor_call import Call, Elements, Input, Tensors

EXACT_TAPS = 1 << 22
"""So many products of two int16 have a sum below 2^53: doubles add them exactly, in any order."""
BLOCK_BYTES = 1 << 26
"""What the operands of one product of matrices may take, roughly."""


def run_call(state: MachineState, store: Tensors, ecall: int, registers: tuple[int, int, int], take: Input) -> tuple[int, int, int]:
    """Execute a tensor call; what a0, a1 and a2 then hold.

    Args:
        state: of the machine.
        store: its tensors; gets the new one.
        ecall: index of the call's ECALL record.
        registers: a0, a1, a2.
        take: reads the private input.

    Raises:
        GuestTrap: the call has no proof.
        LimitError: it makes more vectors than a proof holds, or than fit into memory.
    """
    call = Call(state, store, ecall, _descriptor(state, registers[0]), registers[1], registers[2], take)
    if call.id > semantics.MASK32:
        raise LimitError("the run is too long for tensor calls: the number of its instructions does not fit 32 bits")
    record = OPERATIONS[call.words.operation](call)
    if call.words.operation in tensors.MAKERS:
        store.made[call.id] = record.vectors
    if state.trace:
        store.calls.append(record)
    state.host_bytes += record.nbytes if state.trace else record.vectors.nbytes
    if call.words.operation not in tensors.RESCALING:
        return call.id, call.first, call.second
    above, below = record.cuts.sum(axis=0).tolist()
    return call.id, above, below


def _descriptor(state: MachineState, address: int) -> Descriptor:
    """The words at an address in read-only memory."""
    place = f"tensor call: the descriptor at 0x{address:08x}"
    if address % 4:
        raise trap(state, "tensor_call", f"{place} is not aligned to 4 bytes")

    def read(count: int) -> list[int]:
        index = np.arange(address // 4, address // 4 + count, dtype=np.int64)
        positions = state.memory.locate(index) if index[-1] < 1 << 30 else np.full(count, -1)
        if np.any(positions < 0) or np.any(state.memory.origins[positions] != ROM):
            raise trap(state, "tensor_call", f"{place} is not in read-only memory: make it static const")
        return [int(value) for value in state.memory.values[positions]]

    operation = read(1)[0]
    if operation not in tensors.WORDS:
        raise trap(state, "tensor_call", f"{place} names operation {operation}, which does not exist")
    return Descriptor(*read(tensors.WORDS[operation]))


def _import(call: Call) -> TensorCall:
    """import: the next 16 bytes of the private input for each vector, little-endian."""
    count = call.words.blocks
    call.check_room(count, ROW_BYTES)
    data = call.take(ROW_BYTES * count)
    if len(data) < ROW_BYTES * count:
        raise call.refuse(f"the private input ended: {len(data)} bytes are left, and {count} vectors take {ROW_BYTES * count}")
    return call.record(vectors=np.frombuffer(data, "<i2").astype(np.int16).reshape(-1, LANES))


def _lanes(call: Call) -> int:
    """Elements of a vector that have a word in RAM."""
    if call.words.channels not in (1, LANES):
        raise call.refuse(f"{call.words.channels} elements of each vector: only 1 or {LANES} have words")
    return call.words.channels


def _load(call: Call) -> TensorCall:
    """load: a word of RAM for each element."""
    lanes = _lanes(call)
    rows = _words(call, call.words.blocks * lanes)
    values = rows["old"].astype(np.int32)
    rows["new"] = rows["old"]
    wrong = values != values.astype(np.int16)
    if np.any(wrong):
        row = int(np.argmax(wrong))
        raise call.refuse(f"the word at 0x{rows['address'][row]:08x} is {values[row]}, which is no int16")
    made = np.zeros((call.words.blocks, LANES), np.int16)
    made[:, :lanes] = values.reshape(-1, lanes)
    return call.record(vectors=made, words=rows)


def _export(call: Call) -> TensorCall:
    """export: a word of RAM for each element, with its sign."""
    lanes, words = _lanes(call), call.words
    rows = _words(call, words.blocks * lanes)
    x = call.vectors(call.first, words.x, (words.blocks, words.x_stride))
    rows["new"] = x[:, :lanes].astype(np.int32).reshape(-1).view(np.uint32)
    memory = call.state.memory
    memory.values[memory.locate(rows["address"].astype(np.int64) // 4)] = rows["new"]
    return call.record(x=x, words=rows)


def _words(call: Call, count: int) -> NDArray[Any]:
    """Records of so many words from a2 on, accessed at the time after the call's. ``new`` is left to the caller."""
    state, address = call.state, call.second
    if count == 0:
        return np.zeros(0, TENSOR_WORD)
    if address % 4:
        raise call.refuse(f"its words at 0x{address:08x} are not aligned to 4 bytes")
    if address + 4 * count > 1 << 32:
        raise call.refuse(f"its {count} words at 0x{address:08x} reach past 2^32")
    index = positions = np.full(1, -1, np.int64)
    if state.memory.covers(address, 4 * count):
        call.check_room(count, TENSOR_WORD.itemsize + ROW_BYTES)
        index = np.arange(address // 4, address // 4 + count, dtype=np.int64)
        positions = state.memory.locate(index)
    if np.any(positions < 0):
        outside = state.memory.first_outside(address)
        raise outside_memory(state, outside, f"tensor call: its {count} words at 0x{address:08x} are outside memory at 0x{outside:08x}")
    read_only = state.memory.origins[positions] == ROM
    if np.any(read_only):
        raise call.refuse(f"its word at 0x{4 * int(index[np.argmax(read_only)]):08x} is in read-only memory, not in RAM")
    rows = np.zeros(count, TENSOR_WORD)
    rows["address"], rows["old"] = 4 * index, state.memory.values[positions]
    rows["t_prev"] = state.access_words(positions, index, state.time + 1)
    return rows


def _linear(call: Call) -> TensorCall:
    """linear: sums of products, rescaled."""
    words = call.words
    check_results(call)
    if words.taps == 0:
        raise call.refuse("its sums have no products")
    call.check_room(words.blocks * words.channels, (1 + 3 * 4) * ROW_BYTES)
    call.check_room(max(words.product_rows), 0)
    x = call.vectors(call.first, words.x, (words.blocks, words.x_stride), (words.taps if words.blocks else 0, 1))
    w = call.vectors(call.second, words.w, (words.halves if words.blocks else 0, words.w_stride), (words.taps, 1))
    if words.operation == SCALED:  # the descriptor says it, also for no blocks
        check_limit(call, words.y)
    if words.blocks == 0:
        return call.record()
    channels = call.channels()
    check_limit(call, int(channels["limit"][0]))
    sums = sums_of_products(x, w)
    if np.any(sums[:, words.channels :]):
        raise call.refuse(f"lanes of its second operand beyond channel {words.channels} have sums that are not 0")
    kept = np.ascontiguousarray(sums[:, : words.channels])
    made, cuts = rescale(kept, channels["bias"], channels["multiplier"], words.low, words.high)
    return call.record(vectors=made.reshape(-1, LANES), x=x, w=w, sums=kept.reshape(-1, LANES), cuts=cuts)


def sums_of_products(x: Elements, w: Elements) -> NDArray[np.int64]:
    """For each block of positions and each channel, the sums over the taps: (b, 8 h, 8) int64, exact.

    Products of matrices of doubles: of integers numpy has slow ones only.

    Args:
        x: (b, k, 8) by block, tap and position.
        w: (h, k, 8) by 8 channels, tap and channel.
    """
    blocks, taps = x.shape[:2]
    sums = np.zeros((blocks, len(w) * LANES, LANES), np.int64)
    step = max(1, BLOCK_BYTES // (8 * LANES * max(min(taps, EXACT_TAPS), sums.shape[1])))
    for first in range(0, taps, EXACT_TAPS):
        right = w[:, first : first + EXACT_TAPS].astype(np.float64).transpose(1, 0, 2).reshape(-1, sums.shape[1])
        for block in range(0, blocks, step):
            left = x[block : block + step, first : first + EXACT_TAPS].astype(np.float64).transpose(0, 2, 1)
            product = left.reshape(-1, len(right)) @ right
            sums[block : block + step] += product.reshape(-1, LANES, sums.shape[1]).transpose(0, 2, 1).astype(np.int64)
    return sums


OPERATIONS: dict[int, Callable[[Call], TensorCall]] = {
    IMPORT: _import, LOAD: _load, LINEAR: _linear, EXPORT: _export, GATHER: gather, MAXIMUM: maximum, APPLY: apply,
    COMBINE: combine, MULTIPLY: combine, DIGEST: digest, SCALED: _linear,
    DEPTHWISE: depthwise, SCALED_DEPTHWISE: depthwise, RELATIVE: relative,
    DIGESTED: import_digested,
}  # fmt: skip
"""What the executor does in each operation."""
