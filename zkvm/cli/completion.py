"""``zkvm completion``: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from zkvm.cli.main import COMPLETE_VARIABLE
from zkvm.cli.options import JsonOption
from zkvm.cli.output import emit
from zkvm.errors import UsageError

SHELLS = ("bash", "zsh", "fish")


def completion(
    shell: Annotated[str, typer.Argument(metavar="|".join(SHELLS), help="the shell", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Print the script with which a shell completes commands, options and files."""
    if shell not in SHELLS:
        raise UsageError(f"{shell}: choose one of {', '.join(SHELLS)}")
    script = get_completion_script(prog_name="zkvm", complete_var=COMPLETE_VARIABLE, shell=shell)
    emit({"shell": shell, "script": script}) if as_json else print(script)
