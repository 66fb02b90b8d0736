"""The state of a running guest: the arrays that interpreter and system calls share, and how an access is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import GuestTrap, LimitError
from zkvm.riscv.isa import opcodes
from zkvm.riscv.isa.disasm import disassemble, foreign
from zkvm.riscv.isa.rv32im import REGISTER_NAMES
from zkvm.riscv.isa.semantics import LOADS, REGISTER_FORM, STORES, TAKEN
from zkvm.riscv.kernels import interpreter as kernel
from zkvm.riscv.records import REFRESH, STEP, Image
from zkvm.riscv.vm.memory import PAGE_COUNT, PAGE_WORDS, PagedMemory, distinct_pages

FIRST_CAPACITY = 1 << 22
"""Records that the first buffers hold: 300 MB of address space, of which only what is filled takes memory."""
STACK_POINTER = 2
"""Its register."""
MAX_GAP = 1 << 16
"""A time may be at most this much later than the previous time of its address: else a refresh goes between."""
UNTOUCHED = 1 << 63
"""In a segment of a run, the time of what was not accessed yet. It is later than any time, so that a first access takes the way of one
that comes too late (times are unsigned): it leaves a REFRESH record with this time and the value that the word had, and goes on as if
the access before had been one time step earlier. Those records are no refreshes: they are what :mod:`zkvm.riscv.vm.cuts` reads the
segment's words from."""
GIB = 1 << 30


