"""A run that uses every chip, for tests that look at all of them; and a long one."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import cache

from tests.riscv.vm.tensor_programs import bounds, channel_bytes, vector_bytes
from tests.sample_moves import COMBINED_WORDS, FUNCTION_BYTES, MOVED_WORDS, PATTERN_BYTES, Calls, combinations, moves
from tests.sample_private import MADE_INPUT, PRIVATE, digested_calls, private_calls
from tests.sample_windows import WINDOW_WORDS, window_calls
from tests.states import EDGES, before, state_bytes
from zkvm.riscv.isa.calls import BLAKE3, BLAKE3_WORDS, PERMUTE, TENSOR
from zkvm.riscv.isa.tensors import EXPORT, IMPORT, LINEAR, LOAD, Descriptor
from zkvm.riscv.records import Execution, Image
from zkvm.riscv.vm.assemble import CHANNELS, DATA, EXIT, VECTORS, Item, assemble
from zkvm.riscv.vm.executor import execute

WORDS = b"".join(word.to_bytes(4, "little") for word in (0xDEAD_BEEF, 0x8000_0001, 0x7FFF_80FE, 5, 0x0102_0304, 0xFFFF_FFFF, 9, 10))
IMPORTED = [[(1 + 37 * k * k + 1009 * v * (k + 3)) % 60000 - 30000 for k in range(8)] for v in range(11)]
IMPORTED += PRIVATE
INPUT = vector_bytes(IMPORTED) + MADE_INPUT + b"private input of the sample"

# --- tensor calls ------------------------------------------------------------------------------------------------------------------

LOADED = [-32768, 32767, 0, -1, 5, 600, -70, 8, 1, 2, -3, 4, -5, 6, 700, -800, 1, -32768, 32767]
"""Words that loads read: two vectors of eight, or the first lanes of three."""
LOADED_AT = DATA + 64
EXPORTED_AT = LOADED_AT + 4 * len(LOADED)
EXPORTED = 3 * 8 + 3
"""What is compressed."""
TAPS, OUTPUTS = 3, 19
CONSTANT = [[(7 * v * v + 11 * k + 3 * v * k) % 200 - 100 if 8 * (v // TAPS) + k < OUTPUTS else 0 for k in range(8)] for v in range(9)]
CHANNEL_LIST = [(1000 * c - 9000, (1 << 22) + c if c % 3 else -(1 << 25), 1 << 26) for c in range(32)]

CALLS: Calls = (
    (Descriptor(IMPORT, len(IMPORTED)), "s4", "zero", "zero", 0),
    *digested_calls(),
    (Descriptor(LOAD, 2, 8), "s5", "zero", "s0", LOADED_AT - DATA),
    (Descriptor(LOAD, 3, 1), "s6", "zero", "s0", LOADED_AT - DATA + 64),
    # Three blocks, hence a tile of two and one of one; channels 0 to 15 and 16 to 18; from the second vectors on.
    (Descriptor(LINEAR, 3, OUTPUTS, TAPS, 16, TAPS, VECTORS, TAPS, CHANNELS, bounds(-300, 500)), "s7", "s4", "zero", 0),
    # Four tiles that are proven together.
    (Descriptor(LINEAR, 4, 32, 2, 16, 1, VECTORS, 1, CHANNELS, bounds(-(2**15), 2**15 - 1)), "s9", "s4", "zero", 0),
    # The second operand is a tensor.
    (Descriptor(LINEAR, 2, 8, 2, 16, OUTPUTS, 0, 0, CHANNELS, bounds(-(2**15), 2**15 - 1)), "s8", "s7", "s5", 0),
    (Descriptor(EXPORT, 3, 8, 0, 16, 5), "s9", "s8", "s0", EXPORTED_AT - DATA),
    (Descriptor(EXPORT, 3, 1, 0, 0, 1), "s9", "s6", "s0", EXPORTED_AT - DATA + 4 * 24),
    (Descriptor(EXPORT, 4, 1, 0, 16 * 17, 2), "s9", "s7", "s2", 32),
    (Descriptor(EXPORT, 1, 8, 0, VECTORS, 0), "s9", "zero", "s0", EXPORTED_AT - DATA),
    (Descriptor(IMPORT, 0), "s9", "zero", "zero", 0),
    (Descriptor(LINEAR, 0, 1, 1, 0, 0, 0, 0, CHANNELS, bounds(0, 0)), "s9", "s7", "zero", 0),
    *moves(EXPORTED_AT - DATA + 4 * EXPORTED),
    *combinations(EXPORTED_AT - DATA + 4 * (EXPORTED + MOVED_WORDS)),
    *private_calls(len(IMPORTED) - len(PRIVATE)),
    *window_calls(len(IMPORTED) - len(PRIVATE), EXPORTED_AT - DATA + 4 * (EXPORTED + MOVED_WORDS + COMBINED_WORDS)),
)
"""Descriptor, register of the handle, registers of both operands, and what is added to the second: it is an address."""
FIRST = 3
"""So many calls come before anything else: they read the private input, or what such a call made."""

PERMUTED_AT = EXPORTED_AT + 4 * (EXPORTED + MOVED_WORDS + COMBINED_WORDS + WINDOW_WORDS)
STATES = state_bytes([2**64 - 1 - 37 * k for k in range(12)]) + state_bytes(before(EDGES))
COMPRESSED_AT = PERMUTED_AT + len(STATES)
COMPRESSED = b"".join((0x9E37_79B9 * (k + 1) % (1 << 32)).to_bytes(4, "little") for k in range(BLAKE3_WORDS))
"""Of the first one no element is canonical; the second one becomes the edge values."""


def plus(target: str, register: str, offset: int) -> list[Item]:
    """The sum of a register and a number, in steps that an instruction can say."""
    step = min(offset, 2047)
    return [("addi", target, register, step), *(plus(target, target, offset - step) if offset > step else [])]


def tensor_call(number: int, handle: str, first: str = "zero", second: str = "zero", offset: int = 0) -> list[Item]:
    """One of :data:`CALLS`, whose descriptor is in read-only memory."""
    items: list[Item] = [("mv", "a1", first), *plus("a0", "s1", len(WORDS) + 56 * number), *plus("a2", second, offset)]
    return [*items, ("li", "a7", TENSOR.number), ("ecall",), ("mv", handle, "a0")]


# --- programs ----------------------------------------------------------------------------------------------------------------------


def sample_program() -> list[Item]:
    """Every operation, with special operands, equal registers and writes to x0; every kind of system call."""
    items: list[Item] = [("la", "s0", "data"), ("la", "s1", "rodata"), ("la", "s2", "bss")]
    for call, (_, handle, first, second, offset) in enumerate(CALLS[:FIRST]):
        items += tensor_call(call, handle, first, second, offset)
    for number, (a, b) in enumerate([(5, 0xFFFF_FFFD), (0x8000_0000, 0xFFFF_FFFF), (0xFFFF_FFFF, 0xFFFF_FFFF), (77, 0), (0x8765_4321, 37)]):
        items += [("li", "a0", a), ("li", "a1", b)]
        for op in ("add", "sub", "slt", "sltu", "and", "or", "xor", "sll", "srl", "sra"):
            items.append((op, "a2", "a0", "a1"))
        for op in ("mul", "mulh", "mulhsu", "mulhu", "div", "divu", "rem", "remu"):
            items.append((op, "a3", "a0", "a1"))
        for op in ("addi", "slti", "sltiu", "andi", "ori", "xori"):
            items.append((op, "a4", "a0", -5 * number + 3))
        for op in ("slli", "srli", "srai"):
            items.append((op, "a5", "a1", 7 * number + 1))
        for op in ("beq", "bne", "blt", "bge", "bltu", "bgeu"):
            items += [(op, "a0", "a1", 8), ("addi", "zero", "a0", 1)]
        items += [("mul", "zero", "a0", "a0"), ("add", "a0", "a0", "a0")]
    for offset in range(4):
        items += [("lb", "a2", "s0", 8 + offset), ("lbu", "a2", "s1", offset), ("lbu", "a3", "s0", 12 + offset)]
        items += [("lb", "a3", "s1", 4 + offset), ("sb", "a0", "s0", 16 + offset)]
    for offset in (0, 2):
        items += [("lh", "a2", "s0", 8 + offset), ("lhu", "a2", "s1", offset), ("lhu", "a3", "s0", 12 + offset)]
        items += [("lh", "a3", "s1", 4 + offset), ("sh", "a1", "s0", 20 + offset)]
    items += [("lw", "a2", "s0", 8), ("lw", "a3", "s1", 4), ("sw", "a0", "s0", 24), ("addi", "s3", "s0", 0x40), ("lw", "zero", "s3", -0x40)]
    items += [("sw", "a1", "s2", 0), ("lw", "a4", "s2", 12), ("lw", "a4", "s2", 16), ("sw", "a1", "sp", -16)]
    items += [("jal", "ra", "function"), ("auipc", "t0", 0), ("jalr", "t0", "t0", 9), ("jal", "zero", 4)]
    calls = [
        (63, 0, "s0", 13), (63, 0, "s2", 9), (63, 0, "s0", 50), (63, 0, "s0", 50), (63, 0, "s2", 0), (63, 9, "s0", 4),
        (64, 3, "s0", 11), (64, 3, "s1", 6), (64, 3, "s0", 0), (64, 3, "s2", 5), (64, 1, "s0", 5), (64, 2, "s0", 5), (64, 0, "s0", 5),
        (64, 4, "s0", 5), (214, 0, "s0", 0), (1000, 0, "s0", 0), (0, 3, "s0", 0), (65, 0, "s0", 0), (4096, 0, "s0", 0),
    ]  # fmt: skip
    for number, fd, base, length in calls:
        items += [("li", "a7", number), ("li", "a0", fd), ("addi", "a1", base, 1 + number % 2), ("li", "a2", length), ("ecall",)]
    items += [("li", "a7", 214), ("li", "a0", 0), ("ecall",), ("addi", "a0", "a0", 64), ("ecall",), ("li", "a0", -1), ("ecall",)]
    items.append(("li", "a7", PERMUTE.number))
    for address in (PERMUTED_AT, PERMUTED_AT, PERMUTED_AT + 96):
        items += [("li", "a0", address), ("ecall",)]
    for offset in (-512, -1024):  # zeros twice
        items += [("addi", "a0", "sp", offset), ("ecall",)]
    for call, (_, handle, first, second, offset) in enumerate(CALLS[FIRST:], FIRST):
        items += tensor_call(call, handle, first, second, offset)
    for _ in range(2):  # what the first call wrote is the second one's chaining value
        items += [("la", "a0", COMPRESSED_AT), ("li", "a7", BLAKE3.number), ("ecall",)]
    items += [("li", "a0", 7), *EXIT, "function", ("jalr", "zero", "ra", 0)]
    return items


@cache
def sample_image() -> Image:
    """The sample program with its memory."""
    data = WORDS.ljust(64, b"\0") + struct.pack(f"<{len(LOADED)}i", *LOADED) + bytes(PERMUTED_AT - EXPORTED_AT)
    assert DATA + len(data) == PERMUTED_AT
    rodata = WORDS + b"".join(struct.pack("<14I", *descriptor) for descriptor, *_ in CALLS)
    return assemble(
        sample_program(),
        data=data + STATES + COMPRESSED,
        rodata=rodata,
        bss=64,
        vectors=vector_bytes(CONSTANT),
        channels=channel_bytes(CHANNEL_LIST),
        patterns=PATTERN_BYTES,
        functions=FUNCTION_BYTES,
    )


@cache
def sample_run() -> Execution:
    """The sample program's run: a few hundred steps, no refresh; tiles are proven four at once where that is possible."""
    run = execute(sample_image(), INPUT)
    return replace(run, tensor_calls=tuple(replace(call, wide=True) for call in run.tensor_calls))


@cache
def long_run() -> Execution:
    """A loop of 2^16 time steps around accesses of registers, RAM and the journal pointer: it needs refreshes."""
    items: list[Item] = [("la", "s0", "data"), ("li", "s1", 1), ("sw", "s0", "s0", 4), ("li", "t0", 8300)]
    items += ["loop", ("addi", "t0", "t0", -1), ("bnez", "t0", "loop"), ("add", "s1", "s1", "s1"), ("lw", "s2", "s0", 4)]
    items += [("li", "a7", 64), ("li", "a0", 3), ("mv", "a1", "s0"), ("li", "a2", 6), ("ecall",), ("li", "a0", 0), *EXIT]
    return execute(assemble(items, data=bytes(range(16))))
