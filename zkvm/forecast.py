"""What proving a run in segments will take, here and on more workers: the run is executed and cut, and nothing is proven."""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.checkpoint import Checkpoint
from zkvm.session import memory
from zkvm.session.bound import PadTo
from zkvm.session.cutting import Cutter
from zkvm.session.lengths import Lengths, memory_budget
from zkvm.session.pieces import Piece, Stretch, terms_of
from zkvm.session.prediction import Work, memory_bytes, work_of
from zkvm.session.preparing import committed_image, prepare_prover
from zkvm.session.resources import thread_count
from zkvm.session.run import Elf, ExecutorEnv, read_elf
from zkvm.session.setting import Setting
from zkvm.session.speed import kernel_slowness, python_slowness
from zkvm.session.totals import Totals
from zkvm.stark.protocol.params import DEFAULT_SECURITY, Policy, parameters
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover.memory import PROCESS_BYTES
from zkvm.verifier.receipt import MAX_JOURNAL_BYTES, MAX_SEGMENTED_BYTES

EXECUTIONS = 2
"""How often a worker executes a segment, after it was cut: to pin it, and to prove it."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What proving a run in segments takes.

    Attributes:
        params: name of the parameter set.
        security: proven bits that the set claims.
        threads: of each proof.
        workers: that make proofs at one time.
        segments: how many there are, with the most instructions that one has in ``cycles``.
        cycles: see there.
        cut_seconds: of executing and cutting, which no worker does.
        proof_seconds: of all proofs, one after the other.
        seconds: until the receipt is there, on so many workers.
        memory_bytes: peak of a worker.
        receipt_bytes: of the receipt, about.
    """

    params: str
    security: int
    threads: int
    workers: int
    segments: int
    cycles: int
    cut_seconds: float
    proof_seconds: float
    seconds: float
    memory_bytes: int
    receipt_bytes: int


def forecast(
    elf: Elf,
    env: ExecutorEnv,
    *,
    params: str = "balanced",
    security: int = DEFAULT_SECURITY,
    threads: int | None = None,
    pad_to: PadTo = 0,
    segment_cycles: int | None = None,
    workers: int | None = None,
) -> Forecast:
    """Execute a run, cut it, and tell what proving it would take.

    Args:
        elf: the ELF file's content, or its path.
        env: the guest's environment; what the guest writes goes nowhere.
        params: parameter set.
        security: proven bits of the set.
        threads: of each proof; None: of this process, or one of each worker.
        pad_to: least rows of tables, or "program".
        segment_cycles: instructions of a segment; None: as many as fit.
        workers: that make proofs at one time, on machines like this one; None: this process makes all of them.

    Raises:
        GuestTrap, LimitError, UsageError, Cancelled: what proving it would raise while the run is cut.
    """
    prepare_prover()
    _, image = read_elf(elf)
    chosen, count = parameters(params, security), workers or 1
    each = thread_count(threads) if workers is None else threads or 1
    header, _, committed = committed_image(image, chosen.blowup, each)
    setting = Setting(image, header, committed, chosen, True, each, MAX_JOURNAL_BYTES, pad_to)
    if segment_cycles is not None:
        lengths = Lengths(setting, segment_cycles, 0)
    elif workers is None:
        lengths = Lengths(setting, None, memory_budget(env.max_memory))
    else:
        own = memory.available_bytes() // count if env.max_memory is None else env.max_memory - PROCESS_BYTES
        lengths = Lengths(setting, None, max(own, 0), count)
    totals, pages = Totals(Policy(), MAX_SEGMENTED_BYTES), _LastPages()
    cutter = Cutter(setting, terms_of(setting, each), replace(env, stdout=None, stderr=None), pages, lengths, totals)
    started, shapes, executed, longest = time.perf_counter(), [], [], 0
    for piece, record in cutter:
        is_segment = isinstance(record, Execution)
        shapes.append(setting.shape(segment_machine() if is_segment else memory_machine(), record, piece.padding))
        executed.append(record.seconds["execute"] if isinstance(record, Execution) else 0.0)
        longest = max(longest, pages.forget_but(piece))
    cut = time.perf_counter() - started
    costs = [proof_seconds(shape, each) + EXECUTIONS * own for shape, own in zip(shapes, executed, strict=True)]
    peak = max(map(memory_bytes, shapes))
    done = cut + finished_after(costs, count)
    return Forecast(params, security, each, count, len(shapes) - 1, longest, cut, sum(costs), done, peak, totals.size)


def proof_seconds(shape: ProofShape, threads: int) -> float:
    """Of pinning and proving a part."""
    blowup = shape.parameters.blowup
    early = sum(table.code.chip.early * table.height for table in shape.tables) * blowup
    pin = Work(0, 0, 0, early, shape.tallest * blowup)
    speed = kernel_slowness(), python_slowness()
    return work_of(shape).seconds(threads, *speed) + pin.seconds(threads, *speed)


def finished_after(costs: Sequence[float], workers: int) -> float:
    """Seconds until all pieces are done, each by the worker who is free first."""
    free = [0.0] * workers
    for cost in costs:
        heapq.heappush(free, heapq.heappop(free) + cost)
    return max(free)


class _LastPages(dict[bytes, bytes]):
    """Contents of pages, of which only those are kept that a run can still come back to."""

    def __init__(self) -> None:
        super().__init__()
        self._before: set[bytes] = set()

    def forget_but(self, piece: Piece) -> int:
        """Let go of what the segment did not begin with; returns its instructions, of the memory none."""
        if not isinstance(piece.record, Stretch):
            return 0
        begin = Checkpoint.from_bytes(piece.record.begin)
        for digest in self._before - set(begin.pages.values()):
            del self[digest]
        self._before = set(self)
        return piece.record.cycles - begin.cycles
