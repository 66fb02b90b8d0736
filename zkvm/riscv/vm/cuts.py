"""A run in segments: where it may be cut, and what each segment accesses.

A segment may end before any instruction, but for one rule: a tensor is read in the segment that made it. Vectors of tensors are no
memory; what serves them are rows of the call that made them, and those are in one segment. So the run is executed first without
records, which tells which tensor is read how long (:func:`survey`), and a cut that would part a tensor from a reader moves
(:func:`choose_cut`).

Nothing that a guest can see depends on the cuts: times and the numbers of tensors go on through all segments.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import CheckpointError, LimitError
from zkvm.riscv.isa.opcodes import LAST_PC, LAST_TIME, REGISTER_BASE
from zkvm.riscv.kernels import interpreter as kernel
from zkvm.riscv.records import BOUNDARY_WORD, REFRESH, STEP, Execution, Image, LastMemory
from zkvm.riscv.vm.checkpoint import PAGE_BYTES, Checkpoint, Pages, first_checkpoint, restore, take_checkpoint
from zkvm.riscv.vm.executor import DEFAULT_MAX_CYCLES, Runner, advance, last_words, not_ended, recorded, run_kernel, sinks_of
from zkvm.riscv.vm.memory import PAGE_WORDS
from zkvm.riscv.vm.state import FIRST_CAPACITY, UNTOUCHED, MachineState
from zkvm.riscv.vm.syscalls import REGISTERS, Host, Sink

MAX_CYCLES = (1 << 30) - 3
"""Instructions of a run: a verifier accepts no segments that have rows for more (``MAX_INSTRUCTIONS`` of :mod:`zkvm.riscv.segments`)."""
Look = Callable[[NDArray[np.void]], None]
"""Is lent executed instructions: (k,) :data:`zkvm.riscv.records.STEP`, in order."""
MAX_SEGMENTS = 1 << 16
"""A word may rest for that many segments: their difference is one range check."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What an untraced run tells of where it may be cut.

    Attributes:
        cycles: executed instructions.
        exit_code: a 32-bit word.
        journal: the public output.
        living: disjoint ascending (first, last): no cut after first, ..., last instructions, because a tensor is alive there.
        words: of memory that are accessed; 0 if nobody looked.
        refreshes: rows for words that rest long, of one proof; 0 if nobody looked.
    """

    cycles: int
    exit_code: int
    journal: bytes
    living: tuple[tuple[int, int], ...]
    words: int = 0
    refreshes: int = 0


def survey(
    image: Image,
    stdin: bytes = b"",
    *,
    max_cycles: int = DEFAULT_MAX_CYCLES,
    max_memory: int | None = None,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
    runner: Runner = run_kernel,
    look: Look | None = None,
) -> Survey:
    """Run a guest without keeping records and see which tensors live how long.

    Args:
        image: the program.
        stdin: the private input.
        max_cycles: instructions after which the guest is stopped.
        max_memory: bytes that it may take; None: no limit.
        stdout: called with what the guest writes to fd 1, as it does.
        stderr: the same for fd 2.
        runner: the interpreter.
        look: is lent the executed instructions, in order, some at a time; None: nobody looks, which is three times as fast.

    Raises:
        GuestTrap: the guest did something that cannot be proven.
        LimitError: a limit was reached.
    """
    state = MachineState(image, trace=look is not None, max_memory=max_memory)
    host = Host(stdin, sinks_of(stdout, stderr))
    looking = None if look is None else _Looking(runner, look)
    if advance(state, host, min(max_cycles, MAX_CYCLES), looking or runner):
        raise not_ended(state)
    # The call of tensor k is executed after k - 1 instructions: a cut after k .. r - 1 of them parts it from a reader r.
    spans = sorted((made, reader - 1) for made, reader in host.tensors.last_use.items())
    seen = (0, 0) if looking is None else (state.memory.accessed(), looking.refreshes)
    return Survey(state.cycles, int(state.registers[REGISTERS["a0"]]), bytes(host.journal), tuple(_joined(spans)), *seen)


class _Looking:
    """An interpreter whose records are lent, and forgotten."""

    def __init__(self, runner: Runner, look: Look) -> None:
        self._runner, self._look, self.refreshes = runner, look, 0

    def __call__(self, state: MachineState, cycle_limit: int) -> int:
        status = self._runner(state, cycle_limit)
        self._look(state.steps[: int(state.counters[kernel.STEPS])])
        self.refreshes += int(state.counters[kernel.REFRESHES])
        state.counters[[kernel.STEPS, kernel.REFRESHES]] = 0
        return status


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending spans, joined where they overlap or touch."""
    result: list[tuple[int, int]] = []
    for first, last in spans:
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result


