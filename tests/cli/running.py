"""Runs commands in this process, and builds the small guests that the command line's tests need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.riscv.vm.elf_files import EXECUTE, READ, TEXT, WRITE, ElfSpec, Header
from zkvm.cli.main import app
from zkvm.riscv.vm.assemble import Item, assemble_words

RODATA, DATA = 0x40_0000, 0x80_0000


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object and nothing else."""
        result = json.loads(self.out)
        assert isinstance(result, dict)
        return result


def invoke(*arguments: str | Path) -> Outcome:
    """Run a command."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return Outcome(result.exit_code, result.stdout, result.stderr)


def guest(items: Sequence[Item], *, rodata: bytes = b"", data: bytes = b"") -> bytes:
    """An ELF file of these instructions (labels ``rodata`` and ``data`` name its segments)."""
    words, _ = assemble_words(items, TEXT, {"rodata": RODATA, "data": DATA})
    segments = [Header(TEXT, b"".join(word.to_bytes(4, "little") for word in words), READ | EXECUTE)]
    segments += [Header(RODATA, rodata, READ)] if rodata else []
    segments += [Header(DATA, data, READ | WRITE)] if data else []
    return ElfSpec(segments=segments, symbols={"_start": TEXT}).build()
