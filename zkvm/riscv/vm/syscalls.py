"""System calls: the Linux RISC-V convention (number in a7, arguments in a0..a2, result in a0), as the chips prove it.

A call's register accesses are at the call's time, the words that it moves, which are distinct, at the time after it. Exit and brk
take no further arguments and do not access a1 and a2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa import calls, opcodes, semantics
from zkvm.riscv.kernels import interpreter as kernel
from zkvm.riscv.records import CHAIN_ROW, ECALL
from zkvm.riscv.vm.compression import compress_words
from zkvm.riscv.vm.memory import ROM
from zkvm.riscv.vm.permuting import run_permutation
from zkvm.riscv.vm.state import MachineState, outside_memory, trap
from zkvm.riscv.vm.tensor_call import Tensors
from zkvm.riscv.vm.tensors import run_call

REGISTERS = {"a7": 17, "a0": 10, "a1": 11, "a2": 12}
"""The call's number and arguments, by their names in the records. Register indices, as below."""
JOURNAL, BREAK, HEAP_START, HEAP_LIMIT = (
    address - opcodes.REGISTER_BASE for address in (opcodes.JOURNAL_POINTER, opcodes.BREAK, opcodes.HEAP_START, opcodes.HEAP_LIMIT)
)

CALL_BYTES = 1 << 10
"""What the host keeps of a recorded call, at most."""
BUFFER_FACTOR = 24
"""Bytes that handling a call takes for each byte of its buffer, at most: positions and rows of its words."""

Sink = Callable[[bytes], object]
"""Called with the bytes that the guest writes to its standard output or error, as they come."""


@dataclass(slots=True)
class Host:
    """The outside of a run: what the guest reads, what it wrote so far, and the records of its calls."""

    stdin: bytes
    sinks: dict[int, Sink]
    position: int = 0
    journal: bytearray = field(default_factory=bytearray)
    output: dict[int, bytearray] = field(default_factory=lambda: {calls.FD_STDOUT: bytearray(), calls.FD_STDERR: bytearray()})
    ecalls: list[tuple[int, ...]] = field(default_factory=list)
    moved: dict[str, list[NDArray[Any]]] = field(default_factory=lambda: {call.moves: [] for call in calls.CALLS if call.moves})
    tensors: Tensors = field(default_factory=Tensors)
    permuted: list[NDArray[Any]] = field(default_factory=list)
    permutations: list[NDArray[np.uint64]] = field(default_factory=list)

    def take(self, count: int) -> bytes:
        """The next so many bytes of the input, or all that are left."""
        data = self.stdin[self.position : self.position + count]
        self.position += len(data)
        return data


def handle_call(state: MachineState, host: Host) -> bool:
    """Execute the ecall at the current row; whether the run goes on.

    Raises:
        GuestTrap: a buffer is not in memory, or a read would change ROM, or a tensor call has no proof.
    """
    record = dict.fromkeys(ECALL.names or (), 0)
    record["row"], record["time"] = state.row, state.time
    for name, index in REGISTERS.items():
        record[name] = int(state.registers[index])
    call = calls.BY_NUMBER.get(record["a7"], calls.UNKNOWN)
    if record["a7"] == calls.TENSOR.number:
        call = calls.UNKNOWN if state.image.tensors is None else calls.TENSOR
    for name in ("a7", "a0", *call.arguments):
        record[f"t_{name}"] = state.access_register(REGISTERS[name], state.time)
    record["result"], rows = HOST[call](state, host, record)
    state.registers[REGISTERS["a0"]] = record["result"]
    if state.trace:
        host.ecalls.append(tuple(record.values()))
        state.host_bytes += CALL_BYTES
        if call.moves and len(rows):
            host.moved[call.moves].append(rows)
            state.host_bytes += rows.nbytes
    state.check_memory()
    if call.ends:
        state.counters[kernel.CYCLES] += np.uint64(1)
        return False
    state.advance(opcodes.TIME_STEP)
    return True


Record = dict[str, int]
"""The fields of an ECALL record, filled while the call is handled."""
Outcome = tuple[int, NDArray[Any]]
"""What a0 then holds, and records of the words that were moved: CHAIN_ROW, or the call's own."""
NOTHING: NDArray[Any] = np.zeros(0, CHAIN_ROW)


def _unknown(state: MachineState, host: Host, record: Record) -> Outcome:
    """A number that is not served."""
    return calls.ENOSYS, NOTHING


def _exit(state: MachineState, host: Host, record: Record) -> Outcome:
    """exit, exit_group: a0 is the exit code."""
    return record["a0"], NOTHING


def _cycles(state: MachineState, host: Host, record: Record) -> Outcome:
    """cycles: the instructions before this one."""
    return state.cycles & semantics.MASK32, NOTHING


def _read(state: MachineState, host: Host, record: Record) -> Outcome:
    """read: as many bytes as are left, at most ``length``; 0 at the end of the input."""
    fd, buffer, length = record["a0"], record["a1"], record["a2"]
    if fd != calls.FD_INPUT:
        return calls.EBADF, NOTHING
    _check_range(state, buffer, length)
    state.check_memory(BUFFER_FACTOR * min(length, len(host.stdin) - host.position))
    data = host.take(length)
    rows, positions = _chain(state, buffer, len(data))
    if np.any(rows["rom"]):
        raise trap(state, "store_to_rom", f"read(0, 0x{buffer:08x}, {length}) would write to read-only memory")
    if not len(rows):
        return 0, rows
    state.memory.values[positions] = _spliced(rows["old"], buffer % 4, data)
    rows["new"] = state.memory.values[positions]
    record["count"] = len(data)
    return len(data), rows