def choose_cut(wanted: int, begin: int, living: Sequence[tuple[int, int]]) -> int:
    """The last place up to ``wanted`` where the run may be cut, or, if there is none behind ``begin``, the first one after it.

    Args:
        wanted: instructions after which the segment should end.
        begin: those after which it begins.
        living: of :class:`Survey`.
    """
    for first, last in living:
        if first <= wanted <= last:
            return first - 1 if first - 1 > begin else last + 1
    return wanted


class LastSegments:
    """Which segment accessed a word last."""

    def __init__(self) -> None:
        self._pages: dict[int, NDArray[np.uint64]] = {}

    def visit(self, addresses: NDArray[np.uint64], number: int | NDArray[np.uint64] | None = None) -> NDArray[np.uint64]:
        """The segments before, 0 for none; from now on ``number`` (None: they stay).

        Args:
            addresses: (n,) distinct memory-bus addresses.
            number: of the segment that accesses them, or of each.
        """
        numbers = None if number is None else np.broadcast_to(np.asarray(number, np.uint64), len(addresses))
        registers = addresses >= np.uint64(REGISTER_BASE)
        index = np.where(registers, addresses, addresses // np.uint64(4)).astype(np.int64)  # a register's index is far above a word's
        pages, offsets = index // PAGE_WORDS, index % PAGE_WORDS
        found = np.zeros(len(addresses), np.uint64)
        order = np.argsort(pages, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(pages[order])) + 1) if len(order) else []:
            page = self._pages.setdefault(int(pages[part[0]]), np.zeros(PAGE_WORDS, np.uint64))
            found[part] = page[offsets[part]]
            if numbers is not None:
                page[offsets[part]] = numbers[part]
        return found

    def words(self) -> NDArray[np.uint64]:
        """Ascending indices of the words (not registers) that were accessed: (n,)."""
        parts = [
            np.uint64(page * PAGE_WORDS) + np.flatnonzero(own).astype(np.uint64)
            for page, own in sorted(self._pages.items())
            if page < REGISTER_BASE // PAGE_WORDS
        ]
        return np.concatenate([np.zeros(0, np.uint64), *parts])


