"""What commands print: readable lines, or one JSON object; progress on a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zkvm.session.resources import Progress

BEFORE_BAR = ("load", "execute")
PATIENCE = 1.0
"""Seconds of work before a progress bar is shown."""
SIZE_UNITS = ("B", "KiB", "MiB", "GiB")


def emit(view: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(view))


def line(label: str, value: object) -> None:
    """A labelled line."""
    print(f"{label:<16}{value}")


def shown(data: bytes) -> str:
    """Bytes as hexadecimal digits, and as text if all of it can be printed."""
    if not data:
        return "(empty)"
    text = data.decode("ascii", "replace")
    return data.hex() + (f"  {text!r}" if text.isprintable() and text.isascii() else "")


def by_regime(bits: Mapping[str, float]) -> str:
    """Proven bits under every set of theorems."""
    return ", ".join(f"{value:g} {regime}" for regime, value in bits.items())


def size(count: float) -> str:
    """Bytes with a unit."""
    unit = 0
    while count >= 1024 and unit < len(SIZE_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {SIZE_UNITS[unit]}" if unit == 0 else f"{count:.1f} {SIZE_UNITS[unit]}"


@contextmanager
def progress_bar(wanted: bool) -> Iterator[Progress | None]:
    """A progress bar on standard error if it is a terminal, else None.

    It starts after the execution, for until then the guest may write, and only if the work is not done soon: most small proofs are.
    """
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    begun = time.perf_counter()
    bars: list[Any] = []

    def show(phase: str, share: float) -> None:
        if not bars and phase not in BEFORE_BAR and time.perf_counter() - begun > PATIENCE:
            bars.append(_started_bar())
        for bar in bars:
            bar.update(bar.task_ids[0], completed=share, description=phase)

    try:
        yield show
    finally:
        for bar in bars:
            bar.stop()


def _started_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description:<9}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    bar.add_task("", total=1.0)
    bar.start()
    return bar


def write_bytes(stream: Any, data: bytes) -> None:
    """What the guest wrote, unchanged, to one of the host's text streams."""
    stream.flush()
    stream.buffer.write(data)
    stream.buffer.flush()
