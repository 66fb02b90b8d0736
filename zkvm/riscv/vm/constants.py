"""Segments of a program that hold constants of tensor calls: their marks, their checks, and the arrays that they are.

The linker script marks such a segment in the bits of p_flags that belong to the operating system. A machine with tensor calls keeps it
apart from memory, so that no load reads it; to one without them it is read-only data.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zkvm.errors import ElfError
from zkvm.riscv.isa.tensors import CHANNEL, LANES, MAX_BIAS, MAX_LIMIT, MAX_SCALED_BIAS, ROW_BYTES, TensorConstants
from zkvm.riscv.vm.segment import Segment

VECTORS, CHANNELS = 1, 2
"""Marks. An ordinary segment has 0."""
NAMES = {VECTORS: ".tensor.vectors", CHANNELS: ".tensor.channels"}


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
        if segment.address % ROW_BYTES or segment.size % ROW_BYTES:
            raise ElfError(f"{segment} holds {name}: address and size must be multiples of {ROW_BYTES}")
        if len(segment.data) != segment.size:
            raise ElfError(f"{segment} holds {name}, but the file has only {len(segment.data)} of its {segment.size} bytes")
        found[segment.kind] = (segment.address, segment.data)
    vectors_at, vectors = found.get(VECTORS, (0, b""))
    channels_at, channels = found.get(CHANNELS, (0, b""))
    constants = TensorConstants(
        first_vector=vectors_at // ROW_BYTES,
        vectors=np.frombuffer(vectors, "<i2").astype(np.int16).reshape(-1, LANES),
        first_channel=channels_at // ROW_BYTES,
        channels=np.frombuffer(channels, CHANNEL.newbyteorder("<")).astype(CHANNEL),
    )
    _check_channels(constants)
    return constants


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
