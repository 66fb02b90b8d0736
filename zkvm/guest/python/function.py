"""Functions that are guests: what ``@zkvm.guest`` makes."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from zkvm.errors import UsageError


class GuestFunction:
    """A function without parameters that is a guest too: ``zkvm.prove(function, stdin)`` builds it and proves its run.

    It stands for its program wherever a path of an ELF file is taken. It is built when that is first asked for, into a temporary
    folder; called, it runs under CPython as the function that it was made of.
    """

    __name__: str

    def __init__(self, function: Callable[[], int | None]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __call__(self) -> int | None:
        """Run it under CPython, inside of :func:`zkvm.guest.run`."""
        return self._function()

    def __fspath__(self) -> str:
        """The path of its ELF file.

        Raises:
            UsageError: no compiler is installed.
            GuestError: the function cannot be a guest: file, line, and what to write instead.
        """
        if self._folder is None:
            from zkvm.guest.python.build import build_function

            folder = tempfile.TemporaryDirectory(prefix="zkvm-guest-")
            build_function(self._function, Path(folder.name) / f"{self._function.__name__}.elf", debug_lines=True)
            self._folder = folder
        return str(Path(self._folder.name) / f"{self._function.__name__}.elf")

    def elf(self) -> bytes:
        """The ELF file's content."""
        return Path(self.__fspath__()).read_bytes()


def program(function: Callable[[], int | None]) -> GuestFunction:
    """Make a function a guest: ``@zkvm.guest.program``, or ``@zkvm.guest`` in short.

    Args:
        function: without parameters; what it calls is translated with it. It returns nothing, or the exit code.

    Raises:
        UsageError: it is no function.
    """
    if not callable(function) or not hasattr(function, "__code__"):
        raise UsageError(f"@zkvm.guest of {function!r}: a function is needed")
    return GuestFunction(function)
