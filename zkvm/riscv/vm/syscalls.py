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

from zkvm.riscv.isa import opcodes, semantics
from zkvm.riscv.kernels import interpreter as kernel
from zkvm.riscv.records import CHAIN_ROW, ECALL
from zkvm.riscv.vm.memory import ROM
from zkvm.riscv.vm.state import MachineState, trap

A0, A1, A2, A7 = 10, 11, 12, 17
JOURNAL, BREAK, HEAP_START, HEAP_LIMIT = (
    address - opcodes.REGISTER_BASE for address in (opcodes.JOURNAL_POINTER, opcodes.BREAK, opcodes.HEAP_START, opcodes.HEAP_LIMIT)
)
"""Register indices."""

Sink = Callable[[bytes], object]
"""Called with the bytes that the guest writes to its standard output or error, as they come."""


@dataclass(slots=True)
class Host:
    """The outside of a run: what the guest reads, what it wrote so far, and the records of its calls."""

    stdin: bytes
    sinks: dict[int, Sink]
    position: int = 0
    journal: bytearray = field(default_factory=bytearray)
    output: dict[int, bytearray] = field(default_factory=lambda: {opcodes.FD_STDOUT: bytearray(), opcodes.FD_STDERR: bytearray()})
    ecalls: list[tuple[int, ...]] = field(default_factory=list)
    reads: list[NDArray[Any]] = field(default_factory=list)
    writes: list[NDArray[Any]] = field(default_factory=list)


def handle_call(state: MachineState, host: Host) -> bool:
    """Execute the ecall at the current row; whether the run goes on.

    Raises:
        GuestTrap: a buffer is not in memory, or a read would change ROM.
    """
    call = dict.fromkeys(ECALL.names or (), 0)
    a7, a0, a1, a2 = (int(state.registers[index]) for index in (A7, A0, A1, A2))
    call["row"], call["time"] = state.row, state.time
    call["a7"], call["a0"], call["a1"], call["a2"] = a7, a0, a1, a2
    accessed = [("t_a7", A7), ("t_a0", A0)]
    if a7 not in (opcodes.SYS_EXIT, opcodes.SYS_EXIT_GROUP, opcodes.SYS_BRK):
        accessed += [("t_a1", A1), ("t_a2", A2)]
    for name, index in accessed:
        call[name] = state.access_register(index, state.time)
    rows = np.zeros(0, CHAIN_ROW)
    if a7 in (opcodes.SYS_EXIT, opcodes.SYS_EXIT_GROUP):
        result = a0
    elif a7 == opcodes.SYS_READ:
        result, rows = _read(state, host, a0, a1, a2)
        call["count"] = result if len(rows) else 0
        host.position += call["count"]
    elif a7 == opcodes.SYS_WRITE:
        result, rows = _write(state, host, call, a0, a1, a2)
    elif a7 == opcodes.SYS_BRK:
        result = _brk(state, call, a0)
    elif a7 == opcodes.SYS_CYCLES:
        result = state.cycles & semantics.MASK32
    else:
        result = opcodes.ENOSYS
    call["result"] = result
    state.registers[A0] = result
    if state.trace:
        host.ecalls.append(tuple(call.values()))
        if len(rows):
            (host.reads if a7 == opcodes.SYS_READ else host.writes).append(rows)
    if a7 in (opcodes.SYS_EXIT, opcodes.SYS_EXIT_GROUP):
        state.counters[kernel.CYCLES] += np.uint64(1)
        return False
    state.advance(opcodes.TIME_STEP)
    return True


def _read(state: MachineState, host: Host, fd: int, buffer: int, length: int) -> tuple[int, NDArray[Any]]:
    """read: as many bytes as are left, at most ``length``; 0 at the end of the input."""
    if fd != opcodes.FD_INPUT:
        return opcodes.EBADF, np.zeros(0, CHAIN_ROW)
    _check_range(state, buffer, length)
    data = host.stdin[host.position : host.position + length]
    rows, positions = _chain(state, buffer, len(data))
    if np.any(rows["rom"]):
        raise trap(state, "store_to_rom", f"read(0, 0x{buffer:08x}, {length}) would write to read-only memory")
    if not len(rows):
        return 0, rows
    state.memory.values[positions] = _spliced(rows["old"], buffer % 4, data)
    rows["new"] = state.memory.values[positions]
    return len(data), rows


def _write(state: MachineState, host: Host, call: dict[str, int], fd: int, buffer: int, length: int) -> tuple[int, NDArray[Any]]:
    """write: to the journal, which is proven, or to the host, which is not."""
    none = np.zeros(0, CHAIN_ROW)
    if fd not in (opcodes.FD_STDOUT, opcodes.FD_STDERR, opcodes.FD_JOURNAL):
        return opcodes.EBADF, none
    _check_range(state, buffer, length)
    data = state.memory.peek(buffer, length)
    if data is None:
        raise trap(state, "outside_memory", f"write({fd}, 0x{buffer:08x}, {length}) reads outside memory")
    if fd != opcodes.FD_JOURNAL:
        host.output[fd] += data
        if fd in host.sinks:
            host.sinks[fd](data)
        return length, none
    index = int(state.registers[JOURNAL])
    call["journal_pointer"], call["count"] = index, length
    call["t_journal"] = state.access_register(JOURNAL, state.time)
    state.registers[JOURNAL] = index + length
    rows, _ = _chain(state, buffer, length)
    rows["new"] = rows["old"]
    rows["index"] = index + length - rows["remaining"]
    host.journal += data
    return length, rows


def _brk(state: MachineState, call: dict[str, int], address: int) -> int:
    """brk: move the break within the heap; the break then."""
    current, start, limit = (int(state.registers[index]) for index in (BREAK, HEAP_START, HEAP_LIMIT))
    call["break_"], call["heap_start"], call["heap_limit"] = current, start, limit
    for name, index in (("t_break", BREAK), ("t_heap_start", HEAP_START), ("t_heap_limit", HEAP_LIMIT)):
        call[name] = state.access_register(index, state.time)
    result = address if start <= address <= limit else current
    state.registers[BREAK] = result
    return result


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
        raise trap(state, "outside_memory", f"the buffer at 0x{buffer:08x} of {count} bytes is outside memory at 0x{outside:08x}")
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
