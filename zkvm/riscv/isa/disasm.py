"""One line of assembly text for a word, for messages and listings."""

from __future__ import annotations

from zkvm.riscv.isa.decode import decode
from zkvm.riscv.isa.rv32im import REGISTER_NAMES, Format

FLOATS = frozenset({0x07, 0x27, 0x43, 0x47, 0x4B, 0x4F, 0x53})
UNIMP = 0xC000_1073


def foreign(word: int) -> str:
    """What a 32-bit word is that is not RV32IM, and how its program should have been compiled."""
    opcode = word & 0x7F
    if word == UNIMP:
        return "unimp, which compilers put where execution must not arrive"
    if word & 0xFFFF == 0:
        return "zeros: no instruction"
    if word & 3 != 3:
        return "compressed code: compile with -march=rv32im, without the C extension"
    if opcode == 0x2F:
        return "an atomic instruction: compile with -march=rv32im, without the A extension"
    if opcode in FLOATS:
        return "a floating-point instruction: compile with -march=rv32im -mabi=ilp32"
    if opcode == 0x73:
        return "a control register (Zicsr), which this machine does not have"
    if opcode == 0x57:
        return "a vector instruction: compile with -march=rv32im, without the V extension"
    return "not RV32IM"


def disassemble(word: int, pc: int) -> str:
    """Text of a 32-bit word at byte address ``pc``; branch targets are absolute. ``.word 0x...`` if it is not RV32IM."""
    decoded = decode(word)
    if decoded is None:
        hint = "  # compressed?" if word & 3 != 3 and word & 0xFFFF else ""
        return f".word 0x{word:08x}{hint}"
    rd, rs1, rs2 = REGISTER_NAMES[decoded.rd], REGISTER_NAMES[decoded.rs1], REGISTER_NAMES[decoded.rs2]
    target = f"0x{(pc + decoded.imm) & 0xFFFF_FFFF:x}"
    match decoded.encoding.format:
        case Format.R:
            operands = f"{rd}, {rs1}, {rs2}"
        case Format.I | Format.SHIFT:
            operands = f"{rd}, {rs1}, {decoded.imm}"
        case Format.LOAD | Format.JALR:
            operands = f"{rd}, {decoded.imm}({rs1})"
        case Format.S:
            operands = f"{rs2}, {decoded.imm}({rs1})"
        case Format.B:
            operands = f"{rs1}, {rs2}, {target}"
        case Format.U:
            operands = f"{rd}, 0x{decoded.imm >> 12:x}"
        case Format.J:
            operands = f"{rd}, {target}"
        case Format.NONE:
            operands = ""
    return f"{decoded.name} {operands}".rstrip()
