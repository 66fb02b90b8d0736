"""Exit codes, and errors as one readable paragraph."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from zkvm.cli.options import named
from zkvm.errors import (
    CheckpointError,
    ElfError,
    FormatError,
    GuestError,
    GuestTrap,
    InexactError,
    LimitError,
    UsageError,
    VerificationError,
    WorkerError,
    ZkvmError,
)
from zkvm.session import memory

DONE, REJECTED, USAGE, BAD_INPUT, TRAP, LIMIT, WORKERS = range(7)
"""0 done or accepted; 1 rejected, failed check, inexact model, or a guest that exited non-zero; 2 usage; 3 bad input; 4 trap; 5 a limit;
6 workers that cannot go on."""
INTERNAL = 70
"""A bug of this package (EX_SOFTWARE of sysexits.h)."""
INTERRUPTED = 130
"""Ctrl-C, as shells report it."""
FRAMES_REPORTED = 1000
"""Most frames of a trap that ``--json`` lists, innermost first: a stack overflow has hundreds of thousands."""

NO_MEMORY = ("failed to map segment", "Cannot allocate memory", memory.NO_THREAD)
"""How libraries say that they find no memory."""

TRACEBACK_VARIABLE = "ZKVM_TRACEBACK"
"""Set to show the Python traceback of an internal error."""


class InputFileError(ZkvmError):
    """A file given to a command cannot be read, or is not what it should be."""


def exit_code(error: BaseException) -> int:
    """The documented exit code of an error."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED
        case UsageError() | OSError():
            return USAGE
        case GuestTrap():
            return TRAP
        case WorkerError():
            return WORKERS
        case LimitError() | MemoryError():
            return LIMIT
        case ImportError() | RuntimeError() if any(text in str(error) for text in NO_MEMORY):
            return LIMIT
        case InputFileError() | CheckpointError() | ElfError() | GuestError():
            return BAD_INPUT
        case VerificationError() | InexactError():
            return REJECTED
        case _:
            return INTERNAL


def message(error: BaseException) -> str:
    """One paragraph for people."""
    match error:
        case KeyboardInterrupt():
            return "interrupted"
        case MemoryError() | ImportError() | RuntimeError() if exit_code(error) == LIMIT:
            there = f"{memory.available_bytes() / memory.GIB:.2f} GiB are left of what machine, container and limits allow (ulimit -v)"
            return f"out of memory: {there}; choose --params fast or fewer --threads to need less"
        case OSError():
            return f"the operating system refused: {error}"
    if exit_code(error) == INTERNAL:
        hint = f"this is a bug of zkvm: please report it with the command that you ran (set {TRACEBACK_VARIABLE}=1 for the details)"
        return f"internal error: {type(error).__name__}: {error}; {hint}"
    return str(error)


def report(error: BaseException, as_json: bool) -> int:
    """Write an error to standard error, with ``--json`` also as an object to standard output; returns the exit code."""
    code, text = exit_code(error), message(error)
    if code == INTERNAL and os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    if as_json:
        view = {"error": text, "kind": type(error).__name__, "exit_code": code}
        if isinstance(error, GuestTrap):
            frames = [frame._asdict() for frame in error.frames[:FRAMES_REPORTED]]
            view |= {"trap": error.kind, "pc": error.pc, "cycle": error.cycle, "depth": len(error.frames), "frames": frames}
        with contextlib.suppress(OSError):
            print(json.dumps(view), flush=True)
    with contextlib.suppress(OSError):
        print(f"zkvm: {text}", file=sys.stderr)
    return code


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    """A warning as one sentence: :func:`warnings.showwarning` without the place in the source."""
    with contextlib.suppress(OSError):
        print(f"zkvm: warning: {message}", file=sys.stderr)


def discard_output() -> None:
    """Let go of what standard output did not take, so that the end of the process does not try again."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what a file that the user named is refused for into an error that names it.

    Raises:
        InputFileError: it cannot be read, or is longer than what it should be can be.
    """
    try:
        yield
    except OSError as error:
        raise InputFileError(f"{named(path)}: {error.strerror}") from error
    except FormatError as error:
        raise InputFileError(f"{named(path)}: {error.detail}") from error


def check_writable(path: Path) -> None:
    """Refuse an output that cannot be written, before the work that it is for.

    Raises:
        UsageError: it cannot.
    """
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a directory")
    if path.exists() and not path.is_file():
        if not os.access(path, os.W_OK):
            raise UsageError(f"cannot write {path}: permission denied")
        return  # a device or pipe is written to as it is
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}: {folder} is not a directory")
    if not os.access(path if path.exists() else folder, os.W_OK) or not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {path}: permission denied")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failed write into an error that names the file.

    Raises:
        UsageError: the write failed.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
