"""Segments of a program that hold constants of tensor calls: their marks, their checks, and the arrays that they are.

The linker script marks such a segment in the bits of p_flags that belong to the operating system. A machine with tensor calls keeps it
apart from memory, so that no load reads it; to one without them it is read-only data.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zkvm.errors import ElfError
from zkvm.riscv.isa.tensors import (
    CHANNEL,
    ENTRY_BYTES,
    LANES,
    MAX_BIAS,
    MAX_LIMIT,
    MAX_SCALED_BIAS,
    PATTERN_BYTES,
    ROW_BYTES,
    SECOND_OPERAND,
    TensorConstants,
)  # fmt: skip
from zkvm.riscv.vm.segment import Segment

VECTORS, CHANNELS, PATTERNS, FUNCTIONS = 1, 2, 3, 4
"""Marks. An ordinary segment has 0."""
NAMES = {VECTORS: ".tensor.vectors", CHANNELS: ".tensor.channels", PATTERNS: ".tensor.patterns", FUNCTIONS: ".tensor.functions"}
ALIGNMENT = {PATTERNS: PATTERN_BYTES}
"""What addresses and sizes are multiples of, where that is not ROW_BYTES."""


def tensor_constants(segments: Iterable[Segment]) -> TensorConstants:
    """The constants in marked segments, checked.

    Raises:
        ElfError: says which segment or row is not as tensor calls need it.
    """
    found: dict[int, tuple[int, bytes]] = {}
    for segment in segments:
        if not segment.kind:
            continue
        name = NAMES.get(segment.kind)
        if name is None:
            raise ElfError(f"{segment} is marked as constants of kind {segment.kind}, which this machine does not know")
        if segment.kind in found:
            raise ElfError(f"{segment} is a second one of {name}: link all of it into one")
        if segment.writable or segment.executable:
            raise ElfError(f"{segment} holds {name} and is not only readable")
        unit = ALIGNMENT.get(segment.kind, ROW_BYTES)
        if segment.address % unit or segment.size % unit:
            raise ElfError(f"{segment} holds {name}: address and size must be multiples of {unit}")
        if len(segment.data) != segment.size:
            raise ElfError(f"{segment} holds {name}, but the file has only {len(segment.data)} of its {segment.size} bytes")
        found[segment.kind] = (segment.address, segment.data)
    vectors_at, vectors = found.get(VECTORS, (0, b""))
    channels_at, channels = found.get(CHANNELS, (0, b""))
    patterns_at, patterns = found.get(PATTERNS, (0, b""))
    functions_at, functions = found.get(FUNCTIONS, (0, b""))
    constants = TensorConstants(
        first_vector=vectors_at // ROW_BYTES,
        vectors=np.frombuffer(vectors, "<i2").astype(np.int16).reshape(-1, LANES),
        first_channel=channels_at // ROW_BYTES,
        channels=np.frombuffer(channels, CHANNEL.newbyteorder("<")).astype(CHANNEL),
        first_pattern=patterns_at // PATTERN_BYTES,
        patterns=np.frombuffer(patterns, "<u4").astype(np.uint32).reshape(-1, LANES),
        first_entry=functions_at // ENTRY_BYTES,
        entries=np.frombuffer(functions, "<i2").astype(np.int16),
    )
    _check_channels(constants)
    _check_patterns(constants)
    return constants


def _check_patterns(constants: TensorConstants) -> None:
    """Refuse rows that take elements from both operands: a row of the proof has one."""
    second = constants.patterns >= SECOND_OPERAND
    mixed = second.any(axis=1) & ~second.all(axis=1)
    if np.any(mixed):
        at = (constants.first_pattern + int(np.argmax(mixed))) * PATTERN_BYTES
        raise ElfError(f"the row at 0x{at:x} of {NAMES[PATTERNS]} takes elements from both operands: make it two rows")


def _check_channels(constants: TensorConstants) -> None:
    """Refuse channels for which a rescaled sum could wrap."""
    channels = constants.channels
    bias, multiplier, limit = (channels[name].astype(np.int64) for name in ("bias", "multiplier", "limit"))
    size = np.abs(multiplier)
    bounded = (-MAX_BIAS <= bias) & (bias <= MAX_BIAS)
    scaled = np.abs(np.where(bounded, bias, 0)) <= MAX_SCALED_BIAS // np.maximum(size, 1)
    for wrong, what in (
        (limit > MAX_LIMIT, f"a limit above {MAX_LIMIT}"),
        (size > limit, "a multiplier above its limit"),
        (~bounded, f"a bias of 2^{MAX_BIAS.bit_length()} or more"),
        (~scaled, f"a bias whose product with the multiplier is above 2^{MAX_SCALED_BIAS.bit_length() - 1}"),
    ):
        if np.any(wrong):
            row = int(np.argmax(wrong))
            at = (constants.first_channel + row) * ROW_BYTES
            raise ElfError(
                f"the channel at 0x{at:x} of {NAMES[CHANNELS]} (bias {channels['bias'][row]}, multiplier {multiplier[row]}, "
                f"limit {limit[row]}) has {what}"
            )
