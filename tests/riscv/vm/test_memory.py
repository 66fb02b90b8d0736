"""Paged memory: origins, lazy pages, positions."""

from __future__ import annotations

import numpy as np

from zkvm.riscv.records import Image
from zkvm.riscv.vm.assemble import DATA, EXIT, RODATA, assemble
from zkvm.riscv.vm.image import GUARD_BYTES, STACK_BYTES
from zkvm.riscv.vm.memory import ABSENT, LAZY, ROM, ZERO, PagedMemory
from zkvm.riscv.vm.memory import DATA as IMAGE_DATA

PAGE = 4096
LIMIT, FLOOR, TOP = (1 << 28) - GUARD_BYTES, 1 << 28, (1 << 28) + STACK_BYTES


def image() -> Image:
    """Data, then 3 pages of bss, then heap, guard and stack."""
    return assemble(list(EXIT), data=b"abcdefgh", rodata=b"constant", bss=3 * PAGE)


def origin(memory: PagedMemory, address: int) -> int | None:
    """Origin of the word at a byte address, None if it has none."""
    (position,) = memory.locate(np.array([address // 4], np.int64))
    return int(memory.origins[position]) if position >= 0 else None


def test_origins() -> None:
    memory = PagedMemory(image(), track_times=True)
    assert origin(memory, RODATA + 4) == origin(memory, 0x1_0000) == ROM
    assert origin(memory, RODATA + 8) is None
    assert origin(memory, DATA + 4) == IMAGE_DATA
    assert origin(memory, DATA + 8) == origin(memory, DATA + 5 * PAGE) == origin(memory, LIMIT - 4) == ZERO
    assert origin(memory, FLOOR) == origin(memory, TOP - 4) == ZERO
    assert [origin(memory, address) for address in (0, 0xFFC, DATA - 4, LIMIT, FLOOR - 4, TOP, 0xFFFF_FFFC)] == [None] * 7


def test_the_first_address_outside() -> None:
    memory = PagedMemory(image(), track_times=True)
    memory.make_page((LIMIT - 1) // PAGE)
    expected = {0: 0, 0x1_0000: 0x1_0008, RODATA + 5: RODATA + 8, DATA - 1: DATA - 1, DATA + 1: LIMIT, LIMIT + 3: LIMIT + 3, FLOOR + 1: TOP}
    assert {address: memory.first_outside(address) for address in expected} == expected


def test_pages_are_made_when_touched() -> None:
    memory = PagedMemory(image(), track_times=False)
    before = memory.nbytes
    page = DATA // PAGE + 7
    assert memory.page_table[page] == LAZY
    assert memory.page_table[DATA // PAGE - 1] == ABSENT
    memory.make_page(page)
    assert memory.page_table[page] >= 0
    assert memory.nbytes == before < 1 << 20
    assert len(memory.times) == 0


def test_growth_keeps_the_content() -> None:
    memory = PagedMemory(image(), track_times=True)
    words = np.arange(DATA // 4, DATA // 4 + 300 * 1024, 1000, dtype=np.int64)
    positions = memory.locate(words)
    memory.values[positions] = np.arange(len(words)) + 7
    memory.times[positions] = np.arange(len(words)) + 9
    more = memory.locate(words + (1 << 20))
    assert np.all(more >= 0)
    assert np.array_equal(memory.locate(words), positions)
    touched, values, times = memory.touched_zeros()
    assert np.array_equal(touched, words[1:].astype(np.uint64))  # the first is in the RAM image
    assert np.array_equal(values, np.arange(1, len(words)) + 7)
    assert np.array_equal(times, np.arange(1, len(words)) + 9)


def test_peek() -> None:
    memory = PagedMemory(image(), track_times=True)
    assert memory.peek(DATA + 1, 6) == b"bcdefg"
    assert memory.peek(DATA + 6, 4) == b"gh\0\0"
    assert memory.peek(RODATA, 8) == b"constant"
    assert memory.peek(RODATA, 9) is None
    assert memory.peek(0, 0) == b""
    assert memory.peek(0, 1) is None
    assert memory.peek(TOP - 1, 2) is memory.peek(LIMIT - 1, 2) is None
    assert memory.peek(0xFFFF_FFFF, 0xFFFF_FFFF) is None
