"""``zkvm profile``: where cycles and proving cost go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from zkvm.cli.errors import DONE, REJECTED, check_writable, writing
from zkvm.cli.options import (
    CyclesOption,
    InputOption,
    JsonOption,
    ParamsOption,
    ProgramArgument,
    SampleOption,
    SecurityOption,
    ThreadsOption,
)
from zkvm.cli.output import committed, emit, line
from zkvm.cli.run import read_guest, show_prediction
from zkvm.cli.screen import guest_environment, screen
from zkvm.cli.start import load_kernels
from zkvm.errors import UsageError
from zkvm.files import write_atomically
from zkvm.session.flamegraph import html, speedscope
from zkvm.session.profiling import ChipCost, Profile
from zkvm.session.profiling import profile as profile_run
from zkvm.stark.protocol.params import DEFAULT_SECURITY

SHOWN = 20
HTML, JSON = (".html", ".htm"), (".json",)


def profile(
    guest: ProgramArgument,
    input_file: InputOption = None,
    sample: SampleOption = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="flame graph: FILE.html (self-contained) or FILE.json (speedscope)")
    ] = None,
    params: ParamsOption = "balanced",
    security: SecurityOption = DEFAULT_SECURITY,
    threads: ThreadsOption = None,
    max_cycles: CyclesOption = None,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="lines of each list")] = SHOWN,
    as_json: JsonOption = False,
) -> None:
    """Execute the guest and show its cycles and its proving cost by function, source line and chip."""
    if out is not None:
        if out.suffix not in (*HTML, *JSON):
            raise UsageError(f"--out {out}: end it in .html for a page of its own, or in .json for speedscope")
        check_writable(out)
    program, stdin, model = read_guest(guest, input_file, sample)
    load_kernels()
    with screen(not as_json) as view:
        env = guest_environment(stdin, view, as_json, max_cycles)
        result = profile_run(program, env, params=params, security=security, threads=threads)
    if out is not None:
        text = html(result, guest.name) if out.suffix in HTML else json.dumps(speedscope(result, guest.name))
        with writing(out):
            write_atomically(out, text.encode())
    if as_json:
        emit(result.to_json())
    else:
        show(result, top, compiled_model=model is not None)
        if out is not None:
            line("flame graph", out)
    raise typer.Exit(REJECTED if result.session.exit_code else DONE)


def show(result: Profile, rows: int, *, compiled_model: bool = False) -> None:
    """The lists, most expensive first."""
    cycles, cells = result.session.cycles, result.charged_cells
    line("cycles", cycles)
    line("cells", committed(result.cells, cells))
    show_prediction(result.prediction)
    print("\n    cost   cycles  with calls         cells        cycles  function")
    for function in result.functions[:rows]:
        shares = f"{share(function.cells, cells)}  {share(function.cycles, cycles)}     {share(function.total_cells, cells)}"
        print(f"{shares}  {function.cells:>12}  {function.cycles:>12}  {function.name}")
    if result.lines:
        print("\n    cost   cycles         cells        cycles  line")
        for entry in result.lines[:rows]:
            shares = f"{share(entry.cells, cells)}  {share(entry.cycles, cycles)}"
            where = f"{entry.file}:{entry.line}" if entry.file else "(no line)"
            print(f"{shares}  {entry.cells:>12}  {entry.cycles:>12}  {where}")
    else:
        print("\nno source lines: build with debug information (zkvm build keeps it)")
    print("\n    cost          rows        height  columns  chip")
    for chip in sorted(result.chips, key=lambda chip: -chip.cells)[:rows]:
        name = chip.name + remark(chip, compiled_model)
        print(f"{share(chip.cells, result.cells)}  {chip.rows:>12}  {chip.height:>12}  {chip.columns:>7}  {name}")


def remark(chip: ChipCost, compiled_model: bool) -> str:
    """What a table's height may tell, if some rows more or fewer would show in it. A compiled model makes the same calls for all inputs."""
    if not chip.near_boundary or (chip.by_call and compiled_model):
        return ""
    return f"  near a power of two: its height may tell {'which calls a run makes' if chip.by_call else 'inputs apart'}"


def share(part: int, whole: int) -> str:
    """A percentage."""
    return f"{100 * part / max(whole, 1):6.1f} %"
