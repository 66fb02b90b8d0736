"""``zkvm run`` and ``zkvm check``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from zkvm import api
from zkvm.api import ProveInfo
from zkvm.cli.errors import DONE, FRAMES_REPORTED, REJECTED, check_writable, reading, writing
from zkvm.cli.options import (
    CyclesOption,
    InputOption,
    InputsOption,
    JobsOption,
    JsonOption,
    ParamsOption,
    ProgramArgument,
    RegimeOption,
    SampleOption,
    SecurityOption,
    ThreadsOption,
    WorkersOption,
    named,
    source,
)
from zkvm.cli.output import by_regime, committed, emit, line, shown, size
from zkvm.cli.screen import guest_environment, screen
from zkvm.cli.start import PROVER, load_kernels
from zkvm.errors import Cancelled, CheckpointError, LimitError, UsageError, ZkvmError
from zkvm.files import read_at_most
from zkvm.session import memory
from zkvm.session.bound import BY_PROGRAM, PadTo
from zkvm.session.memory import GIB
from zkvm.session.resources import no_collection
from zkvm.session.run import ExecutorEnv, Session
from zkvm.session.workdir import begun, discard
from zkvm.stark.protocol.params import BEST, DEFAULT_SECURITY, MAX_HEIGHT, MIN_HEIGHT, REGIMES, Policy

if TYPE_CHECKING:
    from zkvm.cli.model import ModelRun
    from zkvm.forecast import Forecast
    from zkvm.session.prediction import Prediction
    from zkvm.session.profiling import Profile

FUNCTIONS_SHOWN = 12
INPUT_SHARE = 4
"""Part of the free memory that a guest's input may fill: while it is read there are two of it, and the rest is for the run."""
PaddingOption = Annotated[
    str,
    typer.Option(
        "--pad-to",
        metavar="2^N|program",
        help="heights of tables that tell less: so many rows, or what any run may need whose loops are as long (the default of models)",
    ),
]
MemoryOption = Annotated[
    float | None, typer.Option("--max-memory", metavar="GIB", help="what run and proof may take (default: what is free)")
]
SegmentOption = Annotated[
    int | None,
    typer.Option(
        "--segment-cycles", metavar="N", min=1, help="prove in segments of N instructions (default: if it does not fit one proof)"
    ),
]
WorkOption = Annotated[
    Path | None,
    typer.Option(
        "--work-dir", "--resume", metavar="DIR", help="where the work on segments is kept, and goes on (default: RECEIPT.segments)"
    ),
]


