"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from zkvm.stark.protocol.params import PARAMETERS, REGIMES

NAMES = tuple(dict.fromkeys(entry.name for entry in PARAMETERS))
STANDARD_INPUT = "-"
"""What a command line calls the standard input where it takes a file."""

ProgramArgument = Annotated[
    Path, typer.Argument(metavar="GUEST.elf|DIR", help="the program, or a directory that zkvm compile wrote", show_default=False)
]
SampleOption = Annotated[
    int | None, typer.Option("--sample", metavar="N", min=0, help="of a compiled model's input with several samples: which one, from 0")
]
InputOption = Annotated[
    Path | None, typer.Option("--input", metavar="FILE|-", help="the guest's private input (its fd 0); - is standard input")
]
ReceiptArgument = Annotated[Path, typer.Argument(metavar="RECEIPT|-", help="the receipt's file; - is standard input", show_default=False)]


def one_of(*values: str) -> Callable[[], list[str]]:
    """What a shell completes after an option that takes one of these."""
    return lambda: list(values)


def source(path: Path) -> Path | int:
    """What to read for a path that the user gave: itself, or the descriptor of the standard input."""
    return 0 if str(path) == STANDARD_INPUT else path


def named(path: Path) -> str:
    """What messages call it."""
    return "standard input" if str(path) == STANDARD_INPUT else str(path)


ParamsOption = Annotated[
    str,
    typer.Option("--params", metavar="|".join(NAMES), help="parameter set of the proof: speed against size", autocompletion=one_of(*NAMES)),
]
SecurityOption = Annotated[
    int, typer.Option("--security", metavar="100|128", help="proven bits of the parameter set", autocompletion=one_of("100", "128"))
]
RegimeOption = Annotated[
    str,
    typer.Option(
        "--regime",
        metavar="|".join(REGIMES),
        help="theorems that the demanded bits may rest on (docs/security.md)",
        autocompletion=one_of(*REGIMES),
    ),
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", metavar="N", min=1, help="worker threads of the proof (default: all)")]
InputsOption = Annotated[
    Path | None,
    typer.Option("--inputs", metavar="FOLDER", help="a receipt for each file in it, in the folder --out; what is done is kept"),
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", metavar="N", min=1, help="so many worker processes here, of --threads each (1)", show_default=False)
]
WorkersOption = Annotated[
    str | None,
    typer.Option("--workers", metavar="ADDRESS", help="workers of a Dask cluster (docs/cluster.md)", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
CyclesOption = Annotated[int | None, typer.Option("--max-cycles", metavar="N", min=1, help="stop the guest after so many instructions")]
