"""Splitting kernel calls over threads: the kernels release the GIL, and every task writes its own part of the output."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

TASK_WORDS = 2**19
"""A range touches about this many words, so that threads that are slower than others get fewer of them."""
SERIAL_WORDS = 2**16
"""Work that touches fewer words is done before another thread has woken up."""


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="zkvm-kernel")


def split_range(count: int, words_each: int, threads: int, step: int = 1) -> list[tuple[int, int]]:
    """Consecutive ranges that cover ``range(count)``, all but the last of one length, about as many for every thread.

    The arguments are those of :func:`run_ranges`.
    """
    ranges = max(-(-count * words_each // TASK_WORDS), 1)
    ranges = -(-ranges // threads) * threads
    length = -(-count // (ranges * step)) * step
    return [(first, min(first + length, count)) for first in range(0, count, length)]


def run_ranges(task: Callable[[int, int], None], count: int, words_each: int, threads: int, step: int = 1) -> None:
    """Calls ``task(first, last)`` on consecutive ranges that cover ``range(count)``, in this thread and up to ``threads - 1`` others.

    Every thread takes the next range once it is done with one. When this returns or raises, no range is running
    (an interrupt may leave one that ends by itself).

    Args:
        task: runs one range; must be safe to run beside itself on other ranges.
        count: number of units (columns or rows).
        words_each: words one unit touches, for the grouping; 0 makes one range a thread.
        threads: at least 1, which runs everything in the calling thread.
        step: ranges start at multiples of it.
    """
    if count <= 0:
        return
    pending = split_range(count, words_each, threads, step)[::-1]
    helpers = min(threads, len(pending)) - 1
    if 0 < count * words_each < SERIAL_WORDS:
        helpers = 0

    def work() -> None:
        while pending:
            try:
                first, last = pending.pop()
            except IndexError:  # another thread was faster
                return
            task(first, last)

    futures = [_pool(threads - 1).submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        pending.clear()
        started = [future for future in futures if not future.cancel()]
        errors = [future.exception() for future in started]
    for error in errors:
        if error is not None:
            raise error
