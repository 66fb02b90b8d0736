"""The public functions: load, execute, check, prove. Verifying is :meth:`zkvm.verifier.receipt.Receipt.verify`.

Importing this module needs numpy only. Executor and prover are imported when they are called; without the ``prove`` extra they raise
a :class:`zkvm.errors.UsageError` that says what to install. An image ID can be computed without it.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from zkvm.errors import ProvingError, RunTooLong, VerificationError
from zkvm.riscv.header import ImageHeader, run_statement
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution, Image
from zkvm.session.bound import PadTo, check_padding, padding
from zkvm.session.demand import check_demand
from zkvm.session.limits import TableLimits
from zkvm.session.memory import out_of_memory
from zkvm.session.preparing import choose_pages, committed_image, prepare_prover, prepare_tables
from zkvm.session.resources import Clock, Progress, peak_memory_bytes, prove_extra, prove_extra_found, thread_count
from zkvm.session.run import Elf, ExecutorEnv, Session, Sink, Told, environment, read_elf, run_image, session_of, stoppable
from zkvm.session.workdir import begun, check_segments
from zkvm.session.workers import Client, check_workers, workers_of
from zkvm.stark.protocol.params import BLOWUPS, DEFAULT_SECURITY, Parameters, Policy, parameters
from zkvm.stark.tables import Padding, build_tables
from zkvm.verifier import table
from zkvm.verifier.image import Matrices, image_columns, image_header, image_id
from zkvm.verifier.receipt import MAX_JOURNAL_BYTES, Claim, Receipt, journal_digest

if TYPE_CHECKING:
    from zkvm.session.segmented import Accounts
    from zkvm.stark.air.check import Failure
    from zkvm.stark.protocol.proof import Proof
    from zkvm.stark.prover.preprocessed import Preprocessed


@dataclass(frozen=True, slots=True)
class ProveInfo:
    """A receipt with how it came about.

    Attributes:
        receipt: what a verifier gets.
        session: the run.
        image_id: of the program, 64 hexadecimal digits.
        security_bits: proven bits of this proof, rounded down; 0 for a dev receipt.
        peak_memory_bytes: largest resident size of this process so far; 0 where the system does not tell.
        seconds: by phase, in order, then ``verify`` (the self-check) and ``total``; ``execute`` includes sorting the steps, ``image`` is
            what is left of the image's commitment after it.
        accounts: of a run in segments, what each part took, and who did it; else None.
    """

    receipt: Receipt
    session: Session
    image_id: str
    security_bits: int
    peak_memory_bytes: int
    seconds: dict[str, float] = field(default_factory=dict)
    accounts: Accounts | None = None

    @property
    def cycles(self) -> int:
        """Executed instructions."""
        return self.session.cycles

    def _figures(self) -> dict[str, str]:
        """What proving took, in words."""
        seconds = {"seconds": f"{self.seconds['total']:.2f}"} if "total" in self.seconds else {}
        memory = {"peak memory": f"{self.peak_memory_bytes / (1 << 20):,.0f} MiB"} if self.peak_memory_bytes else {}
        return {"cycles": f"{self.cycles:,}", "proven bits": str(self.security_bits), **seconds, **memory}

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {value}" for name, value in self._figures().items())
        return f"<ProveInfo: {self.receipt!r}, {figures}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return table.html(self.receipt.to_json(), self._figures())


def load_image(elf: Elf) -> Image:
    """The image of an ELF file: what the machine sees of a program.

    Args:
        elf: the ELF file's content, or its path.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
    """
    return read_elf(elf)[1]


@out_of_memory("computing the image ID")
def compute_image_id(elf: Elf, threads: int | None = None, progress: Progress | None = None) -> str:
    """The image ID of a program, 64 hexadecimal digits: computed from the file alone, nothing remembered.

    Args:
        elf: the ELF file's content, its path, or the directory of a compiled model.
        threads: workers; None: as many as this process may use. Without the ``prove`` extra numpy computes, with one.
        progress: called with the phase that begins and the share of the work done before it, in [0, 1]; at the end with ``("", 1.0)``.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
        LimitError: a table would be too long.
        UsageError: less than one thread.
    """
    workers = thread_count(threads)
    if not prove_extra_found():
        return image_id(elf, progress)
    from zkvm.stark.prover.preprocessed import compiled_roots

    return image_id(elf, progress, partial(compiled_roots, threads=workers))


@out_of_memory("execution")
def execute(
    elf: Elf,
    stdin: bytes | ExecutorEnv = b"",
    *,
    max_cycles: int | None = None,
    max_memory: int | None = None,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
    profile: bool = False,
) -> Session:
    """Run a guest without proving.

    Args:
        elf: the ELF file's content, or its path.
        stdin: the private input, the guest's fd 0; or a whole environment, which then has limits and outputs of its own.
        max_cycles: instructions after which the guest is stopped; None: 2^28.
        max_memory: bytes that its pages and output may take; None: what this process can have.
        stdout: called with what the guest writes to fd 1, as it does.
        stderr: called with what the guest writes to fd 2, as it does.
        profile: also count cycles by function; :func:`zkvm.profile` tells more.

    Returns:
        What the guest did; ``functions`` is empty without ``profile``.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
        GuestTrap: the guest did something that cannot be proven.
        LimitError: a limit was reached.
        Cancelled: the environment asked for it.
        UsageError: options beside an environment, less than one cycle, or the ``prove`` extra is missing.
    """
    env = environment(stdin, max_cycles=max_cycles, max_memory=max_memory, stdout=stdout, stderr=stderr)
    file, image = read_elf(elf)
    if not profile:
        return session_of(run_image(file, image, env, trace=False))
    with prove_extra():
        from zkvm.riscv.vm.dwarf import read_debug
        from zkvm.riscv.vm.profiler import Costs, Recorder
    recorder = Recorder(image, Costs.nothing(), read_debug(file).inlined)
    execution = run_image(file, image, env, trace=True, runner=recorder.run)
    recorder.finish(execution)
    return replace(session_of(execution), functions=recorder.cycles_by_function())


@out_of_memory("checking")
def check(elf: Elf, stdin: bytes | ExecutorEnv = b"", *, max_cycles: int | None = None) -> list[Failure]:
    """Run a guest and check every constraint and every bus of its tables, without proving; no failures mean that it can be proven.

    Args:
        elf: the ELF file's content, or its path.
        stdin: the private input, the guest's fd 0; or a whole environment, which then has limits and outputs of its own.
        max_cycles: instructions after which the guest is stopped; None: 2^28.

    Returns:
        What does not hold: a row's constraint, or the tuples of a bus that do not cancel.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
        GuestTrap: the guest did something that cannot be proven.
        LimitError: a limit was reached, or a table would be too long.
        Cancelled: the environment asked for it.
        UsageError: options beside an environment, less than one cycle, or the ``prove`` extra is missing.
    """
    from zkvm.stark.air.check import Failure, check_tables

    file, image = read_elf(elf)
    chosen, env = parameters(), environment(stdin, max_cycles=max_cycles)
    limits = TableLimits(image, chosen, 0, 0, env.max_memory, MAX_JOURNAL_BYTES)
    execution = run_image(file, image, env, trace=True, limits=limits)
    limits.check(execution)
    with prove_extra():
        from zkvm.stark.prover.tapes import evaluate_columns
    columns = image_columns(image)
    header = image_header(image, columns, (bytes(32),) * len(BLOWUPS))  # the roots do not matter to the tuples
    try:
        tables = build_tables(
            machine(), execution, image, chosen.exempt, preprocessed=columns, evaluate=evaluate_columns, split_price=chosen.split_price
        )
    except ProvingError as error:
        return [Failure("tables", "lookup without an entry", str(error))]
    return check_tables(tables, run_statement(header, chosen, execution.journal, execution.exit_code).closings)


@out_of_memory("proving")
def prove(
    elf: Elf,
    stdin: bytes | ExecutorEnv = b"",
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
    progress: Progress | None = None,
    verify: bool = True,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
    segment_cycles: int | Literal["auto"] | None = None,
    work_dir: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    client: Client | None = None,
) -> ProveInfo:
    """Run a guest and prove the run.

    Args:
        elf: the ELF file's content, or its path.
        stdin: the private input, the guest's fd 0; or a whole environment, which then has limits and outputs of its own.
        params: parameter set: ``fast``, ``balanced`` or ``compact``.
        security: proven bits of the set: 100 or 128.
        zk: whether the proof hides everything but the claim, the journal and the heights of the tables.
        dev: no proof, a dev receipt, which verifiers refuse unless their caller allows it.
        policy: what verifiers will demand, refused before it is proven if the proof would not have it; None: what the set claims.
        pad_to: 0; or a power of two from 2^9 to 2^24: least rows of all tables but the image's, all present: heights then tell less;
            or "program": as tall as any run may need whose loops are as long, whatever its other branches; of a run in segments also the
            places where it is cut follow from the program.
        threads: workers; None: as many as this process may use.
        max_cycles: instructions after which the guest is stopped; None: 2^28.
        max_memory: bytes that the run may take, and the proof as predicted, or it is stopped before it is proven; None: what this process
            can have, as machine, container and its own limits leave it.
        progress: called with the phase that begins and the share of the work done before it, in [0, 1]; at the end with ``("", 1.0)``.
        verify: check the receipt at the end, as its verifiers will.
        stdout: called with what the guest writes to fd 1, as it does.
        stderr: called with what the guest writes to fd 2, as it does.
        segment_cycles: None: one proof. Else the run is proven in segments (``docs/segments.md``) of so many instructions; or "auto":
            only if it does not fit one proof, in segments as long as memory allows.
        work_dir: where the work on segments is kept, private data among it, and goes on; None: in memory. It is the caller's to delete.
        jobs: child processes that prove the segments, ``threads`` (None: one) in each; None: this process does. With them, or a client,
            the run is cut in any case, and ``max_memory`` is what each of them may take.
        client: a ``distributed.Client``, or the address of a Dask scheduler, whose workers prove the segments (``docs/cluster.md``).

    Returns:
        The receipt and the figures. A guest that exits with another code than 0 is proven too: the code is part of the claim.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
        GuestTrap: the guest did something that cannot be proven.
        LimitError: a limit was reached, or the run is too long for one proof.
        CheckpointError: the working directory is of another run, or damaged.
        WorkerError: workers died, cannot be reached, are of another version, or compute wrongly; the working directory goes on.
        Cancelled: the environment asked for it; nothing is left behind but the working directory.
        UsageError: unknown parameters, padding or length of segments, a policy that they do not meet, options beside an environment,
            less than one thread, cycle or job, or the ``prove`` extra is missing.
        ProvingError: a bug of this package.
    """
    started = time.perf_counter()
    chosen, workers = parameters(params, security), thread_count(threads)
    check_padding(pad_to)
    env = environment(stdin, max_cycles=max_cycles, max_memory=max_memory, stdout=stdout, stderr=stderr)
    clock = Clock(stoppable(progress, env))
    with clock("load"):
        prepare_prover(blowup=0 if dev or workers == 1 or (env.max_memory, client, jobs) != (None, None, None) else chosen.blowup)
        file, image = read_elf(elf)
    demanded = replace(policy or Policy(security), allow_dev=dev)

    shared = check_workers(client, jobs)
    cut = not dev and (shared or (segment_cycles is not None and (segment_cycles != "auto" or begun(work_dir))))
    check_segments(segment_cycles)
    if segment_cycles == "auto":
        env = replace(env, stdout=Told.of(env.stdout), stderr=Told.of(env.stderr))
    try:
        found = None if cut else _execute_and_commit(clock, file, image, env, chosen, 0 if dev else workers, pad_to, workers)
    except RunTooLong:
        if segment_cycles is None:
            raise
        found = None
    if found is None:
        from zkvm.segments import prepare_workers, prove_run

        check = partial(_self_check, policy=demanded) if verify else None
        with workers_of(client, jobs, env) as pool:
            if pool is not None:
                prepare_workers(pool, file, chosen, zk, threads or 1)
            with clock("image"):
                header, _, committed = committed_image(image, chosen.blowup, workers)
            run = (file, image, header, committed, env, chosen, zk, workers, pad_to, segment_cycles, work_dir, clock, demanded, check)
            receipt, session, accounts = prove_run(*run, pool, threads or 1)
        return replace(_proven(clock, started, receipt, session, None), accounts=accounts)
    execution, heights, (header, columns, committed) = found
    if not dev and policy is not None:
        check_demand(policy, execution, header, chosen, heights)
    seal = None if dev else _seal(clock, execution, header, columns, committed, chosen, zk, workers, heights)
    claim = Claim(header.image_id(), execution.exit_code, journal_digest(execution.journal), chosen.numbers)
    receipt = Receipt(claim, header, execution.journal, seal)
    return _proven(clock, started, receipt, session_of(execution), demanded if verify else None)


def _proven(clock: Clock, started: float, receipt: Receipt, session: Session, demanded: Policy | None) -> ProveInfo:
    """The receipt, checked if its verifiers' policy is told, and the figures."""
    if demanded is not None:
        with clock("verify"):
            _self_check(receipt, demanded)
    clock.end()
    clock.seconds["total"] = time.perf_counter() - started
    return ProveInfo(receipt, session, receipt.header.image_id().hex(), receipt.security_bits(), peak_memory_bytes(), clock.seconds)


