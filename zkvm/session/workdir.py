"""The directory of a run that is proven in segments: what has been done, so that it is not done again.

It holds the guest's memory and the secret that hides it in the proofs, so nobody but its owner may read it. Each file is written whole or
not at all, and ends with a hash of its content: a file that is damaged counts as missing. Pages are named by their hash instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from zkvm.errors import CheckpointError, UsageError
from zkvm.files import write_folder

HASH_BYTES = 32
IDENTITY, PLAN, PAGES = "run", "plan", "pages"


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


class FolderPages(MutableMapping[bytes, bytes]):
    """Contents of pages by their hash, each a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, digest: bytes) -> Path:
        return self._folder / digest.hex()

    def __getitem__(self, digest: bytes) -> bytes:
        try:
            return self._path(digest).read_bytes()
        except OSError as error:
            raise KeyError(digest) from error

    def __setitem__(self, digest: bytes, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        scratch = self._folder / f".{digest.hex()}.{os.getpid()}.part"
        scratch.write_bytes(content)  # not forced to the disk: there are many, and who reads one checks its hash
        os.replace(scratch, self._path(digest))

    def __delitem__(self, digest: bytes) -> None:
        self._path(digest).unlink()

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, bytes) and self._path(digest).exists()

    def __iter__(self) -> Iterator[bytes]:
        return (bytes.fromhex(path.name) for path in self._folder.glob("[0-9a-f]*"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


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
        self.folder = folder
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
        self.pages = FolderPages(folder / PAGES)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Errors of what is in it say where it is, and what to do.

        Raises:
            CheckpointError: something cannot be gone on with.
        """
        try:
            yield
        except CheckpointError as error:
            raise CheckpointError(f"{error}; the work in {self.folder} cannot be gone on with: delete it, or choose another one") from error

    def save(self, name: str, data: bytes) -> None:
        """Write a file."""
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
    """Delete what the work on a run has left; what else is in the directory stays, and then the directory too."""
    shutil.rmtree(folder / PAGES, ignore_errors=True)
    with contextlib.suppress(OSError):
        left = [*folder.glob("proof-*-????????????????"), *folder.glob(".zkvm-*.part")]
        for path in [*left, folder / PLAN, folder / IDENTITY]:  # the last one is what makes it a run's directory
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
