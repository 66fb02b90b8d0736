"""Poseidon2 permutations, with the argument and the cube of every S-box.

Readable twins: :func:`zkvm.riscv.isa.poseidon2.permute` and, on columns, :func:`zkvm.riscv.chips.poseidon2.permuted_columns`.
"""

from __future__ import annotations

from typing import Any

from numba import njit, uint64, void

from zkvm.stark.kernels.source.entry import entry, readonly, stack_array
from zkvm.stark.kernels.source.goldilocks import ZERO, add, mul

WORDS = uint64[::1]
MATRIX = uint64[:, ::1]
WIDTH = 12
FOURS = 4
"""Elements that the circulant mixes."""
_state = stack_array(uint64, WIDTH)


@njit(void(WORDS), nogil=True)
def _mix_outer(state: Any) -> None:
    for k in range(0, WIDTH, FOURS):
        a, b, c, d = state[k], state[k + 1], state[k + 2], state[k + 3]
        total = add(add(a, b), add(c, d))
        state[k] = add(total, add(a, add(b, b)))
        state[k + 1] = add(total, add(b, add(c, c)))
        state[k + 2] = add(total, add(c, add(d, d)))
        state[k + 3] = add(total, add(d, add(a, a)))
    for k in range(FOURS):
        place = add(add(state[k], state[k + 4]), state[k + 8])
        for four in range(0, WIDTH, FOURS):
            state[four + k] = add(state[four + k], place)


@njit(void(WORDS, readonly(uint64)), nogil=True)
def _mix_inner(state: Any, diagonal: Any) -> None:
    total = ZERO
    for k in range(WIDTH):
        total = add(total, state[k])
    for k in range(WIDTH):
        state[k] = add(total, mul(state[k], diagonal[k]))


@entry(void(readonly(uint64, 2), readonly(uint64), readonly(uint64), MATRIX))
def permute(states: Any, constants: Any, diagonal: Any, out: Any) -> None:
    """Permute each state.

    Args:
        states: (n, 12), canonical.
        constants: what the rounds add, one after the other: 48 for the four outer rounds, one for each inner one, 48.
        diagonal: (12,) of the inner matrix.
        out: (24 + 2 boxes - 12, n): the elements before, the arguments of all S-boxes but the first 12, the cubes of all, the elements
            after. There are as many S-boxes as constants.
    """
    boxes = len(constants)
    inner = boxes - 8 * WIDTH
    cubes = boxes
    after = 2 * boxes
    state = _state()
    for row in range(states.shape[0]):
        for k in range(WIDTH):
            state[k] = out[k, row] = states[row, k]
        _mix_outer(state)
        box = 0
        while box < boxes:
            outer = box < 4 * WIDTH or box >= 4 * WIDTH + inner
            for k in range(WIDTH if outer else 1):
                x = add(state[k], constants[box])
                cube = mul(mul(x, x), x)
                if box >= WIDTH:
                    out[box, row] = x
                out[cubes + box, row] = cube
                state[k] = mul(mul(cube, cube), x)
                box += 1
            if outer:
                _mix_outer(state)
            else:
                _mix_inner(state, diagonal)
        for k in range(WIDTH):
            out[after + k, row] = state[k]


@entry(void(readonly(uint64), readonly(uint64, 2), readonly(uint64), readonly(uint64), MATRIX, MATRIX))
def absorb(start: Any, absorbed: Any, constants: Any, diagonal: Any, before: Any, after: Any) -> None:
    """A sponge in overwrite mode: overwrite the first elements of the state with a row, permute, and so on.

    Args:
        start: (12,) the state before the first row, canonical.
        absorbed: (n, r), canonical, with r below 12.
        constants: as of :func:`permute`.
        diagonal: as of :func:`permute`.
        before: (n, 12), written: what each permutation takes.
        after: (n, 12), written: what it gives.
    """
    boxes, rate = len(constants), absorbed.shape[1]
    state = _state()
    for k in range(WIDTH):
        state[k] = start[k]
    for row in range(absorbed.shape[0]):
        for k in range(WIDTH):
            if k < rate:
                state[k] = absorbed[row, k]
            before[row, k] = state[k]
        _mix_outer(state)
        box = 0
        while box < boxes:
            outer = box < 4 * WIDTH or box >= boxes - 4 * WIDTH
            for k in range(WIDTH if outer else 1):
                x = add(state[k], constants[box])
                square = mul(x, x)
                state[k] = mul(mul(square, square), mul(square, x))
                box += 1
            if outer:
                _mix_outer(state)
            else:
                _mix_inner(state, diagonal)
        for k in range(WIDTH):
            after[row, k] = state[k]