def run(
    guest: ProgramArgument,
    input_file: InputOption = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="RECEIPT", help="the receipt's file (default: GUEST.receipt here)")
    ] = None,
    execute_only: Annotated[bool, typer.Option("--execute-only", help="no proof: cycles, journal, what a proof would cost where")] = False,
    sample: SampleOption = None,
    every: Annotated[bool, typer.Option("--all", help="with --execute-only: every sample of a compiled model's input")] = False,
    params: ParamsOption = "balanced",
    security: SecurityOption = DEFAULT_SECURITY,
    regime: RegimeOption = BEST,
    no_zk: Annotated[bool, typer.Option("--no-zk", help="do not hide the private input")] = False,
    pad_to: PaddingOption = "",
    dev: Annotated[bool, typer.Option("--dev", help="a dev receipt: nothing is proven, no verifier accepts it unasked")] = False,
    max_cycles: CyclesOption = None,
    max_memory: MemoryOption = None,
    segment_cycles: SegmentOption = None,
    work_dir: WorkOption = None,
    threads: ThreadsOption = None,
    inputs: InputsOption = None,
    jobs: JobsOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Execute the guest, prove the run, verify the receipt, write it, print the journal."""
    if max_memory is not None and not max_memory > 0:
        raise UsageError(f"--max-memory {max_memory}: a positive number of GiB is needed")
    limit = None if max_memory is None else int(min(max_memory, 1 << 20) * GIB)
    padding, policy = parse_padding(pad_to, guest.is_dir()), Policy(regime=regime)
    proof: dict[str, Any] = {"params": params, "security": security, "zk": not no_zk, "dev": dev, "policy": policy, "pad_to": padding}
    proof |= {"threads": threads, "jobs": jobs, "client": workers}
    if inputs is not None:
        from zkvm.cli.batch import Batch, refuse_others

        refuse_others({"--input": input_file, "--sample": sample, "--execute-only": execute_only, "--all": every, "--work-dir": work_dir})
        load_kernels(PROVER)
        proof |= {"max_cycles": max_cycles, "max_memory": limit, "segment_cycles": segment_cycles}
        raise typer.Exit(Batch(guest, inputs, out or Path(f"{guest.stem}.receipts"), proof, as_json).run())
    target = out or Path(f"{guest.stem}.receipt")
    if not execute_only:
        check_writable(target)
    if every:
        run_all(guest, input_file, execute_only and sample is None, (max_cycles, limit), as_json)
    program, stdin, model = read_guest(guest, input_file, sample)
    if execute_only and workers is not None:
        raise UsageError("--execute-only asks no cluster: --jobs N predicts for N workers like this machine")
    load_kernels(PROVER)
    if execute_only:
        execute_and_predict((program, stdin, model), (max_cycles, limit), proof, segment_cycles, as_json)
    if model is not None:
        model.refuse_saturation(max_cycles, limit)
    proof |= {"segment_cycles": segment_cycles or "auto", "work_dir": work_dir or target.with_name(f"{target.name}.segments")}
    prove_and_write((program, stdin, model), (max_cycles, limit), proof, target, as_json)


def prove_and_write(
    guest: tuple[Path, bytes, ModelRun | None], limits: tuple[int | None, int | None], proof: dict[str, Any], target: Path, as_json: bool
) -> NoReturn:
    """A receipt of the run, verified, in its file; the work on segments is discarded then.

    Raises:
        Exit: always, if there is a receipt.
    """
    program, stdin, model = guest
    work: Path = proof["work_dir"]
    with screen(not as_json) as view, no_collection(), resumable(work):
        env = guest_environment(stdin, view, as_json, *limits)
        info = api.prove(program, env, **proof, progress=view.phase if view.on else None)
    with writing(target):
        length = info.receipt.save(target)
    if info.receipt.segments:
        discard(work)
    show_run(info, target, length, as_json, model)
    raise typer.Exit(REJECTED if info.session.exit_code else DONE)


def execute_and_predict(
    guest: tuple[Path, bytes, ModelRun | None],
    limits: tuple[int | None, int | None],
    proof: dict[str, Any],
    segment_cycles: int | None,
    as_json: bool,
) -> NoReturn:
    """``--execute-only``: what the guest does, and what proving it would take.

    Raises:
        Exit: always, if the run ends.
    """
    from zkvm.session.profiling import profile as profile_run

    program, stdin, model = guest
    max_cycles, max_memory = limits
    options = {name: proof[name] for name in ("params", "security", "threads")}
    options["pad_to"] = proof["pad_to"] if isinstance(proof["pad_to"], int) else 0
    expected = None
    with screen(not as_json) as view:
        env = guest_environment(stdin, view, as_json, max_cycles, max_memory)
        profile = profile_run(program, env, **options)
        if segment_cycles or proof["jobs"] or does_not_fit(profile, max_memory):
            from zkvm.forecast import forecast

            silent = ExecutorEnv(stdin, max_cycles=max_cycles, max_memory=max_memory, progress=env.progress)
            options["pad_to"] = proof["pad_to"]
            expected = forecast(program, silent, workers=proof["jobs"], segment_cycles=segment_cycles, **options)
    show_execution(profile, as_json, model, expected)
    raise typer.Exit(REJECTED if profile.session.exit_code else DONE)


@contextmanager
def resumable(work: Path) -> Iterator[None]:
    """Says, if the work on a run in segments is interrupted, how it goes on."""
    try:
        yield
    except (KeyboardInterrupt, Cancelled, ZkvmError) as error:
        if begun(work) and not isinstance(error, CheckpointError):  # which says what to do
            print(f"the work so far is in {work}, private data among it: the same command with --work-dir {work} goes on", file=sys.stderr)
        raise


def run_all(guest: Path, input_file: Path | None, fits: bool, limits: tuple[int | None, int | None], as_json: bool) -> NoReturn:
    """``--all``: a compiled model on every sample of a file, without proofs.

    Raises:
        UsageError: it does not fit the other options.
        Exit: always.
    """
    if not (fits and guest.is_dir()):
        raise UsageError("--all is for compiled models, with --execute-only and without --sample: a proof is of one sample")
    from zkvm.cli.model import execute_all

    load_kernels()
    raise typer.Exit(DONE if execute_all(guest, input_file, limits, as_json) else REJECTED)


def read_guest(guest: Path, input_file: Path | None, sample: int | None) -> tuple[Path, bytes, ModelRun | None]:
    """The program, its private input, and of a compiled model what its journal means.

    Raises:
        InputFileError: the input cannot be read, or does not fit the compiled model.
        UsageError: a compiled model without an input, or a sample of another guest's input.
        LimitError: the input is larger than what memory allows.
    """
    if guest.is_dir():
        from zkvm.cli.model import model_run

        model = model_run(guest, input_file, sample)
        return model.elf, model.stdin, model
    if sample is not None:
        raise UsageError("--sample is for compiled models: the input of another guest is a stream of bytes")
    return guest, read_guest_input(input_file), None


def check(
    guest: ProgramArgument,
    input_file: InputOption = None,
    sample: SampleOption = None,
    max_cycles: CyclesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Execute the guest and check every constraint and bus, without proving; names what fails."""
    program, stdin, _ = read_guest(guest, input_file, sample)
    load_kernels()
    with screen(not as_json) as view:
        progress = view.cycles if view.on else None
        failures = api.check(program, ExecutorEnv(stdin, max_cycles=max_cycles, progress=progress))
    if as_json:
        rows = [{"where": failure.where, "label": failure.label, "detail": failure.detail, "row": failure.row} for failure in failures]
        emit({"ok": not failures, "failures": rows})
    else:
        for failure in failures:
            print(failure)
        print(f"{len(failures)} failures" if failures else "all constraints hold and all buses balance")
    raise typer.Exit(REJECTED if failures else DONE)


