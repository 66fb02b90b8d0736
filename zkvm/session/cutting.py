"""Executes a run and cuts it into segments: as long as asked for, or as memory allows. What it gives is what each proof is made from."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from zkvm.errors import LimitError
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.records import Execution, LastMemory
from zkvm.riscv.vm.cuts import SegmentedRun, choose_cut, survey
from zkvm.riscv.vm.executor import DEFAULT_MAX_CYCLES
from zkvm.session import memory
from zkvm.session.bound import BY_PROGRAM
from zkvm.session.lengths import FIRST_CYCLES, LEAST_CYCLES, MOST_CYCLES, Lengths, does_not_fit
from zkvm.session.pieces import Piece, Terms
from zkvm.session.places import places_of
from zkvm.session.plan import Cut, Plan
from zkvm.session.resources import Progress
from zkvm.session.run import ExecutorEnv
from zkvm.session.setting import Setting
from zkvm.session.totals import Totals
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.tables import Padding


class Way(Protocol):
    """How a run is cut."""

    def padding(self, record: Execution | LastMemory) -> Padding:
        """Of the tables of a part."""

    def next_segment(self, run: SegmentedRun, limit: int) -> Execution:
        """Execute the next segment, up to so many instructions of the run at most.

        Raises:
            LimitError: it does not fit and cannot be cut, or the run has too many cycles.
        """


class Cutter:
    """A run that is executed and cut, once: iterating over it does so, segment by segment and memory last.

    Attributes:
        plan: the run as far as it is cut; the digests of its proofs are yet to come.
    """

    def __init__(
        self,
        setting: Setting,
        terms: Terms,
        env: ExecutorEnv,
        pages: MutableMapping[bytes, bytes],
        lengths: Lengths,
        totals: Totals,
        progress: Progress | None = None,
    ) -> None:
        """Nothing is executed yet.

        Args:
            setting: of all proofs.
            terms: the same, for whoever makes them.
            env: the guest's environment.
            pages: where contents of pages are put.
            lengths: of segments.
            totals: what the segments must not exceed together.
            progress: told of every segment.
        """
        self._setting, self._env, self._pages = setting, env, pages
        self._lengths, self._totals, self._progress = lengths, totals, progress
        self._limit = DEFAULT_MAX_CYCLES if env.max_cycles is None else env.max_cycles
        nothing = LastMemory(setting.image, *[np.zeros(0, np.uint64)] * 5)
        self.plan = Plan(blake3(os.urandom(32)), 0, 0, (), nothing, (b"", b""))
        self._terms, self._written = terms, 0

    def __iter__(self) -> Iterator[tuple[Piece, Execution | LastMemory]]:
        """Execute the run.

        Yields:
            Each segment, then the memory: what its proof is made from, and what was recorded.

        Raises:
            GuestTrap: the guest did something that cannot be proven.
            LimitError: a limit was reached, or a segment that cannot be cut does not fit.
            UsageError: a proof will not have the bits that its verifiers demand.
            Cancelled: the caller asked for it.
        """
        setting, env, limit = self._setting, self._env, self._limit
        room = memory.available_bytes() if env.max_memory is None else env.max_memory
        way = way_to_cut(self._lengths, env, limit, room)
        run = SegmentedRun(setting.image, env.stdin, pages=self._pages, max_memory=room)
        while not run.ended:
            env.check()
            begin = run.at
            execution = way.next_segment(run, limit)
            padding = way.padding(execution)
            self._totals.add_segment(setting.shape(segment_machine(), execution, padding), len(execution.journal))
            gaps = execution.boundary["gap"].copy()
            self._add(Cut(begin.to_bytes(), execution.cycles, run.read, gaps, execution.journal, padding), execution)
            yield self.plan.piece(run.number, self._terms, env.stdin, self._pages), execution
        words = run.last_memory()
        padding = way.padding(words)
        self._lengths.check_memory(words, padding)
        self._totals.add_proof(setting.shape(memory_machine(), words, padding), 2 * len(setting.image.gaps))
        self.plan = replace(self.plan, exit_code=execution.exit_code, memory=words, padding=padding)
        yield self.plan.piece(0, self._terms, env.stdin, self._pages), words

    def _add(self, cut: Cut, execution: Execution) -> None:
        """One segment more: told to whoever listens.

        Raises:
            LimitError: the journal is too long.
        """
        plan, env = self.plan, self._env
        self._written += len(cut.journal)
        if self._written > self._setting.max_journal:
            raise LimitError(
                f"the journal has more than {self._setting.max_journal} bytes, which a receipt does not hold: write a hash of it instead"
            )
        self.plan = replace(
            plan,
            cycles=cut.cycles,
            cuts=(*plan.cuts, cut),
            output=(plan.output[0] + execution.stdout, plan.output[1] + execution.stderr),
            seconds=plan.seconds + execution.seconds["execute"],
        )
        for sink, said in ((env.stdout, execution.stdout), (env.stderr, execution.stderr)):
            if sink is not None and said:
                sink(said)  # now, because a segment that does not fit is executed again
        if self._progress is not None:
            self._progress(f"cut {len(self.plan.cuts)} segments", 0.0)
        if env.progress is not None:
            env.progress(execution.cycles)


@dataclass(slots=True)
class ByLength:
    """Cuts after so many instructions, whatever they are.

    Attributes:
        lengths: of segments.
        living: of :class:`zkvm.riscv.vm.cuts.Survey`.
        most: instructions of a segment at most.
        length: to try for the next one.
    """

    lengths: Lengths
    living: Sequence[tuple[int, int]]
    most: int
    length: int

    def padding(self, record: Execution | LastMemory) -> Padding:
        """Of the tables of a part: the same for all."""
        assert isinstance(self.lengths.setting.pad_to, int)
        return self.lengths.setting.pad_to

    def next_segment(self, run: SegmentedRun, limit: int) -> Execution:
        """Execute the next segment.

        Args:
            run: the run.
            limit: its last instruction, at most.

        Raises:
            LimitError: it does not fit and cannot be cut, or the run has too many cycles.
        """
        begin = run.at.cycles
        while True:
            execution = run.segment(choose_cut(min(begin + self.length, limit), begin, self.living))
            done, padding = execution.cycles - begin, self.padding(execution)
            if not run.ended and execution.cycles >= limit:
                raise LimitError(f"the guest has not ended after {limit} cycles: raise --max-cycles, or look for an endless loop")
            if self.lengths.fits(execution, padding):
                if not run.ended:
                    self.length = self.lengths.following(execution, done, self.most, padding)
                return execution
            shorter = min(self.length, done) // 2
            if shorter < LEAST_CYCLES or choose_cut(begin + shorter, begin, self.living) >= execution.cycles:
                raise does_not_fit(begin, execution.cycles, bool(self.living))
            run.rewind(execution)
            self.length = shorter


def way_to_cut(lengths: Lengths, env: ExecutorEnv, limit: int, room: int) -> Way:
    """How a run is cut: after a number of instructions, or, if its tables are padded by the program, at places of it.

    Args:
        lengths: of segments.
        env: the guest's environment.
        limit: instructions after which the guest is stopped.
        room: bytes that it may take.

    Raises:
        GuestTrap, LimitError, Cancelled: of the executions that this may take.
    """
    setting = lengths.setting
    if setting.pad_to == BY_PROGRAM:
        return places_of(lengths, env, limit, room)
    if setting.image.tensors is None and (lengths.fixed is not None or lengths.workers == 1):
        most = lengths.most(MOST_CYCLES)
        return ByLength(lengths, (), most, min(FIRST_CYCLES, most) if lengths.fixed is None else lengths.fixed)
    seen = survey(setting.image, env.stdin, max_cycles=limit, max_memory=room)
    most = lengths.most(seen.cycles) if lengths.workers > 1 else MOST_CYCLES
    return ByLength(lengths, seen.living, most, min(FIRST_CYCLES, most) if lengths.fixed is None else lengths.fixed)
