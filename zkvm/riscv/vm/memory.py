"""Guest memory in pages of 4 KiB that exist once they are touched: values, times of last access, and origins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa import opcodes
from zkvm.riscv.records import Image

PAGE_WORDS = 1024
"""Words of a page; the interpreter kernel has the same constant."""
PAGE_COUNT = 1 << 20
ABSENT, LAZY = -1, -2
"""Page table entries other than slots: nothing there; zero-initialised and not touched yet."""
OUTSIDE, ZERO, DATA, ROM = 0, 1, 2, 3
"""Origins of a word: none, a gap, the RAM image, read-only."""


def distinct_pages(pages: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of pages, ascending, each once. ``numpy.unique`` would import numpy's masked arrays at the start of every run."""
    named = np.zeros(PAGE_COUNT, np.bool_)
    named[pages] = True
    return np.flatnonzero(named)


class PagedMemory:
    """The 2^30 words of guest memory, of which only touched pages take space.

    Attributes:
        page_table: (2^20,) int32: slot of a page, ABSENT or LAZY.
        page_of_slot: the other way round, for the slots in use.
        values: (n,) uint32 words; word ``o`` of slot ``s`` is at ``1024 s + o``, here and in the next two.
        times: (n,) uint64 times of last access; empty unless ``track_times``.
        untouched: the time of words that were not accessed: 0, or, in a segment of a run, a number that is no time.
        origins: (n,) uint8 origins.
    """

    def __init__(self, image: Image, *, track_times: bool, untouched: int = 0) -> None:
        self.page_table: NDArray[np.int32] = np.full(PAGE_COUNT, ABSENT, np.int32)
        self.page_of_slot: list[int] = []
        self._track_times = track_times
        self.untouched = untouched
        self.values: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self.times: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.origins: NDArray[np.uint8] = np.zeros(0, np.uint8)
        data = len(image.ram_address) - opcodes.REGISTER_COUNT
        self._place(image.ram_address[:data], image.ram_value[:data], DATA)
        self._place(image.rom_address, image.rom_value, ROM)
        for start, end in image.gaps:
            self._add_gap(start, end)

    @property
    def nbytes(self) -> int:
        """Bytes taken by the pages."""
        return self.values.nbytes + self.times.nbytes + self.origins.nbytes

    def _allocate(self, pages: NDArray[np.int64], origin: int) -> None:
        """Give slots to pages that have none, filled with zeros of one origin."""
        first = len(self.page_of_slot)
        count = first + len(pages)
        if count * PAGE_WORDS > len(self.values):
            self._reserve(max(count, 2 * first, 64))
        self.page_table[pages] = np.arange(first, count, dtype=np.int32)
        self.page_of_slot.extend(pages.tolist())
        self.origins[first * PAGE_WORDS : count * PAGE_WORDS] = origin
        if self.untouched and self._track_times:
            self.times[first * PAGE_WORDS : count * PAGE_WORDS] = self.untouched

    def forget_times(self) -> None:
        """From now on no word counts as accessed."""
        self.times[: len(self.page_of_slot) * PAGE_WORDS] = self.untouched

    def _reserve(self, slots: int) -> None:
        """Move to larger arrays; their unused parts are zero pages of the operating system until touched."""
        used = len(self.page_of_slot) * PAGE_WORDS
        for name in ("values", "origins", *(["times"] if self._track_times else [])):
            old = getattr(self, name)
            new = np.zeros(slots * PAGE_WORDS, old.dtype)
            new[:used] = old[:used]
            setattr(self, name, new)

    def _place(self, addresses: NDArray[np.uint64], values: NDArray[np.uint64], origin: int) -> None:
        """Initial words of the image."""
        words = (addresses // np.uint64(4)).astype(np.int64)
        pages = distinct_pages(words // PAGE_WORDS)
        self._allocate(pages[self.page_table[pages] == ABSENT], OUTSIDE)
        index = self.page_table[words // PAGE_WORDS].astype(np.int64) * PAGE_WORDS + words % PAGE_WORDS
        self.values[index] = values
        self.origins[index] = origin

    def _add_gap(self, start: int, end: int) -> None:
        """Zero-initialised words [start, end): whole pages are made when touched, shared pages now."""
        pages = np.arange(start // PAGE_WORDS, -(-end // PAGE_WORDS), dtype=np.int64)
        whole = (pages * PAGE_WORDS >= start) & ((pages + 1) * PAGE_WORDS <= end)
        absent = self.page_table[pages] == ABSENT
        self.page_table[pages[absent & whole]] = LAZY
        self._allocate(pages[absent & ~whole], OUTSIDE)
        for page in pages[self.page_table[pages] >= 0].tolist():
            low, high = max(start, page * PAGE_WORDS), min(end, (page + 1) * PAGE_WORDS)
            base = (int(self.page_table[page]) - page) * PAGE_WORDS
            self.origins[base + low : base + high] = ZERO

    def make_page(self, page: int) -> None:
        """Give a LAZY page its slot."""
        self._allocate(np.array([page], np.int64), ZERO)

    def locate(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of words in the flat arrays, -1 where nothing is mapped; LAZY pages get slots.

        Args:
            words: (n,) int64 word indices in [0, 2^30).
        """
        pages = words // PAGE_WORDS
        slots = self.page_table[pages].astype(np.int64)
        if np.any(slots == LAZY):
            self._allocate(distinct_pages(pages[slots == LAZY]), ZERO)
            slots = self.page_table[pages].astype(np.int64)
        index = slots * PAGE_WORDS + words % PAGE_WORDS
        index[slots < 0] = -1
        index[self.origins[index] == OUTSIDE] = -1  # for -1 this reads some word, and changes nothing
        return index

    def covers(self, address: int, length: int) -> bool:
        """Whether no page of bytes [address, address + length) is absent: cheap, and asked before arrays of that length are made."""
        end = address + length
        return end <= 1 << 32 and not np.any(self.page_table[address >> 12 : (end + 4095) >> 12] == ABSENT)

    def first_outside(self, address: int) -> int:
        """The lowest byte address from ``address`` on that belongs to nothing; 2^32 if there is none."""
        for page in range(address >> 12, PAGE_COUNT):
            slot, first = int(self.page_table[page]), page * PAGE_WORDS
            if slot == ABSENT:
                return max(address, 4 * first)
            if slot == LAZY:
                continue
            words = first + np.flatnonzero(self.origins[slot * PAGE_WORDS : (slot + 1) * PAGE_WORDS] == OUTSIDE)
            words = words[words >= address // 4]
            if words.size:
                return max(address, 4 * int(words[0]))
        return PAGE_COUNT << 12

    def peek(self, address: int, length: int) -> bytes | None:
        """Bytes [address, address + length), None if a part of them is outside memory. Leaves no trace."""
        if length == 0:
            return b""
        if not self.covers(address, length):
            return None
        first, last = address // 4, (address + length - 1) // 4
        index = self.locate(np.arange(first, last + 1, dtype=np.int64))
        if np.any(index < 0):
            return None
        offset = address - 4 * first
        return self.values[index].astype("<u4").tobytes()[offset : offset + length]

    def accessed(self) -> int:
        """How many words were accessed, of a run that is recorded."""
        return int(np.count_nonzero(self.times[: len(self.page_of_slot) * PAGE_WORDS] != self.untouched))

    def touched_zeros(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
        """(word indices, values, times of last access) of touched words of gaps, each (n,) uint64, ascending index."""
        used = len(self.page_of_slot) * PAGE_WORDS
        index = np.flatnonzero((self.times[:used] != self.untouched) & (self.origins[:used] == ZERO))
        pages = np.array(self.page_of_slot, np.int64)
        words = pages[index // PAGE_WORDS] * PAGE_WORDS + index % PAGE_WORDS
        order = np.argsort(words)
        index = index[order]
        return words[order].astype(np.uint64), self.values[index].astype(np.uint64), self.times[index]