class SegmentedRun:
    """A run that is executed and recorded segment by segment.

    Attributes:
        image: what runs.
        number: of the last segment that was executed, 0 before the first.
        ended: whether the run has exited.
        at: the checkpoint where the next segment begins; of a run that has ended, where the last one began.
        visited: which segment accessed a word last.
    """

    def __init__(
        self,
        image: Image,
        stdin: bytes = b"",
        *,
        start: Checkpoint | None = None,
        number: int = 0,
        pages: Pages | None = None,
        max_memory: int | None = None,
        stdout: Sink | None = None,
        stderr: Sink | None = None,
        runner: Runner = run_kernel,
    ) -> None:
        """Begin at a checkpoint.

        Args:
            image: the program.
            stdin: the private input, from the run's begin.
            start: None: the run's begin.
            number: of segments before.
            pages: where the contents of pages are, and are put; None: in memory.
            max_memory: bytes that records, guest pages and output of a segment may take; None: no limit.
            stdout: called with what the guest writes to fd 1, as it does.
            stderr: the same for fd 2.
            runner: the interpreter.

        Raises:
            CheckpointError: a page is missing or damaged, the checkpoint is not of this program, or beyond the input.
        """
        self.image, self.number, self.ended, self.visited = image, number, False, LastSegments()
        self.at = first_checkpoint(image) if start is None else start
        self._pages: Pages = {} if pages is None else pages
        self._runner = runner
        if self.at.position > len(stdin):
            raise CheckpointError(f"the checkpoint has read {self.at.position} bytes of an input of {len(stdin)}: it is of another input")
        self._state = restore(image, self.at, self._pages, trace=True, max_memory=max_memory)
        self._host = Host(stdin, sinks_of(stdout, stderr), position=self.at.position)
        self._before = self.at

    @property
    def read(self) -> int:
        """Bytes of the input that are read so far."""
        return self._host.position

    def rewind(self, execution: Execution) -> None:
        """Go back to where the last segment began, to cut it elsewhere. What it wrote to its host was written.

        Args:
            execution: of that segment, as :meth:`segment` returned it.
        """
        words = execution.boundary
        self.visited.visit(words["address"], np.uint64(execution.number) - words["gap"])
        self.number, self.ended, self.at = execution.number - 1, False, self._before
        self._state = restore(self.image, self.at, self._pages, trace=True, max_memory=self._state.max_memory)
        self._host = Host(self._host.stdin, self._host.sinks, position=self.at.position)

    def segment(self, cycles: int, gaps: NDArray[np.uint64] | None = None) -> Execution:
        """Execute up to a cut.

        Args:
            cycles: executed instructions, from the run's begin, after which to cut; where the run exits before, the segment ends with it.
            gaps: of whoever did not execute the segments before, the ``gap`` of each word of the boundary; None: those are known.

        Raises:
            GuestTrap: the guest did something that cannot be proven, or a tensor call reads a tensor of an earlier segment.
            LimitError: the limit on memory was reached, the run has too many segments or instructions.
            CheckpointError: there are more or fewer gaps than words.
        """
        started = time.perf_counter()
        if self.ended or not self.at.cycles < cycles <= MAX_CYCLES or self.number >= MAX_SEGMENTS:
            at = "after its exit" if self.ended else f"from {self.at.cycles} to {cycles} cycles, after {self.number} others"
            raise LimitError(f"no segment {at}: a run has at most {MAX_CYCLES} cycles in {MAX_SEGMENTS} segments")
        state, begin = self._state, self.at
        self._before = begin
        self._begin()
        self.number += 1
        self.ended = not advance(state, self._host, cycles, self._runner)
        execution = recorded(state, self._host, time.perf_counter() - started)
        code = int(state.registers[REGISTERS["a0"]])
        end = (LAST_PC + code, LAST_TIME) if self.ended else (state.pc, state.time)
        boundary, refreshes = self._boundary(execution.refreshes)
        if gaps is not None and len(gaps) != len(boundary):
            raise CheckpointError(f"segment {self.number} accesses {len(boundary)} words, not {len(gaps)}: it is another run's")
        boundary["gap"] = np.uint64(self.number) - self.visited.visit(boundary["address"], self.number) if gaps is None else gaps
        if not self.ended:
            touched = np.unique(boundary["address"][boundary["address"] < REGISTER_BASE] // np.uint64(PAGE_BYTES)).astype(np.int64)
            self.at = take_checkpoint(state, self._host.position, begin, touched, self._pages)
        return replace(
            execution,
            exit_code=code if self.ended else 0,
            refreshes=refreshes,
            number=self.number,
            boundary=boundary,
            states=((begin.pc, begin.time), end),
        )

    def last_memory(self) -> LastMemory:
        """Every word after the run: of one that was executed from its begin and has ended."""
        zeros = np.setdiff1d(self.visited.words(), self.image.ram_address // np.uint64(4), assume_unique=True)
        positions = self._state.memory.locate(zeros.astype(np.int64))
        return LastMemory(
            image=self.image,
            ram_last=last_words(self._state)[0],
            ram_segment=self.visited.visit(self.image.ram_address),
            zero_address=zeros,
            zero_last=self._state.memory.values[positions].astype(np.uint64),
            zero_segment=self.visited.visit(np.uint64(4) * zeros),
        )

    def _begin(self) -> None:
        """Forget records and times of the segment before; what it handed out stays as it is."""
        state, host = self._state, self._host
        state.memory.forget_times()
        state.register_times[:] = UNTOUCHED
        state.counters[[kernel.STEPS, kernel.REFRESHES]] = 0
        state.steps, state.refreshes = np.empty(FIRST_CAPACITY, STEP), np.empty(FIRST_CAPACITY // 4, REFRESH)
        fresh = Host(host.stdin, host.sinks, position=host.position)
        fresh.tensors.earlier = self.at.cycles
        self._host, state.host_bytes = fresh, 0

    def _boundary(self, records: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """The words that the segment accesses, and its refreshes, from what the interpreter recorded as refreshes."""
        opening = records["t_prev"] == UNTOUCHED
        opened = records[opening]
        opened = opened[np.argsort(opened["address"])]  # numpy sorts numbers many times faster than records
        boundary = np.zeros(len(opened), BOUNDARY_WORD)
        boundary["address"], boundary["before"], boundary["first"] = opened["address"], opened["value"], opened["time"]
        registers = opened["address"] >= REGISTER_BASE
        index = (opened["address"][registers] - np.uint64(REGISTER_BASE)).astype(np.int64)
        positions = self._state.memory.locate((opened["address"][~registers] // np.uint64(4)).astype(np.int64))
        for name, of_registers, of_words in (
            ("after", self._state.registers, self._state.memory.values),
            ("last", self._state.register_times, self._state.memory.times),
        ):
            boundary[name][registers], boundary[name][~registers] = of_registers[index], of_words[positions]
        return boundary, records[~opening].copy()