def parse_padding(text: str, model: bool) -> PadTo:
    """What ``--pad-to`` says; if nothing, models are padded by their program, and other guests not at all.

    Raises:
        UsageError: it is no height.
    """
    if not text:
        return BY_PROGRAM if model else 0
    return text if text == BY_PROGRAM else parse_height(text)


def parse_height(text: str) -> int:
    """A table's height written as 2^N or as a number.

    Raises:
        UsageError: it is neither, or too large for any table.
    """
    match = re.fullmatch(r"2\^(\d{1,2})|(\d{1,9})", text.strip())
    if match is None or (match[1] and int(match[1]) > 30):
        raise UsageError(f"{text!r} is no height: write 2^N, with N from {MIN_HEIGHT.bit_length() - 1} to {MAX_HEIGHT.bit_length() - 1}")
    return 1 << int(match[1]) if match[1] else int(match[2])


def read_guest_input(path: Path | None) -> bytes:
    """The private input; empty without a file.

    Raises:
        InputFileError: the file cannot be read.
        LimitError: it is larger than what memory allows.
    """
    if path is None:
        return b""
    limit = memory.available_bytes() // INPUT_SHARE
    with reading(path):
        data = read_at_most(source(path), limit)
    if data is None:
        raise LimitError(
            f"{named(path)}: the input has more than {size(limit)}, a quarter of the memory that is left: choose a smaller one"
        )
    return data


def does_not_fit(profile: Profile, limit: int | None) -> bool:
    """Whether a run is too long for one proof, or for one here."""
    free = memory.available_bytes() if limit is None else limit
    return profile.prediction is None or profile.prediction.memory_bytes > free


