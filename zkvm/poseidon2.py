"""Poseidon2 hashes as guests compute them with ``zkvm_poseidon2.h``: for hosts that make what a guest hashes, or check what it committed.

Readable twin of ``zkvm/guest/runtime/poseidon2.c``, which says what a hash is, and of the tensor calls that digest. In Python: some
thousand blocks a second.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from zkvm.errors import UsageError
from zkvm.riscv.isa.poseidon2 import MODULUS, permute
from zkvm.riscv.isa.tensors import BYTE_OFFSET, DIGEST_TAG, INT16_OFFSET, PACKED, PACKED_BYTES, RATE

BLOCK_BYTES = 56
DIGEST_BYTES = 32
_HASH, _COMPRESS = 1, 2
"""What a permutation is for: the high word of element 8 at first. Its low word is the domain."""


def poseidon2_hash(data: bytes, domain: int = 0) -> bytes:
    """The digest that ``zkvm_poseidon2_hash`` computes in a guest.

    Args:
        data: what is hashed.
        domain: a word; hashes of different domains are unrelated.

    Returns:
        32 bytes.

    Raises:
        UsageError: the domain is not within 0 and 2^32 - 1.
    """
    if not 0 <= domain < 1 << 32:
        raise UsageError(f"a hash's domain is a 32-bit word, not {domain}")
    capacity = [domain + (_HASH << 32), 0, 0, 0]
    state: list[int] = []
    for start in range(0, max(len(data), 1), BLOCK_BYTES):
        block = data[start : start + BLOCK_BYTES]
        numbers = struct.unpack("<7Q", block.ljust(BLOCK_BYTES, b"\0"))
        marks = sum((number >= MODULUS) << k for k, number in enumerate(numbers))
        if start + BLOCK_BYTES >= len(data):
            marks += 256 * (1 + len(block))
        state = permute([*numbers, marks, *capacity])
        capacity = state[8:]
    return struct.pack("<4Q", *state[:4])


def tensor_digest(lanes: Sequence[int], small: Sequence[int] = ()) -> list[int]:
    """The lanes of the two vectors of the digest that tensor calls make, or compare with the vectors before them (``docs/tensors.md``).

    Args:
        lanes: int16 numbers of vectors, 8 each, a multiple of three vectors.
        small: bytes with their signs that come first, a multiple of seven vectors.

    Returns:
        16 int16 numbers.
    """
    rows = [[(number + BYTE_OFFSET, 8) for number in small], [(number + INT16_OFFSET, 16) for number in lanes]]
    sizes = RATE * PACKED_BYTES, RATE * PACKED
    rate, capacity = [0] * RATE, [DIGEST_TAG, len(lanes) // sizes[1], len(small) // sizes[0], 0]
    for numbers, size in zip(rows, sizes, strict=True):
        for first in range(0, len(numbers), size):
            packed = size // RATE
            elements = [numbers[start : start + packed] for start in range(first, first + size, packed)]
            state = permute([*(sum(number << bits * j for j, (number, bits) in enumerate(own)) for own in elements), *capacity])
            rate, capacity = state[:RATE], state[RATE:]
    return [(element >> 16 * k & 0xFFFF) - INT16_OFFSET for element in rate[:4] for k in range(4)]


def poseidon2_compress(left: bytes, right: bytes) -> bytes:
    """The digest of two digests that ``zkvm_poseidon2_compress`` computes in a guest.

    Args:
        left: 32 bytes, a digest.
        right: likewise.

    Returns:
        32 bytes.

    Raises:
        UsageError: one of both is no digest: it has another length, or an element that is not below p.
    """
    elements: list[int] = []
    for name, digest in (("left", left), ("right", right)):
        if len(digest) != DIGEST_BYTES:
            raise UsageError(f"the {name} digest has {len(digest)} bytes, not {DIGEST_BYTES}")
        elements += struct.unpack("<4Q", digest)
    if max(elements) >= MODULUS:
        raise UsageError("a digest has an element that is not below p = 2^64 - 2^32 + 1, as no digest of a hash has")
    return struct.pack("<4Q", *permute([*elements, _COMPRESS << 32, 0, 0, 0])[:4])
