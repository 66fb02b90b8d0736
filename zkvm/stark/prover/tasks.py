"""Sharing tables of many sizes out to the threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zkvm.stark.kernels.parallel import TASK_WORDS, run_ranges

SMALL = 16
"""A table is small, and not worth meeting for, if the even share of everything is at least this many times as much."""


def share_out(work: Callable[[int, int], None], words: Sequence[int], threads: int) -> None:
    """Calls ``work(number, threads)`` once for each table, the large ones first.

    A table is done by all threads together, which meet at its end, or by one thread while the others do other tables. The even share of
    some work is that work divided by the number of threads. From the largest on, all threads do a table together if

    * it has more than half of the even share of everything: beside so large a piece the rest cannot be dealt out evenly; or
    * it has more than the even share of what is left, itself included: beside it the other threads would run out of work. A small table
      (:data:`SMALL`) is left to one thread all the same.

    The first table for which neither holds and all after it run side by side, on one thread each, without a meeting after every table.

    Args:
        work: must be safe to run beside itself on other tables.
        words: how much each table has to do, in any unit.
        threads: at most this many.
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