def show_execution(profile: Profile, as_json: bool, model: ModelRun | None = None, expected: Forecast | None = None) -> None:
    """The result of an execution without proof, and what a proof would take."""
    session, prediction = profile.session, profile.prediction
    functions = sorted(profile.functions, key=lambda entry: (-entry.total_cells, entry.name))
    if as_json:
        view = {"exit_code": session.exit_code, "journal": session.journal.hex(), "cycles": session.cycles}
        view |= {"seconds": {"execute": session.seconds}, "functions": {entry.name: entry.cycles for entry in functions}}
        view |= {"cells": profile.cells, "charged_cells": profile.charged_cells}
        view |= {"function_cells": {entry.name: entry.total_cells for entry in functions}}
        view |= {"prediction": None if prediction is None else asdict(prediction)}
        view["segments"] = None if expected is None else asdict(expected)
        if profile.ending:
            view["frames"] = [frame._asdict() for frame in profile.ending[:FRAMES_REPORTED]]
        extra = {} if model is None or session.exit_code else model.view(session.journal)
        emit(view | extra)
        return
    show_journal(session, model)
    line("exit code", session.exit_code)
    if profile.ending:
        from zkvm.riscv.vm.debug import call_lines

        print(*call_lines(profile.ending), sep="\n")
    line("cycles", session.cycles)
    line("cells", committed(profile.cells, profile.charged_cells))
    line("time", f"{session.seconds:.3f} s")
    show_prediction(prediction)
    if expected is not None:
        by = f"on {expected.workers} workers" if expected.workers > 1 else "here"
        segments = f"{expected.segments} segments of up to {expected.cycles} cycles"
        line("in segments", f"about {expected.seconds:.0f} s {by}, {segments}, {size(expected.memory_bytes)} each")
        shared = (
            f"cutting takes {expected.cut_seconds:.1f} s of it, all proofs {expected.proof_seconds:.0f} s with {expected.threads} threads"
        )
        line("", f"{shared}; a receipt of {size(expected.receipt_bytes)}")
    line("", "       cells with calls    own cycles  function")
    for entry in functions[:FUNCTIONS_SHOWN]:
        share = 100 * entry.total_cells / max(profile.charged_cells, 1)
        line("", f"{share:5.1f} %  {entry.total_cells:>14}  {entry.cycles:>12}  {entry.name}")


def show_prediction(prediction: Prediction | None) -> None:
    """What proving would take."""
    if prediction is None:
        line("proof", "the run is too long for one proof: it would be proven in segments")
        return
    workers = f"with {prediction.threads} threads"
    line("proof", f"about {prediction.process_seconds:.1f} s from start to receipt {workers}, {size(prediction.memory_bytes)}")
    line("", f"{prediction.seconds:.1f} s a later proof of one process (predicted for {prediction.params}, {prediction.security} bits)")


def show_journal(session: Session, model: ModelRun | None) -> None:
    """The public output; of a compiled model, what it means."""
    if model is None or session.exit_code:
        line("journal", shown(session.journal))
    else:
        model.show(session.journal)


def show_run(info: ProveInfo, target: Path, length: int, as_json: bool, model: ModelRun | None = None) -> None:
    """The result of a proof."""
    session, bits = info.session, {regime: info.receipt.security_bits(regime) for regime in REGIMES}
    if as_json:
        emit(
            {
                "image_id": info.image_id,
                "exit_code": session.exit_code,
                "journal": session.journal.hex(),
                "cycles": session.cycles,
                "seconds": info.seconds,
                "peak_memory_bytes": info.peak_memory_bytes,
                "receipt_bytes": length,
                "security_bits": info.security_bits,
                "bits_by_regime": bits,
                "zk": info.receipt.zk,
                "dev": info.receipt.dev,
                "segments": info.receipt.segments,
                "accounts": None if info.accounts is None else asdict(info.accounts),
                "receipt": str(target),
            }
            | ({} if model is None or session.exit_code else model.view(session.journal))
        )
        return
    show_journal(session, model)
    line("exit code", session.exit_code)
    line("image ID", info.image_id)
    line("cycles", session.cycles)
    proven = f"{info.security_bits} bits, proven ({by_regime(bits)})"
    line("security", "none: a dev receipt, nothing is proven" if info.receipt.dev else proven)
    line("zero knowledge", "yes" if info.receipt.zk else "no")
    if info.receipt.segments:
        line("segments", info.receipt.segments)
    phases = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in info.seconds.items() if phase != "total")
    line("time", f"{info.seconds['total']:.2f} s ({phases})")
    line("peak memory", size(info.peak_memory_bytes))
    line("receipt", f"{target}, {size(length)}")
