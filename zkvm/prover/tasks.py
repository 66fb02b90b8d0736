"""Sharing tables of many sizes out to the threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zkvm.kernels.parallel import TASK_WORDS, run_ranges


def share_out(work: Callable[[int, int], None], words: Sequence[int], threads: int) -> None:
    """Calls ``work(number, threads)`` once for each table, the large ones first.

    A table that is more than its part of a half of everything takes all threads, each after the other; the rest run side by side on
    one thread each, without a barrier behind every table.

    Args:
        work: must be safe to run beside itself on other tables. words: how much each table has to do, in any unit.
    """
    order = sorted(range(len(words)), key=lambda number: -words[number])
    large = sum(1 for size in words if 2 * threads * size > sum(words))
    for number in order[:large]:
        work(number, threads)
    rest = order[large:]

    def run(first: int, last: int) -> None:
        for number in rest[first:last]:
            work(number, 1)

    run_ranges(run, len(rest), TASK_WORDS, threads)
