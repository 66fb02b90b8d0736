"""Where a run is cut if nothing may tell of its input: at places of the program, a fixed number of instructions apart.

Instructions are counted as :class:`zkvm.session.bound.Ways` counts them: a branch with the longest way that it can take. So the count at a
place between such ways, outside of functions without loops, is the same for every input, if the program's loops are; and the segments
between two of these places have the same bounds. Their tables are as tall as the bounds, with what those leave free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.opcodes import REGISTER_COUNT
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.records import STEP, Execution, LastMemory
from zkvm.riscv.vm.cuts import SegmentedRun, choose_cut, survey
from zkvm.session.bound import Rows, Ways, bounded_rows, counts_of, room, rounded_down, ways_of, with_room
from zkvm.session.lengths import LEAST_CYCLES, Lengths, does_not_fit
from zkvm.session.run import ExecutorEnv

PARTS = 64
"""Places within a segment: one that does not fit is cut at those that halve it."""
STEPS_OF_TWO = 8
"""Lengths that are looked at within a factor of two."""


@dataclass(slots=True)
class Places:
    """A run with the places where it can be cut.

    Attributes:
        lengths: of segments.
        ways: what its instructions stand for.
        cycles: ascending, executed instructions at each place; they are a part of a segment apart.
        living: of :class:`zkvm.riscv.vm.cuts.Survey`.
        parts: how many of them make a segment.
    """

    lengths: Lengths
    ways: Ways
    cycles: NDArray[np.int64]
    living: Sequence[tuple[int, int]]
    parts: int = PARTS

    def padding(self, record: Execution | LastMemory) -> Rows:
        """Rows of each chip that tables have room for."""
        if isinstance(record, Execution):
            return room(bounded_rows(record, self.ways, segment_machine()))
        return room({chip.name: chip.rows(record) for chip in memory_machine().chips})

    def next_segment(self, run: SegmentedRun, limit: int) -> Execution:
        """Execute the next segment.

        Args:
            run: the run.
            limit: its last instruction, at most.

        Raises:
            LimitError: it does not fit and cannot be cut.
        """
        parts, begin = self.parts, run.at.cycles
        while True:
            execution = run.segment(choose_cut(min(self._after(begin, parts), limit), begin, self.living))
            if self.lengths.fits(execution, self.padding(execution)):
                return execution
            while choose_cut(self._after(begin, parts), begin, self.living) >= execution.cycles:
                if parts == 1:
                    raise does_not_fit(begin, execution.cycles, bool(self.living))
                parts //= 2
            run.rewind(execution)

    def _after(self, begin: int, parts: int) -> int:
        """The first place behind ``begin`` whose number is a multiple of ``parts``, or the run's end."""
        number = int(np.searchsorted(self.cycles, begin, side="right")) + 1  # of the first place behind it: they count from 1
        number = -(-number // parts) * parts
        return int(self.cycles[number - 1]) if number <= len(self.cycles) else 1 << 62


@dataclass(slots=True)
class _Finder:
    """Looks for places while a run is executed.

    Attributes:
        steps: of :class:`Ways`.
        apart: of two places, as they count.
        found: executed instructions at the places so far.
    """

    steps: NDArray[np.int64]
    apart: int
    found: list[int] = field(default_factory=list)
    _executed: int = 0
    _counted: int = 0

    def look(self, steps: NDArray[np.void]) -> None:
        """The instructions that come next."""
        own = self.steps[steps["row"]]
        where = np.flatnonzero(own)
        before = self._counted + np.cumsum(own[where]) - own[where]
        self._counted += int(own.sum())
        following = self.apart * (len(self.found) + 1)
        wanted = np.arange(following, int(before[-1]) + 1 if len(before) else 0, self.apart)
        self.found += (self._executed + where[np.searchsorted(before, wanted)]).tolist()
        self._executed += len(steps)


def places_of(lengths: Lengths, env: ExecutorEnv, limit: int, memory: int) -> Places:
    """Execute a run twice without keeping records, and find where it can be cut.

    Args:
        lengths: of segments.
        env: the guest's environment; its sinks hear nothing.
        limit: instructions after which the guest is stopped.
        memory: bytes that it may take.

    Raises:
        GuestTrap: the guest did something that cannot be proven.
        LimitError: a limit was reached.
        Cancelled: the caller asked for it.
    """
    image = lengths.setting.image
    counts = np.zeros(len(image.program), np.int64)

    def add(steps: NDArray[np.void]) -> None:
        env.check()
        np.add(counts, counts_of(steps, image), out=counts)

    seen = survey(image, env.stdin, max_cycles=limit, max_memory=memory, look=add)
    ways = ways_of(image, counts)
    rows = ways.bounds(counts) | {"refresh": seen.refreshes, "boundary": seen.words + REGISTER_COUNT}
    own = replace(lengths, budget=rounded_down(lengths.budget))  # what is free differs a little from one run to the next
    parts = PARTS if own.fixed is None else 1
    finder = _Finder(ways.steps, -(-even_length(own, rows, int(ways.steps @ counts)) // parts))

    def find(steps: NDArray[np.void]) -> None:
        env.check()
        finder.look(steps)

    survey(image, env.stdin, max_cycles=limit, max_memory=memory, look=find)
    return Places(own, ways, np.array(finder.found, np.int64), seen.living, parts)


def even_length(lengths: Lengths, rows: Rows, total: int) -> int:
    """Instructions of a segment, if all are equally long and each does a part of everything: of those that fit, with the fewest cells.

    Args:
        lengths: what fits.
        rows: of each chip, in the whole run; of ``boundary``, the words that it accesses.
        total: its instructions.
    """
    if lengths.fixed is not None:
        return lengths.fixed
    fewest, fitting = -(-total // lengths.most(total)), list[tuple[int, int]]()
    for step in count():
        segments = round(fewest * 2 ** (step / STEPS_OF_TWO))
        length = -(-total // segments)
        if len(fitting) > STEPS_OF_TWO or (step and length < LEAST_CYCLES):
            break
        own = {chip.name: -(-rows.get(chip.name, 0) // segments) for chip in segment_machine().chips if chip.first is None}
        own["boundary"] = min(rows["boundary"], length)  # each may access all of them
        cells = lengths.cost(segment_machine(), own, STEP.itemsize * with_room(length), room(own))
        if cells is not None:
            fitting.append((cells * segments, length))
    return min(fitting, default=(0, LEAST_CYCLES))[1]
