"""The part of the sample run that computes with private weights: a layer whose channels are vectors, and digests of it."""

from __future__ import annotations

from tests.riscv.vm.tensor_programs import Vectors, bounds, digest_of
from tests.sample_moves import Calls
from zkvm.riscv.isa.tensors import DIGEST, SCALED, Descriptor

TAPS, OUTPUTS, LIMIT = 2, 3, 1 << 20
_LANES = [0] * (8 - OUTPUTS)
WEIGHTS: Vectors = [[300, -7, 32767, *_LANES], [-32768, 12, 5, *_LANES]]
SCALES: Vectors = [[(77, -32768, 5)[k], (1, 0, -9)[k], (30000, -512, 32767)[k], 0, 0, 0, 0, 0] for k in range(OUTPUTS)]
DIGESTED: Vectors = [*WEIGHTS, *SCALES, [-32768, 32767, 0, 1, -1, 2, -2, 3]]
PRIVATE: Vectors = [*DIGESTED, *digest_of(DIGESTED)]


def private_calls(start: int) -> Calls:
    """Calls on the tensor in s4, whose vectors from ``start`` on are PRIVATE."""
    words = (3, OUTPUTS, TAPS, 0, TAPS, 16 * start, TAPS, 16 * (start + len(WEIGHTS)), bounds(-(2**15), 30000), LIMIT)
    return (
        (Descriptor(SCALED, *words), "s9", "s4", "s4", 0),
        (Descriptor(DIGEST, len(DIGESTED) // 3, x=16 * start), "s9", "s4", "zero", 0),
        (Descriptor(SCALED, 0, 1, 1, bounds=0, y=1), "s9", "s4", "s4", 0),
    )
