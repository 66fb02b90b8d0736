"""Integer ids of the machine's operations and the addresses of its registers.

The machine does not execute RV32IM encodings: an instruction is simplified when its ELF is loaded (``lui``, ``auipc`` and
``li`` become ``ADDI`` from x0, a shift by a constant becomes a multiplication, branch targets and link values become
constants). What is left are the operations below. A number is part of the machine's digest: never reuse one.
"""

from __future__ import annotations

# fmt: off
ADD, SUB, ADDI = 1, 2, 3
LW, SW = 4, 5
BEQ, BNE, BLT, BGE, BLTU, BGEU = 6, 7, 8, 9, 10, 11
SLT, SLTU, SLTI, SLTIU = 12, 13, 14, 15
MUL, MULH, MULHSU, MULHU = 16, 17, 18, 19
MULI, MULHUI, MULHSUI = 20, 21, 22     # slli, srli, srai by s >= 1: times 2^s, 2^(32-s), 2^(32-s) with rs1 signed
SLL, SRL, SRA = 23, 24, 25
AND, OR, XOR, ANDI, ORI, XORI = 26, 27, 28, 29, 30, 31
DIV, DIVU, REM, REMU = 32, 33, 34, 35
LB, LBU, LH, LHU, SB, SH = 36, 37, 38, 39, 40, 41
JAL, JALR = 42, 43
ECALL = 44
TRAP = 45                              # ebreak: the executor stops, no chip serves it
# fmt: on

NAMES = {value: name for name, value in list(globals().items()) if name.isupper() and isinstance(value, int)}
"""Operation id -> name, for messages."""

REGISTER_BASE = 1 << 32
"""Memory-bus address of x0; register i lives at REGISTER_BASE + i, out of reach of any 32-bit address."""
SINK = REGISTER_BASE + 32
"""Where writes to x0 go; nothing reads it."""
JOURNAL_POINTER = REGISTER_BASE + 33
"""Number of journal bytes written so far."""
BREAK = REGISTER_BASE + 34
"""Current program break."""
HEAP_START = REGISTER_BASE + 35
HEAP_LIMIT = REGISTER_BASE + 36
REGISTER_COUNT = 37
"""Registers, sink and the machine's own registers: the last rows of every RAM image."""

FIRST_TIME = 4
"""State time of the first instruction; initial memory is written at time 0."""
TIME_STEP = 4
"""State time per instruction. Within one: rs1 is read at +0, rs2 at +1, memory at +2, rd is written at +3."""
LAST_PC, LAST_TIME = 1 << 32, 0
"""An exit with code e leaves the state (LAST_PC + e, LAST_TIME). No program has an instruction there, and no other state has that time."""
