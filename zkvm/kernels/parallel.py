"""Splitting kernel calls over threads: the kernels release the GIL, and every task writes its own part of the output."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

TASK_WORDS = 2**19
"""Work is grouped until a task touches about this many words: smaller ones cost more to hand out than to run."""


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="zkvm-kernel")


def run_ranges(task: Callable[[int, int], None], count: int, words_each: int, threads: int, step: int = 1) -> None:
    """Calls ``task(first, last)`` on consecutive ranges that cover ``range(count)``, on up to ``threads`` threads.

    Args:
        task: runs one range; must be safe to run beside itself on other ranges.
        count: number of units (columns or rows). words_each: words one unit touches, for the grouping.
        threads: 1 runs everything in the calling thread. step: ranges start at multiples of it.
    """
    if count <= 0:
        return
    group = max(TASK_WORDS // max(words_each, 1), 1)
    group = min(group, -(-count // threads))
    group = -(-group // step) * step
    ranges = [(first, min(first + group, count)) for first in range(0, count, group)]
    if threads <= 1 or len(ranges) == 1:
        for first, last in ranges:
            task(first, last)
        return
    for _ in _pool(threads).map(lambda bounds: task(*bounds), ranges):
        pass