def _execute_and_commit(
    clock: Clock, file: bytes, image: Image, env: ExecutorEnv, chosen: Parameters, provers: int, pad_to: PadTo, threads: int
) -> tuple[Execution, Padding, tuple[ImageHeader, Matrices, Preprocessed]]:
    """The run, stopped if ``provers`` threads cannot prove it here (0: nobody will), and the image's commitment.

    The commitment takes memory, so that a limit on it is checked first; otherwise another thread works on it meanwhile. An error of
    the execution waits for it: the image is remembered, so that the next attempt has it.
    """
    with ThreadPoolExecutor(1) as beside:
        early = beside.submit(committed_image, image, chosen.blowup, threads) if threads > 1 and env.max_memory is None else None
        limits = TableLimits(image, chosen, pad_to if isinstance(pad_to, int) else 0, provers, env.max_memory, MAX_JOURNAL_BYTES)
        with clock("execute"):
            execution = run_image(file, image, env, trace=provers > 0, limits=limits if provers else None)
            limits.pad_to = padding(pad_to, execution) if provers else 0
            if provers:
                choose_pages(limits.check(execution))
            else:
                limits.check_journal(len(execution.journal))
        with clock("image"):
            prepare_tables(limits.codes())
            return execution, limits.pad_to, early.result() if early else committed_image(image, chosen.blowup, threads)


