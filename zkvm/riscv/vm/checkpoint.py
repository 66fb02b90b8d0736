"""Where a run stands before an instruction, so that another process can go on from there, bit by bit as this one would.

A checkpoint names pages by the hash of their content. Pages are kept apart, each content once: most of them stay the same from one
checkpoint to the next. It holds what the guest wrote, so it is as private as the run's input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import CheckpointError
from zkvm.riscv.isa import opcodes
from zkvm.riscv.isa.opcodes import FIRST_TIME, REGISTER_COUNT, TIME_STEP
from zkvm.riscv.kernels import interpreter as kernel
from zkvm.riscv.records import Image
from zkvm.riscv.vm.memory import DATA, PAGE_COUNT, PAGE_WORDS, ZERO
from zkvm.riscv.vm.state import UNTOUCHED, MachineState

PAGE_BYTES = 4 * PAGE_WORDS
DIGEST_BYTES = 32
Pages = MutableMapping[bytes, bytes]
"""Contents of pages by their hash."""

MAGIC = b"ZKVMCHKP"
VERSION = 1
_HEAD = len(MAGIC) + 2 + 8 + 4 + 8 + 4 * REGISTER_COUNT + 4
_ENTRY = 4 + DIGEST_BYTES


def content_hash(content: bytes) -> bytes:
    """32 bytes. From the standard library, because there are many pages; nothing that is proven rests on it."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run before one of its instructions.

    Attributes:
        cycles: instructions executed so far.
        pc: address of the next.
        position: bytes of the input read so far.
        registers: (37,) uint32, the machine's own included.
        pages: number (byte address / 4096) of each page that is not what the image says -> hash of its content, ascending. Words of a page
            that are read-only, or belong to nothing, count as 0.
    """

    cycles: int
    pc: int
    position: int
    registers: tuple[int, ...]
    pages: Mapping[int, bytes]

    @property
    def time(self) -> int:
        """State time of the next instruction: every one takes the same."""
        return FIRST_TIME + TIME_STEP * self.cycles

    def to_bytes(self) -> bytes:
        """One encoding for each checkpoint, with a hash at its end."""
        head = MAGIC + b"".join(
            number.to_bytes(width, "little") for number, width in ((VERSION, 2), (self.cycles, 8), (self.pc, 4), (self.position, 8))
        )
        registers = np.array(self.registers, "<u4").tobytes()
        entries = b"".join(page.to_bytes(4, "little") + digest for page, digest in self.pages.items())
        body = head + registers + len(self.pages).to_bytes(4, "little") + entries
        return body + content_hash(body)

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """What :meth:`to_bytes` encoded.

        Raises:
            CheckpointError: the bytes are damaged, or no checkpoint.
        """
        body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if not body.startswith(MAGIC + VERSION.to_bytes(2, "little")) or len(body) < _HEAD or content_hash(body) != digest:
            raise CheckpointError("a checkpoint is damaged, or of another version: its hash or its first bytes are wrong")
        edges = np.cumsum([len(MAGIC) + 2, 8, 4, 8]).tolist()
        cycles, pc, position = (int.from_bytes(body[first:last], "little") for first, last in pairwise(edges))
        registers = np.frombuffer(body, "<u4", REGISTER_COUNT, edges[-1])
        entries = body[_HEAD:]
        if len(entries) != _ENTRY * int.from_bytes(body[_HEAD - 4 : _HEAD], "little"):
            raise CheckpointError("a checkpoint is damaged: the number of its pages is not its length")
        parts = [entries[first : first + _ENTRY] for first in range(0, len(entries), _ENTRY)]
        pages = {int.from_bytes(part[:4], "little"): part[4:] for part in parts}
        if list(pages) != sorted(pages) or len(pages) != len(parts) or any(page >= PAGE_COUNT for page in pages):
            raise CheckpointError("a checkpoint is damaged: its pages are not in ascending order")
        return cls(cycles, pc, position, tuple(registers.tolist()), pages)


def first_checkpoint(image: Image) -> Checkpoint:
    """Before the first instruction."""
    return Checkpoint(0, image.entry, 0, tuple(image.ram_value[-REGISTER_COUNT:].tolist()), {})


def take_checkpoint(state: MachineState, position: int, before: Checkpoint, touched: NDArray[np.int64], pages: Pages) -> Checkpoint:
    """Where a run stands now.

    Args:
        state: of the machine.
        position: bytes of the input read so far.
        before: an earlier checkpoint of the run.
        touched: numbers of all pages that were accessed since then.
        pages: gets the contents of those that are new.
    """
    digests = dict(before.pages)
    for page in touched.tolist():
        content = _content(state, page)
        digests.pop(page, None)
        if content != _initial(state.image, page):
            digests[page] = content_hash(content)
            if pages.get(digests[page]) != content:  # a damaged one, which an interrupted run left, is written again
                pages[digests[page]] = content
    registers = tuple(state.registers[:REGISTER_COUNT].tolist())
    return Checkpoint(state.cycles, state.pc, position, registers, dict(sorted(digests.items())))


def restore(image: Image, checkpoint: Checkpoint, pages: Mapping[bytes, bytes], *, trace: bool, max_memory: int | None) -> MachineState:
    """The state of a run that stands at a checkpoint, with nothing accessed yet.

    Args:
        image: the program.
        checkpoint: of one of its runs.
        pages: contents of its pages.
        trace: whether the run is recorded from here on.
        max_memory: bytes that it may take; None: no limit.

    Raises:
        CheckpointError: a page is missing or damaged, or the checkpoint is not of this program.
    """
    state = MachineState(image, trace=trace, max_memory=max_memory, untouched=UNTOUCHED if trace else 0)
    row = state.row_of(checkpoint.pc) if checkpoint.pc < 1 << 32 else -1
    if row < 0 or len(checkpoint.registers) != REGISTER_COUNT:
        raise CheckpointError(
            f"the checkpoint after {checkpoint.cycles} cycles is of another program: no instruction at 0x{checkpoint.pc:x}"
        )
    for page, digest in checkpoint.pages.items():
        content = pages.get(digest)
        if content is None or len(content) != PAGE_BYTES or content_hash(content) != digest:
            what = "missing" if content is None else "damaged"
            raise CheckpointError(f"page 0x{page:x} of the checkpoint after {checkpoint.cycles} cycles is {what}")
        _write(state, page, np.frombuffer(content, "<u4"))
    state.registers[:REGISTER_COUNT] = checkpoint.registers
    state.counters[[kernel.ROW, kernel.TIME, kernel.CYCLES]] = row, checkpoint.time, checkpoint.cycles
    return state


def _content(state: MachineState, page: int) -> bytes:
    """The words of a page that can change; 0 for the others."""
    slot = int(state.memory.page_table[page])
    own = slice(slot * PAGE_WORDS, (slot + 1) * PAGE_WORDS)
    changeable = _changeable(state.memory.origins[own])
    return np.where(changeable, state.memory.values[own], 0).astype("<u4").tobytes()


def _changeable(origins: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which words can change, by where they come from."""
    result: NDArray[np.bool_] = (origins == ZERO) | (origins == DATA)
    return result


def _initial(image: Image, page: int) -> bytes:
    """The same before the run."""
    data = image.ram_address[: len(image.ram_address) - opcodes.REGISTER_COUNT]
    first, last = np.searchsorted(data, np.array([page * PAGE_BYTES, (page + 1) * PAGE_BYTES], np.uint64)).tolist()
    content = np.zeros(PAGE_WORDS, "<u4")
    content[(data[first:last] // np.uint64(4)).astype(np.int64) % PAGE_WORDS] = image.ram_value[first:last]
    return content.tobytes()


def _write(state: MachineState, page: int, content: NDArray[np.uint32]) -> None:
    """Put the words of a page into memory.

    Raises:
        CheckpointError: the image has no words there that can change.
    """
    index = state.memory.locate(page * PAGE_WORDS + np.arange(PAGE_WORDS, dtype=np.int64))
    mapped = np.flatnonzero(index >= 0)
    changeable = mapped[_changeable(state.memory.origins[index[mapped]])]
    if np.any(np.delete(content, changeable)):
        raise CheckpointError(f"page 0x{page:x} of the checkpoint is of another program: it holds words that this one cannot write")
    state.memory.values[index[changeable]] = content[changeable]
