"""Segments of a program -> its image: program rows, RAM image, ROM and gaps.

Memory map: read-only segments are ROM, file data of writable segments is the RAM image, constants of tensor calls
(:mod:`zkvm.riscv.vm.constants`) are no memory. Above the last segment are two zero-initialised regions, the heap and the stack, with a
guard between them:

========================  ===========================================================================================
end of the last segment   heap, upwards to its limit
stack floor - 8 MiB       guard: belongs to nothing, so no access of it can be proven
stack floor               stack, 8 MiB, downwards to its floor
stack floor + 8 MiB       top of memory: nothing above
========================  ===========================================================================================

The stack's floor is 256 MiB, or, for programs linked higher, the first multiple of 256 MiB that leaves room for a heap. The stack is not
below the program, where running out would end at the null page: programs of other toolchains are linked at low addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import ElfError
from zkvm.riscv.isa import calls, opcodes
from zkvm.riscv.isa.disasm import foreign
from zkvm.riscv.isa.simplify import simplify
from zkvm.riscv.records import Image
from zkvm.riscv.vm.constants import tensor_constants
from zkvm.riscv.vm.segment import Segment, Words
from zkvm.stark.crypto.hashes import blake3

FLOOR_STEP = 1 << 28
"""The stack's floor is a multiple of this, 256 MiB."""
HIGHEST_FLOOR = 0xF000_0000
"""Only a stack is above this address, so that no address computed near the top of memory wraps around 2^32."""
LOWEST_ADDRESS = 0x1000
"""The null page belongs to nothing: a null pointer traps."""
STACK_BYTES = 8 << 20
"""Size of the stack."""
GUARD_BYTES = STACK_BYTES
"""Size of the guard between heap and stack: no frame that would fit the stack reaches over it, whether the compiler probes or not."""
INITIAL_STACK_BYTES = 32
"""Zero bytes above the initial sp: argc, the ends of argv and envp, and a two-word end of auxv, kept 16-aligned."""
MAX_SEGMENT_BYTES = 1 << 30
"""Bound on the memory size of one segment, checked before anything is allocated for it."""
MAX_ROM_BYTES = 1 << 27
"""Bound on all read-only segments together: every word of them is an entry of a table whose height the proof system bounds."""
TENSORS = calls.TENSOR in calls.CALLS
"""Whether the machine has tensor calls."""
MAX_RANGES = 64
"""Most zero-initialised ranges, as in an image's header."""

CONTENT_DOMAIN = b"zkvm/content/1"


@dataclass(frozen=True, slots=True)
class Program:
    """What a loader hands over: segments, entry pc, sorted (address, name) of functions."""

    segments: tuple[Segment, ...]
    entry: int
    symbols: tuple[tuple[int, str], ...] = ()


