"""The command ``zkvm``: collects the commands; one place turns errors into messages and exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import zkvm
from zkvm.cli import errors
from zkvm.errors import ZkvmError
from zkvm.files import open_standard_streams

COMMANDS = {
    "run": ("run:run", "Execute the guest, prove the run, verify the receipt, write it, print the journal."),
    "verify": ("verify:verify", "Accept a receipt as the proof of a run of a program, or reject it with a reason."),
    "check": ("run:check", "Execute the guest and check every constraint and bus, without proving; names what fails."),
    "inspect": ("inspect:inspect", "Show what is inside a receipt (without verifying it), a program or a compiled model."),
    "image-id": ("inspect:image_id", "Print the image ID of a program: what a verifier must know to check its receipts."),
    "profile": ("profile:profile", "Execute the guest and show its cycles and its proving cost by function, source line and chip."),
    "new": ("new:new", "Start a project: a guest in C or Python, a host in Python, a Makefile, a README."),
    "build": ("guest:build", "Compile C, C++, assembly or Python, or link objects of other compilers, to a program for this machine."),
    "disasm": ("guest:disasm", "List the program's instructions with the names of its functions."),
    "soundness": (
        "soundness:soundness",
        "Show the proven security of a proof term by term, for the worst case: every table present and as tall as the tallest.",
    ),
    "compile": ("compile:compile_model", "Compile an ONNX model to a guest whose answers are the model's."),
    "serve": ("serve:serve", "Answer requests over HTTP: verify receipts, prove runs of known programs."),
    "doctor": ("doctor:doctor", "Show what is installed and what this machine has; names what is wrong with it."),
    "completion": ("completion:completion", "Print the script with which a shell completes commands, options and files."),
}
"""Name -> module and function, and the first line of its help. A command's module is imported when the command is given: each needs other
packages, and a list of commands needs none."""
HELP = "Run a RISC-V program, prove the run, verify the receipt."
EPILOG = (
    "Exit codes: 0 done or accepted, 1 rejected or the guest exited non-zero, 2 usage, 3 bad input file, 4 guest trap, 5 limit reached, "
    "6 workers failed."
)

COMPLETE_VARIABLE = "_ZKVM_COMPLETE"
"""Set by the scripts of ``zkvm completion`` when they ask for what could come next."""


class Commands(TyperGroup):
    """The group of all commands; what they raise ends here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember whether JSON is wanted: errors too are then an object."""
        ctx.obj = "--json" in args
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that is asked for."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error becomes a paragraph and an exit code."""
        try:
            return self._run(ctx)
        except (ZkvmError, MemoryError, KeyboardInterrupt) as error:
            code = errors.report(error, bool(ctx.obj))
        except BrokenPipeError:
            code = errors.REJECTED  # nobody reads the output: nobody to tell
        except Exception as error:
            if type(error).__module__.startswith(("click", "typer")):  # usage errors and exits of the library itself
                raise
            code = errors.report(error, bool(ctx.obj))
        errors.discard_output()
        raise typer.Exit(code)

    def _run(self, ctx: Any) -> Any:
        """Run the command, and write what it printed: an output that is full is an error of the command, not of Python's end."""
        with warnings.catch_warnings():
            warnings.showwarning = errors.show_warning
            try:
                result = super().invoke(ctx)
            except typer.Exit:
                sys.stdout.flush()
                raise
            sys.stdout.flush()
            return result


app = typer.Typer(
    name="zkvm",
    cls=Commands,
    epilog=EPILOG,
    add_completion=COMPLETE_VARIABLE in os.environ,  # the shell's script asks; otherwise nothing is loaded for it
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _name, (_, _text) in COMMANDS.items():
    app.command(_name, help=_text)(lambda: None)  # stands in the list until it is loaded


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"zkvm {zkvm.__version__}")
        raise typer.Exit


@app.callback(help=HELP)
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version and end")] = False,
) -> None:
    """Options that come before a command."""


def load(name: str) -> Any:
    """The command of this name."""
    module, _, function = COMMANDS[name][0].partition(":")
    single = typer.Typer(add_completion=False)
    single.command(name)(getattr(import_module(f"zkvm.cli.{module}"), function))
    return typer.main.get_command(single)


def main() -> None:
    """Run the command of this process's arguments; ends with :class:`SystemExit`."""
    open_standard_streams()
    app()


def console() -> None:
    """Entry point of the console script: :func:`main`, and then the end of the process without taking apart what it loaded.

    Everything is written by then, and the operating system takes memory back faster than Python does.
    """
    try:
        main()
    except SystemExit as stop:
        if not isinstance(stop.code, int):
            raise
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # there is nobody to tell
                stream.flush()
        os._exit(stop.code)
