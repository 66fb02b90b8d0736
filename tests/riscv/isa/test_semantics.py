"""The operations at their corner cases, from the tables of the manual."""

from __future__ import annotations

import pytest

from zkvm.riscv.isa import opcodes, semantics

MIN, MAX, ONES = 0x8000_0000, 0x7FFF_FFFF, 0xFFFF_FFFF

VECTORS = [
    # Manual, chapter "M", table "Semantics for division by zero and division overflow".
    ("DIV", 7, 0, ONES),
    ("DIVU", 7, 0, ONES),
    ("REM", 7, 0, 7),
    ("REMU", 7, 0, 7),
    ("DIV", MIN, ONES, MIN),
    ("REM", MIN, ONES, 0),
    ("REM", MIN, 0, MIN),
    # Rounding towards zero, remainder with the sign of the dividend.
    ("DIV", -7 & ONES, 2, -3 & ONES),
    ("REM", -7 & ONES, 2, -1 & ONES),
    ("DIV", 7, -2 & ONES, -3 & ONES),
    ("REM", 7, -2 & ONES, 1),
    ("DIVU", ONES, 2, MAX),
    ("MUL", ONES, ONES, 1),
    ("MULH", ONES, ONES, 0),
    ("MULH", MIN, MIN, 0x4000_0000),
    ("MULHSU", ONES, ONES, ONES),
    ("MULHSU", MIN, ONES, 0x8000_0000),
    ("MULHU", ONES, ONES, ONES - 1),
    ("SLT", MIN, 0, 1),
    ("SLTU", MIN, 0, 0),
    ("SLL", 1, 33, 2),
    ("SRL", MIN, 63, 1),
    ("SRA", MIN, 63, ONES),
    ("SRA", MIN, 32, MIN),
    ("ADD", ONES, 1, 0),
    ("SUB", 0, 1, ONES),
]


@pytest.mark.parametrize(("name", "a", "b", "expected"), VECTORS)
def test_corner_cases(name: str, a: int, b: int, expected: int) -> None:
    assert semantics.COMPUTE[getattr(opcodes, name)](a, b) == expected


@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("LW", 0, 0x8182_7FFE),
        ("LB", 0, 0xFFFF_FFFE),
        ("LB", 1, 0x7F),
        ("LBU", 0, 0xFE),
        ("LBU", 3, 0x81),
        ("LH", 0, 0x7FFE),
        ("LH", 2, 0xFFFF_8182),
        ("LHU", 2, 0x8182),
    ],
)
def test_loads(name: str, address: int, expected: int) -> None:
    assert semantics.load(getattr(opcodes, name), 0x8182_7FFE, address) == expected


@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("SW", 0, 0xAABB_CCDD),
        ("SB", 0, 0x1122_33DD),
        ("SB", 3, 0xDD22_3344),
        ("SH", 0, 0x1122_CCDD),
        ("SH", 2, 0xCCDD_3344),
    ],
)
def test_stores(name: str, address: int, expected: int) -> None:
    assert semantics.store(getattr(opcodes, name), 0x1122_3344, address, 0xAABB_CCDD) == expected


def test_jalr_clears_the_lowest_bit_and_wraps() -> None:
    assert semantics.jalr_target(0x1001, 0) == 0x1000
    assert semantics.jalr_target(0x10, 0xFFFF_FFF0) == 0
