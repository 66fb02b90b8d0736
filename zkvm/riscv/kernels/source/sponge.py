"""Poseidon2 as a sponge in overwrite mode. Readable twin: :func:`zkvm.riscv.isa.poseidon2.permute`, one call a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint64, void

from zkvm.stark.kernels.source import goldilocks as gl
from zkvm.stark.kernels.source.entry import entry, readonly

WIDTH, RATE = 12, 8
WORDS = uint64[::1]


@njit(uint64(uint64), nogil=True)
def box(x: np.uint64) -> np.uint64:
    """x^7."""
    square = gl.mul(x, x)
    return gl.mul(gl.mul(square, square), gl.mul(square, x))


@njit(void(WORDS), nogil=True)
def mix_outer(state: Any) -> None:
    """The outer matrix: by fours the circulant of (2, 3, 1, 1), and to each element the elements of its place in all fours."""
    for k in range(0, WIDTH, 4):
        a, b, c, d = state[k], state[k + 1], state[k + 2], state[k + 3]
        total = gl.add(gl.add(a, b), gl.add(c, d))
        state[k] = gl.add(gl.add(total, a), gl.add(b, b))
        state[k + 1] = gl.add(gl.add(total, b), gl.add(c, c))
        state[k + 2] = gl.add(gl.add(total, c), gl.add(d, d))
        state[k + 3] = gl.add(gl.add(total, d), gl.add(a, a))
    for k in range(4):
        total = gl.add(gl.add(state[k], state[k + 4]), state[k + 8])
        for i in range(k, WIDTH, 4):
            state[i] = gl.add(state[i], total)


@njit(void(WORDS, readonly(uint64)), nogil=True)
def mix_inner(state: Any, diagonal: Any) -> None:
    """The inner matrix: to each element times its number of the diagonal the sum of all."""
    total = state[0]
    for k in range(1, WIDTH):
        total = gl.add(total, state[k])
    for k in range(WIDTH):
        state[k] = gl.add(total, gl.mul(state[k], diagonal[k]))


@entry(void(readonly(uint64), readonly(uint64, 2), readonly(uint64), readonly(uint64), uint64[:, ::1], uint64[:, ::1]))
def absorb(start: Any, absorbed: Any, rounds: Any, diagonal: Any, before: Any, after: Any) -> None:
    """Overwrite the rate with a row, permute, and so on.

    Args:
        start: (12,) state before the first row, canonical.
        absorbed: (n, 8), canonical.
        rounds: (30 * 12,) what each round adds, 0 where it adds nothing: an inner round has one S-box, the first.
        diagonal: (12,) of the inner matrix, less 1.
        before: (n, 12), written: what each permutation takes.
        after: (n, 12), written: what it gives.
    """
    for row in range(len(absorbed)):
        state = after[row]
        for k in range(WIDTH):
            carried = start[k] if row == 0 else after[row - 1, k]
            element = absorbed[row, k] if k < RATE else carried
            before[row, k] = element
            state[k] = element
        mix_outer(state)
        for number in range(30):
            outer = number < 4 or number >= 26
            for k in range(WIDTH if outer else 1):
                state[k] = box(gl.add(state[k], rounds[number * WIDTH + k]))
            if outer:
                mix_outer(state)
            else:
                mix_inner(state, diagonal)
