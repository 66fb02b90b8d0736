"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zkvm.stark.protocol.params import REGIMES

ProgramArgument = Annotated[
    Path, typer.Argument(metavar="GUEST.elf|DIR", help="the program, or a directory that zkvm compile wrote", show_default=False)
]
SampleOption = Annotated[
    int | None, typer.Option("--sample", metavar="N", min=0, help="of a compiled model's input with several samples: which one, from 0")
]
InputOption = Annotated[Path | None, typer.Option("--input", metavar="FILE", help="the guest's private input (its fd 0)")]
SecurityOption = Annotated[int, typer.Option("--security", metavar="100|128", help="proven bits")]
RegimeOption = Annotated[
    str, typer.Option("--regime", metavar="|".join(REGIMES), help="theorems that the demanded bits may rest on (docs/security.md)")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
CyclesOption = Annotated[int | None, typer.Option("--max-cycles", metavar="N", min=1, help="stop the guest after so many instructions")]
