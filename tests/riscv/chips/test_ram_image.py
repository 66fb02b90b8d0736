"""First and last values of the image's words."""

from __future__ import annotations

import numpy as np
import pytest

from tests.forge import Forgery, forgery
from tests.riscv.chips.memory_rows import shape
from tests.sample import sample_run
from zkvm.riscv.chips.ram_image import RamImageChip
from zkvm.riscv.isa.opcodes import JOURNAL_POINTER, REGISTER_BASE, REGISTER_COUNT

CHIP = RamImageChip()


@pytest.fixture
def forged() -> Forgery:
    return forgery(sample_run())


def test_shape() -> None:
    assert shape(CHIP) == (3, 1, 0, 6)
    assert CHIP.mandatory


def test_every_word_is_there_touched_or_not(forged: Forgery) -> None:
    image, table = sample_run().image, forged.tables["ram_image"]
    assert table.used == len(image.ram_address)
    assert np.array_equal(forged["ram_image.address"][: table.used], image.ram_address)
    registers = image.ram_address[-REGISTER_COUNT:]
    assert registers.tolist() == list(range(REGISTER_BASE, REGISTER_BASE + REGISTER_COUNT))
    untouched = forged["ram_image.last_time"][: table.used] == 0
    assert 0 < untouched.sum() < table.used
    last = forged["ram_image.last"][: table.used]
    assert np.array_equal(last[untouched], image.ram_value[untouched])
    pointer = forged.row("ram_image", address=JOURNAL_POINTER)
    assert forged.cell("ram_image", pointer, "last") == len(sample_run().journal)


@pytest.mark.parametrize("name", ["last", "last_time"])
def test_another_end_is_refused(forged: Forgery, name: str) -> None:
    for row in (0, forged.tables["ram_image"].used - 1):
        forged.add("ram_image", row, **{name: 1})
        assert forged.refusals() == {"bus memory"}


def test_a_word_that_is_left_out_is_missed(forged: Forgery) -> None:
    """The image fixes the rows; a table without one would not balance."""
    for row in (0, forged.tables["ram_image"].used - 1):
        column = forged["ram_image.real"]
        column[row] = 0
        assert forged.refusals() >= {"ram_image: padding has no last value", "ram_image: padding has no last time"}
        column[row] = 1


def test_an_untouched_word_pays_for_itself_only(forged: Forgery) -> None:
    """Its last value can not be another one: nothing else produced that."""
    row = forged.row("ram_image", last_time=0)
    forged.add("ram_image", row, last=1)
    assert forged.refusals() == {"bus memory"}
