"""The part of the sample run that computes with private weights: a layer whose channels are vectors, digests of it, a digested import."""

from __future__ import annotations

from tests.riscv.vm.tensor_programs import Vectors, bounds, digest_of, input_bytes
from tests.sample_moves import Calls
from zkvm.riscv.isa.tensors import DIGEST, DIGESTED, MAXIMUM, SCALED, Descriptor

TAPS, OUTPUTS, LIMIT = 2, 3, 1 << 20
_LANES = [0] * (8 - OUTPUTS)
WEIGHTS: Vectors = [[300, -7, 32767, *_LANES], [-32768, 12, 5, *_LANES]]
SCALES: Vectors = [[(77, -32768, 5)[k], (1, 0, -9)[k], (30000, -512, 32767)[k], 0, 0, 0, 0, 0] for k in range(OUTPUTS)]
COMPARED: Vectors = [*WEIGHTS, *SCALES, [-32768, 32767, 0, 1, -1, 2, -2, 3]]
PRIVATE: Vectors = [*COMPARED, *digest_of(COMPARED)]

MADE = Descriptor(DIGESTED, 2, 2)
"""A digested import, of two rows of either kind."""
SMALL: Vectors = [[256 * ((37 * v * v + 11 * k) % 256 - 128) for k in range(8)] for v in range(14)]
LARGE: Vectors = [[(4099 * v * v + 977 * k + 3) % 65536 - 32768 for k in range(8)] for v in range(6)]
MADE_INPUT = input_bytes(MADE, SMALL + LARGE)


def digested_calls() -> Calls:
    """A digested import of what is behind the first import, and a maximum of all its vectors, with those of the digest."""
    count = len(SMALL) + len(LARGE) + 2
    return (MADE, "s9", "zero", "zero", 0), (Descriptor(MAXIMUM, 1, 0, count, w_stride=1), "s9", "s9", "zero", 0)


def private_calls(start: int) -> Calls:
    """Calls on the tensor in s4, whose vectors from ``start`` on are PRIVATE."""
    words = (3, OUTPUTS, TAPS, 0, TAPS, 16 * start, TAPS, 16 * (start + len(WEIGHTS)), bounds(-(2**15), 30000), LIMIT)
    return (
        (Descriptor(SCALED, *words), "s9", "s4", "s4", 0),
        (Descriptor(DIGEST, len(COMPARED) // 3, x=16 * start), "s9", "s4", "zero", 0),
        (Descriptor(SCALED, 0, 1, 1, bounds=0, y=1), "s9", "s4", "s4", 0),
    )
