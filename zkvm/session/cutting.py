"""Executes a run and cuts it into segments: as long as asked for, or as memory allows. What it gives is what each proof is made from."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zkvm.errors import LimitError
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.records import Execution, LastMemory
from zkvm.riscv.vm.cuts import SegmentedRun, choose_cut, survey
from zkvm.riscv.vm.executor import DEFAULT_MAX_CYCLES
from zkvm.session import memory
from zkvm.session.pieces import Piece, Terms
from zkvm.session.plan import Cut, Plan
from zkvm.session.resources import Progress
from zkvm.session.run import ExecutorEnv
from zkvm.session.setting import Setting, shape_of
from zkvm.session.totals import Totals
from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.prover.memory import LATER_BYTES, predicted_bytes, process_bytes
from zkvm.stark.tables import heights_for

FIRST_CYCLES = 1 << 18
"""Length of the first segment, if it is to follow from memory."""
LEAST_CYCLES, MOST_CYCLES = 1 << 12, 1 << 24
LENGTH_STEPS, LENGTH_MARGIN = 8, 64
"""Lengths that are looked at within a factor of two either way; and the part of the best one that is left free, because no two segments
are alike."""


def memory_budget(limit: int | None) -> int:
    """Bytes that the proof of a segment may take beside what this process has; ``limit``: of all, None: what there is."""
    return memory.available_bytes() if limit is None else max(limit - process_bytes(), 0)


def shared_lengths(setting: Setting, budget: int, cycles: int, workers: int) -> Lengths:
    """So long that everybody has something to do, and no longer than fits.

    Args:
        setting: of all proofs.
        budget: bytes that the proof of a segment may take.
        cycles: of the run.
        workers: who prove at one time.
    """
    return Lengths(setting, None, budget, min(max(-(-cycles // workers), FIRST_CYCLES), MOST_CYCLES))


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long segments are.

    Attributes:
        setting: of all proofs.
        fixed: instructions of every segment; None: as many as fit.
        budget: bytes that the proof of a segment may take, if they are not fixed.
        most: instructions of a segment at most, if they are not fixed.
    """

    setting: Setting
    fixed: int | None
    budget: int
    most: int = MOST_CYCLES

    @property
    def first(self) -> int:
        """Of the first segment."""
        return min(FIRST_CYCLES, self.most) if self.fixed is None else self.fixed

    def fits(self, execution: Execution) -> bool:
        """Whether the proof of a segment, as predicted, takes no more than the budget."""
        return self.fixed is not None or self._cost(segment_machine(), _rows_of(execution), execution.steps.nbytes) is not None

    def check_memory(self, words: LastMemory) -> None:
        """Whether the proof of a run's memory fits, too.

        Raises:
            LimitError: it does not.
        """
        own = memory_machine()
        rows = {chip.name: chip.rows(words) for chip in own.chips}
        if self.fixed is None and self._cost(own, rows, 0) is None:
            touched = len(words.zero_address)
            raise LimitError(
                f"the run accesses {touched} words of memory that begins as zero, and the proof of them takes more memory than there is: "
                "raise --max-memory, choose --params fast, or let the program use less"
            )

    def following(self, execution: Execution, done: int) -> int:
        """The length to try for the next segment, if it does what this one of so many instructions did.

        Heights are powers of two, so the cells of an instruction depend on how full the tables are: of the lengths that fit, one with the
        fewest.
        """
        if self.fixed is not None:
            return self.fixed
        rows, best = _rows_of(execution), (float("inf"), min(done, self.most))
        for step in range(-LENGTH_STEPS, LENGTH_STEPS + 1):
            length = int(done * 2 ** (step / LENGTH_STEPS))
            if not LEAST_CYCLES <= length <= self.most:
                continue
            scaled = {name: -(-count * length // done) for name, count in rows.items()}
            cells = self._cost(segment_machine(), scaled, execution.steps.itemsize * length)
            if cells is not None:
                best = min(best, (cells / length, length))
        return max(best[1] - best[1] // LENGTH_MARGIN, LEAST_CYCLES)

    def _cost(self, own: Machine, rows: dict[str, int], records: int) -> int | None:
        """Committed cells of a part with so many rows of each chip, and bytes of records; None: it does not fit."""
        setting = self.setting
        try:
            heights = heights_for(own, rows, setting.image, setting.chosen.exempt, setting.pad_to, split_price=setting.chosen.split_price)
        except LimitError:
            return None
        shape = shape_of(own, setting.chosen, heights)
        if predicted_bytes(shape, records, LATER_BYTES, setting.threads) > self.budget:
            return None
        return sum(sum(table.code.widths) * table.height for table in shape.tables)


def _rows_of(execution: Execution) -> dict[str, int]:
    """Used rows of each chip of a segment."""
    return {chip.name: chip.rows(execution) for chip in segment_machine().chips if chip.first is None}


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
        living = survey(setting.image, env.stdin, max_cycles=limit, max_memory=room).living if setting.image.tensors is not None else ()
        run = SegmentedRun(setting.image, env.stdin, pages=self._pages, max_memory=room)
        current = self._lengths.first
        while not run.ended:
            env.check()
            begin = run.at
            execution, current = _next_segment(run, current, self._lengths, living, limit)
            self._totals.add_segment(setting.shape(segment_machine(), execution), len(execution.journal))
            self._add(Cut(begin.to_bytes(), execution.cycles, run.read, execution.boundary["gap"].copy(), execution.journal), execution)
            yield self.plan.piece(run.number, self._terms, env.stdin, self._pages), execution
        words = run.last_memory()
        self._lengths.check_memory(words)
        self._totals.add_proof(setting.shape(memory_machine(), words), 2 * len(setting.image.gaps))
        self.plan = replace(self.plan, exit_code=execution.exit_code, memory=words)
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


def _next_segment(run: SegmentedRun, length: int, lengths: Lengths, living: Sequence[tuple[int, int]], limit: int) -> tuple[Execution, int]:
    """The next segment, and the length to try for the one after it.

    Raises:
        LimitError: it does not fit and cannot be cut, or the run has too many cycles.
    """
    while True:
        begin = run.at.cycles
        cut = choose_cut(min(begin + length, limit), begin, living)
        execution = run.segment(cut)
        if not run.ended and execution.cycles >= limit:
            raise LimitError(f"the guest has not ended after {limit} cycles: raise --max-cycles, or look for an endless loop")
        done = execution.cycles - begin
        if lengths.fits(execution):
            return execution, length if run.ended else lengths.following(execution, done)
        shorter = min(length, done) // 2
        if shorter < LEAST_CYCLES or choose_cut(begin + shorter, begin, living) >= execution.cycles:
            what = "tensors are alive all the time" if living else "it is as short as can be"
            raise LimitError(
                f"the segment from {begin} to {execution.cycles} cycles takes more memory than there is for its proof, and {what}: raise "
                "--max-memory, or choose --params fast"
            )
        run.rewind(execution)
        length = shorter
