"""What each operation computes: one pure function per operation, on Python ints in [0, 2^32).

The readable twin of ``kernels/interpreter.py``. Source: The RISC-V Instruction Set Manual, Volume I, version 20240411,
chapters "RV32I" and "M" (table of division by zero and overflow).
"""

from __future__ import annotations

from collections.abc import Callable

from zkvm.riscv.isa import opcodes

MASK32 = 0xFFFF_FFFF


def signed(value: int, bits: int = 32) -> int:
    """Two's complement reading of ``value`` in [0, 2^bits)."""
    return value - (1 << bits) if value >> (bits - 1) else value


def div(a: int, b: int) -> int:
    """Signed quotient towards zero; all ones for b = 0; MIN / -1 = MIN."""
    if b == 0:
        return MASK32
    quotient = abs(signed(a)) // abs(signed(b))
    return (-quotient if (signed(a) < 0) != (signed(b) < 0) else quotient) & MASK32


def rem(a: int, b: int) -> int:
    """Signed remainder with the sign of a; a for b = 0; MIN % -1 = 0."""
    if b == 0:
        return a
    remainder = abs(signed(a)) % abs(signed(b))
    return (-remainder if signed(a) < 0 else remainder) & MASK32


COMPUTE: dict[int, Callable[[int, int], int]] = {
    opcodes.ADD: lambda a, b: (a + b) & MASK32,
    opcodes.SUB: lambda a, b: (a - b) & MASK32,
    opcodes.SLT: lambda a, b: int(signed(a) < signed(b)),
    opcodes.SLTU: lambda a, b: int(a < b),
    opcodes.MUL: lambda a, b: (a * b) & MASK32,
    opcodes.MULH: lambda a, b: (signed(a) * signed(b) >> 32) & MASK32,
    opcodes.MULHSU: lambda a, b: (signed(a) * b >> 32) & MASK32,
    opcodes.MULHU: lambda a, b: a * b >> 32,
    opcodes.SLL: lambda a, b: (a << (b & 31)) & MASK32,
    opcodes.SRL: lambda a, b: a >> (b & 31),
    opcodes.SRA: lambda a, b: (signed(a) >> (b & 31)) & MASK32,
    opcodes.AND: lambda a, b: a & b,
    opcodes.OR: lambda a, b: a | b,
    opcodes.XOR: lambda a, b: a ^ b,
    opcodes.DIV: div,
    opcodes.DIVU: lambda a, b: a // b if b else MASK32,
    opcodes.REM: rem,
    opcodes.REMU: lambda a, b: a % b if b else a,
}
"""Register-register operations: (value of rs1, value of rs2) -> value of rd."""

REGISTER_FORM: dict[int, int] = {
    opcodes.ADDI: opcodes.ADD,
    opcodes.SLTI: opcodes.SLT,
    opcodes.SLTIU: opcodes.SLTU,
    opcodes.ANDI: opcodes.AND,
    opcodes.ORI: opcodes.OR,
    opcodes.XORI: opcodes.XOR,
    opcodes.MULI: opcodes.MUL,
    opcodes.MULHUI: opcodes.MULHU,
    opcodes.MULHSUI: opcodes.MULHSU,
}
"""Register-immediate operation -> the register-register operation that it is with the row's imm for the value of rs2."""

TAKEN: dict[int, Callable[[int, int], bool]] = {
    opcodes.BEQ: lambda a, b: a == b,
    opcodes.BNE: lambda a, b: a != b,
    opcodes.BLT: lambda a, b: signed(a) < signed(b),
    opcodes.BGE: lambda a, b: signed(a) >= signed(b),
    opcodes.BLTU: lambda a, b: a < b,
    opcodes.BGEU: lambda a, b: a >= b,
}
"""Branches: whether (value of rs1, value of rs2) jumps."""

LOADS: dict[int, tuple[int, bool]] = {
    opcodes.LW: (4, False),
    opcodes.LB: (1, True),
    opcodes.LBU: (1, False),
    opcodes.LH: (2, True),
    opcodes.LHU: (2, False),
}
"""Loads: (bytes, whether the value is sign-extended)."""

STORES: dict[int, int] = {opcodes.SW: 4, opcodes.SB: 1, opcodes.SH: 2}
"""Stores: bytes."""


def load(op: int, word: int, address: int) -> int:
    """Value of rd after a load at byte ``address``, aligned for its size, from the aligned ``word`` that holds it."""
    size, sign = LOADS[op]
    value = (word >> 8 * (address & 3)) & ((1 << 8 * size) - 1)
    return signed(value, 8 * size) & MASK32 if sign else value


def store(op: int, word: int, address: int, value: int) -> int:
    """The aligned word after a store of ``value`` at byte ``address``, aligned for its size, into ``word``."""
    shift = 8 * (address & 3)
    mask = ((1 << 8 * STORES[op]) - 1) << shift
    return (word & ~mask) | (value << shift & mask)


def jalr_target(value: int, imm: int) -> int:
    """Target of ``JALR``: the sum with its lowest bit cleared."""
    return (value + imm) & MASK32 & ~1