def _seal(
    clock: Clock,
    execution: Execution,
    header: ImageHeader,
    columns: Matrices,
    committed: Preprocessed,
    chosen: Parameters,
    zk: bool,
    threads: int,
    pad_to: Padding,
) -> Proof:
    with prove_extra():
        from zkvm.riscv.fills import fill_rows
        from zkvm.stark.kernels.counting import count_values
        from zkvm.stark.prover.counting import merge_tuples
        from zkvm.stark.prover.prove import prove_tables
        from zkvm.stark.prover.randomness import Randomness
        from zkvm.stark.prover.tapes import evaluate_columns
    with clock("trace"):
        tables = build_tables(
            machine(),
            execution,
            execution.image,
            chosen.exempt,
            preprocessed=columns,
            evaluate=evaluate_columns,
            count=count_values,
            merge=merge_tuples,
            fill=fill_rows,
            threads=threads,
            pad_to=pad_to,
            split_price=chosen.split_price,
        )
    statement = run_statement(header, chosen, execution.journal, execution.exit_code)
    seal, seconds = prove_tables(
        machine(),
        chosen,
        statement,
        tables,
        committed,
        randomness=Randomness() if zk else Randomness.zeros(),
        threads=threads,
        progress=clock.prover_phase,
    )
    clock.seconds.update(seconds)
    return seal


def _self_check(receipt: Receipt, policy: Policy) -> None:
    """What the receipt's verifiers will do, on the bytes that they will see.

    Raises:
        ProvingError: the receipt is refused: a bug of this package.
    """
    try:
        Receipt.from_bytes(receipt.to_bytes()).verify(receipt.claim.image_id, policy=policy, exit_code=receipt.claim.exit_code)
    except VerificationError as error:
        raise ProvingError(f"the new receipt does not verify ({error}): a bug, please report it") from error
