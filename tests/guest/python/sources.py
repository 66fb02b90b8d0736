"""Guests in Python from texts, for tests."""

from __future__ import annotations

import tempfile
from pathlib import Path

from zkvm.guest.python.build import build, load, translate


def built(text: str) -> bytes:
    """The ELF file of a guest whose file is ``main.py``."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.py").write_text(text)
        return build(Path(folder) / "main.py", Path(folder) / "main.elf", debug_lines=True).read_bytes()


def translated(text: str) -> str:
    """The same in C."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.py").write_text(text)
        return translate(load(Path(folder) / "main.py").main)