def _write(state: MachineState, host: Host, record: Record) -> Outcome:
    """write: to the journal, which is proven, or to the host, which is not."""
    fd, buffer, length = record["a0"], record["a1"], record["a2"]
    if fd not in (calls.FD_STDOUT, calls.FD_STDERR, calls.FD_JOURNAL):
        return calls.EBADF, NOTHING
    _check_range(state, buffer, length)
    if state.memory.covers(buffer, length):
        state.check_memory(BUFFER_FACTOR * length)
    data = state.memory.peek(buffer, length)
    if data is None:
        outside = state.memory.first_outside(buffer)
        what = f"write({fd}, 0x{buffer:08x}, {length}) reads address 0x{outside:08x}, which is outside memory"
        raise outside_memory(state, outside, what)
    state.host_bytes += length
    if fd != calls.FD_JOURNAL:
        host.output[fd] += data
        if fd in host.sinks:
            host.sinks[fd](data)
        return length, NOTHING
    index = int(state.registers[JOURNAL])
    record["journal_pointer"], record["count"] = index, length
    record["t_journal"] = state.access_register(JOURNAL, state.time)
    state.registers[JOURNAL] = index + length
    rows, _ = _chain(state, buffer, length)
    rows["new"] = rows["old"]
    rows["index"] = index + length - rows["remaining"]
    host.journal += data
    return length, rows


def _tensor(state: MachineState, host: Host, record: Record) -> Outcome:
    """tensor: the operation that the descriptor at a0 names; the id of the call, and how many results were cut."""
    registers = (record["a0"], record["a1"], record["a2"])
    result, *counts = run_call(state, host.tensors, len(host.ecalls), registers, host.take)
    for name, count in zip(("a1", "a2"), counts, strict=True):
        state.registers[REGISTERS[name]] = count
    return result, NOTHING


def _permute(state: MachineState, host: Host, record: Record) -> Outcome:
    """permute: the words at a0 become what Poseidon2 makes of them; 0."""
    rows, elements = run_permutation(state, record["a0"])
    if state.trace:
        host.permuted.append(rows)
        host.permutations.append(elements)
        state.host_bytes += rows.nbytes + elements.nbytes
    return 0, NOTHING


def _blake3(state: MachineState, host: Host, record: Record) -> Outcome:
    """blake3: one compression of the words at a0; 0."""
    return 0, compress_words(state, record["a0"])


def _brk(state: MachineState, host: Host, record: Record) -> Outcome:
    """brk: move the break within the heap; the break then."""
    current, start, limit = (int(state.registers[index]) for index in (BREAK, HEAP_START, HEAP_LIMIT))
    record["break_"], record["heap_start"], record["heap_limit"] = current, start, limit
    for name, index in (("t_break", BREAK), ("t_heap_start", HEAP_START), ("t_heap_limit", HEAP_LIMIT)):
        record[name] = state.access_register(index, state.time)
    result = record["a0"] if start <= record["a0"] <= limit else current
    state.registers[BREAK] = result
    return result, NOTHING


HOST: dict[calls.Call, Callable[[MachineState, Host, Record], Outcome]] = {
    calls.READ: _read,
    calls.WRITE: _write,
    calls.EXIT: _exit,
    calls.EXIT_GROUP: _exit,
    calls.BRK: _brk,
    calls.CYCLES: _cycles,
    calls.TENSOR: _tensor,
    calls.PERMUTE: _permute,
    calls.BLAKE3: _blake3,
    calls.UNKNOWN: _unknown,
}
"""What the host does in each call: complete its record, return the result."""


def _check_range(state: MachineState, buffer: int, length: int) -> None:
    if buffer + length > 1 << 32:
        raise trap(state, "outside_memory", f"the buffer at 0x{buffer:08x} of {length} bytes reaches past 2^32")


def _chain(state: MachineState, buffer: int, count: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Rows and page positions of the words that hold bytes [buffer, buffer + count); the words are accessed.

    ``new`` and ``index`` are left to the caller.
    """
    end = buffer + count
    words = np.arange(buffer // 4, -(-end // 4) if count else buffer // 4, dtype=np.int64)
    positions = state.memory.locate(words) if count else words
    if np.any(positions < 0):
        outside = 4 * int(words[np.argmax(positions < 0)])
        raise outside_memory(state, outside, f"the buffer at 0x{buffer:08x} of {count} bytes is outside memory at 0x{outside:08x}")
    state.check_memory()
    rows = np.zeros(len(words), CHAIN_ROW)
    rows["time"] = state.time
    rows["address"] = np.maximum(4 * words, buffer)
    rows["remaining"] = end - np.maximum(4 * words, buffer)
    rows["count"] = np.minimum(4 * words + 4, end) - np.maximum(4 * words, buffer)
    rows["old"] = state.memory.values[positions]
    rows["rom"] = state.memory.origins[positions] == ROM
    ram = np.flatnonzero(rows["rom"] == 0)
    rows["t_prev"][ram] = state.access_words(positions[ram], words[ram], state.time + 1)
    return rows, positions


def _spliced(old: NDArray[np.uint32], offset: int, data: bytes) -> NDArray[np.uint32]:
    """Words ``old`` with ``data`` written over their bytes from ``offset`` on."""
    content = bytearray(old.astype("<u4").tobytes())
    content[offset : offset + len(data)] = data
    return np.frombuffer(bytes(content), "<u4").astype(np.uint32)
