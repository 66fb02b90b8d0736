"""What a command shows while it works, on a terminal; and where the guest's output goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zkvm.progress import started_bar
from zkvm.session.run import ExecutorEnv, Sink

BEFORE_BAR = ("load", "execute")
PATIENCE = 1.0
"""Seconds of work before anything is shown of it: most commands are done by then."""
INTERVAL = 0.2
"""Seconds between two counts of cycles."""


class Screen:
    """What a command shows while it works: a line with the cycles so far, then a progress bar; on standard error, if that is a terminal.

    The guest may write meanwhile, to the same terminal: the line goes before it does, and stays away until the guest's line has ended.
    """

    def __init__(self, wanted: bool) -> None:
        """``wanted``: whether anything is shown at all."""
        self.on = wanted and sys.stderr.isatty()
        self._begun = self._shown_at = time.perf_counter()
        self._shown = ""
        self._bar: Any = None
        self._line_ended = True

    def cycles(self, count: int) -> None:
        """The guest has executed so many instructions."""
        now = time.perf_counter()
        if self._line_ended and now - self._begun > PATIENCE and now - self._shown_at > INTERVAL:
            self._shown_at = now
            self._replace(f"execute  {count:,} cycles, {now - self._begun:.0f} s")

    def phase(self, name: str, share: float) -> None:
        """A phase of a proof begins, of which there is so much done."""
        if name in BEFORE_BAR or (self._bar is None and time.perf_counter() - self._begun <= PATIENCE):
            return
        self._replace("")
        if self._bar is None and name:
            self._bar = started_bar()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=share, description=name)

    def guest_writes(self, data: bytes) -> None:
        """The guest's bytes come now."""
        self._replace("")
        self._line_ended = data.endswith(b"\n")

    def erase(self) -> None:
        """A line comes on standard output or error: the one that is shown goes, and comes again."""
        self._replace("")

    def close(self) -> None:
        """Nothing more is shown."""
        self._replace("")
        if self._bar is not None:
            self._bar.stop()

    def _replace(self, text: str) -> None:
        """Another text in place of the one shown; spaces erase it on any terminal."""
        if text or self._shown:
            erased = "\r" + " " * len(self._shown) + "\r" if self._shown else ""
            sys.stderr.write(erased + text)
            sys.stderr.flush()
        self._shown = text


@contextmanager
def screen(wanted: bool) -> Iterator[Screen]:
    """What is shown during the work within."""
    shown = Screen(wanted)
    try:
        yield shown
    finally:
        shown.close()


def write_bytes(stream: Any, data: bytes) -> None:
    """What the guest wrote, unchanged, to one of the host's text streams."""
    stream.flush()
    stream.buffer.write(data)
    stream.buffer.flush()


def guest_environment(
    stdin: bytes, shown: Screen, as_json: bool, max_cycles: int | None = None, max_memory: int | None = None
) -> ExecutorEnv:
    """A guest whose output goes to the command's own, and whose cycles are shown.

    Args:
        stdin: its private input.
        shown: where the cycles go.
        as_json: standard output carries JSON: what the guest writes to its own goes to standard error.
        max_cycles: instructions after which it is stopped.
        max_memory: bytes that the run may take.
    """

    def sink(stream: Any) -> Sink:
        def write(data: bytes) -> None:
            shown.guest_writes(data)
            write_bytes(stream, data)

        return write

    stdout = sys.stderr if as_json else sys.stdout
    progress = shown.cycles if shown.on else None
    return ExecutorEnv(stdin, sink(stdout), sink(sys.stderr), max_cycles=max_cycles, max_memory=max_memory, progress=progress)
