"""A progress bar for long work: in a notebook, on a terminal, and nowhere else."""

from __future__ import annotations

import sys
from html import escape
from typing import Any


class ProgressBar:
    """A progress bar to pass as ``progress=`` to :func:`zkvm.prove`, :func:`zkvm.compute_image_id` or a compiled model.

    In a notebook it is an element of the cell's output, on a terminal a line of standard error; elsewhere nothing is shown. It goes away
    when the work is done. One bar serves one call after the other.

    >>> info = zkvm.prove("guest.elf", b"input", progress=zkvm.ProgressBar())
    """

    def __init__(self) -> None:
        """Nothing is shown before the first call."""
        self._bar: Any = None
        self._handle: Any = None

    def __call__(self, phase: str, share: float) -> None:
        """A phase begins.

        Args:
            phase: its name; '' at the end of all work.
            share: of the work, done before it, in [0, 1].
        """
        if not phase:
            self.close()
        elif in_notebook():
            self._show_element(phase, share)
        elif sys.stderr.isatty():
            self._bar = self._bar or started_bar()
            self._bar.update(self._bar.task_ids[0], completed=share, description=phase)

    def close(self) -> None:
        """Take the bar away, if the work ended in an error; otherwise it has gone by itself."""
        if self._handle is not None:
            self._handle.update({"text/html": ""}, raw=True)
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._handle = None

    def _show_element(self, phase: str, share: float) -> None:
        from IPython.display import display

        content = {"text/html": element(phase, share), "text/plain": f"{phase} {100 * share:.0f} %"}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


def element(phase: str, share: float) -> str:
    """The bar as HTML."""
    return f'<progress max="1" value="{share:.3f}"></progress> {100 * share:.0f} % {escape(phase)}'


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this code; loads nothing to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def started_bar() -> Any:
    """The bar on a terminal, of rich."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<9}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task("", total=1.0)
    bar.start()
    return bar
