"""How long segments are: as long as asked for, or as memory allows."""

from __future__ import annotations

from dataclasses import dataclass

from zkvm.errors import LimitError
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.records import Execution, LastMemory
from zkvm.session import memory
from zkvm.session.bound import with_room
from zkvm.session.setting import Setting, shape_of
from zkvm.stark.air.machine import Machine
from zkvm.stark.prover.memory import LATER_BYTES, predicted_bytes, process_bytes
from zkvm.stark.tables import Padding, heights_for

FIRST_CYCLES = 1 << 18
"""Length of the first segment, if it is to follow from memory."""
LEAST_CYCLES, MOST_CYCLES = 1 << 12, 1 << 24
LENGTH_STEPS, LENGTH_MARGIN = 8, 64
"""Lengths that are looked at within a factor of two either way; and the part of the best one that is left free, because no two segments
are alike."""


def memory_budget(limit: int | None) -> int:
    """Bytes that the proof of a segment may take beside what this process has; ``limit``: of all, None: what there is."""
    return memory.available_bytes() if limit is None else max(limit - process_bytes(), 0)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long segments are.

    Attributes:
        setting: of all proofs.
        fixed: instructions of every segment; None: as many as fit.
        budget: bytes that the proof of a segment may take, if they are not fixed.
        workers: who prove at one time, and should all have something to do, if they are not fixed.
    """

    setting: Setting
    fixed: int | None
    budget: int
    workers: int = 1

    def most(self, cycles: int) -> int:
        """Instructions of a segment at most, if they are not fixed; ``cycles``: of the run."""
        return min(max(-(-cycles // self.workers), FIRST_CYCLES), MOST_CYCLES)

    def fits(self, execution: Execution, padding: Padding) -> bool:
        """Whether the proof of a segment, as predicted, takes no more than the budget; ``padding``: of its tables."""
        if self.fixed is not None:
            return True
        count = len(execution.steps) if isinstance(padding, int) else with_room(len(execution.steps))
        return self.cost(segment_machine(), rows_of(execution), execution.steps.itemsize * count, padding) is not None

    def check_memory(self, words: LastMemory, padding: Padding) -> None:
        """Whether the proof of a run's memory fits, too.

        Raises:
            LimitError: it does not.
        """
        own = memory_machine()
        rows = {chip.name: chip.rows(words) for chip in own.chips}
        if self.fixed is None and self.cost(own, rows, 0, padding) is None:
            touched = len(words.zero_address)
            raise LimitError(
                f"the run accesses {touched} words of memory that begins as zero, and the proof of them takes more memory than there is: "
                "raise --max-memory, choose --params fast, or let the program use less"
            )

    def following(self, execution: Execution, done: int, most: int, padding: Padding) -> int:
        """The length to try for the next segment, if it does what this one of so many instructions did.

        Heights are powers of two, so the cells of an instruction depend on how full the tables are: of the lengths that fit, one with the
        fewest.

        Args:
            execution: the last segment.
            done: its instructions.
            most: those of the next one, at most.
            padding: of all tables.
        """
        if self.fixed is not None:
            return self.fixed
        rows, best = rows_of(execution), (float("inf"), min(done, most))
        for step in range(-LENGTH_STEPS, LENGTH_STEPS + 1):
            length = int(done * 2 ** (step / LENGTH_STEPS))
            if not LEAST_CYCLES <= length <= most:
                continue
            scaled = {name: -(-count * length // done) for name, count in rows.items()}
            cells = self.cost(segment_machine(), scaled, execution.steps.itemsize * length, padding)
            if cells is not None:
                best = min(best, (cells / length, length))
        return max(best[1] - best[1] // LENGTH_MARGIN, LEAST_CYCLES)

    def cost(self, own: Machine, rows: dict[str, int], records: int, padding: Padding) -> int | None:
        """Committed cells of a part; None: it does not fit.

        Args:
            own: its machine.
            rows: used rows of each chip.
            records: bytes of its records.
            padding: of its tables.
        """
        setting = self.setting
        try:
            heights = heights_for(own, rows, setting.image, setting.chosen.exempt, padding, split_price=setting.chosen.split_price)
        except LimitError:
            return None
        shape = shape_of(own, setting.chosen, heights)
        if predicted_bytes(shape, records, LATER_BYTES, setting.threads) > self.budget:
            return None
        return sum(sum(table.code.widths) * table.height for table in shape.tables)


def does_not_fit(begin: int, end: int, living: bool) -> LimitError:
    """What is said of a segment, by its instructions, that takes too much and cannot be cut; ``living``: tensors may be why."""
    what = "tensors are alive all the time" if living else "it is as short as can be"
    return LimitError(
        f"the segment from {begin} to {end} cycles takes more memory than there is for its proof, and {what}: raise --max-memory, or "
        "choose --params fast"
    )


def rows_of(execution: Execution) -> dict[str, int]:
    """Used rows of each chip of a segment."""
    return {chip.name: chip.rows(execution) for chip in segment_machine().chips if chip.first is None}
