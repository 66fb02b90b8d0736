"""Pieces of work that do not depend on each other, done by several processes: what they have in common, and child processes here.

A piece is a call ``function(shared, data, progress)`` of an importable function with bytes, which give bytes: nothing that processes hand
to each other can be changed by one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol

from zkvm.session.queue import Job, Queue
from zkvm.session.resources import Progress

Work = Callable[[bytes, bytes, Progress], bytes]
"""What a worker does: called with what all pieces share, a piece, and somebody to tell of progress."""
PREPARING = "preparing"
"""Name of what is done before there are pieces."""
PATIENCE = 0.2
"""Seconds between two questions whether to go on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a piece.

    Attributes:
        name: of the piece.
        value: what the function returned; empty if there is an error.
        error: what it raised, or why nobody did it.
        seconds: that the worker took.
        processor: seconds of the processor that its process took meanwhile.
        worker: who did it.
    """

    name: str
    value: bytes = field(repr=False)
    error: BaseException | None
    seconds: float
    processor: float
    worker: str

    def checked(self) -> bytes:
        """The value.

        Raises:
            BaseException: what the function raised, or a WorkerError.
        """
        if self.error is not None:
            raise self.error
        return self.value


class Pool(Protocol):
    """Whoever does pieces of work."""

    @property
    def size(self) -> int:
        """Pieces at one time."""

    @property
    def memory(self) -> int | None:
        """Bytes that each of them may take; None: nobody says."""

    def map(self, function: Work, shared: bytes, pieces: Iterable[tuple[str, bytes]]) -> Iterator[Outcome]:
        """Do all pieces, in any order. They are asked for one by one, no more ahead than keeps everybody busy.

        Args:
            function: what is done.
            shared: what all pieces share.
            pieces: names, all different, and data.

        Yields:
            What came of each, as it comes.

        Raises:
            WorkerError: nobody is left to do anything.
            Cancelled: the caller asked for it.
        """

    def prepare(self, function: Work, shared: bytes, data: bytes) -> None:
        """Do what can be done before there are pieces, if that takes time: ``function``, once for each worker. Nobody waits for it."""

    def distrust(self, worker: str) -> None:
        """Give this one, who made what is no proof, nothing more, if there is anybody else."""


class Processes:
    """Child processes on this machine. A context manager: at its end they are gone."""

    def __init__(self, workers: int, check: Callable[[], None], memory: int | None = None) -> None:
        """None is started yet.

        Args:
            workers: how many.
            check: called again and again; raises if nothing more is to be done.
            memory: bytes that each of them may take, as predicted; None: nobody says.
        """
        self._queue = Queue(workers, self._changed)
        self._check, self._memory = check, memory
        self._ended: SimpleQueue[Job] = SimpleQueue()

    @property
    def size(self) -> int:
        """Pieces at one time."""
        return self._queue.workers

    @property
    def memory(self) -> int | None:
        """Bytes that each of them may take; None: nobody says."""
        return self._memory

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *exception: object) -> None:
        self._queue.close()

    def _changed(self, job: Job) -> None:
        if job.ended and job.name != PREPARING:
            self._ended.put(job)

    def prepare(self, function: Work, shared: bytes, data: bytes) -> None:
        """See :class:`Pool`: processes start, and load what they need, while this one does something else."""
        for _ in range(self.size):
            self._queue.submit(function, shared, data, name=PREPARING)

    def map(self, function: Work, shared: bytes, pieces: Iterable[tuple[str, bytes]]) -> Iterator[Outcome]:
        """See :class:`Pool`."""
        left = 0
        for name, data in pieces:
            while left > self.size:  # one is ready when another ends
                yield self._next()
                left -= 1
            self._queue.submit(function, shared, data, name=name)
            left += 1
        for _ in range(left):
            yield self._next()

    def distrust(self, worker: str) -> None:
        """See :class:`Pool`: all of them are this machine."""

    def _next(self) -> Outcome:
        while True:
            self._check()
            try:
                job = self._ended.get(timeout=PATIENCE)
            except Empty:
                continue
            value = b"" if job.error is not None else job.result()
            return Outcome(job.name, value, job.error, job.seconds, job.processor, f"process {job.worker}")
