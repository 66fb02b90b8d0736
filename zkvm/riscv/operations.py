"""The operations of the code that fills the rows of instruction chips (:mod:`zkvm.riscv.chips.recorded`), for all who write or run it."""

from __future__ import annotations

(
    CONSTANT,  # constants[a]
    STEP_WORD, STEP_LOW, STEP_HIGH,  # 64-bit word a of the step, or its low or high half
    PROGRAM_WORD,  # 64-bit word a of the step's program row
    ADD, SUBTRACT, MULTIPLY, DIVIDE, REMAINDER,  # a op b of 64-bit words, modulo 2^64
    AND, OR, XOR, LEFT, RIGHT,
    LESS, EQUAL, DIFFERENT,  # 1 or 0
    WHERE,  # b if a is not 0, else c
    INVERSE,  # 1 / a in the field, 0 for 0
    STORE,  # column a = value b
) = range(21)  # fmt: skip
