"""Proves a run in segments, one after the other, in memory that does not grow with the run.

First the run is executed and cut, and the early columns of every segment are committed; then, with the joint challenge that follows, each
segment is executed again from its checkpoint and proven. What a segment needs is a checkpoint, the place of its end, and for each word
that it accesses how many segments before it the word was accessed last.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zkvm.errors import FormatError, GuestError, LimitError, ProvingError, UsageError
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.records import Execution, LastMemory
from zkvm.riscv.segments import memory_part, segment_part, segmented_statement
from zkvm.riscv.vm.checkpoint import Checkpoint
from zkvm.riscv.vm.cuts import SegmentedRun, choose_cut, survey
from zkvm.riscv.vm.executor import DEFAULT_MAX_CYCLES
from zkvm.session import memory
from zkvm.session.plan import Cut, Plan
from zkvm.session.resources import Progress
from zkvm.session.run import ExecutorEnv
from zkvm.session.setting import Setting, shape_of
from zkvm.session.totals import Totals
from zkvm.session.workdir import PLAN, WorkDir, discard
from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.field.extension import Ext
from zkvm.stark.protocol.codec import Reader
from zkvm.stark.protocol.joint import Challenges, Part, PartProof, joint_challenges
from zkvm.stark.protocol.joint_codec import encode_part, read_part
from zkvm.stark.prover.joint import Early, commit_early, last_share, prove_part, share_of
from zkvm.stark.prover.memory import LATER_BYTES, predicted_bytes, process_bytes
from zkvm.stark.tables import heights_for

FIRST_CYCLES = 1 << 18
"""Length of the first segment, if it is to follow from memory."""
LEAST_CYCLES, MOST_CYCLES = 1 << 12, 1 << 24
LENGTH_STEPS, LENGTH_MARGIN = 8, 64
"""Lengths that are looked at within a factor of two either way; and the part of the best one that is left free, because no two segments
are alike."""
EARLY_SHARE, PROVEN_SHARE = 0.1, 0.95
"""Shares of the work that are done when the early columns are committed, and when all segments are proven."""


def memory_budget(limit: int | None) -> int:
    """Bytes that the proof of a segment may take beside what this process has; ``limit``: of all, None: what there is."""
    return memory.available_bytes() if limit is None else max(limit - process_bytes(), 0)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long segments are.

    Attributes:
        setting: of all proofs.
        fixed: instructions of every segment; None: as many as fit.
        budget: bytes that the proof of a segment may take, if they are not fixed.
    """

    setting: Setting
    fixed: int | None
    budget: int

    @property
    def first(self) -> int:
        """Of the first segment."""
        return FIRST_CYCLES if self.fixed is None else self.fixed

    def fits(self, execution: Execution) -> bool:
        """Whether the proof of a segment, as predicted, takes no more than the budget."""
        return self.fixed is not None or self._cost(segment_machine(), _rows_of(execution), execution.steps.nbytes) is not None

    def check_memory(self, words: LastMemory) -> None:
        """Whether the proof of a run's memory fits, too.

        Raises:
            LimitError: it does not.
        """
        own = memory_machine()
        rows = {chip.name: chip.rows(words) for chip in own.chips}
        if self.fixed is None and self._cost(own, rows, 0) is None:
            touched = len(words.zero_address)
            raise LimitError(
                f"the run accesses {touched} words of memory that begins as zero, and the proof of them takes more memory than there is: "
                "raise --max-memory, choose --params fast, or let the program use less"
            )

    def following(self, execution: Execution, done: int) -> int:
        """The length to try for the next segment, if it does what this one of so many instructions did.

        Heights are powers of two, so the cells of an instruction depend on how full the tables are: of the lengths that fit, one with the
        fewest.
        """
        if self.fixed is not None:
            return self.fixed
        rows, best = _rows_of(execution), (float("inf"), done)
        for step in range(-LENGTH_STEPS, LENGTH_STEPS + 1):
            length = int(done * 2 ** (step / LENGTH_STEPS))
            if not LEAST_CYCLES <= length <= MOST_CYCLES:
                continue
            scaled = {name: -(-count * length // done) for name, count in rows.items()}
            cells = self._cost(segment_machine(), scaled, execution.steps.itemsize * length)
            if cells is not None:
                best = min(best, (cells / length, length))
        return max(best[1] - best[1] // LENGTH_MARGIN, LEAST_CYCLES)

    def _cost(self, own: Machine, rows: dict[str, int], records: int) -> int | None:
        """Committed cells of a part with so many rows of each chip, and bytes of records; None: it does not fit."""
        setting = self.setting
        try:
            heights = heights_for(own, rows, setting.image, setting.chosen.exempt, setting.pad_to, split=setting.chosen.splits)
        except LimitError:
            return None
        shape = shape_of(own, setting.chosen, heights)
        if predicted_bytes(shape, records, LATER_BYTES, setting.threads) > self.budget:
            return None
        return sum(sum(table.code.widths) * table.height for table in shape.tables)


def _rows_of(execution: Execution) -> dict[str, int]:
    """Used rows of each chip of a segment."""
    return {chip.name: chip.rows(execution) for chip in segment_machine().chips if chip.first is None}


def plan_run(
    setting: Setting,
    env: ExecutorEnv,
    pages: MutableMapping[bytes, bytes],
    lengths: Lengths,
    totals: Totals,
    progress: Progress | None = None,
) -> Plan:
    """Execute a run, cut it, and commit the early columns of each segment.

    Args:
        setting: of all proofs.
        env: the guest's environment.
        pages: where contents of pages are put.
        lengths: of segments.
        totals: what the segments must not exceed together.
        progress: told of every segment.

    Raises:
        GuestTrap: the guest did something that cannot be proven.
        LimitError: a limit was reached, or a segment that cannot be cut does not fit.
        UsageError: a proof will not have the bits that its verifiers demand.
        Cancelled: the caller asked for it.
    """
    image, chosen, limit = setting.image, setting.chosen, DEFAULT_MAX_CYCLES if env.max_cycles is None else env.max_cycles
    room = memory.available_bytes() if env.max_memory is None else env.max_memory
    living = survey(image, env.stdin, max_cycles=limit, max_memory=room).living if image.tensors is not None else ()
    run = SegmentedRun(image, env.stdin, pages=pages, max_memory=room)
    plan = Plan(blake3(os.urandom(32)), 0, 0, (), LastMemory(image, *[np.zeros(0, np.uint64)] * 5), b"", (b"", b""))
    cuts: list[Cut] = []
    shares: list[Ext] = []
    written, output, seconds = 0, (b"", b""), 0.0
    current = lengths.first
    while not run.ended:
        env.check()
        begin = run.at
        execution, current = _next_segment(run, current, lengths, living, limit)
        totals.add_segment(setting.shape(segment_machine(), execution), len(execution.journal))
        number, share = run.number, share_of(plan.seed(setting.zk, "share", run.number))
        part = segment_part(setting.header, chosen, execution.journal, written)
        tables = setting.early_tables(segment_machine(), execution)
        early = commit_early(part, number, chosen, tables, share, plan.seed(setting.zk, "early", number), setting.threads)
        cuts.append(Cut(begin.to_bytes(), execution.cycles, execution.boundary["gap"].copy(), execution.journal, early.digest))
        shares.append(share)
        written += len(execution.journal)
        if written > setting.max_journal:
            raise LimitError(
                f"the journal has more than {setting.max_journal} bytes, which a receipt does not hold: write a hash of it instead"
            )
        seconds += execution.seconds["execute"]
        output = (output[0] + execution.stdout, output[1] + execution.stderr)
        for sink, said in ((env.stdout, execution.stdout), (env.stderr, execution.stderr)):
            if sink is not None and said:
                sink(said)  # now, because a segment that does not fit is executed again
        if progress is not None:
            progress(f"cut {number} segments", 0.0)
        if env.progress is not None:
            env.progress(execution.cycles)
    words = run.last_memory()
    lengths.check_memory(words)
    totals.add_proof(setting.shape(memory_machine(), words), 2 * len(image.gaps))
    tables = setting.early_tables(memory_machine(), words)
    seed = plan.seed(setting.zk, "early", 0)
    early = commit_early(memory_part(setting.header, chosen), 0, chosen, tables, last_share(shares), seed, setting.threads)
    return replace(
        plan,
        exit_code=execution.exit_code,
        cycles=execution.cycles,
        cuts=tuple(cuts),
        memory=words,
        memory_digest=early.digest,
        output=output,
        seconds=seconds,
    )


def _next_segment(run: SegmentedRun, length: int, lengths: Lengths, living: Sequence[tuple[int, int]], limit: int) -> tuple[Execution, int]:
    """The next segment, and the length to try for the one after it.

    Raises:
        LimitError: it does not fit and cannot be cut, or the run has too many cycles.
    """
    while True:
        begin = run.at.cycles
        cut = choose_cut(min(begin + length, limit), begin, living)
        execution = run.segment(cut)
        if not run.ended and execution.cycles >= limit:
            raise LimitError(f"the guest has not ended after {limit} cycles: raise --max-cycles, or look for an endless loop")
        done = execution.cycles - begin
        if lengths.fits(execution):
            return execution, length if run.ended else lengths.following(execution, done)
        shorter = min(length, done) // 2
        if shorter < LEAST_CYCLES or choose_cut(begin + shorter, begin, living) >= execution.cycles:
            what = "tensors are alive all the time" if living else "it is as short as can be"
            raise LimitError(
                f"the segment from {begin} to {execution.cycles} cycles takes more memory than there is for its proof, and {what}: raise "
                "--max-memory, or choose --params fast"
            )
        run.rewind(execution)
        length = shorter


def challenges_of(setting: Setting, plan: Plan) -> tuple[Challenges, list[Part]]:
    """The joint challenges of a plan, and what each proof says."""
    statement, parts = segmented_statement(setting.header, setting.chosen, plan.journal, plan.exit_code)
    digests = [plan.memory_digest, *(cut.digest for cut in plan.cuts)]
    return joint_challenges(statement, setting.chosen, setting.zk, digests), parts


def prove_number(
    setting: Setting,
    plan: Plan,
    number: int,
    part: Part,
    challenges: Challenges,
    stdin: bytes,
    pages: MutableMapping[bytes, bytes],
    progress: Progress | None = None,
) -> PartProof:
    """Prove the memory of a run (0) or one of its segments: the same bytes whoever does it, however often.

    Args:
        setting: of all proofs.
        plan: of the run.
        number: of the part.
        part: what it says.
        challenges: of :func:`challenges_of`.
        stdin: the private input.
        pages: contents of pages.
        progress: told of the proof's phases.

    Raises:
        CheckpointError: the checkpoint or a page is missing or damaged.
        ProvingError: the part came out otherwise than when its early columns were committed.
    """
    shares = [share_of(plan.seed(setting.zk, "share", own)) for own in range(1, len(plan.cuts) + 1)]
    if number:
        cut = plan.cuts[number - 1]
        run = SegmentedRun(setting.image, stdin, start=Checkpoint.from_bytes(cut.begin), number=number - 1, pages=pages)
        tables = setting.tables(part.machine, run.segment(cut.cycles, cut.gaps))
        share, digest = shares[number - 1], cut.digest
    else:
        tables = setting.tables(part.machine, plan.memory)
        share, digest = last_share(shares), plan.memory_digest
    early: Early = commit_early(part, number, setting.chosen, tables, share, plan.seed(setting.zk, "early", number), setting.threads)
    if early.digest != digest:
        raise ProvingError(f"part {number} of the run came out otherwise than before: was the program executed by another version?")
    rest = plan.seed(setting.zk, "rest", number, challenges.digest)
    proof, _ = prove_part(
        part, early, challenges, setting.chosen, tables, setting.committed, rest, threads=setting.threads, progress=progress
    )
    return proof


def prove_segmented(
    setting: Setting, env: ExecutorEnv, work: WorkDir | None, lengths: Lengths, totals: Totals, progress: Progress | None = None
) -> tuple[Plan, list[PartProof]]:
    """Prove a run in segments.

    Args:
        setting: of all proofs.
        env: the guest's environment.
        work: where the work is kept, and where to go on; None: in memory.
        lengths: of segments.
        totals: what they must not exceed together.
        progress: told of segments and phases, with the share of the work done.

    Returns:
        The run as it was cut, and its proofs, memory first.
    """
    pages: MutableMapping[bytes, bytes] = {} if work is None else work.pages
    known = None if work is None else work.load(PLAN)
    if known is None:
        try:
            plan = plan_run(setting, env, pages, lengths, totals, progress)
        except (GuestError, UsageError):  # which the next attempt would end with too: nothing is worth keeping
            if work is not None:
                discard(work.folder)
            raise
        if work is not None:
            work.save(PLAN, plan.to_bytes())
    else:
        plan = Plan.from_bytes(known, setting.image)
    challenges, parts = challenges_of(setting, plan)
    proofs: list[PartProof] = []
    for number, part in enumerate(parts):
        env.check()
        name = f"proof-{number}-{challenges.digest.hex()[:16]}"  # those of another plan are others
        done = None if work is None else _known_proof(work, name, part.machine)
        if done is not None:
            proofs.append(done)
            continue
        own = prove_number(setting, plan, number, part, challenges, env.stdin, pages, _within(progress, number, len(parts)))
        if work is not None:
            work.save(name, encode_part(own))
        proofs.append(own)
    return plan, proofs


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
