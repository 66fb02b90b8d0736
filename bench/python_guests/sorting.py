"""Heap sort of int32."""

import numpy as np
from numpy.typing import NDArray

from zkvm import guest


def sift(a: NDArray[np.int32], start: int, end: int) -> None:
    """Let the element at a heap's root sink to its place."""
    root = start
    while 2 * root + 1 < end:
        child = 2 * root + 1
        if child + 1 < end and a[child] < a[child + 1]:
            child += 1
        if a[root] >= a[child]:
            return
        a[root], a[child] = a[child], a[root]
        root = child


def main() -> None:
    """Read, sort, commit."""
    n = int(guest.read(np.uint32))
    a = guest.read(np.int32, n)
    for start in range(n // 2 - 1, -1, -1):
        sift(a, start, n)
    for end in range(n - 1, 0, -1):
        a[0], a[end] = a[end], a[0]
        sift(a, 0, end)
    guest.commit(a)
