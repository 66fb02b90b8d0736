"""The public functions: load, execute, check, prove. Verifying is :meth:`zkvm.receipt.Receipt.verify`.

Importing this module needs numpy only. Executor and prover are imported when they are called; without the ``prove`` extra they raise
a :class:`zkvm.errors.UsageError` that says what to install.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import ElfError, LimitError, ProvingError, UsageError, VerificationError
from zkvm.machine import ImageHeader, machine, preprocessed_chips, run_statement
from zkvm.params import BLOWUPS, MAX_HEIGHT, Parameters, Policy, parameters
from zkvm.receipt import MAX_JOURNAL_BYTES, Claim, Receipt, journal_digest
from zkvm.records import Execution, Image
from zkvm.resources import Clock, Progress, peak_memory_bytes, prove_extra, thread_count
from zkvm.security import proven_bits
from zkvm.shape import ProofShape
from zkvm.tables import build_tables, planned_heights, preprocess, preprocessed_height

if TYPE_CHECKING:
    from zkvm.air.check import Failure
    from zkvm.proof import Proof
    from zkvm.prover.preprocessed import Preprocessed

Matrices = dict[str, NDArray[np.uint64]]
Elf = bytes | str | os.PathLike[str]
"""The content of an ELF file, or its path."""
Sink = Callable[[bytes], object]
"""Called with what the guest writes, as it does."""

GIB = 1 << 30
MAX_PROFILED_CYCLES = 1 << 24
"""Longer runs are not profiled: the records of this many take 1.2 GB."""


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a guest.

    Attributes:
        cycles: executed instructions. exit_code: 32-bit word. journal: public output. stdout, stderr: what the guest told the host.
        seconds: of the execution. functions: (name, cycles), most first, if a profile was asked for and the run is short enough.
    """

    cycles: int
    exit_code: int
    journal: bytes
    stdout: bytes
    stderr: bytes
    seconds: float
    functions: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ProveInfo:
    """A receipt with how it came about.

    Attributes:
        seconds: by phase, in order, then ``verify`` (the self-check) and ``total``. peak_memory_bytes: largest resident size of this
            process so far. security_bits: proven bits of this proof's shape, rounded down; 0 for a dev receipt.
    """

    receipt: Receipt
    session: Session
    image_id: str
    security_bits: int
    peak_memory_bytes: int
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        """Executed instructions."""
        return self.session.cycles


def load_image(elf: Elf) -> Image:
    """The image of an ELF file: what the machine sees of a program.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine. UsageError: the ``prove`` extra is missing.
    """
    with prove_extra():
        from zkvm.vm.elf import load_image as load
    if isinstance(elf, bytes):
        return load(elf)
    try:
        content = Path(elf).read_bytes()
    except OSError as error:
        raise ElfError(f"{os.fspath(elf)}: {error.strerror}") from error
    try:
        return load(content)
    except ElfError as error:
        raise ElfError(f"{os.fspath(elf)}: {error}") from error


def compute_image_id(elf: Elf, threads: int | None = None) -> str:
    """The image ID of a program, 64 hexadecimal digits: computed from the file alone, nothing remembered.

    Raises:
        ElfError: see :func:`load_image`. LimitError: a table would be too long. UsageError: the ``prove`` extra is missing.
    """
    image = load_image(elf)
    columns = _preprocess(image)
    with prove_extra():
        from zkvm.prover.preprocessed import commit_preprocessed
    roots = tuple(commit_preprocessed(machine(), columns, blowup, thread_count(threads)).root for blowup in BLOWUPS)
    return _header(image, columns, roots).image_id().hex()


def execute(
    elf: Elf,
    stdin: bytes = b"",
    *,
    max_cycles: int | None = None,
    max_memory: int | None = None,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
    profile: bool = False,
) -> Session:
    """Run a guest without proving.

    Args:
        stdin: the private input. max_cycles: instructions after which it is stopped. max_memory: bytes that it may take.
        stdout, stderr: called with what the guest writes. profile: also count cycles by function (runs of up to 2^24 cycles).

    Raises:
        ElfError: see :func:`load_image`. GuestTrap: it did something unprovable. LimitError: it reached a limit.
        UsageError: the ``prove`` extra is missing.
    """
    image = load_image(elf)
    session = _session(_run(image, stdin, False, max_cycles, max_memory, stdout, stderr))
    if profile and session.cycles <= MAX_PROFILED_CYCLES:
        session = replace(session, functions=_cycles_by_function(_run(image, stdin, True, max_cycles)))
    return session


