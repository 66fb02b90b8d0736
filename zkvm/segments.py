"""Proves a run in segments: from a program to its receipt."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from zkvm.errors import ProvingError, WorkerError
from zkvm.riscv.header import ImageHeader
from zkvm.riscv.records import Image
from zkvm.session.bound import PadTo
from zkvm.session.checking import wrong_parts
from zkvm.session.lengths import Lengths, memory_budget
from zkvm.session.pieces import Terms, prepare_work
from zkvm.session.plan import Plan
from zkvm.session.pool import Pool
from zkvm.session.resources import Clock
from zkvm.session.run import ExecutorEnv, Session, Told
from zkvm.session.segmented import ATTEMPTS, Accounts, Task, challenges_of, forget, prove_segmented, task_of
from zkvm.session.setting import Setting, run_identity
from zkvm.session.totals import Totals
from zkvm.session.workdir import WorkDir
from zkvm.stark.protocol.joint import PartProof
from zkvm.stark.protocol.params import Parameters, Policy
from zkvm.stark.prover.memory import PROCESS_BYTES
from zkvm.stark.prover.preprocessed import Preprocessed
from zkvm.verifier.receipt import MAX_JOURNAL_BYTES, MAX_SEGMENTED_BYTES, Claim, Receipt, journal_digest
from zkvm.verifier.segments import SegmentedSeal


def prepare_workers(pool: Pool, program: bytes, chosen: Parameters, zk: bool, threads: int) -> None:
    """Let workers load what a run takes, as long as there is nothing to prove; the arguments are those of :func:`prove_run`."""
    pool.prepare(prepare_work, program, pickle.dumps(Terms(chosen.name, chosen.security_bits, zk, threads)))


def prove_run(
    program: bytes,
    image: Image,
    header: ImageHeader,
    committed: Preprocessed,
    env: ExecutorEnv,
    chosen: Parameters,
    zk: bool,
    threads: int,
    pad_to: PadTo,
    segment_cycles: int | str | None,
    work_dir: str | os.PathLike[str] | None,
    clock: Clock,
    policy: Policy,
    check: Callable[[Receipt], None] | None,
    pool: Pool | None = None,
    pool_threads: int = 1,
) -> tuple[Receipt, Session, Accounts]:
    """Prove a run in segments.

    Args:
        program: the content of the ELF file.
        image: of it.
        header: of the image.
        committed: its preprocessed columns, committed under the blowup of the parameters.
        env: the guest's environment.
        chosen: the parameters.
        zk: whether the proofs hide their witness.
        threads: workers.
        pad_to: least rows of tables, or "program": as many as any run may need, and cuts at places that no input moves.
        segment_cycles: instructions of a segment; "auto": as many as fit.
        work_dir: where the work is kept, and where to go on; None: in memory.
        clock: takes the seconds, and tells segments and phases.
        policy: of the receipt's verifiers.
        check: looks at the receipt as they will, and raises a ProvingError if they would refuse it; None: nobody looks.
        pool: who makes the proofs; None: this process.
        pool_threads: threads of each proof that the pool makes.

    Returns:
        The receipt, what the guest did, and what it took.
    """
    setting = Setting(image, header, committed, chosen, zk, threads, MAX_JOURNAL_BYTES, pad_to)
    length = segment_cycles if isinstance(segment_cycles, int) else None
    work = None if work_dir is None else WorkDir(Path(work_dir), run_identity(setting, env.stdin, length))
    for sink in (env.stdout, env.stderr):
        if isinstance(sink, Told):
            sink.again()
    with nullcontext() if work is None else work.named():
        with clock("segments"):
            lengths = Lengths(setting, length, memory_budget(env.max_memory))
            if pool is not None and length is None:
                lengths = _shared_lengths(lengths, pool, pool_threads)
            totals = Totals(policy, MAX_SEGMENTED_BYTES)
            task = task_of(program, setting, env, work, lengths, totals, pool, pool_threads, clock.progress)
            plan, proofs = prove_segmented(task)
        receipt = _receipt(setting, plan, proofs)
        if check is not None:
            with clock("verify"):
                receipt = _checked(task, receipt, check)
    return receipt, Session(plan.cycles, plan.exit_code, receipt.journal, *plan.output, plan.seconds), task.accounts


def _shared_lengths(lengths: Lengths, pool: Pool, threads: int) -> Lengths:
    """Lengths for a pool: its workers' memory counts, not that of this process."""
    memory = pool.memory
    budget = lengths.budget // pool.size if memory is None else max(memory - PROCESS_BYTES, 0)
    return Lengths(replace(lengths.setting, threads=threads), None, budget, pool.size)


def _receipt(setting: Setting, plan: Plan, proofs: list[PartProof]) -> Receipt:
    journal = b"".join(plan.journal)
    claim = Claim(setting.header.image_id(), plan.exit_code, journal_digest(journal), setting.chosen.numbers)
    return Receipt(claim, setting.header, journal, None, SegmentedSeal(tuple(map(len, plan.journal)), tuple(proofs)))


def _checked(task: Task, receipt: Receipt, check: Callable[[Receipt], None]) -> Receipt:
    """The receipt, with proofs made again that others made wrongly.

    Raises:
        WorkerError: they are wrong again and again.
        ProvingError: the receipt does not verify, and no worker is to blame: a bug.
    """
    for attempt in range(ATTEMPTS):
        try:
            check(receipt)
            return receipt
        except ProvingError:
            assert task.plan is not None
            assert receipt.segmented is not None
            challenges, parts = challenges_of(task.setting, task.plan)
            wrong = wrong_parts(parts, receipt.segmented.proofs, task.plan.digests, challenges, task.totals.policy)
            if task.pool is None or not wrong:
                raise
            makers = {own.number: own.worker for own in task.accounts.parts}
            forget(task, wrong)
            if attempt + 1 == ATTEMPTS:
                who = makers.get(wrong[0], "a worker")
                raise WorkerError(
                    f"part {wrong[0]} of the run, made by {who}, does not verify, after {ATTEMPTS} attempts: a worker computes wrongly; "
                    "the same command goes on, without it"
                ) from None
            receipt = _receipt(task.setting, *prove_segmented(task))
    raise AssertionError
