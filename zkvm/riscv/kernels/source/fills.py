"""Filling the rows of instruction chips from the executor's records, by recorded code.

Readable twin: the chip's own ``fill_steps`` on numpy columns (:class:`zkvm.riscv.chips.steps.StepChip`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, njit, uint64, void

from zkvm.riscv.kernels.fills import BLOCK
from zkvm.riscv.operations import (
    ADD,
    AND,
    CONSTANT,
    DIFFERENT,
    DIVIDE,
    EQUAL,
    INVERSE,
    LEFT,
    LESS,
    MULTIPLY,
    OR,
    PROGRAM_WORD,
    REMAINDER,
    RIGHT,
    STEP_HIGH,
    STEP_LOW,
    STEP_WORD,
    STORE,
    SUBTRACT,
    WHERE,
    XOR,
)
from zkvm.stark.kernels.source.entry import entry, readonly
from zkvm.stark.kernels.source.goldilocks import inverse, mul

WORDS = uint64[::1]
RECORDS = readonly(uint64, 2)

ZERO = np.uint64(0)
ONE = np.uint64(1)
HALF = np.uint64(32)
LOW = np.uint64(2**32 - 1)


@njit(inline="always")
def _load(kind: Any, word: Any, steps: Any, program: Any, positions: Any, row: Any, width: Any, registers: Any, target: Any) -> None:
    """A field of ``width`` steps from ``row``; the low half of a step's first word is the number of its program row."""
    if kind == STEP_WORD:
        for k in range(width):
            registers[target + k] = steps[np.uint64(positions[row + k]), word]
    elif kind == STEP_LOW:
        for k in range(width):
            registers[target + k] = steps[np.uint64(positions[row + k]), word] & LOW
    elif kind == STEP_HIGH:
        for k in range(width):
            registers[target + k] = steps[np.uint64(positions[row + k]), word] >> HALF
    else:
        for k in range(width):
            registers[target + k] = program[steps[np.uint64(positions[row + k]), ZERO] & LOW, word]


@njit(inline="always")
def _arithmetic(kind: Any, registers: Any, a: Any, b: Any, target: Any, width: Any) -> None:
    """Operations modulo 2^64; whatever is divided by 0 gives its quotient or remainder by 1."""
    if kind == ADD:
        for k in range(width):
            registers[target + k] = registers[a + k] + registers[b + k]
    elif kind == SUBTRACT:
        for k in range(width):
            registers[target + k] = registers[a + k] - registers[b + k]
    elif kind == MULTIPLY:
        for k in range(width):
            registers[target + k] = registers[a + k] * registers[b + k]
    elif kind == DIVIDE:
        for k in range(width):
            registers[target + k] = registers[a + k] // max(registers[b + k], ONE)
    elif kind == REMAINDER:
        for k in range(width):
            registers[target + k] = registers[a + k] % max(registers[b + k], ONE)


@njit(inline="always")
def _logic(kind: Any, registers: Any, a: Any, b: Any, target: Any, width: Any) -> None:
    """Bits, shifts by less than 64, comparisons."""
    if kind == AND:
        for k in range(width):
            registers[target + k] = registers[a + k] & registers[b + k]
    elif kind == OR:
        for k in range(width):
            registers[target + k] = registers[a + k] | registers[b + k]
    elif kind == XOR:
        for k in range(width):
            registers[target + k] = registers[a + k] ^ registers[b + k]
    elif kind == LEFT:
        for k in range(width):
            registers[target + k] = registers[a + k] << registers[b + k]
    elif kind == RIGHT:
        for k in range(width):
            registers[target + k] = registers[a + k] >> registers[b + k]
    elif kind == LESS:
        for k in range(width):
            registers[target + k] = ONE if registers[a + k] < registers[b + k] else ZERO
    elif kind == EQUAL:
        for k in range(width):
            registers[target + k] = ONE if registers[a + k] == registers[b + k] else ZERO
    elif kind == DIFFERENT:
        for k in range(width):
            registers[target + k] = ONE if registers[a + k] != registers[b + k] else ZERO


@njit(inline="always")
def _inverses(registers: Any, a: Any, target: Any, width: Any) -> None:
    """1 / x in the field, 0 for 0, with one inversion (Montgomery's trick)."""
    product = ONE
    for k in range(width):
        registers[target + k] = product
        value = registers[a + k]
        product = mul(product, value) if value != ZERO else product
    rest = inverse(product)
    for before in range(width):
        k = width - ONE - np.uint64(before)
        value = registers[a + k]
        registers[target + k] = mul(rest, registers[target + k]) if value != ZERO else ZERO
        rest = mul(rest, value) if value != ZERO else rest


@entry(void(readonly(int64, 2), readonly(uint64), RECORDS, RECORDS, readonly(int64), WORDS, uint64, WORDS))
def fill_rows(code: Any, constants: Any, steps: Any, program: Any, positions: Any, out: Any, stride: Any, registers: Any) -> None:
    """Run ``code`` on one row for each position.

    All indices are unsigned: a signed one may count from the end, and that question keeps a loop from being vectorised.

    Args:
        code: (k, 4), see :mod:`zkvm.riscv.chips.recorded`.
        constants: of the code.
        steps: (s, 9), STEP records as words.
        program: (r, 6), PROGRAM_ROW records as words.
        positions: (rows,) of steps.
        out: flat; column c of row k goes to ``c stride + k``.
        stride: words between columns.
        registers: (k BLOCK,) scratch.
    """
    rows = np.uint64(len(positions))
    block = np.uint64(BLOCK)
    for row in range(ZERO, rows, block):
        width = np.uint64(min(block, rows - row))
        for number in range(np.uint64(code.shape[0])):
            kind, first, second = code[number, 0], np.uint64(code[number, 1]), np.uint64(code[number, 2])
            a, b, target = first * block, second * block, number * block
            if kind == STORE:
                column = first * stride + row
                for k in range(width):
                    out[column + k] = registers[b + k]
            elif kind == CONSTANT:
                for k in range(width):
                    registers[target + k] = constants[first]
            elif kind <= PROGRAM_WORD:
                _load(kind, first, steps, program, positions, row, width, registers, target)
            elif kind == WHERE:
                other = np.uint64(code[number, 3]) * block
                for k in range(width):
                    registers[target + k] = registers[b + k] if registers[a + k] != ZERO else registers[other + k]
            elif kind == INVERSE:
                _inverses(registers, a, target, width)
            elif kind <= REMAINDER:
                _arithmetic(kind, registers, a, b, target, width)
            else:
                _logic(kind, registers, a, b, target, width)