def check(elf: Elf, stdin: bytes = b"", *, max_cycles: int | None = None) -> list[Failure]:
    """Run a guest and check every constraint and every bus of its tables, without proving; no failures mean that it can be proven.

    Raises:
        ElfError, GuestTrap, LimitError, UsageError: see :func:`execute`.
    """
    from zkvm.air.check import Failure, check_tables

    image = load_image(elf)
    execution = _run(image, stdin, True, max_cycles)
    with prove_extra():
        from zkvm.prover.tapes import evaluate_columns
    chosen = parameters()
    columns = _preprocess(image)
    header = _header(image, columns, (bytes(32),) * len(BLOWUPS))  # the roots do not matter to the tuples
    try:
        tables = build_tables(machine(), execution, image, chosen.exempt, preprocessed=columns, evaluate=evaluate_columns)
    except ProvingError as error:
        return [Failure("tables", "lookup without an entry", str(error))]
    return check_tables(tables, run_statement(header, chosen, execution.journal, execution.exit_code).closings)


def prove(
    elf: Elf,
    stdin: bytes = b"",
    *,
    params: str = "balanced",
    security: int = 100,
    zk: bool = True,
    dev: bool = False,
    threads: int | None = None,
    max_cycles: int | None = None,
    max_memory: int | None = None,
    progress: Progress | None = None,
    verify: bool = True,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
) -> ProveInfo:
    """Run a guest and prove the run.

    Args:
        elf: the program. stdin: the private input, the guest's fd 0.
        params, security: parameter set ``fast``, ``balanced`` or ``compact`` with 100 or 128 proven bits.
        zk: whether the proof hides everything but the claim and the journal. dev: no proof, a dev receipt.
        threads: all of the machine's by default. max_cycles: instructions after which the run is stopped.
        max_memory: bytes; more than the prediction for this run, or it is refused before proving. verify: check the receipt at the end.
        stdout, stderr: called with what the guest writes.

    Returns:
        The receipt and the figures. A guest that exits with another code than 0 is proven too: the code is part of the claim.

    Raises:
        ElfError: see :func:`load_image`. GuestTrap: the guest did something unprovable. LimitError: a limit was reached.
        UsageError: unknown parameters, or the ``prove`` extra is missing. ProvingError: a bug of this package.
    """
    started = time.perf_counter()
    chosen, workers = parameters(params, security), thread_count(threads)
    clock = Clock(progress)
    with clock("load"):
        _import_prover()
        image = load_image(elf)
    with clock("execute"):
        execution = _run(image, stdin, not dev, max_cycles, max_memory, stdout, stderr)
    if (length := len(execution.journal)) > MAX_JOURNAL_BYTES:
        raise LimitError(f"the journal has {length} bytes; a receipt holds at most {MAX_JOURNAL_BYTES}: write a hash of it instead")
    shape = None if dev else _planned_shape(execution, image, chosen, max_memory)
    with clock("image"):
        header, columns, committed = _committed_image(image, chosen.blowup, workers)
    seal = None if dev else _seal(clock, execution, header, columns, committed, chosen, zk, workers)
    claim = Claim(header.image_id(), execution.exit_code, journal_digest(execution.journal), chosen.numbers)
    receipt = Receipt(claim, header, execution.journal, seal)
    if verify:
        with clock("verify"):
            _self_check(receipt, Policy(security, allow_dev=dev))
    clock.end()
    clock.seconds["total"] = time.perf_counter() - started
    bits = int(proven_bits(shape)) if shape else 0
    return ProveInfo(receipt, _session(execution), header.image_id().hex(), bits, peak_memory_bytes(), clock.seconds)


def _import_prover() -> None:
    """Load the compiled kernels first, so that no phase's seconds hold that of another's imports."""
    with prove_extra():
        import zkvm.prover.prove
        import zkvm.vm.executor  # noqa: F401


