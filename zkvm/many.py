"""Proves many independent runs of one program: here, by child processes, or by the workers of a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zkvm import api
from zkvm.api import ProveInfo
from zkvm.errors import Cancelled, InexactError, ZkvmError
from zkvm.session import memory
from zkvm.session.bound import PadTo, check_padding
from zkvm.session.pieces import check_identity, identity
from zkvm.session.pool import Outcome
from zkvm.session.preparing import kept_image
from zkvm.session.resources import Progress, thread_count
from zkvm.session.run import Cancel, Elf, ExecutorEnv, read_elf
from zkvm.session.workers import Client, check_workers, workers_of
from zkvm.stark.protocol.params import DEFAULT_SECURITY, Policy, parameters


@dataclass(frozen=True, slots=True)
class Proven:
    """What came of one input.

    Attributes:
        name: of the input.
        info: the receipt with its figures; None if there is none.
        error: why there is none; else None.
        seconds: that its worker took.
        worker: who did it.
    """

    name: str
    info: ProveInfo | None
    error: BaseException | None
    seconds: float
    worker: str


@dataclass(frozen=True, slots=True, repr=False)
class _Request:
    """One run, for whoever proves it: its input, options of :func:`zkvm.prove`, and exit codes of runs that are not proven."""

    stdin: bytes
    max_cycles: int | None
    max_memory: int | None
    options: Mapping[str, Any]
    refuse: Mapping[int, str]


def prove_many(
    elf: Elf,
    inputs: Iterable[bytes | tuple[str, bytes]],
    *,
    params: str = "balanced",
    security: int = DEFAULT_SECURITY,
    zk: bool = True,
    dev: bool = False,
    policy: Policy | None = None,
    pad_to: PadTo = 0,
    threads: int | None = None,
    max_cycles: int | None = None,
    max_memory: int | None = None,
    segment_cycles: int | None = None,
    verify: bool = True,
    jobs: int | None = None,
    client: Client | None = None,
    cancel: Cancel | None = None,
    refuse: Mapping[int, str] | None = None,
) -> Iterator[Proven]:
    """Run a guest on many inputs and prove each run by itself. Kernels are loaded, and the image is committed, once a process.

    Args:
        elf: the ELF file's content, or its path.
        inputs: private inputs, or pairs of a name and an input; they are asked for one by one, as workers become free.
        params: parameter set, see :func:`zkvm.prove`, as is what is not explained here.
        security: proven bits of the set.
        zk: whether the proofs hide their witness.
        dev: no proofs, dev receipts.
        policy: what verifiers will demand.
        pad_to: least rows of tables, or "program".
        threads: of each proof; None: one, or without workers as many as this process may use.
        max_cycles: instructions after which a guest is stopped; None: 2^28.
        max_memory: bytes that a run and its proof may take; None: what there is, shared by the jobs.
        segment_cycles: instructions of a segment; None: runs that do not fit one proof are cut.
        verify: check each receipt where it is made.
        jobs: child processes; None: this process does everything, one run after the other.
        client: a ``distributed.Client``, or the address of a Dask scheduler.
        cancel: an event, or a function that returns whether to stop.
        refuse: exit codes of runs that are not proven, and what is said of them: such a run is executed before it is proven.

    Yields:
        What came of each input, as it comes: a run that fails does not stop the others.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
        UsageError: unknown parameters or padding, workers of two kinds, or a missing extra.
        WorkerError: no worker is left.
        Cancelled: the caller asked for it.
    """
    shared = check_workers(client, jobs)
    parameters(params, security)
    check_padding(pad_to)
    workers = (threads or 1) if shared else thread_count(threads)
    program, _ = read_elf(elf)
    options = {"params": params, "security": security, "zk": zk, "dev": dev, "policy": policy, "pad_to": pad_to, "threads": workers}
    options |= {"verify": verify, "segment_cycles": segment_cycles or "auto"}
    room = max_memory if max_memory is not None or jobs is None else memory.available_bytes() // jobs
    request = _Request(b"", max_cycles, room, options, dict(refuse or {}))
    env = ExecutorEnv(cancel=cancel, max_memory=max_memory)
    with workers_of(client, jobs, env) as pool:
        if pool is None:
            yield from _prove_here(program, request, inputs, env)
            return
        if client is not None and max_memory is None:
            request = replace(request, max_memory=pool.memory)
        pieces = ((name, identity() + pickle.dumps(replace(request, stdin=stdin))) for name, stdin in _named(inputs))
        for outcome in pool.map(prove_work, program, pieces):
            yield _proven(outcome)


def _named(inputs: Iterable[bytes | tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Inputs with their names; those without one have their number, from 0."""
    for number, given in enumerate(inputs):
        yield given if isinstance(given, tuple) else (str(number), given)


def _proven(outcome: Outcome) -> Proven:
    info = None if outcome.error is not None else pickle.loads(outcome.value)
    return Proven(outcome.name, info, outcome.error, outcome.seconds, outcome.worker)


def _prove_here(program: bytes, request: _Request, inputs: Iterable[bytes | tuple[str, bytes]], env: ExecutorEnv) -> Iterator[Proven]:
    with kept_image():
        for name, stdin in _named(inputs):
            env.check()
            try:
                info = _prove(program, replace(request, stdin=stdin), env.cancel)
            except Cancelled:
                raise
            except ZkvmError as error:
                yield Proven(name, None, error, 0.0, "here")
            else:
                yield Proven(name, info, None, info.seconds["total"], "here")


def _prove(program: bytes, request: _Request, cancel: Cancel | None = None, progress: Progress | None = None) -> ProveInfo:
    env = ExecutorEnv(request.stdin, max_cycles=request.max_cycles, max_memory=request.max_memory, cancel=cancel)
    if request.refuse:
        session = api.execute(program, env)
        if session.exit_code in request.refuse:
            said = session.stderr.decode(errors="replace").strip()
            raise InexactError(f"{said}; nothing was proven. {request.refuse[session.exit_code]}")
    return api.prove(program, env, progress=progress, **request.options)


def prove_work(program: bytes, data: bytes, progress: Progress) -> bytes:
    """What a worker does: one run, to a receipt with its figures.

    Raises:
        WorkerError: another version wants it.
    """
    check_identity(data)
    with kept_image(for_good=True):
        return pickle.dumps(_prove(program, pickle.loads(data[len(identity()) :]), progress=progress))
