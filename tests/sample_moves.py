"""Tensor calls of the sample run that gather, compare and look functions up."""

from __future__ import annotations

import struct

from tests.riscv.vm.tensor_programs import bounds
from zkvm.riscv.isa.tensors import (
    APPLY,
    COMBINE,
    EXPORT,
    GATHER,
    INT16_OFFSET,
    MAXIMUM,
    MULTIPLY,
    RELATIVE,
    RELATIVE_OFFSET,
    SECOND_OPERAND,
    Descriptor,
)
from zkvm.riscv.vm.assemble import CHANNELS, FUNCTIONS, PATTERNS, VECTORS

Calls = tuple[tuple[Descriptor, str, str, str, int], ...]


def of_second(*places: int) -> list[int]:
    """A pattern's row that takes its elements from the second operand."""
    return [place + SECOND_OPERAND for place in places]


def constant(vector: int, lane: int) -> int:
    """Place of an element of the constant vectors."""
    return 1 + 8 * (VECTORS // 16 + vector) + lane


PATTERN_ROWS = [
    [0] * 8,
    # Of 11 vectors, or of the 2 of the second operand: the first, the last, some again, zeros between.
    [1, 88, 0, 17, 17, 24, 9, 0],
    of_second(16, 1, 0, 8, 9, 9, 2, 0),
    [0] * 8,
    of_second(0, 0, 0, 0, 0, 0, 0, 5),
    [33, 34, 35, 36, 37, 38, 39, 40],
    # Of constants, or of what the rows before have made.
    [constant(0, 0), constant(8, 7), 0, constant(3, 3), constant(3, 3), constant(0, 7), constant(1, 0), 0],
    of_second(40, 39, 38, 37, 1, 0, 2, 8),
]
FUNCTION_FIRST, FUNCTION_LAST = -304, 511
"""Only these arguments of the functions have entries: no call asks for others."""
BEFORE = [5, 6, 7, 8, -1, -2, -3, -4]
"""Entries that belong to no function."""
ENTRIES = [
    *BEFORE,
    *(abs(x) // 2 - 100 for x in range(FUNCTION_FIRST, FUNCTION_LAST + 1)),
    *(37 * (x - FUNCTION_FIRST) - 2**15 for x in range(FUNCTION_FIRST, FUNCTION_LAST + 1)),
]
FUNCTION = FUNCTIONS + 2 * (len(BEFORE) - FUNCTION_FIRST - INT16_OFFSET)
"""Where the first function's entry for -2^15 would be."""
DIFFERENCES = FUNCTION + 2 * (INT16_OFFSET - RELATIVE_OFFSET)
"""Where the first function's entry for -2^16 + 1 would be."""
OTHER_FUNCTION = FUNCTION + 2 * (FUNCTION_LAST + 1 - FUNCTION_FIRST)
PATTERN_BYTES = b"".join(struct.pack("<8I", *row) for row in PATTERN_ROWS)
FUNCTION_BYTES = struct.pack(f"<{len(ENTRIES)}h", *ENTRIES)
MOVED_WORDS = 8 * 3 + 8 * 2
COMBINED_WORDS = 8 * 6 + 8 * 4


def moves(at: int) -> Calls:
    """Calls that read the sample's tensors in s4 (11 vectors), s5 (2), s7 (57, of small elements), s8 (16); words are at s0 + ``at``."""
    return (
        (Descriptor(GATHER, 5, channel_list=PATTERNS + 32), "s10", "s4", "s5", 0),
        (Descriptor(GATHER, 2, channel_list=PATTERNS + 32 * 6), "s11", "zero", "s10", 0),
        (Descriptor(GATHER, 2, channel_list=PATTERNS + 32), "t3", "s4", "s4", 0),
        (Descriptor(GATHER, 0, channel_list=7), "t4", "s7", "zero", 0),
        # Three results of three vectors each, which overlap; one vector each, the same one twice; one vector four times.
        (Descriptor(MAXIMUM, 3, 0, 3, 16, 2, 0, 1), "t3", "s4", "zero", 0),
        (Descriptor(MAXIMUM, 2, 0, 1, 16 * 15, 0, 0, 9), "t4", "s8", "s0", 1),
        (Descriptor(MAXIMUM, 1, 0, 4, 0, 0, 0, 0), "t4", "s10", "zero", 0),
        (Descriptor(MAXIMUM, 2, 0, 2, VECTORS, 1, 0, 3), "t4", "zero", "zero", 0),
        (Descriptor(MAXIMUM, 0, 0, 0, 3, 1, 0, 1), "t5", "s7", "zero", 0),
        (Descriptor(APPLY, 4, x=32, x_stride=5, channel_list=FUNCTION), "t5", "s7", "zero", 0),
        (Descriptor(APPLY, 2, x=16, x_stride=0, channel_list=OTHER_FUNCTION), "t6", "t5", "s0", 3),
        (Descriptor(APPLY, 0, x=5, channel_list=1), "s9", "t5", "zero", 0),
        # Two blocks of two vectors, and of three that are the same one.
        (Descriptor(RELATIVE, 2, 2, 0, 0, 1, 16, 0, DIFFERENCES), "t4", "t5", "t5", 0),
        (Descriptor(RELATIVE, 2, 3, 0, 32, 0, 32, 0, DIFFERENCES), "t5", "t5", "t4", 0),
        (Descriptor(EXPORT, 3, 8, 0, 0, 1), "s9", "t3", "s0", at),
        (Descriptor(EXPORT, 2, 8, 0, 0, 1), "s9", "t6", "s0", at + 4 * 24),
    )


def combinations(at: int) -> Calls:
    """Elementwise calls on the same tensors; words are at s0 + ``at``."""
    some, all_of_them = bounds(-3000, 2500), bounds(-(2**15), 2**15 - 1)
    return (
        # Two blocks of three channels: sums of two tensors, where y has a number for each position and factors step.
        (Descriptor(COMBINE, 2, 3, 5, 16, 4, VECTORS, 3, CHANNELS, some, 16, 1, VECTORS + 16, 2), "t3", "s4", "s8", 0),
        # Products of tensors, with all steps; and of one vector by itself, with none.
        (Descriptor(MULTIPLY, 2, 2, 63, 0, 3, 32, 2, CHANNELS + 16, all_of_them, 16, 2, 0, 3), "t4", "s7", "s4", 0),
        (Descriptor(MULTIPLY, 1, 1, 0, 16, 0, 16, 0, CHANNELS, some, 16, 0, 16, 0), "t5", "t4", "t4", 0),
        (Descriptor(COMBINE, 1, 2, 1, VECTORS, 0, VECTORS + 64, 0, CHANNELS, all_of_them, VECTORS, 0, VECTORS, 1), "t5", "zero", "zero", 0),
        (Descriptor(COMBINE, 0, 4, 7, 3, 1, 5, 1, CHANNELS, some, 9, 9, 7, 3), "s9", "t5", "zero", 0),
        (Descriptor(EXPORT, 6, 8, 0, 0, 1), "s9", "t3", "s0", at),
        (Descriptor(EXPORT, 4, 8, 0, 0, 1), "s9", "t4", "s0", at + 4 * 48),
    )