def build_image(program: Program, *, tensors: bool = TENSORS) -> Image:
    """The image of a program.

    Args:
        program: its segments and entry.
        tensors: whether the machine has tensor calls.

    Raises:
        ElfError: the segments do not fit this machine (place, overlap, permissions, entry).
    """
    segments = tuple(sorted((s for s in program.segments if s.size), key=lambda s: s.address))
    check_segments(segments, program.entry)
    constants = tensor_constants(segments)
    floor = _stack_floor(segments)
    heap_limit, top = floor - GUARD_BYTES, floor + STACK_BYTES
    ram_index, ram_value = _merge([s.words() for s in segments if s.writable and s.data])
    rom_index, rom_value = _merge([_all_words(s) for s in segments if not s.writable and not (s.kind and tensors)])
    end = max(s.end for s in segments)
    heap_start = -(-end // 16) * 16
    bss = [((s.address + len(s.data)) // 4, -(-s.end // 4)) for s in segments if s.writable]
    gaps = _gaps([*bss, (-(-end // 4), heap_limit // 4), (floor // 4, top // 4)], ram_index)
    check_gaps(gaps, np.concatenate([ram_index, rom_index]))
    rows = np.concatenate([simplify(*_instructions(s)) for s in segments if s.executable])
    if not np.any(rows["pc"] == program.entry):
        word = int(rom_value[np.searchsorted(rom_index, program.entry // 4)])
        raise ElfError(f"entry point 0x{program.entry:x} holds no RV32IM instruction but {foreign(word)}")
    initial_sp = top - INITIAL_STACK_BYTES
    registers = _initial_registers(initial_sp, heap_start, heap_limit)
    register_addresses = opcodes.REGISTER_BASE + np.arange(opcodes.REGISTER_COUNT, dtype=np.uint64)
    return Image(
        program=rows,
        ram_address=np.concatenate([4 * ram_index.astype(np.uint64), register_addresses]),
        ram_value=np.concatenate([ram_value.astype(np.uint64), registers]),
        rom_address=4 * rom_index.astype(np.uint64),
        rom_value=rom_value.astype(np.uint64),
        gaps=gaps,
        entry=program.entry,
        initial_sp=initial_sp,
        heap_start=heap_start,
        heap_limit=heap_limit,
        identify=partial(content_id, program),
        symbols=program.symbols,
        tensors=constants if tensors else None,
    )


def content_id(program: Program) -> bytes:
    """BLAKE3 of (domain, entry, then of each segment by address: address, size, data size, permissions and kind, data), little-endian."""
    parts = [CONTENT_DOMAIN, program.entry.to_bytes(4, "little")]
    for segment in sorted(program.segments, key=lambda s: s.address):
        header = (segment.address, segment.size, len(segment.data), segment.writable + 2 * segment.executable + 4 * segment.kind)
        parts += [*(number.to_bytes(8, "little") for number in header), segment.data]
    return blake3(b"".join(parts))


def check_segments(segments: tuple[Segment, ...], entry: int) -> None:
    """Refuse segments (ascending address) that cannot be given one origin per word, and an entry that no instruction has.

    Raises:
        ElfError: says which segment and why.
    """
    for segment in segments:
        if segment.size > MAX_SEGMENT_BYTES:
            raise ElfError(f"{segment} is {segment.size} bytes long; the limit is {MAX_SEGMENT_BYTES}")
        if segment.executable and segment.end > 0xFFFF_FFFC:
            raise ElfError(f"{segment} is executable and reaches 2^32 - 4: pc + 4 would not fit 32 bits")
        if segment.address < LOWEST_ADDRESS or segment.end > HIGHEST_FLOOR:
            raise ElfError(f"{segment} is outside the memory [0x{LOWEST_ADDRESS:x}, 0x{HIGHEST_FLOOR:x})")
        if segment.writable and segment.executable:
            raise ElfError(f"{segment} is both writable and executable: separate text from data when linking")
        if segment.executable and segment.address % 4:
            raise ElfError(f"{segment} is executable and not aligned to 4 bytes")
    rom_bytes = sum(segment.size for segment in segments if not segment.writable)
    if rom_bytes > MAX_ROM_BYTES:
        raise ElfError(f"the read-only segments have {rom_bytes} bytes together; the limit is {MAX_ROM_BYTES}")
    for below, above in zip(segments, segments[1:], strict=False):
        if above.address < below.end:
            raise ElfError(f"{below} and {above} overlap")
        if below.writable != above.writable and above.address // 4 < -(-below.end // 4):
            raise ElfError(f"{below} and {above} share a word, but only one of them is writable")
    home = [s for s in segments if s.executable and s.address <= entry and entry + 4 <= s.address + len(s.data)]
    if entry % 4 or not home:
        raise ElfError(f"entry point 0x{entry:x} is not an aligned address in the data of an executable segment")


def check_gaps(gaps: tuple[tuple[int, int], ...], origins: Words) -> None:
    """Refuse gaps that are too many, not sorted, disjoint and below 2^30 words, or that hold a word with another origin.

    Args:
        gaps: [start, end) ranges, in words (byte address / 4).
        origins: (n,) word indices of RAM image and ROM, any order.

    Raises:
        ElfError: the segments of the program lead to such gaps.
    """
    if len(gaps) > MAX_RANGES:
        raise ElfError(f"the segments leave {len(gaps)} zero-initialised ranges; the limit is {MAX_RANGES}: link .bss in one piece")
    previous = 0
    for start, end in gaps:
        if not previous < start < end <= 1 << 30:
            raise ElfError(f"gap [0x{4 * start:x}, 0x{4 * end:x}) is empty, out of order or out of memory")
        if np.any((origins >= start) & (origins < end)):
            raise ElfError(f"gap [0x{4 * start:x}, 0x{4 * end:x}) holds words of the RAM image or of ROM")
        previous = end
    ordered = np.sort(origins)
    if np.any(ordered[1:] == ordered[:-1]):
        raise ElfError("a word belongs to RAM and to ROM")


def _stack_floor(segments: tuple[Segment, ...]) -> int:
    """Lowest address of the stack: a multiple of 256 MiB with room for the guard, and for a heap of its size, above the last segment."""
    end = max(segment.end for segment in segments)
    floor = -(-(end + 2 * GUARD_BYTES) // FLOOR_STEP) * FLOOR_STEP
    if floor > HIGHEST_FLOOR:
        raise ElfError(f"the program ends at 0x{end:x}: no room for a stack, whose floor is at most 0x{HIGHEST_FLOOR:x}")
    return floor


def _all_words(segment: Segment) -> tuple[Words, Words]:
    """Words of a read-only segment, the zeros behind its data included."""
    index, value = segment.words() if segment.data else (np.empty(0, np.int64), np.empty(0, np.int64))
    tail = np.arange(index[-1] + 1 if index.size else segment.address // 4, -(-segment.end // 4), dtype=np.int64)
    return np.concatenate([index, tail]), np.concatenate([value, np.zeros_like(tail)])


def _merge(parts: list[tuple[Words, Words]]) -> tuple[Words, Words]:
    """Words of several segments, ascending; where two share a word their bytes do not overlap, so the values add up."""
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    index = np.concatenate([part[0] for part in parts])
    value = np.concatenate([part[1] for part in parts])
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    first = np.flatnonzero(np.concatenate([np.ones(min(len(ordered), 1), np.bool_), ordered[1:] != ordered[:-1]]))
    return ordered[first], np.add.reduceat(value[order], first) if first.size else value


def _gaps(ranges: list[tuple[int, int]], taken: Words) -> tuple[tuple[int, int], ...]:
    """Disjoint ascending ranges of words: the union of ``ranges`` less ``taken`` words at their ends, joined where they touch."""
    gaps: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        start = max(start, gaps[-1][1] if gaps else 0)
        while start < end and np.any(taken == start):
            start += 1
        while start < end and np.any(taken == end - 1):
            end -= 1
        if start >= end:
            continue
        if gaps and gaps[-1][1] == start:
            gaps[-1] = (gaps[-1][0], end)
        else:
            gaps.append((start, end))
    return tuple(gaps)


def _instructions(segment: Segment) -> tuple[Words, Words]:
    """Addresses and values of the whole words in an executable segment's data."""
    values = np.frombuffer(segment.data[: len(segment.data) // 4 * 4], "<u4").astype(np.int64)
    return segment.address + 4 * np.arange(len(values), dtype=np.int64), values


def _initial_registers(initial_sp: int, heap_start: int, heap_limit: int) -> NDArray[np.uint64]:
    """(37,) initial values, in address order."""
    registers = np.zeros(opcodes.REGISTER_COUNT, np.uint64)
    registers[2] = initial_sp
    registers[opcodes.BREAK - opcodes.REGISTER_BASE] = heap_start
    registers[opcodes.HEAP_START - opcodes.REGISTER_BASE] = heap_start
    registers[opcodes.HEAP_LIMIT - opcodes.REGISTER_BASE] = heap_limit
    return registers
