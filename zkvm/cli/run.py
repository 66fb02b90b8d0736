"""``zkvm run`` and ``zkvm check``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from zkvm import api
from zkvm.api import GIB, ProveInfo, Session
from zkvm.cli.compile import ModelRun, model_run
from zkvm.cli.errors import DONE, REJECTED, check_writable, read_input, writing
from zkvm.cli.output import emit, line, progress_bar, shown, size, write_bytes
from zkvm.errors import UsageError

GuestArgument = Annotated[Path, typer.Argument(metavar="GUEST.elf", help="the program, a static RV32IM executable", show_default=False)]
ProgramArgument = Annotated[
    Path, typer.Argument(metavar="GUEST.elf|DIR", help="the program, or a directory that zkvm compile wrote", show_default=False)
]
InputOption = Annotated[Path | None, typer.Option("--input", metavar="FILE", help="the guest's private input (its fd 0)")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
CyclesOption = Annotated[int | None, typer.Option("--max-cycles", metavar="N", min=1, help="stop the guest after so many instructions")]

FUNCTIONS_SHOWN = 12


def run(
    guest: ProgramArgument,
    input_file: InputOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="RECEIPT", help="the receipt's file (default: GUEST.receipt here)")] = None,
    execute_only: Annotated[bool, typer.Option("--execute-only", help="no proof: cycles, journal, where the cycles went")] = False,
    params: Annotated[str, typer.Option("--params", metavar="fast|balanced|compact", help="speed against size")] = "balanced",
    security: Annotated[int, typer.Option("--security", metavar="100|128", help="proven bits")] = 100,
    no_zk: Annotated[bool, typer.Option("--no-zk", help="do not hide the private input")] = False,
    dev: Annotated[bool, typer.Option("--dev", help="a dev receipt: nothing is proven, no verifier accepts it unasked")] = False,
    max_cycles: CyclesOption = None,
    max_memory: Annotated[
        float | None, typer.Option("--max-memory", metavar="GIB", help="refuse to prove what is predicted to take more")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", metavar="N", min=1, help="worker threads (default: all)")] = None,
    as_json: JsonOption = False,
) -> None:
    """Execute the guest, prove the run, verify the receipt, write it, print the journal."""
    if max_memory is not None and not max_memory > 0:
        raise UsageError(f"--max-memory {max_memory}: a positive number of GiB is needed")
    limit = None if max_memory is None else int(min(max_memory, 1 << 20) * GIB)
    target = out or Path(f"{guest.stem}.receipt")
    if not execute_only:
        check_writable(target)
    model = model_run(guest, input_file) if guest.is_dir() else None
    program, stdin = (guest, read_guest_input(input_file)) if model is None else (model.elf, model.stdin)
    if execute_only:
        session = api.execute(
            program, stdin, max_cycles=max_cycles, max_memory=limit, stdout=guest_stdout(as_json), stderr=guest_stderr, profile=True
        )
        show_session(session, as_json, model)
        raise typer.Exit(REJECTED if session.exit_code else DONE)
    with progress_bar(not as_json) as progress:
        info = api.prove(
            program,
            stdin,
            params=params,
            security=security,
            zk=not no_zk,
            dev=dev,
            threads=threads,
            max_cycles=max_cycles,
            max_memory=limit,
            progress=progress,
            stdout=guest_stdout(as_json),
            stderr=guest_stderr,
        )
    with writing(target):
        length = info.receipt.save(target)
    show_run(info, target, length, as_json, model)
    raise typer.Exit(REJECTED if info.session.exit_code else DONE)


def check(guest: GuestArgument, input_file: InputOption = None, max_cycles: CyclesOption = None, as_json: JsonOption = False) -> None:
    """Execute the guest and check every constraint and bus, without proving; names what fails."""
    failures = api.check(guest, read_guest_input(input_file), max_cycles=max_cycles)
    if as_json:
        rows = [{"where": failure.where, "label": failure.label, "detail": failure.detail, "row": failure.row} for failure in failures]
        emit({"ok": not failures, "failures": rows})
    else:
        for failure in failures:
            print(failure)
        print(f"{len(failures)} failures" if failures else "all constraints hold and all buses balance")
    raise typer.Exit(REJECTED if failures else DONE)


def read_guest_input(path: Path | None) -> bytes:
    """The private input; empty without a file."""
    return b"" if path is None else read_input(path)


def guest_stdout(as_json: bool) -> api.Sink:
    """Where the guest's standard output goes: to ours, but to standard error while that carries JSON."""
    stream = sys.stderr if as_json else sys.stdout
    return lambda data: write_bytes(stream, data)


def guest_stderr(data: bytes) -> None:
    """The guest's standard error goes to ours."""
    write_bytes(sys.stderr, data)


def show_session(session: Session, as_json: bool, model: ModelRun | None = None) -> None:
    """The result of an execution without proof."""
    if as_json:
        view = {"exit_code": session.exit_code, "journal": session.journal.hex(), "cycles": session.cycles}
        extra = {} if model is None or session.exit_code else model.view(session.journal)
        emit(view | {"seconds": {"execute": session.seconds}, "functions": dict(session.functions)} | extra)
        return
    show_journal(session, model)
    line("exit code", session.exit_code)
    line("cycles", session.cycles)
    line("time", f"{session.seconds:.3f} s")
    for name, cycles in session.functions[:FUNCTIONS_SHOWN]:
        line("", f"{100 * cycles / session.cycles:5.1f} %  {cycles:>12}  {name}")


def show_journal(session: Session, model: ModelRun | None) -> None:
    """The public output; of a compiled model, what it means."""
    if model is None or session.exit_code:
        line("journal", shown(session.journal))
    else:
        model.show(session.journal)


def show_run(info: ProveInfo, target: Path, length: int, as_json: bool, model: ModelRun | None = None) -> None:
    """The result of a proof."""
    session = info.session
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
                "zk": info.receipt.zk,
                "dev": info.receipt.dev,
                "receipt": str(target),
            }
            | ({} if model is None or session.exit_code else model.view(session.journal))
        )
        return
    show_journal(session, model)
    line("exit code", session.exit_code)
    line("image ID", info.image_id)
    line("cycles", session.cycles)
    line("security", "none: a dev receipt, nothing is proven" if info.receipt.dev else f"{info.security_bits} bits, proven")
    line("zero knowledge", "yes" if info.receipt.zk else "no")
    phases = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in info.seconds.items() if phase != "total")
    line("time", f"{info.seconds['total']:.2f} s ({phases})")
    line("peak memory", size(info.peak_memory_bytes))
    line("receipt", f"{target}, {size(length)}")
