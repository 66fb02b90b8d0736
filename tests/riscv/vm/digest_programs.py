"""Scripts of layers whose channels are vectors, and of digests."""

from __future__ import annotations

import random

from tests.riscv.vm.random_tensors import random_vectors
from tests.riscv.vm.tensor_programs import CONSTANTS, Script, Vectors, digest_of
from zkvm.riscv.isa.tensors import DIGEST, EXPORT, Descriptor


def with_digest(vectors: Vectors) -> Vectors:
    """Vectors, filled up to a multiple of three, and their digest."""
    filled = vectors + [[0] * 8] * (-len(vectors) % 3)
    return filled + digest_of(filled)


def random_bytes(rng: random.Random, count: int) -> Vectors:
    """Vectors of bytes as lanes hold them, some of them extreme."""
    return [[2**8 * rng.choice((-128, 127, rng.randrange(-128, 128))) for _ in range(8)] for _ in range(count)]


def random_digested(rng: random.Random, rows: int, byte_rows: int) -> Script:
    """Two digested imports, the second of other sizes; all of the first in RAM, and the digest compared with itself behind int16."""
    script = Script()
    small, large = random_bytes(rng, 7 * byte_rows), random_vectors(rng, 3 * rows)
    x = script.add_digested(small, large)
    count = len(small) + len(large) + 2
    script.ram = [0] * (8 * count)
    script.add(Descriptor(EXPORT, count, 8, 0, 0, 1), x)
    other = script.add_digested(random_bytes(rng, 7 * rng.randrange(3)), random_vectors(rng, 3 * rng.randrange(1, 4)))
    script.add(Descriptor(EXPORT, 2, 8, 0, 16, 1), other)
    if not byte_rows:  # both calls mean one digest
        script.add(Descriptor(DIGEST, rows), x)
    return script


def random_digests(rng: random.Random, rows: int) -> Script:
    """Digests of an import and of constants, not at their beginning, and of nothing; then the digest in RAM."""
    script = Script()
    start = rng.randrange(3)
    x = script.add_import(random_vectors(rng, start) + with_digest(random_vectors(rng, 3 * rows)))
    at = script.add_constants(with_digest(random_vectors(rng, 3 * rng.randrange(1, 4))))
    constants = (len(script.vectors) - 2) // 3
    nothing = script.add_constants(digest_of([]))
    script.add(Descriptor(DIGEST, rows, x=16 * start), x)
    script.add(Descriptor(DIGEST, constants, x=at), CONSTANTS)
    script.add(Descriptor(DIGEST, 0, x=nothing), CONSTANTS)
    script.ram = [0] * 16
    script.add(Descriptor(EXPORT, 2, 8, 0, 16 * (start + 3 * rows), 1), x)
    return script
