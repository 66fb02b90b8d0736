"""A small assembler for programs written as Python tuples: tests of chips and proofs need no compiler.

>>> image = assemble([("li", "a0", 3), "loop", ("addi", "a0", "a0", -1), ("bnez", "a0", "loop"), *EXIT])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zkvm.errors import UsageError
from zkvm.riscv.isa.decode import encode
from zkvm.riscv.isa.rv32im import BY_NAME, REGISTER_NAMES, Format
from zkvm.riscv.records import Image
from zkvm.riscv.vm import constants
from zkvm.riscv.vm.image import Program, build_image
from zkvm.riscv.vm.segment import Segment

TEXT, RODATA, VECTORS, CHANNELS, PATTERNS, FUNCTIONS, DATA = 0x1_0000, 0x40_0000, 0x50_0000, 0x60_0000, 0x68_0000, 0x70_0000, 0x80_0000
"""Default byte addresses of the segments."""

Operand = int | str
Item = str | tuple[Operand, ...]
"""A label's name, or (mnemonic, operands ...)."""

EXIT: tuple[Item, ...] = (("li", "a7", 93), ("ecall",))
"""Ends the run with a0 for exit code."""

REGISTERS = {name: number for number, name in enumerate(REGISTER_NAMES)}
REGISTERS |= {f"x{number}": number for number in range(32)} | {"fp": 8}


def assemble(
    items: Sequence[Item],
    *,
    data: bytes = b"",
    rodata: bytes = b"",
    bss: int = 0,
    vectors: bytes = b"",
    channels: bytes = b"",
    patterns: bytes = b"",
    functions: bytes = b"",
    text_address: int = TEXT,
) -> Image:
    """An image with ``items`` for text, entered at its first instruction.

    Operands come in the order of assembly text, an offset after its base: ``("lw", rd, base, offset)``,
    ``("sw", value, base, offset)``, ``("jalr", rd, base, offset)``, ``("beq", rs1, rs2, target)``, ``("jal", rd, target)``,
    ``("lui", rd, imm20)``. A register is a number or a name, a target a label or an offset from the instruction in bytes.
    A str item defines a label; ``data``, ``rodata`` and ``bss`` are labels too. ``(".word", value)`` places any word. Pseudo-instructions:
    li and la (always two words if the value is not a small int), mv, nop, not, neg, seqz, snez, j, jr, ret, call, beqz, bnez.

    Args:
        items: labels and instructions, in order.
        data: initialised RAM at 0x800000.
        rodata: ROM at 0x400000.
        bss: zero bytes that follow ``data``, from the next multiple of 4 on.
        vectors: constant vectors of tensor calls, at 0x500000.
        channels: their channels, at 0x600000.
        patterns: their patterns, at 0x680000.
        functions: their functions, at 0x700000.
        text_address: byte address of the first instruction.

    Raises:
        UsageError: unknown mnemonic, register or label, or a value out of range.
    """
    words, labels = assemble_words(items, text_address, {"rodata": RODATA, "data": DATA, "bss": DATA + len(data) + -len(data) % 4})
    text = b"".join(word.to_bytes(4, "little") for word in words)
    segments = [Segment(text_address, text, len(text), writable=False, executable=True)]
    if rodata:
        segments.append(Segment(RODATA, rodata, len(rodata), writable=False, executable=False))
    for address, content, kind in (
        (VECTORS, vectors, constants.VECTORS),
        (CHANNELS, channels, constants.CHANNELS),
        (PATTERNS, patterns, constants.PATTERNS),
        (FUNCTIONS, functions, constants.FUNCTIONS),
    ):
        if content:
            segments.append(Segment(address, content, len(content), writable=False, executable=False, kind=kind))
    if data or bss:
        padded = data + bytes(-len(data) % 4)
        segments.append(Segment(DATA, padded, len(padded) + bss, writable=True, executable=False))
    symbols = sorted((address, name) for name, address in labels.items() if text_address <= address < text_address + len(text))
    return build_image(Program(tuple(segments), text_address, tuple(symbols)))


