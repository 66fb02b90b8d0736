"""Decode and encode RV32IM words from the table of :mod:`zkvm.riscv.isa.rv32im`.

The field functions accept Python ints and int64 arrays alike: the decoder of one word and the simplifier of a whole text
segment read the same definitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.riscv.isa.rv32im import BY_NAME, ENCODINGS, Encoding, Format

Word = TypeVar("Word", int, NDArray[np.int64])


def rd(word: Word) -> Word:
    """Destination register number."""
    return (word >> 7) & 31


def rs1(word: Word) -> Word:
    """First source register number."""
    return (word >> 15) & 31


def rs2(word: Word) -> Word:
    """Second source register number; the shift amount of a shift by a constant."""
    return (word >> 20) & 31


def sign_extend(value: Word, bits: int) -> Word:
    """Two's complement value of the low ``bits`` bits, as a signed number."""
    half = 1 << (bits - 1)
    return ((value & (2 * half - 1)) ^ half) - half


def imm_i(word: Word) -> Word:
    """Signed 12-bit immediate of computations, loads and jalr."""
    return sign_extend(word >> 20, 12)


def imm_s(word: Word) -> Word:
    """Signed 12-bit immediate of stores."""
    return sign_extend((word >> 25) << 5 | (word >> 7) & 31, 12)


def imm_b(word: Word) -> Word:
    """Signed 13-bit even branch offset."""
    scattered = ((word >> 31) & 1) << 12 | ((word >> 7) & 1) << 11 | ((word >> 25) & 63) << 5 | ((word >> 8) & 15) << 1
    return sign_extend(scattered, 13)


def imm_u(word: Word) -> Word:
    """Upper immediate of lui and auipc, in place: a multiple of 2^12 in [0, 2^32)."""
    return word & 0xFFFF_F000


def imm_j(word: Word) -> Word:
    """Signed 21-bit even jump offset."""
    scattered = ((word >> 31) & 1) << 20 | ((word >> 12) & 255) << 12 | ((word >> 20) & 1) << 11 | ((word >> 21) & 1023) << 1
    return sign_extend(scattered, 21)


@dataclass(frozen=True, slots=True)
class Decoded:
    """One RV32IM instruction. ``imm`` is signed (the shift amount of a shift; in place for lui, auipc); absent fields are 0."""

    encoding: Encoding
    rd: int = 0
    rs1: int = 0
    rs2: int = 0
    imm: int = 0

    @property
    def name(self) -> str:
        """The mnemonic."""
        return self.encoding.name


def find_encoding(word: int) -> Encoding | None:
    """The table entry that matches a 32-bit word, None if it is not RV32IM."""
    for encoding in ENCODINGS:
        if word & encoding.mask == encoding.match:
            return encoding
    return None


def decode(word: int) -> Decoded | None:
    """Fields of a 32-bit word, None if it is not RV32IM."""
    encoding = find_encoding(word)
    if encoding is None:
        return None
    match encoding.format:
        case Format.R:
            return Decoded(encoding, rd=rd(word), rs1=rs1(word), rs2=rs2(word))
        case Format.I | Format.LOAD | Format.JALR:
            return Decoded(encoding, rd=rd(word), rs1=rs1(word), imm=imm_i(word))
        case Format.SHIFT:
            return Decoded(encoding, rd=rd(word), rs1=rs1(word), imm=rs2(word))
        case Format.S:
            return Decoded(encoding, rs1=rs1(word), rs2=rs2(word), imm=imm_s(word))
        case Format.B:
            return Decoded(encoding, rs1=rs1(word), rs2=rs2(word), imm=imm_b(word))
        case Format.U:
            return Decoded(encoding, rd=rd(word), imm=imm_u(word))
        case Format.J:
            return Decoded(encoding, rd=rd(word), imm=imm_j(word))
        case Format.NONE:
            return Decoded(encoding)


def _check(name: str, value: int, low: int, high: int, step: int = 1) -> int:
    if not low <= value <= high or value % step:
        raise UsageError(f"{name}: operand {value} is not a multiple of {step} in [{low}, {high}]")
    return value


def encode(name: str, *, rd: int = 0, rs1: int = 0, rs2: int = 0, imm: int = 0) -> int:
    """The 32-bit word of an instruction; the inverse of :func:`decode`.

    Raises:
        UsageError: unknown mnemonic, register number or immediate out of range.
    """
    if name not in BY_NAME:
        raise UsageError(f"unknown instruction {name!r}")
    encoding = BY_NAME[name]
    for register in (rd, rs1, rs2):
        _check(name, register, 0, 31)
    d, s, t = rd << 7, rs1 << 15, rs2 << 20
    match encoding.format:
        case Format.R:
            fields = d | s | t
        case Format.I | Format.LOAD | Format.JALR:
            fields = d | s | (_check(name, imm, -2048, 2047) & 0xFFF) << 20
        case Format.SHIFT:
            fields = d | s | _check(name, imm, 0, 31) << 20
        case Format.S:
            _check(name, imm, -2048, 2047)
            fields = s | t | (imm >> 5 & 127) << 25 | (imm & 31) << 7
        case Format.B:
            _check(name, imm, -4096, 4094, 2)
            fields = s | t | (imm >> 12 & 1) << 31 | (imm >> 5 & 63) << 25 | (imm >> 1 & 15) << 8 | (imm >> 11 & 1) << 7
        case Format.U:
            fields = d | _check(name, imm, 0, 0xFFFF_F000, 4096)
        case Format.J:
            _check(name, imm, -(1 << 20), (1 << 20) - 2, 2)
            fields = d | (imm >> 20 & 1) << 31 | (imm >> 1 & 1023) << 21 | (imm >> 11 & 1) << 20 | (imm >> 12 & 255) << 12
        case Format.NONE:
            fields = 0
    return encoding.match | fields
