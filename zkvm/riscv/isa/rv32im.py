"""The RV32IM instruction table: the one place that lists encodings.

Source: The RISC-V Instruction Set Manual, Volume I, version 20240411, chapter "RV32/64G Instruction Set Listings".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Format(StrEnum):
    """How the fields of an instruction are laid out; loads, jalr and shifts are I-type with operands of their own."""

    R = "R"
    I = "I"  # noqa: E741 - the manual's name
    SHIFT = "SHIFT"
    LOAD = "LOAD"
    JALR = "JALR"
    S = "S"
    B = "B"
    U = "U"
    J = "J"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class Encoding:
    """One instruction: a 32-bit ``word`` is this instruction exactly if ``word & mask == match``."""

    name: str
    format: Format
    match: int
    mask: int


def _plain(format_: Format, opcode: int, **names: int) -> list[Encoding]:
    """Instructions told apart by funct3."""
    return [Encoding(name, format_, opcode | funct3 << 12, 0x0000_707F) for name, funct3 in names.items()]


def _with_funct7(format_: Format, opcode: int, funct7: int, **names: int) -> list[Encoding]:
    """Instructions told apart by funct3 and funct7. Names of Python keywords carry a trailing underscore."""
    return [Encoding(name.rstrip("_"), format_, opcode | funct3 << 12 | funct7 << 25, 0xFE00_707F) for name, funct3 in names.items()]


LOAD, MISC_MEM, OP_IMM, AUIPC, STORE, OP, LUI, BRANCH, JALR, JAL, SYSTEM = (
    0x03, 0x0F, 0x13, 0x17, 0x23, 0x33, 0x37, 0x63, 0x67, 0x6F, 0x73,
)  # fmt: skip

ENCODINGS: tuple[Encoding, ...] = (
    Encoding("lui", Format.U, LUI, 0x7F),
    Encoding("auipc", Format.U, AUIPC, 0x7F),
    Encoding("jal", Format.J, JAL, 0x7F),
    Encoding("jalr", Format.JALR, JALR, 0x707F),
    *_plain(Format.B, BRANCH, beq=0, bne=1, blt=4, bge=5, bltu=6, bgeu=7),
    *_plain(Format.LOAD, LOAD, lb=0, lh=1, lw=2, lbu=4, lhu=5),
    *_plain(Format.S, STORE, sb=0, sh=1, sw=2),
    *_plain(Format.I, OP_IMM, addi=0, slti=2, sltiu=3, xori=4, ori=6, andi=7),
    *_with_funct7(Format.SHIFT, OP_IMM, 0x00, slli=1, srli=5),
    *_with_funct7(Format.SHIFT, OP_IMM, 0x20, srai=5),
    *_with_funct7(Format.R, OP, 0x00, add=0, sll=1, slt=2, sltu=3, xor=4, srl=5, or_=6, and_=7),
    *_with_funct7(Format.R, OP, 0x20, sub=0, sra=5),
    *_with_funct7(Format.R, OP, 0x01, mul=0, mulh=1, mulhsu=2, mulhu=3, div=4, divu=5, rem=6, remu=7),
    # The manual asks to ignore the reserved fields of fence, so every pattern with funct3 = 0 is one.
    Encoding("fence", Format.NONE, MISC_MEM, 0x707F),
    Encoding("ecall", Format.NONE, SYSTEM, 0xFFFF_FFFF),
    Encoding("ebreak", Format.NONE, SYSTEM | 1 << 20, 0xFFFF_FFFF),
)
"""The 48 instructions of RV32IM. No two match the same word."""

BY_NAME: dict[str, Encoding] = {encoding.name: encoding for encoding in ENCODINGS}

REGISTER_NAMES: tuple[str, ...] = (
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
    "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
)  # fmt: skip
"""ABI names of x0..x31."""
