"""The encodings, against Capstone's decoder and their own inverse."""

from __future__ import annotations

import re

import capstone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkvm.errors import UsageError
from zkvm.riscv.isa.decode import Decoded, decode, encode
from zkvm.riscv.isa.disasm import disassemble
from zkvm.riscv.isa.rv32im import BY_NAME, ENCODINGS, Format

IMMEDIATES = {
    Format.R: st.just(0),
    Format.NONE: st.just(0),
    Format.I: st.integers(-2048, 2047),
    Format.LOAD: st.integers(-2048, 2047),
    Format.JALR: st.integers(-2048, 2047),
    Format.S: st.integers(-2048, 2047),
    Format.SHIFT: st.integers(0, 31),
    Format.B: st.integers(-2048, 2047).map(lambda half: 2 * half),
    Format.J: st.integers(-(1 << 19), (1 << 19) - 1).map(lambda half: 2 * half),
    Format.U: st.integers(0, (1 << 20) - 1).map(lambda page: page << 12),
}
FIELDS = {
    Format.R: ("rd", "rs1", "rs2"),
    Format.S: ("rs1", "rs2"),
    Format.B: ("rs1", "rs2"),
    Format.U: ("rd",),
    Format.J: ("rd",),
    Format.NONE: (),
}


@st.composite
def instructions(draw: st.DrawFn, lowest_register: int = 0) -> Decoded:
    """Any instruction with the fields that its format has."""
    encoding = draw(st.sampled_from(ENCODINGS))
    fields = FIELDS.get(encoding.format, ("rd", "rs1"))
    registers = {name: draw(st.integers(lowest_register, 31)) for name in fields}
    return Decoded(encoding, **registers, imm=draw(IMMEDIATES[encoding.format]))


def word_of(instruction: Decoded) -> int:
    """Its encoding."""
    return encode(instruction.name, rd=instruction.rd, rs1=instruction.rs1, rs2=instruction.rs2, imm=instruction.imm)


def test_the_table_is_rv32im() -> None:
    assert len(ENCODINGS) == len(BY_NAME) == 48


def test_no_two_encodings_match_one_word() -> None:
    for i, first in enumerate(ENCODINGS):
        for second in ENCODINGS[i + 1 :]:
            assert (first.match ^ second.match) & first.mask & second.mask, (first.name, second.name)


@given(instructions())
@settings(max_examples=2000, deadline=None)
def test_decode_inverts_encode(instruction: Decoded) -> None:
    assert decode(word_of(instruction)) == instruction


def normalised(text: str) -> list[str | int]:
    """Tokens of a line of assembly, numbers as ints modulo 2^32."""
    tokens = re.findall(r"-?0x[0-9a-f]+|-?\b\d+\b|[a-z]\w*", text)
    return [int(token, 0) & 0xFFFF_FFFF if token.lstrip("-")[0].isdigit() else token for token in tokens]


@given(instructions(lowest_register=1), st.integers(0, (1 << 30) - 1).map(lambda word: 4 * word))
@settings(max_examples=3000, deadline=None)
def test_disassembly_agrees_with_capstone(instruction: Decoded, pc: int) -> None:
    decoder = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32)
    word = word_of(instruction)
    (theirs,) = decoder.disasm(word.to_bytes(4, "little"), pc)
    expected = normalised(f"{theirs.mnemonic} {theirs.op_str}")
    ours = normalised(disassemble(word, pc))
    if instruction.encoding.format in (Format.B, Format.J):
        ours[-1] = (int(ours[-1]) - pc) & 0xFFFF_FFFF  # Capstone prints offsets
    # Capstone's names for special cases of the same instruction.
    if expected[0] == "mv":
        expected = ["addi", *expected[1:], 0]
    elif expected[0] == "not":
        expected = ["xori", *expected[1:], 0xFFFF_FFFF]
    elif expected[0] == "seqz":
        expected = ["sltiu", *expected[1:], 1]
    elif expected[0] in ("jal", "jalr") and len(expected) == 2:
        # rd = ra is implied
        expected = ["jal", "ra", expected[1]] if expected[0] == "jal" else ["jalr", "ra", 0, expected[1]]
    elif expected[0] == "jalr":
        expected = ["jalr", expected[1], expected[3], expected[2]]  # written rd, rs1, imm
    elif expected[0] == "fence":
        expected = ["fence"]
    assert ours == expected


@pytest.mark.parametrize(
    "word",
    [
        0x0000_0000,
        0xFFFF_FFFF,
        0x0000_4501,  # c.li a0, 0
        0x0000_100F,  # fence.i
        0x3000_2573,  # csrr a0, mstatus
        0x0200_1013,  # slli with shift amount 32
        0x4000_1013,  # slli with srai's funct7
        0x4000_4033,  # xor with sub's funct7
        0x0400_0033,  # unknown funct7
        0x0000_2063,  # branch funct3 = 2
        0x0000_3003,  # ld
        0x0000_3023,  # sd
        0x0000_1067,  # jalr funct3 = 1
        0x1005_252F,  # lr.w
        0x0000_00F3,  # ecall with rd = 1
        0x0020_0073,  # uret
    ],
)
def test_other_words_are_no_instructions(word: int) -> None:
    assert decode(word) is None
    assert disassemble(word, 0).startswith(".word")


@pytest.mark.parametrize(
    ("name", "operands"),
    [
        ("addi", {"imm": 2048}),
        ("addi", {"imm": -2049}),
        ("sw", {"imm": 2048}),
        ("slli", {"imm": 32}),
        ("beq", {"imm": 4096}),
        ("beq", {"imm": 1}),
        ("jal", {"imm": 1 << 20}),
        ("lui", {"imm": 1}),
        ("add", {"rd": 32}),
        ("addw", {}),
    ],
)
def test_encode_refuses_operands_that_do_not_fit(name: str, operands: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=name):
        encode(name, **operands)
