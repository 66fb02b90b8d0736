"""Proves a run in segments: from a program to its receipt."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

from zkvm.riscv.header import ImageHeader
from zkvm.riscv.records import Image
from zkvm.session.bound import PadTo
from zkvm.session.resources import Clock
from zkvm.session.run import ExecutorEnv, Session, Told
from zkvm.session.segmented import Lengths, memory_budget, prove_segmented
from zkvm.session.setting import Setting, run_identity
from zkvm.session.totals import Totals
from zkvm.session.workdir import WorkDir
from zkvm.stark.protocol.params import Parameters, Policy
from zkvm.stark.prover.preprocessed import Preprocessed
from zkvm.verifier.receipt import MAX_JOURNAL_BYTES, MAX_SEGMENTED_BYTES, Claim, Receipt, journal_digest
from zkvm.verifier.segments import SegmentedSeal


def prove_run(
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
) -> tuple[Receipt, Session]:
    """Prove a run in segments.

    Args:
        image: the program.
        header: its header.
        committed: its preprocessed columns, committed under the blowup of the parameters.
        env: the guest's environment.
        chosen: the parameters.
        zk: whether the proofs hide their witness.
        threads: workers.
        pad_to: least rows of tables.
        segment_cycles: instructions of a segment; "auto": as many as fit.
        work_dir: where the work is kept, and where to go on; None: in memory.
        clock: takes the seconds, and tells segments and phases.
        policy: of the receipt's verifiers.

    Returns:
        The receipt, and what the guest did.
    """
    setting = Setting(image, header, committed, chosen, zk, threads, MAX_JOURNAL_BYTES, pad_to if isinstance(pad_to, int) else 0)
    length = segment_cycles if isinstance(segment_cycles, int) else None
    work = None if work_dir is None else WorkDir(Path(work_dir), run_identity(setting, env.stdin, length))
    for sink in (env.stdout, env.stderr):
        if isinstance(sink, Told):
            sink.again()
    with clock("segments"), nullcontext() if work is None else work.named():
        lengths, totals = Lengths(setting, length, memory_budget(env.max_memory)), Totals(policy, MAX_SEGMENTED_BYTES)
        plan, proofs = prove_segmented(setting, env, work, lengths, totals, clock.progress)
    journal = b"".join(plan.journal)
    claim = Claim(header.image_id(), plan.exit_code, journal_digest(journal), chosen.numbers)
    seal = SegmentedSeal(tuple(map(len, plan.journal)), tuple(proofs))
    return Receipt(claim, header, journal, None, seal), Session(plan.cycles, plan.exit_code, journal, *plan.output, plan.seconds)
