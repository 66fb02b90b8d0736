"""Which tensor calls a program can make: the descriptors among its constants, as far as its symbols show them.

Only what people read follows from this. A constant is taken for a descriptor if the program has the library's function for its operation,
its symbol has the descriptor's size, and its words are such as the operation accepts. Descriptors inside of larger constants are not seen.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.isa import tensors
from zkvm.riscv.isa.tensors import LANES, ROW_BYTES, Descriptor, TensorConstants
from zkvm.riscv.vm.constants import tensor_constants
from zkvm.riscv.vm.elf import object_symbols, parse_elf

WORD_BYTES = 4
SIZES = {WORD_BYTES * count for count in tensors.WORDS.values()}
LIBRARY_NAMES = {
    tensors.MULTIPLY: "combine", tensors.SCALED: "scaled_linear", tensors.SCALED_DEPTHWISE: "depthwise",
}  # fmt: skip
"""Functions of the library that are not called as their operation, or whose code another one has."""
UNREAD = {
    tensors.EXPORT: ("taps",),
    tensors.GATHER: ("channels", "taps", "x", "x_stride", "w", "w_stride"),
    tensors.MAXIMUM: ("channels", "w"),
    tensors.APPLY: ("channels", "taps", "w", "w_stride"),
    tensors.RELATIVE: ("taps", "w_stride"),
    tensors.DIGEST: ("channels", "taps"),
}
"""Words that an operation does not use, though it reads some that follow them. The library's descriptors have zeros there."""


def find_descriptors(file: bytes) -> tuple[Descriptor, ...] | None:
    """The descriptors of an ELF file, by address; None if it has no symbols, so that nobody can tell.

    Raises:
        ElfError: the file is not a program for this machine.
    """
    program, objects = parse_elf(file), object_symbols(file)
    if objects is None:
        return None
    constants = tensor_constants(program.segments)
    functions = {name for _, name in program.symbols}
    found = []
    for segment in program.segments:
        if segment.writable or segment.kind:
            continue
        for address, size in objects:
            offset = address - segment.address
            if size in SIZES and address % WORD_BYTES == 0 <= offset <= len(segment.data) - size:
                words = np.frombuffer(segment.data, "<u4", size // WORD_BYTES, offset).tolist()
                if tensors.WORDS.get(words[0]) == len(words) and _function(words[0]) in functions:
                    found.append((address, Descriptor(*words)))
    return tuple(descriptor for _, descriptor in sorted(found) if _is_accepted(descriptor, constants))


def products(descriptor: Descriptor) -> int:
    """How many products a call's sums have, for all lanes of its results."""
    results = descriptor.blocks * LANES * descriptor.channels
    match descriptor.operation:
        case tensors.LINEAR | tensors.SCALED:
            return results * descriptor.taps
        case tensors.DEPTHWISE | tensors.SCALED_DEPTHWISE:
            return results * descriptor.taps * tensors.WINDOW_PRODUCTS
        case tensors.COMBINE | tensors.MULTIPLY:
            return results * (2 if descriptor.taps else 1)
        case _:
            return 0


def _function(operation: int) -> str:
    """The library's function that makes such calls."""
    return f"zkvm_tensor_{LIBRARY_NAMES.get(operation, tensors.NAMES[operation])}"


def _is_accepted(words: Descriptor, constants: TensorConstants) -> bool:
    """Whether an operation may have such a descriptor, whatever its operands are."""
    operation = words.operation
    if words.x % ROW_BYTES or any(getattr(words, name) for name in UNREAD.get(operation, ())):
        return False
    if operation in tensors.RESCALING:
        if not (1 <= words.channels <= tensors.MAX_CHANNELS and words.low <= words.high and words.w % ROW_BYTES == 0):
            return False
        if operation in tensors.IN_VECTORS:
            return tensors.is_scale(words.y)
        first = words.channel_list // ROW_BYTES - constants.first_channel
        return 0 <= first <= first + words.channels <= len(constants.channels)
    if operation == tensors.GATHER:
        first = words.channel_list // tensors.PATTERN_BYTES - constants.first_pattern
        return 0 <= first <= first + words.blocks <= len(constants.patterns)
    if operation == tensors.DIGESTED:
        return words.blocks >= 1
    return operation not in (tensors.LOAD, tensors.EXPORT) or words.channels in (1, LANES)
