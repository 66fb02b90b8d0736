"""Sharing tables of many sizes out to the threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zkvm.stark.kernels.parallel import TASK_WORDS, run_ranges

SMALL = 16
"""A table that is so many times less than a thread's part of everything is not worth meeting for."""


def share_out(work: Callable[[int, int], None], words: Sequence[int], threads: int) -> None:
    """Calls ``work(number, threads)`` once for each table, the large ones first.

    From the largest on, a table takes all threads if it is more than its part of a half of everything, or than its part of what is
    left and not small: beside it the other threads would run out of work. The rest run side by side on one thread each, without a
    barrier behind every table.

    Args:
        work: must be safe to run beside itself on other tables. words: how much each table has to do, in any unit.
    """
    order = sorted(range(len(words)), key=lambda number: -words[number])
    total = left = sum(words)
    rest = list(order)
    while rest:
        size = words[rest[0]]
        if 2 * threads * size <= total and (threads * size <= left or SMALL * threads * size <= total):
            break
        left -= size
        work(rest.pop(0), threads)

    def run(first: int, last: int) -> None:
        for number in rest[first:last]:
            work(number, 1)

    run_ranges(run, len(rest), TASK_WORDS, threads)
