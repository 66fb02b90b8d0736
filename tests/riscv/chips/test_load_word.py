"""LW from RAM."""

from __future__ import annotations

import numpy as np
import pytest

from tests.riscv.chips.memory_rows import Rows, check_load, run, shape
from zkvm.riscv.chips.load_word import LoadWordChip
from zkvm.riscv.isa.opcodes import LW, REGISTER_BASE
from zkvm.stark.field.goldilocks import P

CHIP = LoadWordChip()


def test_values_and_addresses() -> None:
    check_load(CHIP, LW, rom=False)


def test_shape() -> None:
    assert shape(CHIP) == (6, 4, 6, 29)


@pytest.mark.parametrize("carry", [-1, 2, P // 2, pow(1 << 32, -1, P)])
def test_carry_is_a_bit(carry: int) -> None:
    rows = Rows(CHIP, run(LW, 64))
    rows.column("carry")[:] = carry % P
    assert rows.refused().all()


def test_no_address_but_the_sum_is_accepted() -> None:
    """All ways to write another word's address: the other carry, limbs against each other, fractions of 4."""
    rows = Rows(CHIP, run(LW, 64))
    honest = rows.main.copy()
    for carry in (0, 1):
        for delta in (0, 1 << 14, P - (1 << 14), pow(4, -1, P), P - pow(4, -1, P), pow(1 << 16, -1, P)):
            rows.main[:] = honest
            rows.column("carry")[:] = carry
            low = rows.column("address_low").astype(object) + delta
            rows.column("address_low")[:] = low % P
            same = (rows.main == honest).all(axis=0)
            assert np.array_equal(~rows.refused(), same)


def test_register_space_is_out_of_reach() -> None:
    rows = Rows(CHIP, run(LW, 64))
    rows.column("carry")[:] = 0
    for register in range(37):
        address = REGISTER_BASE + register
        rows.column("v1")[:] = address - rows.column("imm").astype(np.int64)
        for low in (address % (1 << 16) // 4, address // 4, 0):
            rows.column("address_low")[:] = low
            assert rows.refused().all()
