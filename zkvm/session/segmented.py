"""Proves a run in segments, in memory that does not grow with the run: here, one after the other, or by workers.

First the run is executed and cut, and the early columns of every segment are committed; then, with the joint challenge that follows, each
segment is executed again from its checkpoint and proven. Both are pieces that do not depend on each other, so workers do them in any order.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from zkvm.errors import FormatError, GuestError, ProvingError, UsageError, WorkerError
from zkvm.riscv.segments import segmented_statement
from zkvm.session.cutting import Cutter
from zkvm.session.lengths import Lengths
from zkvm.session.pieces import Piece, Terms, commit_piece, pin_work, prove_piece, prove_work, terms_of
from zkvm.session.plan import Plan
from zkvm.session.pool import Outcome, Pool
from zkvm.session.resources import Progress
from zkvm.session.run import ExecutorEnv
from zkvm.session.setting import Setting
from zkvm.session.totals import Totals
from zkvm.session.workdir import PLAN, WorkDir, discard
from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol.codec import Reader
from zkvm.stark.protocol.joint import Challenges, Part, PartProof, joint_challenges
from zkvm.stark.protocol.joint_codec import encode_part, read_part

EARLY_SHARE, PROVEN_SHARE = 0.1, 0.95
"""Shares of the work that are done when the early columns are committed, and when all segments are proven."""
HERE = "here"
"""The worker that is this process."""
ATTEMPTS = 3
"""How often a proof is made that comes back as none."""
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class PartTime:
    """What one proof took.

    Attributes:
        number: of the proof; 0: of the run's memory.
        seconds: that its worker took.
        processor: seconds of the processor that its worker's process took meanwhile.
        worker: who made it.
    """

    number: int
    seconds: float
    processor: float
    worker: str


@dataclass(slots=True)
class Accounts:
    """What a run in segments took. Seconds of what is gone on with are those of this process.

    Attributes:
        cut: seconds in which the run was executed and cut, and checkpoints were written.
        pin: seconds until all early columns were committed, beside that.
        prove: seconds from then until the last proof was there.
        workers: pieces that were worked on at one time.
        coordinator: processor seconds of this process meanwhile.
        busy: processor seconds of each worker, for pins and proofs.
        parts: what each proof took that was made, in the order in which they came.
    """

    cut: float = 0.0
    pin: float = 0.0
    prove: float = 0.0
    workers: int = 1
    coordinator: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)
    parts: list[PartTime] = field(default_factory=list)

    def count(self, outcome: Outcome) -> None:
        """What a worker took for a piece."""
        self.busy[outcome.worker] = self.busy.get(outcome.worker, 0.0) + outcome.processor


@dataclass(slots=True)
class Task:
    """A run that is to be proven in segments.

    Attributes:
        program: the content of the ELF file.
        setting: of all proofs.
        env: the guest's environment.
        work: where the work is kept, and where to go on; None: in memory.
        lengths: of segments.
        totals: what they must not exceed together.
        pool: who works; None: this process.
        terms: of all proofs, for whoever works.
        pages: contents of pages.
        progress: told of segments and phases, with the share of the work done.
        accounts: what it takes, as it goes on.
        plan: the run as it was cut; None: not yet.
        proofs: those that are done, by number.
    """

    program: bytes
    setting: Setting
    env: ExecutorEnv
    work: WorkDir | None
    lengths: Lengths
    totals: Totals
    pool: Pool | None
    terms: Terms
    pages: MutableMapping[bytes, bytes]
    progress: Progress | None
    accounts: Accounts = field(default_factory=Accounts)
    plan: Plan | None = None
    proofs: dict[int, PartProof] = field(default_factory=dict)


def task_of(
    program: bytes,
    setting: Setting,
    env: ExecutorEnv,
    work: WorkDir | None,
    lengths: Lengths,
    totals: Totals,
    pool: Pool | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Task:
    """A run that is to be proven; ``threads``: of each proof that the pool makes. The other arguments: see :class:`Task`."""
    terms = terms_of(setting, setting.threads if pool is None else threads)
    pages: MutableMapping[bytes, bytes] = {} if work is None else work.pages
    accounts = Accounts(workers=1 if pool is None else pool.size)
    return Task(program, setting, env, work, lengths, totals, pool, terms, pages, progress, accounts)


def plan_run(task: Task) -> Plan:
    """Execute a run, cut it, and commit the early columns of each segment.

    Raises:
        GuestTrap: the guest did something that cannot be proven.
        LimitError: a limit was reached, or a segment that cannot be cut does not fit.
        UsageError: a proof will not have the bits that its verifiers demand.
        WorkerError: workers cannot go on.
        Cancelled: the caller asked for it.
    """
    setting, accounts, started = task.setting, task.accounts, time.perf_counter()
    cutter = Cutter(setting, task.terms, task.env, task.pages, task.lengths, task.totals, task.progress)
    digests: dict[int, bytes] = {}
    if task.pool is None:
        for piece, record in _timed(cutter, accounts):
            digests[piece.number] = commit_piece(setting, piece, record).digest
    else:
        pieces = (_sent(piece) for piece, _ in _timed(cutter, accounts))
        for outcome in task.pool.map(pin_work, task.program, pieces):
            digests[int(outcome.name)] = outcome.checked()
            accounts.count(outcome)
    accounts.pin += time.perf_counter() - started - accounts.cut
    return replace(cutter.plan, digests=tuple(digests[number] for number in range(len(digests))))


def _timed(items: Iterable[Made], accounts: Accounts) -> Iterator[Made]:
    """The same, and what making them takes."""
    iterator = iter(items)
    while True:
        started = time.perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        finally:
            accounts.cut += time.perf_counter() - started
        yield item


def _sent(piece: Piece) -> tuple[str, bytes]:
    """A piece for a pool, named by its number."""
    return str(piece.number), piece.to_bytes()


def challenges_of(setting: Setting, plan: Plan) -> tuple[Challenges, list[Part]]:
    """The joint challenges of a plan, and what each proof says."""
    statement, parts = segmented_statement(setting.header, setting.chosen, plan.journal, plan.exit_code)
    return joint_challenges(statement, setting.chosen, setting.zk, plan.digests), parts


def prove_segmented(task: Task) -> tuple[Plan, list[PartProof]]:
    """Prove a run in segments.

    Returns:
        The run as it was cut, and its proofs, memory first.

    Raises:
        CheckpointError: a checkpoint or a page is missing or damaged.
        WorkerError: workers cannot go on.
        ProvingError: a part came out otherwise than when its early columns were committed.
        GuestError, UsageError, Cancelled: see :func:`plan_run`.
    """
    began = time.process_time()
    plan = task.plan = task.plan or _plan(task)
    challenges, parts = challenges_of(task.setting, plan)
    started = time.perf_counter()
    for number, part in enumerate(parts):
        done = None if task.work is None or number in task.proofs else _known_proof(task.work, _name(number, challenges), part.machine)
        if done is not None:
            task.proofs[number] = done
    missing = [number for number in range(len(parts)) if number not in task.proofs]
    make = _prove_here if task.pool is None else _prove_elsewhere
    make(task, plan, challenges, parts, missing)
    task.accounts.prove += time.perf_counter() - started
    task.accounts.coordinator += time.process_time() - began
    return plan, [task.proofs[number] for number in range(len(parts))]


def _plan(task: Task) -> Plan:
    """The run as it was cut before, or now."""
    work = task.work
    known = None if work is None else work.load(PLAN)
    if known is not None:
        return Plan.from_bytes(known, task.setting.image)
    try:
        plan = plan_run(task)
    except (GuestError, UsageError):  # which the next attempt would end with too: nothing is worth keeping
        if work is not None:
            discard(work.folder)
        raise
    if work is not None:
        work.save(PLAN, plan.to_bytes())
    return plan


def _name(number: int, challenges: Challenges) -> str:
    """Of the file of a proof: those of another plan are others."""
    return f"proof-{number}-{challenges.digest.hex()[:16]}"


def _keep(task: Task, number: int, name: str, data: bytes, machine: Machine) -> None:
    """Take a proof that is done.

    Raises:
        FormatError: it is none.
    """
    task.proofs[number] = read_part(machine, Reader(data))
    if task.work is not None:
        task.work.save(name, data)


def _prove_here(task: Task, plan: Plan, challenges: Challenges, parts: list[Part], missing: list[int]) -> None:
    for number in missing:
        task.env.check()
        started, used = time.perf_counter(), time.process_time()
        piece = plan.piece(number, task.terms, task.env.stdin, task.pages, challenges)
        proof = prove_piece(task.setting, piece, _within(task.progress, number, len(parts)))
        _keep(task, number, _name(number, challenges), encode_part(proof), parts[number].machine)
        task.accounts.parts.append(PartTime(number, time.perf_counter() - started, time.process_time() - used, HERE))


def _prove_elsewhere(task: Task, plan: Plan, challenges: Challenges, parts: list[Part], missing: list[int]) -> None:
    """The same by the pool. What comes back as no proof is made again by others."""
    assert task.pool is not None
    left, wrong = missing, ""
    for _ in range(ATTEMPTS):
        again: list[int] = []
        pieces = (_sent(plan.piece(number, task.terms, task.env.stdin, task.pages, challenges)) for number in left)
        for outcome in task.pool.map(prove_work, task.program, pieces):
            number = int(outcome.name)
            try:
                _keep(task, number, _name(number, challenges), outcome.checked(), parts[number].machine)
            except (FormatError, ProvingError) as error:
                task.pool.distrust(outcome.worker)
                again.append(number)
                wrong = f"part {number} of the run, made by {outcome.worker}, is no proof of what was committed to ({error})"
                continue
            task.accounts.parts.append(PartTime(number, outcome.seconds, outcome.processor, outcome.worker))
            task.accounts.count(outcome)
            if task.progress is not None:
                share = EARLY_SHARE + (PROVEN_SHARE - EARLY_SHARE) * len(task.proofs) / len(parts)
                task.progress(f"{len(task.proofs)} of {len(parts)} proofs", share)
        if not again:
            return
        left = again
    raise WorkerError(f"{wrong}, after {ATTEMPTS} attempts: a worker computes wrongly; begin again, in another directory, without it")


def forget(task: Task, numbers: Iterable[int]) -> None:
    """Let go of proofs that turned out wrong, and distrust who made them."""
    assert task.plan is not None
    challenges, _ = challenges_of(task.setting, task.plan)
    makers = {own.number: own.worker for own in task.accounts.parts}
    for number in numbers:
        del task.proofs[number]
        if task.work is not None:
            task.work.drop(_name(number, challenges))
        if task.pool is not None and number in makers:
            task.pool.distrust(makers[number])


def _known_proof(work: WorkDir, name: str, machine: Machine) -> PartProof | None:
    """A proof that was made before; None: it is missing, damaged, or as another version wrote it."""
    data = work.load(name)
    try:
        return None if data is None else read_part(machine, Reader(data))
    except FormatError:
        return None


def _within(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one part as progress of the whole."""
    if progress is None:
        return None
    name = f"segment {number} of {count - 1}" if number else "memory"

    def step(phase: str, share: float) -> None:
        if phase:
            progress(f"{name}: {phase}", EARLY_SHARE + (PROVEN_SHARE - EARLY_SHARE) * (number + share) / count)

    return step
