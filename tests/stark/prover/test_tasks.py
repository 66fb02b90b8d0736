"""Tables shared out to threads: each once, and errors come out."""

from __future__ import annotations

from threading import Lock

import pytest

from zkvm.stark.prover.tasks import share_out


@pytest.mark.parametrize(
    ("words", "threads", "together"),
    [
        ([], 2, []),
        ([7], 2, [0]),
        ([1, 1, 1], 2, [0, 1, 2]),
        ([1] * 10, 2, []),
        ([100, 1, 2, 3], 1, []),
        ([100, 1, 2, 3], 5, [0, 2, 3]),
        ([100, 3, 3, 3, 3], 2, [0]),
        ([100, 14, 5, 1], 2, [0, 1, 2]),
        ([1000, *[1] * 25], 16, [0]),
        ([5, 0, 5, 90, 4, 4], 2, [3]),
    ],
)
def test_every_table_once(words: list[int], threads: int, together: list[int]) -> None:
    """``together``: those that take all threads, because one thread of them would outlast the others' work."""
    calls: dict[int, int] = {}
    lock = Lock()

    def work(number: int, own_threads: int) -> None:
        with lock:
            assert number not in calls
            calls[number] = own_threads

    share_out(work, words, threads)
    assert sorted(calls) == list(range(len(words)))
    assert threads == 1 and set(calls.values()) <= {1} or [number for number in range(len(words)) if calls[number] == threads] == together


def test_errors_come_out() -> None:
    def work(number: int, threads: int) -> None:
        if number == 3:
            raise ValueError("table 3")

    with pytest.raises(ValueError, match="table 3"):
        share_out(work, [1] * 10, 2)
