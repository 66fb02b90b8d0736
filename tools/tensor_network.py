"""A tiny network in tensor calls, without a compiler: a layer, a function, a maximum. ``tools/make_vectors.py`` proves it.

Its input is two numbers at each of 16 positions, its journal one number for each: the largest of the magnitudes of three sums.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tests.riscv.vm.elf_files import EXECUTE, READ, WRITE, ElfSpec, Header
from zkvm.riscv.isa import calls
from zkvm.riscv.isa.tensors import APPLY, CHANNEL, EXPORT, IMPORT, INT16_OFFSET, LANES, LINEAR, MAXIMUM, Descriptor
from zkvm.riscv.vm import constants
from zkvm.riscv.vm.assemble import CHANNELS, DATA, EXIT, FUNCTIONS, RODATA, TEXT, VECTORS, Item, assemble_words
from zkvm.riscv.vm.elf import KIND_SHIFT

BLOCKS, TAPS, OUTPUTS = 2, 2, 3
BOUND = 120
"""Of the sums' quarters: some are cut."""
WORDS = BLOCKS * LANES
DESCRIPTOR_BYTES = 64
LIMITS = INT16_OFFSET - BOUND | (INT16_OFFSET + BOUND) << 16
STEPS = (
    Descriptor(IMPORT, BLOCKS * TAPS),
    Descriptor(LINEAR, BLOCKS, OUTPUTS, TAPS, 0, TAPS, VECTORS, TAPS, CHANNELS, LIMITS),
    Descriptor(APPLY, BLOCKS * OUTPUTS, x_stride=1, channel_list=FUNCTIONS - 2 * (INT16_OFFSET - BOUND)),
    Descriptor(MAXIMUM, BLOCKS, 0, OUTPUTS, 0, OUTPUTS, 0, 1),
    Descriptor(EXPORT, BLOCKS, LANES, 0, 0, 1),
)
"""Each of what the one before it has made."""
WEIGHTS = ((25, -9, 14), (-12, 20, 3))
"""By taps."""


def vector_bytes(vectors: Sequence[Sequence[int]]) -> bytes:
    """Vectors in memory."""
    return b"".join(struct.pack("<8h", *vector, *[0] * (LANES - len(vector))) for vector in vectors)


def network() -> bytes:
    """The program."""
    items: list[Item] = [("li", "s0", 0)]
    for number, step in enumerate(STEPS):
        second = DATA if step.operation == EXPORT else 0
        items += [("la", "a0", RODATA + DESCRIPTOR_BYTES * number), ("mv", "a1", "s0"), ("li", "a2", second)]
        items += [("li", "a7", calls.TENSOR.number), ("ecall",), ("mv", "s0", "a0")]
    items += [("li", "a0", calls.FD_JOURNAL), ("la", "a1", DATA), ("li", "a2", 4 * WORDS), ("li", "a7", calls.WRITE.number), ("ecall",)]
    words, _ = assemble_words([*items, ("li", "a0", 0), *EXIT], TEXT, {})
    channel = struct.pack("<qiI", 40, 1 << 30, 1 << 30)
    assert len(channel) == CHANNEL.itemsize
    entries = [abs(x) for x in range(-BOUND, BOUND + 1)]
    segments = [
        Header(TEXT, struct.pack(f"<{len(words)}I", *words), READ | EXECUTE),
        Header(RODATA, b"".join(struct.pack("<14I", *step).ljust(DESCRIPTOR_BYTES, b"\0") for step in STEPS), READ),
        Header(VECTORS, vector_bytes(WEIGHTS), READ | constants.VECTORS << KIND_SHIFT),
        Header(CHANNELS, channel * OUTPUTS, READ | constants.CHANNELS << KIND_SHIFT),
        Header(FUNCTIONS, struct.pack(f"<{len(entries)}h", *entries).ljust(2048, b"\0"), READ | constants.FUNCTIONS << KIND_SHIFT),
        Header(DATA, bytes(4 * WORDS), READ | WRITE),
    ]
    return ElfSpec(segments).build()


def sample() -> list[list[int]]:
    """The input: of each block both taps at 8 positions."""
    return [[(17 * vector + 5 * lane) % 90 - 45 for lane in range(LANES)] for vector in range(BLOCKS * TAPS)]


def meaning() -> list[int]:
    """What the network says of it, by Python's integers."""
    said = []
    for block in range(BLOCKS):
        for lane in range(LANES):
            x = [sample()[TAPS * block + tap][lane] for tap in range(TAPS)]
            sums = [sum(a * weights[channel] for a, weights in zip(x, WEIGHTS, strict=True)) + 40 for channel in range(OUTPUTS)]
            said.append(max(abs(max(-BOUND, min(BOUND, (total + 2) // 4))) for total in sums))
    return said
