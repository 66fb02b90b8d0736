"""``zkvm new``: a guest project that builds and runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zkvm.cli.options import JsonOption
from zkvm.cli.output import emit


def new(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="the project's name, and the directory to make", show_default=False)],
    python: Annotated[bool, typer.Option("--python", help="the guest is in Python, not in C")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a project: a guest in C or Python, a host in Python, a Makefile, a README."""
    from zkvm.guest.template import new_project

    files = new_project(folder, python=python)
    if as_json:
        emit({"project": str(folder), "files": [file.name for file in files]})
        return
    print(f"{folder}: {', '.join(file.name for file in files)}")
    source = "main.py" if python else "main.c"
    print(f"next: cd {folder}; zkvm build {source} -o {folder.name}.elf; python host.py")
