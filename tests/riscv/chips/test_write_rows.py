"""Words that go to the journal."""

from __future__ import annotations

from functools import cache

import pytest

from tests.forge import Forgery, forgery
from tests.riscv.chips.memory_rows import shape
from zkvm.riscv.chips.write_rows import WriteRowsChip
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute

CHIP = WriteRowsChip()
DATA, RODATA = 0x80_0000, 0x40_0000


@cache
def writes(*calls: tuple[int, int]) -> Execution:
    """Journal writes of (address, length); data holds 0xC0 .. 0xDF, read-only data 0x20 .. 0x3F."""
    items: list[Item] = [("li", "a7", 64)]
    for address, length in calls:
        items += [("li", "a0", 3), ("li", "a1", address), ("li", "a2", length), ("ecall",)]
    return execute(assemble([*items, ("li", "a0", 0), *EXIT], data=bytes(range(0xC0, 0xE0)), rodata=bytes(range(0x20, 0x40))))


@pytest.fixture
def forged() -> Forgery:
    return forgery(writes((DATA + 3, 6), (RODATA + 1, 5), (DATA + 8, 4)))


def test_shape() -> None:
    assert shape(CHIP) == (10, 2, 10, 35)


@pytest.mark.parametrize("base", [DATA, RODATA])
@pytest.mark.parametrize("offset", range(4))
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 9])
def test_every_offset_and_length(base: int, offset: int, length: int) -> None:
    run = writes((base + offset, length), (DATA, 3))
    first = 0xC0 if base == DATA else 0x20
    assert run.journal == bytes(range(first + offset, first + offset + length)) + bytes([0xC0, 0xC1, 0xC2])
    assert forgery(run).refusals() == set()


def test_bytes_come_from_memory(forged: Forgery) -> None:
    """Another byte, also if the verifier is told the same lie: the word in memory is what it is."""
    journal = bytearray(writes((DATA + 3, 6), (RODATA + 1, 5), (DATA + 8, 4)).journal)
    assert forged.refusals() == set()
    for row, place, index, refusal in ((1, 0, 1, "bus memory"), (3, 1, 6, "write_rows: word in ROM")):
        told = bytearray(journal)
        told[index] ^= 1
        lie = forgery(writes((DATA + 3, 6), (RODATA + 1, 5), (DATA + 8, 4)), journal=bytes(told))
        assert lie.refusals() == {"bus journal"}
        name = f"byte_{place}"
        lie.write("write_rows", row, **{name: lie.cell("write_rows", row, name) ^ 1})
        assert lie.refusals() == {refusal}


def test_index_is_tied_to_pointer_and_address(forged: Forgery) -> None:
    """Two writes exchange their places in the journal: the chain carries the shift of the call."""
    journal = writes((DATA + 3, 6), (RODATA + 1, 5), (DATA + 8, 4)).journal
    told = journal[:6] + journal[11:] + journal[6:11]
    lie = forgery(writes((DATA + 3, 6), (RODATA + 1, 5), (DATA + 8, 4)), journal=told)
    for row in range(lie.tables["write_rows"].used):
        address = lie.cell("write_rows", row, "address")
        if address >= DATA + 8 and lie.cell("write_rows", row, "left") == 4:
            lie.add("write_rows", row, shift=-5)
        elif address < DATA:
            lie.add("write_rows", row, shift=4)
    assert lie.refusals() == {"bus chain"}


def test_a_byte_left_out(forged: Forgery) -> None:
    journal = writes((DATA + 3, 6), (RODATA + 1, 5), (DATA + 8, 4)).journal
    lie = forgery(writes((DATA + 3, 6), (RODATA + 1, 5), (DATA + 8, 4)), journal=journal[:-1])
    assert lie.refusals() == {"bus journal"}
    lie.write("write_rows", lie.tables["write_rows"].used - 1, mask_3=0)
    assert lie.refusals() == {"bus chain"}


def test_origin(forged: Forgery) -> None:
    row = forged.row("write_rows", in_ram=1)
    forged.write("write_rows", row, in_ram=0, in_rom=1, tm=forged.cell("write_rows", row, "t"))
    assert forged.refusals() == {"write_rows: word in ROM", "bus memory"}
    forged = forgery(writes((DATA + 3, 6), (RODATA + 1, 5), (DATA + 8, 4)))
    row = forged.row("write_rows", in_rom=1)
    forged.write("write_rows", row, in_ram=1, in_rom=0, tm=forged.cell("write_rows", row, "t") - 3)
    assert forged.refusals() == {"bus memory"}
    forged.write("write_rows", row, in_rom=1)
    assert "write_rows: at most one operation" in forged.refusals()


def test_reads_and_writes_have_chains_of_their_own() -> None:
    """The kind is part of the tuple: a chain of a write can not stand for a read's."""
    kinds = {pair.receive.values[0].index for pair in CHIP.air_buses.pairs if pair.receive and pair.receive.bus.name == "chain"}
    assert kinds == {2}
