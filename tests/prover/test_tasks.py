from __future__ import annotations

from threading import Lock

import pytest

from zkvm.prover.tasks import share_out


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("words", [[], [7], [1, 1, 1], [100, 1, 2, 3], [5, 0, 5, 90, 4, 4]])
def test_every_table_once(words: list[int], threads: int) -> None:
    calls: dict[int, int] = {}
    lock = Lock()

    def work(number: int, own_threads: int) -> None:
        with lock:
            assert number not in calls
            calls[number] = own_threads

    share_out(work, words, threads)
    assert sorted(calls) == list(range(len(words)))
    for number, size in enumerate(words):
        assert calls[number] == (threads if 2 * threads * size > sum(words) else 1)


def test_errors_come_out() -> None:
    def work(number: int, threads: int) -> None:
        if number == 3:
            raise ValueError("table 3")

    with pytest.raises(ValueError, match="table 3"):
        share_out(work, [1] * 10, 2)
