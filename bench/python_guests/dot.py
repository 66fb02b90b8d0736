"""Dot product of two vectors of int32."""

import numpy as np

from zkvm import guest


def main() -> None:
    """Read, compute, commit."""
    n = int(guest.read(np.uint32))
    a = guest.read(np.int32, n)
    b = guest.read(np.int32, n)
    total = np.int32(0)
    for i in range(n):
        total += a[i] * b[i]
    guest.commit(total)
