"""A queue of jobs that run in child processes, one at a time in each: with limits of time and memory, progress, and a way to stop them.

A job is a call of a function that the child imports. A child keeps what it has loaded from one job to the next, is killed with a job
that is cancelled or takes too long, and is then replaced. A job whose child dies by itself is tried again, a bounded number of times.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from zkvm.errors import Cancelled, LimitError, UsageError, WorkerError
from zkvm.session import child
from zkvm.session.memory import gib
from zkvm.session.resources import Progress

WATCH_SECONDS = 0.1
"""Between two looks at a job that has limits."""
ATTEMPTS = 2
"""How often a job is begun whose child dies."""


class State(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobLimits:
    """What a job may take.

    Attributes:
        seconds: from its begin to its end, or it is killed; None: as long as it likes.
        max_memory: bytes of memory that its process may use, or it is killed, where the system tells what it uses (Linux); None: what
            there is. It is looked at ten times a second, so what is predicted must not count on it.
    """

    seconds: float | None = None
    max_memory: int | None = None


@dataclass(eq=False)
class Job:
    """A call that was submitted. Its attributes are to be read only.

    Attributes:
        name: for messages.
        state: where it stands.
        phase: what it does, as it says itself.
        share: how much of it is done, in [0, 1].
        attempts: how often it was begun.
        seconds: of the last attempt, when it is done.
        processor: seconds of the processor, of that attempt.
        peak_memory_bytes: of the process that did it, up to then.
        worker: number of the process that has it, or had it; 0 before.
        error: why it failed.
    """

    name: str
    state: State = State.WAITING
    phase: str = ""
    share: float = 0.0
    attempts: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    peak_memory_bytes: int = 0
    worker: int = 0
    error: BaseException | None = None
    _queue: Queue | None = field(default=None, repr=False)
    _call: bytes = field(default=b"", repr=False)
    _limits: JobLimits = field(default=JobLimits(), repr=False)
    _progress: Progress | None = field(default=None, repr=False)
    _value: Any = field(default=None, repr=False)
    _child: _Child | None = field(default=None, repr=False)
    _stopped: BaseException | None = field(default=None, repr=False)
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def ended(self) -> bool:
        """Whether it is done, has failed, or was cancelled."""
        return self._ended.is_set()

    def cancel(self) -> None:
        """Stop it, at once: the process that runs it is killed. A job that has ended stays as it is."""
        assert self._queue is not None
        self._queue._stop(self, Cancelled(f"{self.name}: cancelled"))

    def result(self, timeout: float | None = None) -> Any:
        """What the function returned, when it has.

        Args:
            timeout: seconds to wait; None: for ever.

        Raises:
            TimeoutError: it has not ended by then.
            Cancelled: it was cancelled.
            LimitError: it took too long.
            WorkerError: its process died, again and again.
            BaseException: what the function raised.
        """
        if not self._ended.wait(timeout):
            raise TimeoutError(f"{self.name}: not done after {timeout} s")
        if self.error is not None:
            raise self.error
        return self._value


class _Child:
    """A child process, from this side."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        command = [sys.executable, "-m", child.__name__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    @property
    def number(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def memory(self) -> int:
        """Resident bytes; 0 where the system does not tell."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(Path(f"/proc/{self.number}/statm").read_text().split()[1]) * mmap.PAGESIZE
        return 0

    def call(self, message: bytes, told: Progress) -> tuple[Any, ...] | None:
        """The answer to a call; None: the process has died."""
        with contextlib.suppress(OSError):
            child.send(self._stdin, message)
            while (answer := child.receive(self._stdout)) is not None:
                kind, *rest = pickle.loads(answer)
                if kind != child.PROGRESS:
                    return kind, *rest
                told(*rest)
        return None

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int:
        """Kill it if need be, and let go of it; returns its exit status, negative: the signal that killed it."""
        self._process.kill()
        for stream in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                stream.close()
        return self._process.wait()


class Queue:
    """Jobs in the order in which they were submitted, some at a time. A context manager: at its end everything is stopped.

    All methods may be called from any thread.
    """

    def __init__(self, workers: int = 1, changed: Callable[[Job], object] | None = None) -> None:
        """An empty queue; processes are started when there is something to do.

        Args:
            workers: child processes.
            changed: called, from other threads, when a job begins, says where it stands, or ends. It must not raise.

        Raises:
            UsageError: less than one worker.
        """
        if workers < 1:
            raise UsageError(f"{workers} worker processes: at least 1 is needed")
        self.workers = workers
        self._changed = changed
        self._waiting: deque[Job] = deque()
        self._running: set[Job] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._lock = threading.Condition()

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        name: str = "",
        limits: JobLimits | None = None,
        progress: Progress | None = None,
    ) -> Job:
        """Put a job at the end of the queue.

        Args:
            function: of an importable module, called with the arguments and, last, with a function to call with a phase and the share
                of the work that is done. Arguments and what it returns or raises are pickled.
            *arguments: of the call.
            name: of the job, for messages; "": the function's.
            limits: what it may take.
            progress: called, from another thread, with what the job says of where it stands; what it raises ends the job.

        Raises:
            UsageError: the queue was closed, or the call cannot be pickled.
        """
        chosen = limits or JobLimits()
        try:
            call = pickle.dumps((function, arguments))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UsageError(f"this cannot be sent to a worker process: {error}") from error
        job = Job(name or function.__name__, _queue=self, _call=call, _limits=chosen, _progress=progress)
        with self._lock:
            if self._closed:
                raise UsageError("the queue was closed")
            self._waiting.append(job)
            if len(self._threads) < min(self.workers, len(self._waiting) + len(self._running)):
                self._threads.append(threading.Thread(target=self._work, daemon=True))
                self._threads[-1].start()
            self._lock.notify()
        return job

    def close(self) -> None:
        """Cancel what has not ended, and end all processes."""
        with self._lock:
            self._closed = True
            left = [*self._waiting, *self._running]
            self._lock.notify_all()
        for job in left:
            job.cancel()
        for thread in self._threads:
            thread.join()

    def _stop(self, job: Job, reason: BaseException) -> None:
        with self._lock:
            if job.ended or job._stopped is not None:
                return
            job._stopped = reason
            if job in self._waiting:
                self._waiting.remove(job)
            elif job._child is not None:
                job._child.kill()  # its thread sees the end of it
                return
            else:
                return  # about to begin, or to be tried again: its thread looks before it does
        self._finish(job, reason)

    def _next(self) -> Job | None:
        with self._lock:
            while not self._waiting and not self._closed:
                self._lock.wait()
            if self._closed:
                return None
            job = self._waiting.popleft()
            self._running.add(job)
            return job

    def _work(self) -> None:
        """What a thread does: gives jobs to one child after the other."""
        process: _Child | None = None
        while (job := self._next()) is not None:
            process = self._run(job, process)
        if process is not None:
            process.end()

    def _run(self, job: Job, process: _Child | None) -> _Child | None:
        """Do a job; returns the child, if it is still of use."""
        for attempt in range(ATTEMPTS):
            try:
                process = process if process is not None and process.alive else _Child()
            except OSError as error:
                self._finish(job, WorkerError(f"{job.name}: no worker process can be started: {error}"))
                return None
            with self._lock:
                if job._stopped is not None:
                    break
                job._child, job.worker, job.attempts, job.state = process, process.number, attempt + 1, State.RUNNING
            self._tell(job)
            try:
                answer = self._answer(job, process)
            except Exception as error:  # of who is told of the progress
                process.end()
                self._finish(job, error)
                return None
            finally:
                with self._lock:
                    job._child = None
            if answer is not None:
                self._take(job, answer)
                return process
            status, process = process.end(), None
            if job._stopped is not None:
                break
            job.error = WorkerError(
                f"{job.name}: the worker process died {job.attempts} times, at last with {_ending(status)}: it may have taken more "
                "memory than there is (fewer jobs at a time, or --params fast, take less)"
            )
        self._finish(job, job._stopped or job.error)
        return process

    def _answer(self, job: Job, process: _Child) -> tuple[Any, ...] | None:
        """What the child answers; None: it was killed, or has died."""

        def told(phase: str, share: float) -> None:
            job.phase, job.share = phase, share
            if job._progress is not None:
                job._progress(phase, share)
            self._tell(job)

        if job._limits == JobLimits():
            return process.call(job._call, told)
        done = threading.Event()
        threading.Thread(target=self._watch, args=(job, process, done), daemon=True).start()
        try:
            return process.call(job._call, told)
        finally:
            done.set()

    def _watch(self, job: Job, process: _Child, done: threading.Event) -> None:
        """Stop a job that takes too long or too much memory."""
        limits, started = job._limits, time.monotonic()
        while not done.wait(WATCH_SECONDS):
            if limits.seconds is not None and time.monotonic() - started > limits.seconds:
                self._stop(job, LimitError(f"{job.name}: not done after {limits.seconds:g} s, and stopped"))
            if limits.max_memory is not None and (taken := process.memory) > limits.max_memory:
                self._stop(
                    job, LimitError(f"{job.name}: it took {gib(taken)}, more than its limit of {gib(limits.max_memory)}, and was stopped")
                )

    def _take(self, job: Job, answer: tuple[Any, ...]) -> None:
        if answer[0] == child.FAILED:
            self._finish(job, answer[1])
            return
        _, job._value, job.seconds, job.processor, job.peak_memory_bytes = answer
        self._finish(job, None)

    def _finish(self, job: Job, error: BaseException | None) -> None:
        with self._lock:
            job.error, job._call = error, b""
            job.state = State.DONE if error is None else State.CANCELLED if isinstance(error, Cancelled) else State.FAILED
            self._running.discard(job)
        job._ended.set()
        self._tell(job)

    def _tell(self, job: Job) -> None:
        if self._changed is not None:
            self._changed(job)


def _ending(status: int) -> str:
    """How a process ended."""
    return f"signal {-status}" if status < 0 else f"exit code {status}"
