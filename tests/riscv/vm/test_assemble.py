"""The assembler of the tests: operand order, labels, pseudo-instructions."""

from __future__ import annotations

import pytest

from zkvm.errors import UsageError
from zkvm.riscv.isa.disasm import disassemble
from zkvm.riscv.vm.assemble import EXIT, Item, assemble, assemble_words


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (("add", 1, "a0", "x31"), "add ra, a0, t6"),
        (("lw", "a0", "sp", -4), "lw a0, -4(sp)"),
        (("sw", "a0", "sp", 8), "sw a0, 8(sp)"),
        (("jalr", 0, "ra", 4), "jalr zero, 4(ra)"),
        (("beq", 1, 2, 8), "beq ra, sp, 0x1008"),
        (("jal", "ra", "there"), "jal ra, 0x1800"),
        (("lui", "a0", 0x12345), "lui a0, 0x12345"),
        (("srai", "fp", 8, 31), "srai s0, s0, 31"),
        (("li", "a0", -1), "addi a0, zero, -1"),
        (("mv", "a0", "a1"), "addi a0, a1, 0"),
        (("beqz", "a0", "there"), "beq a0, zero, 0x1800"),
        (("ret",), "jalr zero, 0(ra)"),
        ((".word", 7), ".word 0x00000007"),
    ],
)
def test_one_word(item: Item, text: str) -> None:
    (word,), _ = assemble_words([item], 0x1000, {"there": 0x1800})
    assert disassemble(word, 0x1000) == text


@pytest.mark.parametrize("value", [2048, -2049, 0xFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_F800, 0xFFFF_F7FF])
def test_li_of_large_values(value: int) -> None:
    (high, low), _ = assemble_words([("li", 5, value)], 0, {})
    sign = ((low >> 20) ^ 0x800) - 0x800
    assert (high >> 12 << 12) + sign & 0xFFFF_FFFF == value & 0xFFFF_FFFF
    assert (high & 0xFFF, low & 0xF_FFFF) == (5 << 7 | 0x37, 5 << 15 | 5 << 7 | 0x13)


def test_labels_point_both_ways() -> None:
    words, labels = assemble_words(["a", ("j", "b"), "b", ("j", "a")], 0x100, {})
    assert labels == {"a": 0x100, "b": 0x104}
    assert [disassemble(word, 0x100 + 4 * index) for index, word in enumerate(words)] == ["jal zero, 0x104", "jal zero, 0x100"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([("frob", 1)], "frob"),
        ([("addi", 1, 2)], "missing operands"),
        ([("mv", 1)], "wrong number"),
        ([("li", 1)], "wrong number"),
        ([("j", "nowhere")], "unknown label"),
        ([("addi", "q0", 0, 0)], "unknown register"),
        (["a", "a"], "twice"),
        ([("addi", 1, 0, 5000)], "5000"),
        ([("add", 1, 0, 32)], "32"),
    ],
)
def test_mistakes(items: list[Item], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        assemble([*items, *EXIT])
