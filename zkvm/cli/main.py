"""The command ``zkvm``: collects the commands; one place turns errors into messages and exit codes."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from zkvm.cli import errors
from zkvm.cli.bench import bench
from zkvm.cli.compile import compile_model
from zkvm.cli.guest import build, disasm
from zkvm.cli.inspect import image_id, inspect
from zkvm.cli.new import new
from zkvm.cli.profile import profile
from zkvm.cli.run import check, run
from zkvm.cli.soundness import soundness
from zkvm.cli.verify import verify
from zkvm.errors import ZkvmError

EPILOG = (
    "Exit codes: 0 done or accepted, 1 rejected or the guest exited non-zero, 2 usage, 3 bad input file, 4 guest trap, 5 limit reached."
)


class Commands(TyperGroup):
    """The group of all commands; what they raise ends here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember whether JSON is wanted: errors too are then an object."""
        ctx.obj = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error becomes a paragraph and an exit code."""
        try:
            return super().invoke(ctx)
        except (ZkvmError, MemoryError, KeyboardInterrupt) as error:
            code = errors.report(error, bool(ctx.obj))
        except BrokenPipeError:
            sys.stderr.close()  # the reader of the output is gone: nobody to tell
            code = errors.REJECTED
        except Exception as error:
            if type(error).__module__.startswith(("click", "typer")):  # usage errors and exits of the library itself
                raise
            code = errors.report(error, bool(ctx.obj))
        raise typer.Exit(code)


app = typer.Typer(
    name="zkvm",
    cls=Commands,
    help="Run a RISC-V program, prove the run, verify the receipt.",
    epilog=EPILOG,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for function in (run, verify, check, inspect, image_id, profile, new, build, disasm, soundness, bench):
    app.command(function.__name__.replace("_", "-"))(function)
app.command("compile")(compile_model)


def main() -> None:
    """Entry point of the console script."""
    app()
