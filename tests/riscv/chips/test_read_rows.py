"""Words that a read fills."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest

from tests.forge import Forgery, forgery
from tests.riscv.chips.memory_rows import shape
from zkvm.riscv.chips.chain import MASK
from zkvm.riscv.chips.read_rows import ReadRowsChip
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.field.goldilocks import P

CHIP = ReadRowsChip()
DATA = 0x80_0000


@cache
def reads(*calls: tuple[int, int]) -> Execution:
    """Reads of (offset, length) into 32 bytes of data."""
    items: list[Item] = []
    for offset, length in calls:
        items += [("li", "a7", 63), ("li", "a0", 0), ("li", "a1", DATA + offset), ("li", "a2", length), ("ecall",)]
    return execute(assemble([*items, ("li", "a0", 0), *EXIT], data=bytes(range(0xC0, 0xE0))), bytes(range(1, 200)))


@pytest.fixture
def forged() -> Forgery:
    return forgery(reads((2, 9)))


def test_shape() -> None:
    assert shape(CHIP) == (13, 2, 7, 34)


@pytest.mark.parametrize("offset", range(4))
@pytest.mark.parametrize("length", range(10))
def test_every_offset_and_length(offset: int, length: int) -> None:
    run = reads((offset, length))
    forged = forgery(run)
    assert forged.refusals() == set()
    rows = -(-(offset + length) // 4) if length else 0
    assert len(run.reads) == rows
    if rows:
        masks = [forged[f"read_rows.{name}"][:rows] for name in MASK]
        moved = [4 * row + place for row in range(rows) for place in range(4) if masks[place][row]]
        assert moved == list(range(offset, offset + length))


@pytest.mark.parametrize("mask", list(product((0, 1), repeat=4)))
@pytest.mark.parametrize("offset", range(4))
def test_masks_are_one_run_at_the_offset(mask: tuple[int, ...], offset: int) -> None:
    """Every mask with every offset: accepted by the chip exactly if it is one run that starts there."""
    forged = forgery(reads((0, 4)))
    forged.write("read_rows", 0, **dict(zip(MASK, mask, strict=True)), offset=offset, address=DATA + offset)
    forged.write("read_rows", 0, **{f"new_{k}": forged.cell("read_rows", 0, f"old_{k}") for k in range(4)})
    run = "".join(map(str, mask)).strip("0")
    good = bool(run) and "0" not in run and mask.index(1) == offset
    assert good == (not any(label.startswith("read_rows: ") for label in forged.refusals()))


def test_bytes_outside_the_mask_are_kept(forged: Forgery) -> None:
    for row, place in ((0, 0), (0, 1), (2, 3)):
        before = forged.cell("read_rows", row, f"new_{place}")
        value = before ^ 1
        words = [forged.cell("read_rows", row, f"new_{k}") for k in range(4)]
        words[place] = value
        address = forged.cell("read_rows", row, "address") // 4 * 4
        time = forged.cell("read_rows", row, "t") + 1
        forged.pass_on(address, time, int.from_bytes(bytes(words), "little"))
        forged.write("read_rows", row, **{f"new_{place}": value})
        assert forged.refusals() == {f"read_rows: byte {place} changes under the mask only"}
        forged = forgery(reads((2, 9)))


def test_input_bytes_are_free_but_bytes(forged: Forgery) -> None:
    time = forged.cell("read_rows", 1, "t") + 1
    forged.write("read_rows", 1, new_0=255, new_1=0, new_2=1, new_3=254)
    forged.pass_on(DATA + 4, time, 0xFE01_00FF)
    assert forged.refusals() == set()
    for value in (256, P - 1, 1 << 32):
        forged.write("read_rows", 1, new_3=value)
        forged.pass_on(DATA + 4, time, 0x0001_00FF + (value << 24))
        assert forged.refusals() == {"read_rows: new: bytes 2 and 3"}


def test_old_bytes_are_the_old_word(forged: Forgery) -> None:
    """256 moved between two old bytes would move the byte that is kept."""
    forged.add("read_rows", 0, old_0=256, old_1=-1, new_0=256, new_1=-1)
    assert forged.refusals() == {"read_rows: old: bytes 0 and 1", "read_rows: new: bytes 0 and 1"}


def test_a_chain_can_not_end_early_or_go_on(forged: Forgery) -> None:
    forged.add("read_rows", 2, mask_2=-1)
    forged.write("read_rows", 2, new_2=forged.cell("read_rows", 2, "old_2"))
    assert "bus chain" in forged.refusals()
    forged = forgery(reads((2, 9)))
    forged.add("read_rows", 2, mask_3=1)
    assert "bus chain" in forged.refusals()


def test_a_chain_can_not_close_on_itself() -> None:
    """A row that comes back to its own address would have to move -k or p bytes."""
    forged = forgery(reads((0, 4)))
    row = forged.copy_row("read_rows", 0)
    forged.write("read_rows", row, t=999, tm=990, address=DATA + 16, mask_0=0, mask_1=0, mask_2=0, mask_3=0)
    assert "read_rows: the mask is one run" in forged.refusals()
    forged.write("read_rows", row, mask_0=P - 1, mask_1=1)
    assert "read_rows: mask_0 is boolean" in forged.refusals()


def test_the_same_word_twice_in_one_call() -> None:
    """Two rows of one call for one word would be at the same time: the second is not later."""
    forged = forgery(reads((0, 4)))
    row = forged.copy_row("read_rows", 0)
    old = [forged.cell("read_rows", 0, f"old_{k}") for k in range(4)]
    new = [forged.cell("read_rows", 0, f"new_{k}") for k in range(4)]
    time = forged.cell("read_rows", 0, "t") + 1
    forged.write("read_rows", 0, mask_2=0, mask_3=0, new_2=old[2], new_3=old[3])
    forged.write("read_rows", row, mask_0=0, mask_1=0, offset=2, address=DATA + 2, left=2, tm=time)
    forged.write("read_rows", row, old_0=new[0], old_1=new[1])
    assert forged.refusals() == {"read_rows: word is later"}


def test_address_is_aligned_and_below_2_32(forged: Forgery) -> None:
    forged.add("read_rows", 1, address_low=1 << 14)
    assert "read_rows: address: bits 2 to 15" in forged.refusals()
    forged = forgery(reads((2, 9)))
    forged.add("read_rows", 1, address=1 << 32)
    assert "read_rows: address: high limb" in forged.refusals()