def _run(
    image: Image,
    stdin: bytes,
    trace: bool,
    max_cycles: int | None,
    max_memory: int | None = None,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
) -> Execution:
    with prove_extra():
        from zkvm.vm.executor import DEFAULT_MAX_CYCLES
        from zkvm.vm.executor import execute as run
    limit = DEFAULT_MAX_CYCLES if max_cycles is None else max_cycles
    if limit < 1:
        raise UsageError(f"a limit of {limit} cycles: at least 1 is needed")
    return run(image, stdin, trace=trace, max_cycles=limit, max_memory=max_memory, stdout=stdout, stderr=stderr)


def _session(execution: Execution) -> Session:
    return Session(
        execution.cycles, execution.exit_code, execution.journal, execution.stdout, execution.stderr, execution.seconds.get("execute", 0.0)
    )


def _cycles_by_function(execution: Execution) -> tuple[tuple[str, int], ...]:
    """Executed instructions of each function, most first."""
    image = execution.image
    rows = np.concatenate([execution.steps["row"], execution.ecalls["row"]])
    counts = np.bincount(rows, minlength=len(image.program))
    names = ["(before the first symbol)", *(name for _, name in image.symbols)]
    starts = np.array([address for address, _ in image.symbols], np.uint64)
    owners = np.searchsorted(starts, image.program["pc"], side="right")
    cycles = np.bincount(owners, weights=counts, minlength=len(names)).astype(np.int64)
    return tuple((names[owner], int(cycles[owner])) for owner in np.argsort(-cycles, kind="stable") if cycles[owner])


def _preprocess(image: Image) -> Matrices:
    """Preprocessed columns of the image.

    Raises:
        LimitError: one of its tables would be too long.
    """
    for chip in machine().chips:
        if preprocessed_height(chip, image) > MAX_HEIGHT:
            raise LimitError(f"the program is too large: table {chip.name} would have more than {MAX_HEIGHT} rows")
    return preprocess(machine(), image)


def _header(image: Image, columns: Matrices, roots: tuple[bytes, ...]) -> ImageHeader:
    heights = tuple(columns[name].shape[1] if name in columns else 0 for name in preprocessed_chips())
    return ImageHeader(image.entry, image.initial_sp, image.gaps, heights, roots)


def _committed_image(image: Image, blowup: int, threads: int) -> tuple[ImageHeader, Matrices, Preprocessed]:
    """The image's header, preprocessed columns and their commitment under one blowup."""
    with prove_extra():
        from zkvm.prover.roots import roots_with
    columns = _preprocess(image)
    committed, roots = roots_with(machine(), columns, blowup, threads)
    return _header(image, columns, roots), columns, committed


def _planned_shape(execution: Execution, image: Image, chosen: Parameters, max_memory: int | None) -> ProofShape:
    """The shape of the proof to come.

    Raises:
        LimitError: a table would be too long, or proving would take more than ``max_memory`` bytes.
    """
    with prove_extra():
        from zkvm.prover.memory import predicted_bytes
    heights = planned_heights(machine(), execution, image, chosen.exempt)
    shape = ProofShape(machine(), chosen, tuple(height.bit_length() - 1 if height else 0 for height in heights))
    records = (execution.steps, execution.refreshes, execution.ecalls, execution.reads, execution.writes)
    needed = predicted_bytes(shape, sum(array.nbytes for array in records))
    if max_memory is not None and needed > max_memory:
        raise LimitError(
            f"proving {execution.cycles} cycles with parameters {chosen.name!r} takes about {needed / GIB:.2f} GiB, "
            f"more than the limit of {max_memory / GIB:.2f} GiB: raise --max-memory, or choose --params fast"
        )
    return shape


def _seal(
    clock: Clock,
    execution: Execution,
    header: ImageHeader,
    columns: Matrices,
    committed: Preprocessed,
    chosen: Parameters,
    zk: bool,
    threads: int,
) -> Proof:
    with prove_extra():
        from zkvm.prover.prove import prove_tables
        from zkvm.prover.randomness import Randomness
        from zkvm.prover.tapes import evaluate_columns
    with clock("trace"):
        tables = build_tables(
            machine(), execution, execution.image, chosen.exempt, preprocessed=columns, evaluate=evaluate_columns, threads=threads
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
