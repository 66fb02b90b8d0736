"""The prover's randomness: one independent stream of uniform field elements per name, from a seed of the operating system."""

from __future__ import annotations

import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import ProvingError
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.kernels.parallel import run_ranges
from zkvm.stark.kernels.random import GROUP_ELEMENTS, fill_random

SEED_BYTES: Final = 32


class Randomness:
    """Uniform elements of the base field for blinding rows, masks and salts; every stream's name is used once.

    Element values depend on the seed and the stream's name only (not on threads or order), so a seed makes a proof reproducible.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        """Seed from ``os.urandom``, or from 32 given bytes: a fixed seed is for tests, it gives the witness away to whoever knows it.

        Raises:
            ProvingError: the seed is not 32 bytes.
        """
        if seed is not None and len(seed) != SEED_BYTES:
            raise ProvingError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
        self._seed: bytes | None = os.urandom(SEED_BYTES) if seed is None else seed
        self._used: set[str] = set()

    @classmethod
    def zeros(cls) -> Randomness:
        """The source of proofs without zero knowledge: every element is 0."""
        source = cls(bytes(SEED_BYTES))
        source._seed = None
        return source

    @property
    def is_zero(self) -> bool:
        """Whether every element is 0."""
        return self._seed is None

    def elements(self, stream: str, shape: int | tuple[int, ...], threads: int = 1) -> NDArray[np.uint64]:
        """Uniform field elements.

        Args:
            stream: a name not used before with this source.
            shape: of the result.
            threads: at most this many.

        Returns:
            Canonical uint64 of this shape.

        Raises:
            ProvingError: the stream was already used; equal randomness in two places would show differences of secret values.
        """
        if stream in self._used:
            raise ProvingError(f"random stream {stream!r} is used twice")
        self._used.add(stream)
        if self._seed is None:
            return np.zeros(shape, dtype=np.uint64)
        out = np.empty(shape, dtype=np.uint64)
        flat = out.reshape(-1)
        key = np.frombuffer(blake3(b"zkvm/randomness/1:" + stream.encode(), self._seed), dtype="<u4").astype(np.uint32)

        def fill_groups(first: int, last: int) -> None:
            start, stop = first * GROUP_ELEMENTS, last * GROUP_ELEMENTS
            fill_random(key, np.uint64(start), flat[start:stop])

        run_ranges(fill_groups, -(-flat.size // GROUP_ELEMENTS), GROUP_ELEMENTS, threads)
        return out