class MachineState:
    """One run of one image.

    Attributes:
        image: the program.
        trace: whether the run is recorded.
        max_memory: bytes that the run may take; None: no limit.
        host_bytes: what the host holds of the run: its output, journal and calls.
        memory: the guest's words.
        registers: (38,) uint32 by register index (bus address less 2^32); the last is scratch.
        register_times: (38,) uint64 times of last access.
        counters: (6,) uint64: row, time, cycles, records, refreshes, fault address (positions in ``kernels/interpreter.py``).
        steps: buffer of STEP records, filled up to the counter.
        refreshes: buffer of REFRESH records, filled up to the counter.
        program: program rows as the interpreter reads them, see :func:`decode_program`; so are the next two.
        code_pages: pages that hold code.
        code_rows: program rows by page and word.
    """

    def __init__(self, image: Image, *, trace: bool, max_memory: int | None, untouched: int = 0) -> None:
        self.image = image
        self.trace = trace
        self.max_memory = max_memory
        self.host_bytes = 0
        self.memory = PagedMemory(image, track_times=trace, untouched=untouched)
        self.registers: NDArray[np.uint32] = np.zeros(kernel.NO_REGISTER + 1, np.uint32)
        self.registers[: opcodes.REGISTER_COUNT] = image.ram_value[-opcodes.REGISTER_COUNT :]
        self.register_times: NDArray[np.uint64] = np.full(kernel.NO_REGISTER + 1, untouched, np.uint64)
        self.counters: NDArray[np.uint64] = np.zeros(6, np.uint64)
        self.counters[kernel.TIME] = opcodes.FIRST_TIME
        self.program, self.code_pages, self.code_rows = decode_program(image.program)
        self.steps: NDArray[Any] = np.empty(FIRST_CAPACITY if trace else 0, STEP)
        self.refreshes: NDArray[Any] = np.empty(FIRST_CAPACITY // 4 if trace else 0, REFRESH)
        self.counters[kernel.ROW] = self.row_of(image.entry)

    @property
    def row(self) -> int:
        """Program row of the current instruction."""
        return int(self.counters[kernel.ROW])

    @property
    def time(self) -> int:
        """State time of the current instruction."""
        return int(self.counters[kernel.TIME])

    @property
    def cycles(self) -> int:
        """Instructions executed so far."""
        return int(self.counters[kernel.CYCLES])

    @property
    def pc(self) -> int:
        """Address of the current instruction."""
        return int(self.image.program["pc"][self.row])

    def row_of(self, pc: int) -> int:
        """Program row at ``pc``, -1 if there is none."""
        page = int(self.code_pages[pc >> 12])
        return int(self.code_rows[page, pc >> 2 & (PAGE_WORDS - 1)]) if page >= 0 and pc % 4 == 0 else -1

    def advance(self, time: int) -> None:
        """Finish the current instruction without recording it and go to the next, ``time`` later.

        Raises:
            GuestTrap: nothing follows.
        """
        self.counters[kernel.CYCLES] += np.uint64(1)
        self.counters[kernel.TIME] += np.uint64(time)
        following = int(self.program["next"][self.row])
        if following < 0:
            raise missing_instruction(self, self.pc + 4)
        self.counters[kernel.ROW] = following

    def access_register(self, index: int, time: int) -> int:
        """Record an access of a register at ``time``; the time before it, after a refresh if one was needed."""
        if not self.trace:
            return 0
        before = int(self.register_times[index])
        if 0 <= time - before <= MAX_GAP:
            self.register_times[index] = time
            return before
        address, position = np.array([opcodes.REGISTER_BASE + index], np.uint64), np.array([index], np.int64)
        return int(self._access(self.register_times, self.registers, position, address, time)[0])

    def access_words(self, positions: NDArray[np.int64], words: NDArray[np.int64], time: int) -> NDArray[np.uint64]:
        """The same for distinct words of memory, all at ``time``: (n,) positions in the page arrays, (n,) word indices."""
        if not self.trace:
            return np.zeros(len(positions), np.uint64)
        return self._access(self.memory.times, self.memory.values, positions, 4 * words.astype(np.uint64), time)

    def _access(
        self, times: NDArray[np.uint64], values: NDArray[np.uint32], positions: NDArray[np.int64], addresses: NDArray[np.uint64], time: int
    ) -> NDArray[np.uint64]:
        before = times[positions]
        times[positions] = time
        late = np.flatnonzero(time - before > MAX_GAP)
        if late.size:
            filled = int(self.counters[kernel.REFRESHES])
            self.reserve(0, late.size)
            new = self.refreshes[filled : filled + late.size]
            new["address"], new["value"] = addresses[late], values[positions[late]]
            new["t_prev"], new["time"] = before[late], time - 1
            self.counters[kernel.REFRESHES] = filled + late.size
            before[late] = time - 1
        return before

    def reserve(self, steps: int, refreshes: int) -> None:
        """Make room for so many more records.

        Raises:
            LimitError: the memory limit is reached.
        """
        filled_steps, filled_refreshes = int(self.counters[kernel.STEPS]), int(self.counters[kernel.REFRESHES])
        if filled_steps + steps > len(self.steps):
            self.check_memory(filled_steps * STEP.itemsize)  # while they are copied, there are two of each
        self.steps = _grown(self.steps, filled_steps, steps)
        self.refreshes = _grown(self.refreshes, filled_refreshes, refreshes)
        self.check_memory()

    def check_memory(self, more: int = 0) -> None:
        """Compare what records, pages and host take with the limit.

        Args:
            more: bytes that are about to be taken.

        Raises:
            LimitError: it is above.
        """
        records = int(self.counters[kernel.STEPS]) * STEP.itemsize + int(self.counters[kernel.REFRESHES]) * REFRESH.itemsize
        used = records + self.memory.nbytes + self.host_bytes + more
        if self.max_memory is not None and used > self.max_memory:
            where = f"after {self.cycles} cycles, in {symbol_at(self.image, self.pc)}"
            raise LimitError(
                f"execution needs {used / GIB:.2f} GiB {where}, for the guest's memory, its output and the records of a proof, and "
                f"{self.max_memory / GIB:.2f} GiB may be used: raise --max-memory if there is more, or look for an endless loop"
            )


def _grown(buffer: NDArray[Any], filled: int, extra: int) -> NDArray[Any]:
    """A buffer with room for ``extra`` more records: the same one or one at least twice as long."""
    if filled + extra <= len(buffer):
        return buffer
    new = np.empty(max(2 * len(buffer), filled + extra), buffer.dtype)
    new[:filled] = buffer[:filled]
    return new


def decode_program(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.int32]]:
    """Program rows as the interpreter reads them.

    Returns:
        program: (n,) :data:`zkvm.riscv.kernels.interpreter.DECODED`.
        code_pages: (2^20,) int32, by pc >> 12 the page's place in ``code_rows``, -1 if it holds no code.
        code_rows: (k, 1024) int32, by word of the page the row in ``program``, -1 if there is none.
    """
    op, pc = rows["op"].astype(np.int64), rows["pc"].astype(np.int64)
    pages = distinct_pages(pc // (4 * PAGE_WORDS))
    code_pages = np.full(PAGE_COUNT, -1, np.int32)
    code_pages[pages] = np.arange(len(pages))
    slots = code_pages[pc // (4 * PAGE_WORDS)]
    code_rows = np.full((len(pages), PAGE_WORDS), -1, np.int32)
    code_rows[slots, pc // 4 % PAGE_WORDS] = np.arange(len(rows))

    def find(targets: NDArray[np.int64]) -> NDArray[np.int32]:
        page = code_pages[targets >> 12]
        found = code_rows[page, targets // 4 % PAGE_WORDS] if len(pages) else page
        return np.where((page >= 0) & (targets % 4 == 0), found, -1)

    out = np.zeros(len(rows), kernel.DECODED)
    kinds = _kinds()[op]
    jumps = (kinds == kernel.BRANCH) | (kinds == kernel.JUMP)
    is_read = {"rs1": rows["rs1"] >= opcodes.REGISTER_BASE, "rs2": rows["rs2"] >= opcodes.REGISTER_BASE}
    for name in ("rs1", "rs2"):
        out[name] = np.where(is_read[name], rows[name] & np.uint64(255), 0)
    out["rd"] = np.where(rows["rd"] > 0, rows["rd"] & np.uint64(255), kernel.NO_REGISTER)
    out["reads"] = is_read["rs1"] + 2 * is_read["rs2"]
    register_form = np.arange(256)
    for immediate, register in REGISTER_FORM.items():
        register_form[immediate] = register
    out["op"], out["kind"], out["imm"], out["pc"] = register_form[op], kinds, rows["imm"], pc
    out["next"] = find(pc + 4)
    out["target"] = np.where(jumps, find(np.where(jumps, rows["imm"].astype(np.int64), 0)), -1)
    return out, code_pages, code_rows


def _kinds() -> NDArray[np.uint8]:
    """(256,) the interpreter's kind of each operation."""
    kinds = np.full(256, kernel.COMPUTE, np.uint8)
    kinds[list(LOADS)], kinds[list(STORES)], kinds[list(TAKEN)] = kernel.LOAD, kernel.STORE, kernel.BRANCH
    kinds[opcodes.JAL], kinds[opcodes.JALR] = kernel.JUMP, kernel.JUMP_REGISTER
    kinds[opcodes.ECALL], kinds[opcodes.TRAP] = kernel.CALL, kernel.STOP
    return kinds


def trap(state: MachineState, kind: str, what: str, pc: int | None = None) -> GuestTrap:
    """A GuestTrap that shows the place: pc (the current instruction's unless given), symbol, instruction, registers."""
    at = state.pc if pc is None else pc
    word = state.memory.peek(at & ~3, 4)
    text = disassemble(int.from_bytes(word, "little"), at) if word else "(no memory)"
    lines = [f"{what}", f"  at pc 0x{at:08x} <{symbol_at(state.image, at)}> after {state.cycles} cycles: {text}"]
    for first in range(0, 32, 4):
        values = (f"{REGISTER_NAMES[i]:>4} = 0x{int(state.registers[i]):08x}" for i in range(first, first + 4))
        lines.append("  " + "  ".join(values))
    return GuestTrap(kind, "\n".join(lines), at, state.cycles)


def outside_memory(state: MachineState, address: int, what: str) -> GuestTrap:
    """The trap for an access of ``address``, which belongs to nothing; ``what`` tells the access.

    It is a stack overflow if the address is in the guard and the stack pointer has left the stack: a stray pointer into the guard is not.
    """
    image = state.image
    if image.heap_limit <= address < image.stack_floor and int(state.registers[STACK_POINTER]) < image.stack_floor:
        return trap(state, "stack_overflow", f"stack overflow: {what}; the stack reaches down to 0x{image.stack_floor:08x}")
    if image.tensors is not None and image.tensors.holds(address):
        what += ": it holds constants that only tensor calls read"
    return trap(state, "outside_memory", what)


def symbol_at(image: Image, pc: int) -> str:
    """``name+offset`` of the function that holds ``pc``; ``?`` if no symbol is at or below it."""
    below = [symbol for symbol in image.symbols if symbol[0] <= pc]
    if not below:
        return "?"
    address, name = below[-1]
    return f"{name}+0x{pc - address:x}" if pc > address else name


def missing_instruction(state: MachineState, target: int) -> GuestTrap:
    """The trap for going to ``target``, where the program has no row."""
    target &= 0xFFFF_FFFF
    if target % 4:
        return trap(state, "misaligned_jump", f"jump to 0x{target:08x}, which is not a multiple of 4")
    here = np.flatnonzero(state.image.rom_address == target)
    if len(here):
        what = foreign(int(state.image.rom_value[here[0]]))
        return trap(state, "illegal_instruction", f"illegal instruction at 0x{target:08x}: {what}", target)
    return trap(state, "jump_outside_program", f"execution goes to 0x{target:08x}, which is outside the program")
