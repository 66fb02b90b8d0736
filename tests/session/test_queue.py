"""Jobs in child processes: results, errors, progress, cancelling, limits, deaths; and pieces of work of a pool."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import zkvm
from tests.session import queue_jobs
from tests.session.test_segments import LENGTH, PROGRAM
from zkvm.errors import Cancelled, LimitError, UsageError, WorkerError
from zkvm.session.pool import Processes
from zkvm.session.queue import ATTEMPTS, Job, JobLimits, Queue, State

SECONDS = 60.0
"""Nothing here takes as long, unless it hangs."""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_jobs_are_done_by_few_processes() -> None:
    told: list[tuple[str, float]] = []
    seen: list[State] = []
    with Queue(2, lambda job: seen.append(job.state)) as queue:
        jobs = [queue.submit(queue_jobs.double, number, progress=lambda *own: told.append(own)) for number in range(6)]
        results = [job.result(SECONDS) for job in jobs]
    assert [value for value, _ in results] == [0, 2, 4, 6, 8, 10]
    assert len({process for _, process in results}) <= 2
    assert os.getpid() not in {process for _, process in results}
    assert told == [("doubling", 0.5)] * 6
    assert seen.count(State.DONE) == 6
    assert all(job.ended and job.attempts == 1 and job.worker and job.peak_memory_bytes for job in jobs)


def test_errors_come_back_and_the_queue_goes_on() -> None:
    with Queue() as queue:
        refused, exotic = queue.submit(queue_jobs.refuse), queue.submit(queue_jobs.exotic, name="strange")
        with pytest.raises(LimitError, match="no more than this"):
            refused.result(SECONDS)
        with pytest.raises(RuntimeError, match="Local: of a function"):
            exotic.result(SECONDS)
        assert queue.submit(queue_jobs.double, 4).result(SECONDS)[0] == 8
        assert (refused.state, exotic.name) == (State.FAILED, "strange")
        with pytest.raises(UsageError, match="cannot be sent to a worker process"):
            queue.submit(lambda progress: None)
    with pytest.raises(UsageError, match="closed"):
        queue.submit(queue_jobs.refuse)
    with pytest.raises(UsageError, match="at least 1"):
        Queue(0)


def test_who_is_told_of_progress_can_end_a_job() -> None:
    def enough(phase: str, share: float) -> None:
        raise Cancelled("enough")

    with Queue() as queue:
        job = queue.submit(queue_jobs.double, 1, progress=enough)
        with pytest.raises(Cancelled, match="enough"):
            job.result(SECONDS)
        assert queue.submit(queue_jobs.double, 2).result(SECONDS)[0] == 4


def test_a_process_that_dies_is_replaced(tmp_path: Path) -> None:
    with Queue() as queue:
        fatal = queue.submit(queue_jobs.die)
        assert queue.submit(queue_jobs.die_once, tmp_path / "marker").result(SECONDS) == "alive"
        with pytest.raises(WorkerError, match=f"die: the worker process died {ATTEMPTS} times, at last with signal {signal.SIGKILL.value}"):
            fatal.result(SECONDS)


def test_jobs_are_cancelled(tmp_path: Path) -> None:
    """Also one that runs, whose process is then gone."""
    with Queue() as queue:
        running, waiting = queue.submit(queue_jobs.wait, tmp_path / "marker"), queue.submit(queue_jobs.double, 1)
        wait_until((tmp_path / "marker").exists)
        with pytest.raises(TimeoutError):
            waiting.result(0.01)
        waiting.cancel()
        assert waiting.state == State.CANCELLED
        running.cancel()
        for job in (running, waiting):
            with pytest.raises(Cancelled):
                job.result(SECONDS)
        running.cancel()
        after = queue.submit(queue_jobs.double, 3)
        assert after.result(SECONDS)[0] == 6
        with pytest.raises(ProcessLookupError):
            os.kill(running.worker, 0)
        after.cancel()
        assert after.state == State.DONE


def test_what_is_left_is_cancelled_at_the_end(tmp_path: Path) -> None:
    with Queue() as queue:
        jobs = [queue.submit(queue_jobs.wait, tmp_path / "marker") for _ in range(2)]
        wait_until((tmp_path / "marker").exists)
    assert [job.state for job in jobs] == [State.CANCELLED] * 2


def test_limits_of_time_and_memory(tmp_path: Path) -> None:
    with Queue() as queue:
        late = queue.submit(queue_jobs.wait, tmp_path / "marker", limits=JobLimits(seconds=2.0))
        with pytest.raises(LimitError, match="wait: not done after 2 s, and stopped"):
            late.result(SECONDS)
        large = queue.submit(queue_jobs.take, 1 << 30, limits=JobLimits(max_memory=1 << 29))
        if Path("/proc/self/statm").exists():
            with pytest.raises(LimitError, match="take: it took .* GiB, more than its limit of 0.50 GiB, and was stopped"):
                large.result(SECONDS)
        assert queue.submit(queue_jobs.take, 1 << 23).result(SECONDS) == 1 << 20


def test_no_process_outlives_its_parent(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from tests.session import queue_jobs
from zkvm.session.queue import Queue
job = Queue().submit(queue_jobs.wait, Path({str(tmp_path / "marker")!r}))
while not job.worker:
    pass
print(job.worker, flush=True)
job.result()
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    wait_until((tmp_path / "marker").exists)
    parent.kill()
    parent.wait()
    parent.stdout.close()

    def gone() -> bool:
        try:
            return Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z"
        except OSError:
            return True

    if Path("/proc/self/stat").exists():
        wait_until(gone)


def test_a_pool_asks_for_no_more_than_it_needs() -> None:
    asked: list[int] = []

    def pieces() -> object:
        for number in range(8):
            asked.append(number)
            yield str(number), b"bad" if number == 3 else bytes([number])

    with Processes(1, lambda: None) as pool:
        outcomes = []
        for outcome in pool.map(queue_jobs.append, b"shared ", pieces()):  # type: ignore[arg-type]
            outcomes.append(outcome)
            assert len(asked) <= len(outcomes) + pool.size + 1
    assert [outcome.name for outcome in outcomes] == [str(number) for number in range(8)]
    assert outcomes[5].checked() == b"shared \x05"
    with pytest.raises(LimitError, match="a bad piece"):
        outcomes[3].checked()
    assert b"shared" not in repr(outcomes[5]).encode()


@pytest.mark.parametrize("data", [b"good", b"bad"])
def test_workers_are_prepared_and_nobody_waits(data: bytes) -> None:
    """Also if that fails: what comes of it is in no outcome."""
    with Processes(2, lambda: None) as pool:
        pool.prepare(queue_jobs.append, b"shared ", data)
        outcomes = list(pool.map(queue_jobs.append, b"shared ", [("0", b"a"), ("1", b"b"), ("2", b"c")]))
    assert sorted((outcome.name, outcome.checked()) for outcome in outcomes) == [("0", b"shared a"), ("1", b"shared b"), ("2", b"shared c")]


def test_a_process_is_killed_in_the_middle_of_a_run() -> None:
    """And the segments are proven all the same."""
    killed: list[int] = []

    def kill(phase: str, share: float) -> None:
        if phase == "1 of 4 proofs" and not killed:
            killed.append(psutil.Process().children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    info = zkvm.prove(PROGRAM, params="fast", segment_cycles=LENGTH, jobs=2, progress=kill)
    assert killed
    assert info.accounts is not None
    assert info.accounts.workers == 2
    assert len({part.worker for part in info.accounts.parts} - {f"process {killed[0]}"}) >= 1
    info.receipt.verify(zkvm.compute_image_id(PROGRAM))


def test_a_pool_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    def stop() -> None:
        raise Cancelled("enough")

    with Processes(1, stop) as pool, pytest.raises(Cancelled, match="enough"):
        list(pool.map(queue_jobs.append, b"", [("0", b"")]))


def test_jobs_hide_what_they_carry() -> None:
    assert "secret" not in repr(Job("name", _call=b"secret", _value="secret"))
