"""Program rows: fields, and that they compute what the instruction does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zkvm.riscv.isa import opcodes, semantics
from zkvm.riscv.isa.decode import encode
from zkvm.riscv.isa.simplify import simplify
from zkvm.riscv.records import PROGRAM_ROW

BASE = opcodes.REGISTER_BASE
PC = 0x1_0000
ALL_ONES = 0xFFFF_FFFF


def simplify_word(pc: int, word: int) -> NDArray[Any]:
    """The program rows of one word: one, or none."""
    return simplify(np.array([pc], np.int64), np.array([word], np.int64))


def row(name: str, pc: int = PC, **operands: int) -> tuple[str, dict[str, int]]:
    """Operation name and non-zero fields but pc."""
    (only,) = simplify_word(pc, encode(name, **operands))
    fields = {field: int(only[field]) for field in PROGRAM_ROW.names or () if field not in ("pc", "op") and only[field]}
    assert only["pc"] == pc
    return opcodes.NAMES[int(only["op"])], fields


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("add", {"rd": 1, "rs1": 2, "rs2": 3}, ("ADD", {"rd": BASE + 1, "rs1": BASE + 2, "rs2": BASE + 3})),
        ("or", {"rd": 0, "rs1": 0, "rs2": 3}, ("OR", {"rd": opcodes.SINK, "rs1": BASE, "rs2": BASE + 3})),
        ("addi", {"rd": 1, "rs1": 2, "imm": -1}, ("ADDI", {"rd": BASE + 1, "rs1": BASE + 2, "imm": ALL_ONES})),
        ("lui", {"rd": 1, "imm": 0xFFFF_F000}, ("ADDI", {"rd": BASE + 1, "rs1": BASE, "imm": 0xFFFF_F000})),
        ("auipc", {"rd": 1, "imm": 0xFFFF_F000}, ("ADDI", {"rd": BASE + 1, "rs1": BASE, "imm": 0xF000})),
        ("lw", {"rd": 1, "rs1": 2, "imm": -4}, ("LW", {"rd": BASE + 1, "rs1": BASE + 2, "imm": ALL_ONES - 3})),
        ("sb", {"rs1": 2, "rs2": 3, "imm": 5}, ("SB", {"rs1": BASE + 2, "rs2": BASE + 3, "imm": 5})),
        ("blt", {"rs1": 2, "rs2": 3, "imm": -8}, ("BLT", {"rs1": BASE + 2, "rs2": BASE + 3, "imm": PC - 8})),
        ("jal", {"rd": 1, "imm": 0x800}, ("JAL", {"rd": BASE + 1, "rs1": PC + 4, "imm": PC + 0x800})),
        ("jal", {"rd": 0, "imm": 2}, ("JAL", {"rd": opcodes.SINK, "rs1": PC + 4, "imm": PC + 2})),
        ("jalr", {"rd": 0, "rs1": 1, "imm": -1}, ("JALR", {"rd": opcodes.SINK, "rs1": BASE + 1, "rs2": PC + 4, "imm": ALL_ONES})),
        ("slli", {"rd": 1, "rs1": 2, "imm": 31}, ("MULI", {"rd": BASE + 1, "rs1": BASE + 2, "imm": 1 << 31})),
        ("srli", {"rd": 1, "rs1": 2, "imm": 1}, ("MULHUI", {"rd": BASE + 1, "rs1": BASE + 2, "imm": 1 << 31})),
        ("srai", {"rd": 1, "rs1": 2, "imm": 31}, ("MULHSUI", {"rd": BASE + 1, "rs1": BASE + 2, "imm": 2})),
        ("srai", {"rd": 1, "rs1": 2, "imm": 0}, ("ADDI", {"rd": BASE + 1, "rs1": BASE + 2})),
        ("slli", {"rd": 0, "rs1": 2, "imm": 0}, ("ADDI", {"rd": opcodes.SINK, "rs1": BASE + 2})),
        ("fence", {}, ("ADDI", {"rd": opcodes.SINK, "rs1": BASE})),
        ("ecall", {}, ("ECALL", {})),
        ("ebreak", {}, ("TRAP", {})),
    ],
)
def test_rows(name: str, operands: dict[str, int], expected: tuple[str, dict[str, int]]) -> None:
    assert row(name, **operands) == expected


def test_branch_target_below_zero_wraps() -> None:
    assert row("bne", pc=4, imm=-8)[1]["imm"] == ALL_ONES - 3


@pytest.mark.parametrize("amount", range(32))
@pytest.mark.parametrize("value", [0, 1, 0x7FFF_FFFF, 0x8000_0000, ALL_ONES, 0x1234_5678, 0x8765_4321])
def test_shifts_by_a_constant_are_the_shifts(amount: int, value: int) -> None:
    direct = {"slli": value << amount & ALL_ONES, "srli": value >> amount, "srai": semantics.signed(value) >> amount & ALL_ONES}
    for name, expected in direct.items():
        (only,) = simplify_word(PC, encode(name, rd=1, rs1=2, imm=amount))
        register_form = semantics.REGISTER_FORM[int(only["op"])]
        assert semantics.COMPUTE[register_form](value, int(only["imm"])) == expected, name


def test_data_between_instructions_has_no_row() -> None:
    words = np.array([encode("addi", rd=1), 0, 0xFFFF_FFFF, encode("ecall")], np.int64)
    rows = simplify(PC + 4 * np.arange(4, dtype=np.int64), words)
    assert rows["pc"].tolist() == [PC, PC + 12]


def test_no_operation_is_zero_and_registers_are_out_of_reach() -> None:
    assert 0 not in opcodes.NAMES
    assert opcodes.REGISTER_BASE > ALL_ONES
