"""The part of the sample run that computes with windows: sums of each channel, with channels of the image and of a tensor."""

from __future__ import annotations

from tests.riscv.vm.tensor_programs import bounds
from tests.sample_moves import Calls
from tests.sample_private import LIMIT, OUTPUTS, TAPS
from zkvm.riscv.isa.tensors import DEPTHWISE, EXPORT, SCALED_DEPTHWISE, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, VECTORS

WINDOW_WORDS = 8 * 8


def window_calls(start: int, at: int) -> Calls:
    """Calls on the tensors in s7 and s4, of which s4 has the private vectors from ``start`` on; words are at s0 + ``at``."""
    all_of_them = bounds(-(2**15), 2**15 - 1)
    own = (2, OUTPUTS, 1, 16, 0, 0, 3, 16 * (start + TAPS), all_of_them, LIMIT, 6)
    return (
        # Two pairs of blocks of two channels, two windows each: the rows of one are behind those of the other.
        (Descriptor(DEPTHWISE, 4, 2, 2, 32, 6, VECTORS, 2, CHANNELS, bounds(-3000, 2500), 0, 4), "t3", "s7", "zero", 0),
        (Descriptor(SCALED_DEPTHWISE, *own), "t4", "s7", "s4", 0),
        (Descriptor(DEPTHWISE, 0, 3, 7, 3, 1, 5, 1, CHANNELS, all_of_them, 9, 9), "s9", "t4", "zero", 0),
        (Descriptor(EXPORT, 8, 8, 0, 0, 1), "s9", "t3", "s0", at),
    )
