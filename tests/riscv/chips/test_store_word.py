"""SW."""

from __future__ import annotations

from tests.riscv.chips.memory_rows import Rows, check_store, run, shape
from zkvm.riscv.chips.store_word import StoreWordChip
from zkvm.riscv.isa.opcodes import SW

CHIP = StoreWordChip()


def test_words_and_addresses() -> None:
    check_store(CHIP, SW)


def test_shape() -> None:
    assert shape(CHIP) == (6, 4, 6, 29)


def test_the_other_carry_is_refused() -> None:
    rows = Rows(CHIP, run(SW, 64))
    rows.column("carry")[:] = 1 - rows.column("carry")
    assert rows.refused().all()
