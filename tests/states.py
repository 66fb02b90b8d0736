"""States for Poseidon2: one that becomes what a test wants."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from zkvm.riscv.isa.poseidon2 import CONSTANTS, EXPONENT, WIDTH, mix_inner, mix_outer
from zkvm.stark.field.goldilocks import P

ROOT = pow(EXPONENT, -1, P - 1)
EDGES = (0, 1, 5, 2**32 - 2, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 2, P - 1, 0x0123_4567_89AB_CDEF, 0xFFFF_FFFE_FFFF_FFFF)
"""Twelve elements: of those below 2^32 - 1 there is another number below 2^64 that is the same mod p."""


def solved(mix: Callable[[Sequence[int]], list[Any]], right: Sequence[int]) -> list[int]:
    """What a linear layer makes ``right`` of, by elimination."""
    columns = [mix([int(k == j) for j in range(WIDTH)]) for k in range(WIDTH)]
    rows = [[columns[c][r] % P for c in range(WIDTH)] + [right[r]] for r in range(WIDTH)]
    for k in range(WIDTH):
        pivot = next(row for row in range(k, WIDTH) if rows[row][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        scale = pow(rows[k][k], -1, P)
        rows[k] = [value * scale % P for value in rows[k]]
        for other in range(WIDTH):
            if other != k:
                factor = rows[other][k]
                rows[other] = [(a - factor * b) % P for a, b in zip(rows[other], rows[k], strict=True)]
    return [row[WIDTH] for row in rows]


def before(state: Sequence[int]) -> list[int]:
    """The state that the permutation makes this one of."""
    elements = list(state)
    for added in reversed(CONSTANTS):
        elements = solved(mix_outer if len(added) == WIDTH else mix_inner, elements)
        for k, constant in enumerate(added):
            elements[k] = (pow(elements[k], ROOT, P) - constant) % P
    return solved(mix_outer, elements)


def state_bytes(state: Sequence[int]) -> bytes:
    """Elements as a guest's memory has them."""
    return struct.pack(f"<{WIDTH}Q", *state)
