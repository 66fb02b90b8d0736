"""A loadable segment of a program, and the words that it holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.int64]
"""(n,) int64: word indices (byte address / 4) or word values in [0, 2^32)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One loadable segment: ``data`` at byte ``address``, then zeros up to ``size`` bytes.

    ``kind``: which constants of tensor calls it holds, 0 for an ordinary segment.
    """

    address: int
    data: bytes
    size: int
    writable: bool
    executable: bool
    kind: int = 0

    @property
    def end(self) -> int:
        """First byte address after the segment."""
        return self.address + self.size

    def words(self) -> tuple[Words, Words]:
        """Indices and values of the words that hold file data; bytes outside the data are 0."""
        first, last = self.address // 4, -(-(self.address + len(self.data)) // 4)
        padded = bytes(self.address % 4) + self.data
        padded += bytes(-len(padded) % 4)
        return np.arange(first, last, dtype=np.int64), np.frombuffer(padded, "<u4").astype(np.int64)

    def __str__(self) -> str:
        return f"segment [0x{self.address:x}, 0x{self.end:x})"
