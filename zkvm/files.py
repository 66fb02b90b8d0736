"""Files as all of the package reads and writes them: never more than fits, and whole or not at all. Standard library only."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20


def read_at_most(path: str | os.PathLike[str] | int, limit: int) -> bytes | None:
    """The content of a file, pipe, device or open descriptor; None if it is longer, of which little more than ``limit`` bytes are read.

    Raises:
        OSError: it cannot be read.
    """
    return read_kinds(path, {b"": limit})


def read_kinds(path: str | os.PathLike[str] | int, limits: Mapping[bytes, int]) -> bytes | None:
    """The content of a file, pipe or device that may be of several kinds; None if it is longer than its kind can be.

    Args:
        path: of the file; or a descriptor, which stays open.
        limits: first bytes of a kind, and the most bytes that a file of it has. What begins otherwise is no file of these kinds:
            only its beginning is read.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb", closefd=not isinstance(path, int)) as file:
        content = bytearray(file.read(max(map(len, limits))))
        limit = next((limit for magic, limit in limits.items() if content.startswith(magic)), None)
        if limit is None:
            return bytes(content)
        if os.fstat(file.fileno()).st_size > limit:
            return None
        while chunk := file.read(min(CHUNK, limit + 1 - len(content))):
            content += chunk
            if len(content) > limit:
                return None
    return bytes(content)


class FileBytes:
    """The bytes of an open file, read when they are asked for; who asks for more than there is gets less."""

    def __init__(self, file: BinaryIO) -> None:
        """``file``: open and regular; its length is that of now.

        Raises:
            OSError: it cannot be read.
        """
        self._file, self._lock = file, threading.Lock()
        self._length = os.fstat(file.fileno()).st_size

    @staticmethod
    def possible(file: BinaryIO) -> bool:
        """Whether an open file can be read anywhere and again."""
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> bytes:
        first, last, _ = part.indices(self._length)
        with self._lock:
            self._file.seek(first)
            return self._file.read(max(last - first, 0))


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: into a neighbour first, which then takes the name.

    A device or pipe is written to as it is: it cannot be replaced.

    Raises:
        OSError: the file cannot be written; an older file of that name is untouched.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    with _neighbour(target) as (place, scratch):
        _fill(scratch, data, place)
        os.replace(scratch, place)


def write_folder(folder: str | os.PathLike[str], files: Mapping[str, bytes], owner_only: Collection[str] = ()) -> list[Path]:
    """Write files into a folder, which is made if it is not there: all of them are on the disk before the first takes its name.

    Args:
        folder: its path.
        files: content by name.
        owner_only: names of those that nobody but their owner can read, from their first byte on, whatever was there before.

    Raises:
        OSError: they cannot be written. What was not there before is not there afterwards; older files are untouched, unless the
            names themselves cannot be given.
    """
    place = Path(folder)
    new = not place.exists()
    targets = [place / name for name in files]
    added = [target for target in targets if not target.exists()]
    try:
        place.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            pairs = [stack.enter_context(_neighbour(target)) for target in targets]
            for (target, scratch), data in zip(pairs, files.values(), strict=True):
                _fill(scratch, data, target, private=target.name in owner_only)
            for target, scratch in pairs:
                os.replace(scratch, target)
    except BaseException:
        if new:
            shutil.rmtree(place, ignore_errors=True)
        for target in added:
            target.unlink(missing_ok=True)
        raise
    return targets


@contextmanager
def _neighbour(target: Path) -> Iterator[tuple[Path, Path]]:
    """What is to be replaced, and a name beside it, which is free again afterwards."""
    place = target.resolve()  # replace what a link points to, not the link
    scratch = place.with_name(f".zkvm-{secrets.token_hex(8)}.part")
    try:
        yield place, scratch
    finally:
        scratch.unlink(missing_ok=True)


def _fill(scratch: Path, data: bytes, target: Path, private: bool = False) -> None:
    """Write a new file; it gets the permissions of the one that it will replace, if there is one and it is not private."""
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    with os.fdopen(descriptor, "wb") as file:
        if target.exists() and not private:
            os.chmod(scratch, stat.S_IMODE(target.stat().st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def open_standard_streams() -> None:
    """Give a process that was started without standard input, output or error the null device there.

    Otherwise the next file that it opens would be its standard output, and Python would send messages for the missing standard error to
    standard output.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))
