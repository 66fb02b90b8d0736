"""Ranges: what is covered, by which threads, and what happens to errors."""

from __future__ import annotations

import threading
import time

import pytest

from zkvm.stark.kernels.parallel import SERIAL_WORDS, TASK_WORDS, run_ranges, split_range


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("count", "words_each", "step"), [(1, 1, 1), (7, 0, 1), (1000, 5000, 8), (3, 10**9, 1), (4096, 128, 512), (513, 9999, 512)]
)
def test_ranges_cover_everything_once(count: int, words_each: int, step: int, threads: int) -> None:
    ranges = split_range(count, words_each, threads, step)
    assert [unit for first, last in ranges for unit in range(first, last)] == list(range(count))
    assert all(first % step == 0 for first, _ in ranges)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_thread_has_as_many_ranges_of_the_size_of_a_task(threads: int) -> None:
    ranges = split_range(9 * TASK_WORDS, 1, threads)
    assert len(ranges) % threads == 0
    assert {last - first for first, last in ranges[:-1]} <= set(range(TASK_WORDS // 2, TASK_WORDS + 1))


def test_units_without_words_make_one_range_a_thread() -> None:
    assert split_range(10, 0, 3) == [(0, 4), (4, 8), (8, 10)]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("words_each", [0, 1, TASK_WORDS])
def test_results_are_complete_on_return(threads: int, words_each: int) -> None:
    done = [0] * 40

    def task(first: int, last: int) -> None:
        for unit in range(first, last):
            done[unit] += 1

    run_ranges(task, 40, words_each, threads)
    assert done == [1] * 40


def test_no_units_no_calls() -> None:
    calls: list[tuple[int, int]] = []
    run_ranges(lambda first, last: calls.append((first, last)), 0, 5, 2)
    assert calls == []


@pytest.mark.parametrize(("words_each", "threads"), [(TASK_WORDS, 1), ((SERIAL_WORDS - 1) // 4, 4)])
def test_one_thread_and_small_work_stay_in_the_caller(words_each: int, threads: int) -> None:
    seen = set()
    run_ranges(lambda first, last: seen.add(threading.get_ident()), 4, words_each, threads)
    assert seen == {threading.get_ident()}


def test_threads_work_side_by_side() -> None:
    """Two ranges that wait for each other end only if two threads run them; one of them is the caller."""
    barrier = threading.Barrier(2, timeout=60)
    seen = set()

    def task(first: int, last: int) -> None:
        barrier.wait()
        seen.add(threading.get_ident())

    run_ranges(task, 2, TASK_WORDS, 2)
    assert len(seen) == 2
    assert threading.get_ident() in seen


def test_nested_calls_end() -> None:
    """The ranges of the inner calls find no idle thread: their callers do them."""
    done = []
    run_ranges(lambda *outer: run_ranges(lambda *inner: done.append((outer, inner)), 2, TASK_WORDS, 2), 4, TASK_WORDS, 2)
    assert sorted(done) == [((i, i + 1), (j, j + 1)) for i in range(4) for j in range(2)]


@pytest.mark.parametrize("fails_in_caller", [True, False])
def test_an_error_is_raised_when_nothing_runs_any_more(fails_in_caller: bool) -> None:
    caller = threading.get_ident()
    barrier = threading.Barrier(2, timeout=60)
    running = []

    def task(first: int, last: int) -> None:
        running.append(first)
        barrier.wait()
        if (threading.get_ident() == caller) == fails_in_caller:
            raise ValueError("this range")
        time.sleep(0.05)
        running.remove(first)

    with pytest.raises(ValueError, match="this range"):
        run_ranges(task, 2, TASK_WORDS, 2)
    assert len(running) == 1
