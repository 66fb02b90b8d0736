"""Sharing tables of many sizes out to the threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zkvm.kernels.parallel import TASK_WORDS, run_ranges


def share_out(work: Callable[[int, int], None], words: Sequence[int], threads: int) -> None:
    """Calls ``work(number, threads)`` once for each table, the large ones first.

    From the largest on, a table takes all threads if it is more than its part of a half of everything, or than its part of what is
    left: beside it the other threads would run out of work. The rest run side by side on one thread each, without a barrier behind
    every table.

    Args:
        work: must be safe to run beside itself on other tables. words: how much each table has to do, in any unit.
    """
    order = sorted(range(len(words)), key=lambda number: -words[number])
    total = left = sum(words)
    rest = list(order)
    while rest and (2 * threads * words[rest[0]] > total or threads * words[rest[0]] > left):
        left -= words[rest[0]]
        work(rest.pop(0), threads)

    def run(first: int, last: int) -> None:
        for number in rest[first:last]:
            work(number, 1)

    run_ranges(run, len(rest), TASK_WORDS, threads)
