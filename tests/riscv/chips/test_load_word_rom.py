"""LW from ROM."""

from __future__ import annotations

import numpy as np

from tests.riscv.chips.memory_rows import Rows, check_load, run, shape
from zkvm.riscv.chips.load_word_rom import LoadWordRomChip
from zkvm.riscv.isa.opcodes import LW

CHIP = LoadWordRomChip()


def test_values_and_addresses() -> None:
    check_load(CHIP, LW, rom=True)


def test_shape() -> None:
    assert shape(CHIP) == (5, 3, 4, 24)


def test_the_table_is_the_address_check() -> None:
    rows = Rows(CHIP, run(LW, 64, rom=True))
    rows.column("carry")[:] = 1 - rows.column("carry")
    assert rows.refused().all()
    rows = Rows(CHIP, run(LW, 64, rom=True))
    rows.column("vd")[:] = np.roll(rows.column("vd"), 1)  # words of the ROM, but of other addresses
    assert rows.refused().all()
