"""``zkvm build`` and ``zkvm disasm``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from zkvm.cli.errors import check_writable, writing
from zkvm.cli.options import JsonOption, ProgramArgument
from zkvm.cli.output import emit, line, size
from zkvm.errors import ElfError, UsageError

WORD_BYTES = 4
PYTHON_SUFFIX = ".py"


def build(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...", help="C, C++, assembly files, objects, archives, in link order; or one Python file", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="GUEST.elf", help="the program to write", show_default=False)],
    include: Annotated[list[Path] | None, typer.Option("-I", "--include-directory", metavar="DIR", help="directory for #include")] = None,
    define: Annotated[list[str] | None, typer.Option("-D", "--define", metavar="NAME[=VALUE]", help="preprocessor macro")] = None,
    optimization: Annotated[str, typer.Option("-O", "--optimization", metavar="0|1|2|3|s|z", help="optimization level")] = "3",
    debug: Annotated[
        bool, typer.Option("-g/-s", "--debug-lines/--strip", help="keep line tables for messages and profiles; the image ID is the same")
    ] = True,
    libc: Annotated[str, typer.Option("--libc", metavar="musl|none", help="the C library and C++'s, or only what zkvm.h has")] = "musl",
    exceptions: Annotated[bool, typer.Option("--exceptions", help="C++ with exceptions; their tables are part of the program")] = False,
    checks: Annotated[
        bool, typer.Option("--checks", help="overflow, division by zero, indices outside arrays: panic with file and line")
    ] = False,
    no_runtime: Annotated[bool, typer.Option("--no-runtime", help="the sources define _start themselves")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compile C, C++, assembly or Python, or link objects of other compilers, to a program for this machine."""
    from zkvm.guest import toolchain

    if optimization not in ("0", "1", "2", "3", "s", "z"):
        raise UsageError(f"-O {optimization}: choose 0, 1, 2, 3, s or z")
    check_writable(out)
    if any(source.suffix == PYTHON_SUFFIX for source in sources):
        if len(sources) > 1 or include or define or no_runtime or exceptions or libc != "musl":
            raise UsageError(
                "a Python file is built alone, without -I, -D, --libc, --exceptions and --no-runtime: what it imports comes with it"
            )
        build_python(sources[0], out, optimization, debug, checks, as_json)
        return
    pairs = [item.partition("=") for item in define or []]
    defines = {name: value if equals else "1" for name, equals, value in pairs}
    with writing(out):
        toolchain.build(
            sources,
            out,
            include_directories=include or [],
            defines=defines,
            optimization=optimization,
            debug_lines=debug,
            runtime=not no_runtime,
            libc=libc,
            exceptions=exceptions,
            checks=checks,
            warn=lambda text: print(text, file=sys.stderr),
        )
    _report(out, {}, as_json)


def build_python(source: Path, output: Path, optimization: str, debug: bool, checks: bool, as_json: bool) -> None:
    """Translate and compile one Python file, and say with which software: constants of the file are computed by it."""
    from zkvm.guest.python.build import build, versions

    with writing(output):
        build(source, output, optimization=optimization, debug_lines=debug, checks=checks)
    _report(output, {"built_with": versions()}, as_json)


def _report(output: Path, more: dict[str, Any], as_json: bool) -> None:
    length = output.stat().st_size
    if as_json:
        emit({"output": str(output), "bytes": length, **more})
    else:
        line("program", f"{output}, {size(length)}")


def disasm(guest: ProgramArgument, as_json: JsonOption = False) -> None:
    """List the program's instructions with the names of its functions."""
    from zkvm.riscv.vm.elf import read_program

    if guest.is_dir():
        from zkvm.cli.model import program_of

        guest = program_of(guest)
    data = read_program(guest)
    try:
        rows = instructions(data)
    except ElfError as error:
        raise ElfError(f"{guest}: {error}") from error
    if as_json:
        emit({"instructions": rows})
        return
    for row in rows:
        if row["function"]:
            print(f"\n{row['function']}:")
        print(f"  {row['pc']:08x}  {row['word']:08x}  {row['text']}")


def instructions(data: bytes) -> list[dict[str, Any]]:
    """Every word of the executable segments: pc, word, text, and the function that starts there ('' otherwise)."""
    from zkvm.riscv.isa.disasm import disassemble
    from zkvm.riscv.vm.elf import parse_elf

    program = parse_elf(data)
    names = dict(program.symbols)
    rows: list[dict[str, Any]] = []
    for segment in program.segments:
        if not segment.executable:
            continue
        for offset in range(0, len(segment.data) - WORD_BYTES + 1, WORD_BYTES):
            pc, word = segment.address + offset, int.from_bytes(segment.data[offset : offset + WORD_BYTES], "little")
            rows.append({"pc": pc, "word": word, "text": disassemble(word, pc), "function": names.get(pc, "")})
    return rows