def assemble_words(items: Sequence[Item], address: int, labels: dict[str, int]) -> tuple[list[int], dict[str, int]]:
    """Words of ``items`` placed at byte ``address``, and ``labels`` with the labels of ``items`` added.

    Raises:
        UsageError: as :func:`assemble`.
    """
    labels = dict(labels)
    expanded: list[tuple[int, tuple[Operand, ...]]] = []
    pc = address
    for item in items:
        if isinstance(item, str):
            if item in labels:
                raise UsageError(f"label {item!r} is defined twice")
            labels[item] = pc
            continue
        for instruction in _expand(item):
            expanded.append((pc, instruction))
            pc += 4
    return [_encode(pc, instruction, labels) for pc, instruction in expanded], labels


_PSEUDO: dict[str, Callable[..., tuple[Operand, ...]]] = {
    "mv": lambda rd, rs: ("addi", rd, rs, 0),
    "nop": lambda: ("addi", 0, 0, 0),
    "not": lambda rd, rs: ("xori", rd, rs, -1),
    "neg": lambda rd, rs: ("sub", rd, 0, rs),
    "seqz": lambda rd, rs: ("sltiu", rd, rs, 1),
    "snez": lambda rd, rs: ("sltu", rd, 0, rs),
    "j": lambda target: ("jal", 0, target),
    "call": lambda target: ("jal", 1, target),
    "jr": lambda rs: ("jalr", 0, rs, 0),
    "ret": lambda: ("jalr", 0, 1, 0),
    "beqz": lambda rs, target: ("beq", rs, 0, target),
    "bnez": lambda rs, target: ("bne", rs, 0, target),
}


def _expand(item: tuple[Operand, ...]) -> list[tuple[Operand, ...]]:
    """The one or two instructions of an item."""
    name, *operands = item
    try:
        if name in ("li", "la"):
            rd, value = operands
            if isinstance(value, int) and -2048 <= value < 2048:
                return [("addi", rd, 0, value)]
            return [("%hi", rd, value), ("%lo", rd, rd, value)]
        return [_PSEUDO[name](*operands)] if name in _PSEUDO else [item]
    except (TypeError, ValueError):
        raise UsageError(f"wrong number of operands in {item}") from None


def _encode(pc: int, item: tuple[Operand, ...], labels: dict[str, int]) -> int:
    name, *operands = item

    def register(position: int) -> int:
        operand = operands[position]
        if isinstance(operand, str) and operand not in REGISTERS:
            raise UsageError(f"{item}: unknown register {operand!r}")
        return REGISTERS[operand] if isinstance(operand, str) else operand

    def value(position: int, origin: int = 0) -> int:
        operand = operands[position]
        if isinstance(operand, str) and operand not in labels:
            raise UsageError(f"{item}: unknown label {operand!r}")
        return labels[operand] - origin if isinstance(operand, str) else operand

    try:
        match name:
            case ".word":
                return value(0) & 0xFFFF_FFFF
            case "%hi":
                return encode("lui", rd=register(0), imm=(value(1) + 0x800) & 0xFFFF_F000)
            case "%lo":
                return encode("addi", rd=register(0), rs1=register(1), imm=((value(2) + 0x800) & 0xFFF) - 0x800)
        if name not in BY_NAME:
            raise UsageError(f"unknown instruction {name!r}")
        name = str(name)
        match BY_NAME[name].format:
            case Format.R:
                return encode(name, rd=register(0), rs1=register(1), rs2=register(2))
            case Format.I | Format.LOAD | Format.JALR | Format.SHIFT:
                return encode(name, rd=register(0), rs1=register(1), imm=value(2))
            case Format.S:
                return encode(name, rs2=register(0), rs1=register(1), imm=value(2))
            case Format.B:
                return encode(name, rs1=register(0), rs2=register(1), imm=value(2, pc))
            case Format.U:
                return encode(name, rd=register(0), imm=value(1) << 12)
            case Format.J:
                return encode(name, rd=register(0), imm=value(1, pc))
            case Format.NONE:
                return encode(name)
    except IndexError:
        raise UsageError(f"missing operands in {item}") from None
