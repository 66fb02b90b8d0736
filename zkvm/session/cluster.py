"""Pieces of work on a Dask cluster: its own scheduler and workers, on any number of machines, do what they are there for.

Dask places pieces, moves bytes, and begins again elsewhere what a dead worker had. What is added here: only so many pieces are on their way
that everybody is busy; what comes back is looked at; a piece that takes far longer than all others is also given to somebody else; and a
scheduler that comes back finds its work again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pickle
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from zkvm.errors import UsageError, WorkerError, ZkvmError
from zkvm.session.memory import out_of_memory
from zkvm.session.pieces import check_identity, identity, version
from zkvm.session.pool import Outcome, Work

HASH_BYTES = 32
CONNECT_SECONDS, PATIENCE = 10.0, 120.0
"""For a scheduler to answer; and for scheduler and workers to come back, before the run is given up."""
TICK, LOOK = 0.5, 5.0
"""Seconds between two questions whether to go on, and between two looks at the workers."""
SLOW_SECONDS, SLOW_FACTOR = 30.0, 4.0
"""A piece that takes so long, and so many times the longest one so far, is given to another worker too."""
ATTEMPTS = 5
"""How often a piece is sent."""
LOCAL = ("127.0.0.1", "localhost", "::1")


def work_on(function: Work, shared: bytes, data: bytes) -> bytes:
    """What a worker of Dask runs: a piece, and how it went, with a hash. What others may hold too is not handed out: it is copied."""
    from distributed import get_worker

    error: Exception | None = None
    started, used, value = time.perf_counter(), time.process_time(), b""
    try:
        with out_of_memory("proving"):
            value = function(bytes(shared), bytes(data), lambda phase, share: None)
    except ZkvmError as caught:  # whoever waits for it raises it again
        error = caught.with_traceback(None)
    except Exception as caught:
        error = RuntimeError(f"{type(caught).__name__}: {caught}")
    took = time.perf_counter() - started, time.process_time() - used
    result = pickle.dumps((value, error, took, get_worker().address))
    return _hash(result) + result


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def program_of(content: bytes) -> bytes:
    """What all pieces share, as a result of its own: workers hand it to each other, and who dies with it costs nothing."""
    return content


def report(dask_worker: Any) -> tuple[bytes, int, int]:
    """A worker's identity, its threads, and the bytes that it may take (0: no limit)."""
    return identity(), dask_worker.state.nthreads, int(dask_worker.memory_manager.memory_limit or 0)


@dataclass(eq=False)
class _Task:
    """A piece that is on its way; ``futures``: who may bring it, ``allowed``: workers that may have it, empty: all."""

    name: str
    function: Work
    shared: bytes
    data: bytes
    begun: float = 0.0
    attempts: int = 0
    futures: list[Any] = field(default_factory=list)
    allowed: tuple[str, ...] = ()


