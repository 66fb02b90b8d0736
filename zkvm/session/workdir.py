"""The directory of a run that is proven in segments: what has been done, so that it is not done again.

It holds the guest's memory and the secret that hides it in the proofs, so nobody but its owner may read it. Each file is written whole or
not at all, and ends with a hash of its content: a file that is damaged counts as missing. Pages are together in one, each with its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import IO

from zkvm.errors import CheckpointError, UsageError
from zkvm.files import write_folder

HASH_BYTES, PAGE_BYTES = 32, 4096
"""Of a page's content, as :mod:`zkvm.riscv.vm.checkpoint` has it, which cannot be imported without kernels."""
IDENTITY, PLAN, PAGES, CONTENTS = "run", "plan", "pages", "contents"


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


class FolderPages(MutableMapping[bytes, bytes]):
    """Contents of pages by their hash, one after the other in a file, each behind its hash. Of two with one hash the later one counts.

    There are many, so they are not forced to the disk: who reads one checks its hash. What an interrupted process left of the last one is
    overwritten.
    """

    def __init__(self, folder: Path) -> None:
        """``folder``: of the file; made with the first page."""
        self._path = folder / CONTENTS
        self._file: IO[bytes] | None = None
        self._places: dict[bytes, int] = {}
        self._end = 0
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            while len(record := file.read(HASH_BYTES + PAGE_BYTES)) == HASH_BYTES + PAGE_BYTES:
                self._places[record[:HASH_BYTES]] = self._end
                self._end += len(record)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            mode = "r+b" if self._path.exists() else "w+b"
            self._file = open(self._path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))
        return self._file

    def __getitem__(self, digest: bytes) -> bytes:
        place = self._places[digest]
        try:
            file = self._opened()
            file.seek(place + HASH_BYTES)
            return file.read(PAGE_BYTES)
        except OSError as error:
            raise KeyError(digest) from error

    def __setitem__(self, digest: bytes, content: bytes) -> None:
        assert (len(digest), len(content)) == (HASH_BYTES, PAGE_BYTES)
        file = self._opened()
        file.seek(self._end)
        file.write(digest + content)
        self._places[digest] = self._end
        self._end += HASH_BYTES + PAGE_BYTES

    def __delitem__(self, digest: bytes) -> None:
        del self._places[digest]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def flush(self) -> None:
        """Hand over to the system what was written."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """The same, and let go of the file as long as nobody asks for a page."""
        if self._file is not None:
            self._file.close()
            self._file = None


class WorkDir:
    """A directory of one run."""

    def __init__(self, folder: Path, identity: bytes) -> None:
        """Make it, or go on with it.

        Args:
            folder: its path.
            identity: a hash of everything that fixes the run and its proofs but the cuts.

        Raises:
            CheckpointError: it is of another run.
            OSError: it cannot be made.
        """
        self.folder, self.pages = folder, FolderPages(folder / PAGES)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = self.load(IDENTITY)
        if known is None and any(folder.iterdir()):
            raise CheckpointError(f"{folder}: not empty, and no directory of a run in segments: choose another one")
        if known is not None and known != identity:
            raise CheckpointError(
                f"{folder} is of another run: program, input, parameters or the version of zkvm are not the same; choose another one, or "
                "delete it"
            )
        os.chmod(folder, 0o700)
        if known is None:
            self.save(IDENTITY, identity)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Errors of what is in it say where it is, and what to do; at the end its files are closed.

        Raises:
            CheckpointError: something cannot be gone on with.
        """
        try:
            yield
        except CheckpointError as error:
            raise CheckpointError(f"{error}; the work in {self.folder} cannot be gone on with: delete it, or choose another one") from error
        finally:
            self.pages.close()

    def save(self, name: str, data: bytes) -> None:
        """Write a file, behind the pages that are there."""
        self.pages.flush()
        write_folder(self.folder, {name: data + _hash(data)}, {name})

    def drop(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def load(self, name: str) -> bytes | None:
        """The content of a file; None if it is missing or damaged."""
        try:
            data = (self.folder / name).read_bytes()
        except OSError:
            return None
        content = data[:-HASH_BYTES]
        return content if len(data) >= HASH_BYTES and _hash(content) == data[-HASH_BYTES:] else None


def discard(folder: Path) -> None:
    """Delete what the work on a run has left; what else is in the directory stays, and then the directory too.

    The plan goes first, so that whoever finds the rest makes a new one; what makes it a run's directory goes last.
    """
    with contextlib.suppress(OSError):
        (folder / PLAN).unlink(missing_ok=True)
    shutil.rmtree(folder / PAGES, ignore_errors=True)
    with contextlib.suppress(OSError):
        for path in [*folder.glob("proof-*-????????????????"), *folder.glob(".zkvm-*.part"), folder / IDENTITY]:
            path.unlink(missing_ok=True)
        folder.rmdir()


def begun(folder: str | os.PathLike[str] | None) -> bool:
    """Whether there is a run in segments to go on with."""
    return folder is not None and (Path(folder) / IDENTITY).exists()


def check_segments(cycles: int | str | None) -> None:
    """Refuse lengths of segments that are none.

    Args:
        cycles: of a segment; "auto": as many as fit; None: the run is not cut.

    Raises:
        UsageError: less than one instruction.
    """
    if cycles is not None and cycles != "auto" and (not isinstance(cycles, int) or cycles < 1):
        raise UsageError(f"segments of {cycles!r} cycles: a positive number, or 'auto'")