class Cluster:
    """The workers of a Dask cluster. A context manager: at its end the connection is closed, unless it is the caller's own."""

    def __init__(self, client: Any, check: Callable[[], None], max_memory: int | None = None) -> None:
        """Nothing is connected yet.

        Args:
            client: the address of a scheduler, or a ``distributed.Client``.
            check: called again and again; raises if nothing more is to be done.
            max_memory: bytes that a piece may take; None: a worker's limit, shared by its threads.

        Raises:
            UsageError: distributed is not installed.
        """
        try:
            import distributed
        except ModuleNotFoundError as error:
            raise UsageError(f"workers of a cluster need {error.name}, which is not installed: pip install 'zkvm[cluster]'") from error
        self._distributed: Any = distributed
        self._address = client if isinstance(client, str) else ""
        self._client: Any = None if self._address else client
        self._check, self._max_memory = check, max_memory
        self._done: SimpleQueue[tuple[_Task, Any]] = SimpleQueue()
        self._open: set[_Task] = set()
        self._programs: dict[bytes, Any] = {}
        self._threads: dict[str, int] = {}
        self._memory: int | None = None
        self._distrusted: set[str] = set()
        self._looked = self._seen = self._longest = 0.0

    def __enter__(self) -> Cluster:
        if self._address:
            logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is said once, here
            self._connect(CONNECT_SECONDS)
            self._warn_unencrypted()
        self._examine(CONNECT_SECONDS)
        return self

    def __exit__(self, *exception: object) -> None:
        self._drop(self._open)
        if self._address and self._client is not None:
            with contextlib.suppress(Exception):  # whatever it cannot say goodbye to
                self._client.close(timeout=TICK)

    @property
    def size(self) -> int:
        """Pieces at one time."""
        return max(sum(self._threads.values()), 1)

    @property
    def memory(self) -> int | None:
        """Bytes that each of them may take; None: nobody says."""
        return self._max_memory or self._memory

    def prepare(self, function: Work, shared: bytes, data: bytes) -> None:
        """See :class:`zkvm.session.pool.Pool`: these workers are there, and know what they did before."""

    def distrust(self, worker: str) -> None:
        """Give this worker nothing more, if there is another."""
        self._distrusted.add(worker)

    def map(self, function: Work, shared: bytes, pieces: Iterable[tuple[str, bytes]]) -> Iterator[Outcome]:
        """See :class:`zkvm.session.pool.Pool`."""
        source, more = iter(pieces), True
        try:
            while True:
                while more and len(self._open) < self.size + min(self.size, 8) + 1:
                    piece = next(source, None)
                    if piece is None:
                        more = False
                    else:
                        task = _Task(piece[0], function, shared, piece[1])
                        self._open.add(task)
                        self._submit(task)
                if not self._open:
                    return
                outcome = self._next(more)
                if outcome is not None:
                    yield outcome
        finally:
            self._drop(self._open)

    # --- the scheduler -----------------------------------------------------------------------------------------------------------------

    def _connect(self, patience: float) -> None:
        """A connection to the scheduler, if the address is known.

        Raises:
            WorkerError: it does not answer.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                self._client = self._distributed.Client(self._address, timeout=CONNECT_SECONDS, set_as_default=False)
                return
            except (ValueError, TypeError, RuntimeError) as error:
                raise WorkerError(f"no connection to {self._address}: {error} (docs/cluster.md: addresses, TLS)") from error
            except (OSError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise WorkerError(f"no Dask scheduler answers at {self._address}: start one with `dask scheduler`") from error
            self._check()
            time.sleep(TICK)

    def _warn_unencrypted(self) -> None:
        place = urlsplit(self._address if "://" in self._address else f"tcp://{self._address}")
        if place.scheme != "tls" and place.hostname not in LOCAL:
            warnings.warn(
                f"{self._address} is not encrypted: whoever sees the network sees the guest's input and memory (docs/cluster.md: TLS)",
                stacklevel=2,
            )

    def _examine(self, patience: float) -> None:
        """Look at the workers: there must be one, and all must be of this version.

        Raises:
            WorkerError: they are not.
        """
        where = self._address or str(self._client.scheduler.address)
        try:
            self._client.wait_for_workers(1, timeout=patience)
            found = self._client.run(report, on_error="return")
        except (OSError, TimeoutError) as error:
            raise WorkerError(f"no worker at {where}: start some with `dask worker {where} --nthreads 1`") from error
        limits = []
        for address, answer in found.items():
            if isinstance(answer, BaseException):
                raise WorkerError(f"the worker {address} cannot run zkvm {version()}: {type(answer).__name__}: {answer}") from answer
            own, threads, memory = answer
            try:
                check_identity(own)
            except WorkerError:
                theirs = own[:16].decode("ascii", "replace").strip()
                raise WorkerError(
                    f"the worker {address} has zkvm {theirs} with another protocol or machine than zkvm {version()} here: install the same "
                    "version everywhere, and start the workers again"
                ) from None
            self._threads[address] = threads
            limits += [memory // threads] if memory else []
        self._memory = min(limits, default=None)
        self._seen = time.monotonic()

    def _look(self) -> None:
        """Who is there now.

        Raises:
            WorkerError: nobody, for a long time.
        """
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        try:
            self._threads = dict(self._client.nthreads())
        except (OSError, TimeoutError, RuntimeError):
            self._threads = {}
        if self._threads:
            self._seen = now
        elif self._client.status != "running":
            self._reconnect()
        elif now - self._seen > PATIENCE:
            raise WorkerError(f"no worker is left, for {PATIENCE:.0f} s now: start workers, and the same command goes on")
        for task in list(self._open):
            if task.allowed and not self._threads.keys() & set(task.allowed):
                self._submit(task)

    def _reconnect(self) -> None:
        """Wait for the scheduler and its workers, and give them what was on its way.

        Raises:
            WorkerError: they do not come back.
        """
        deadline = time.monotonic() + PATIENCE
        if self._address:
            with contextlib.suppress(Exception):
                self._client.close(timeout=TICK)
            self._connect(PATIENCE)
        while self._client.status != "running":
            if time.monotonic() > deadline:
                raise WorkerError("the Dask scheduler does not come back: start it and its workers, and the same command goes on")
            self._check()
            time.sleep(TICK)
        self._programs.clear()
        self._threads.clear()
        self._examine(PATIENCE)
        for task in self._open:
            self._submit(task)

    # --- pieces ------------------------------------------------------------------------------------------------------------------------

    def _submit(self, task: _Task, besides: str = "") -> None:
        """Send a piece, instead of what was sent of it before; ``besides``: as well, to others than this worker."""
        task.attempts += 1
        refused = self._distrusted | ({besides} if besides else set())
        allowed = tuple(sorted(self._threads.keys() - refused)) if refused else ()
        options = {"workers": list(allowed), "allow_other_workers": False} if allowed else {}
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TiB"}):
            program = self._programs.get(task.shared)
            if program is None or program.status in ("cancelled", "lost", "error"):
                program = self._programs[task.shared] = self._client.submit(program_of, task.shared, pure=False)
            future = self._client.submit(work_on, task.function, program, task.data, pure=False, retries=0, **options)
        if not besides:
            task.futures, task.allowed, task.begun = [], allowed, time.monotonic()
        task.futures.append(future)
        future.add_done_callback(lambda done: self._done.put((task, done)))

    def _drop(self, tasks: Iterable[_Task]) -> None:
        """Nobody waits for these any more."""
        for task in list(tasks):
            futures, task.futures = task.futures, []
            self._open.discard(task)
            left = [future for future in futures if not future.done()]
            with contextlib.suppress(Exception):  # the scheduler may be gone
                if left:
                    self._client.cancel(left)

    def _next(self, more: bool) -> Outcome | None:
        """What comes next, if anything does soon; ``more``: there are pieces that nobody has yet."""
        self._check()
        self._look()
        try:
            task, future = self._done.get(timeout=TICK)
        except Empty:
            if not more:
                self._double_slow()
            return None
        if future not in task.futures:
            return None
        outcome = self._outcome(task, future)
        if outcome is not None:
            self._longest = max(self._longest, outcome.seconds)
            self._drop([task])
        return outcome

    def _outcome(self, task: _Task, future: Any) -> Outcome | None:
        """What came of a piece; None: it was sent again."""
        if future.status == "error":
            return self._failed(task, future.exception())
        data = b""
        if future.status == "finished":
            with contextlib.suppress(Exception):  # it was lost on its way here
                data = future.result(timeout=PATIENCE)
        result = data[HASH_BYTES:]
        if _hash(result) != data[:HASH_BYTES]:
            return self._again(task, "the result did not arrive as it was sent")
        value, error, (seconds, processor), worker = pickle.loads(result)
        if isinstance(error, WorkerError):  # it came later than the others, and is of another version
            self.distrust(worker)
            return self._again(task, f"{worker}: {error}")
        return Outcome(task.name, value, error, seconds, processor, worker)

    def _again(self, task: _Task, why: str) -> Outcome | None:
        if self._client.status != "running":
            self._reconnect()
        elif task.attempts < ATTEMPTS:
            self._submit(task)
        else:
            return self._failed(task, WorkerError(why))
        return None

    def _failed(self, task: _Task, error: BaseException) -> Outcome:
        """A piece that no worker can do."""
        if isinstance(error, self._distributed.KilledWorker):
            why = "workers died of it, one after the other: they may have had less memory than it takes (docs/cluster.md)"
        elif isinstance(error, WorkerError):
            why = str(error)
        else:
            why = f"scheduler or worker cannot run zkvm {version()}: {type(error).__name__}: {error}"
        return Outcome(task.name, b"", WorkerError(f"piece {task.name}: {why}"), 0.0, 0.0, "")

    def _double_slow(self) -> None:
        """Give what takes far too long to somebody else, too: whoever is first has done it, and all results are the same."""
        now, limit = time.monotonic(), max(SLOW_SECONDS, SLOW_FACTOR * self._longest)
        slow = [task for task in self._open if now - task.begun > limit and len(task.futures) == 1 and task.attempts < ATTEMPTS]
        if not slow or len(self._threads) < 2:
            return
        with contextlib.suppress(OSError, TimeoutError):
            holders = {key: worker for worker, keys in self._client.processing().items() for key in keys}
            for task in slow:
                self._submit(task, besides=holders.get(task.futures[0].key, ""))
