"""The folder of a service's jobs: each is a folder of its own, which is there whole or not at all, and which only its owner may read."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zkvm.errors import UsageError
from zkvm.files import write_folder
from zkvm.serve.work import INPUT, RECEIPT
from zkvm.session.queue import State

RECORD, LOCK, JOBS, NEW = "job.json", "lock", "jobs", ".new-"
ID_BYTES = 16
PRIVATE = 0o700


@dataclass
class Record:
    """A job as it is kept.

    Attributes:
        id: who knows it may ask for the job.
        image: name of the program.
        image_id: of the program, 64 hexadecimal digits.
        options: of :func:`zkvm.prove`.
        created: seconds since 1970.
        state: where it stands.
        begun: how often it was begun by services that then ended without saying so.
        started: seconds since 1970; None: not yet.
        ended: seconds since 1970; None: not yet.
        error: code and message, if it failed.
        result: what is known of the run, if it was proven.
    """

    id: str
    image: str
    image_id: str
    options: dict[str, Any]
    created: float
    state: State = State.WAITING
    begun: int = 0
    started: float | None = None
    ended: float | None = None
    error: dict[str, str] | None = None
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in (State.WAITING, State.RUNNING)


def new_id() -> str:
    """A name that nobody guesses."""
    return secrets.token_hex(ID_BYTES)


class Folder:
    """The jobs of one service on a disk."""

    def __init__(self, path: Path) -> None:
        """Make the folder, or go on with it; no other service may use it until :meth:`close`.

        Raises:
            UsageError: it cannot be made, or is in use.
        """
        self._path = path / JOBS
        try:
            path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            self._path.mkdir(mode=PRIVATE, exist_ok=True)
            os.chmod(self._path, PRIVATE)
            self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise UsageError(f"{path}: another service uses it") from None

    def close(self) -> None:
        """Let others use it."""
        os.close(self._lock)

    def of(self, record: Record) -> Path:
        """The folder of a job."""
        return self._path / record.id

    def add(self, record: Record, data: bytes) -> None:
        """Keep a new job with its input.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        scratch = self._path / f"{NEW}{record.id}"
        scratch.mkdir(mode=PRIVATE)
        try:
            write_folder(scratch, {INPUT: data, RECORD: _encoded(record)}, {INPUT, RECORD})
            os.rename(scratch, self.of(record))
        except OSError:
            shutil.rmtree(scratch, ignore_errors=True)
            raise

    def save(self, record: Record) -> None:
        """Keep how a job stands; the input of one that is over is deleted.

        Raises:
            OSError: it cannot be written.
        """
        write_folder(self.of(record), {RECORD: _encoded(record)}, {RECORD})
        if record.over:
            (self.of(record) / INPUT).unlink(missing_ok=True)

    def drop(self, record: Record) -> None:
        """Delete a job: its record first, without which the rest is no job."""
        (self.of(record) / RECORD).unlink(missing_ok=True)
        shutil.rmtree(self.of(record), ignore_errors=True)

    def receipt(self, record: Record) -> Path:
        """The file of its receipt."""
        return self.of(record) / RECEIPT

    def recall(self) -> Iterator[Record]:
        """The jobs that are there; what is no whole job is deleted."""
        for path in sorted(self._path.iterdir()):
            try:
                known = json.loads((path / RECORD).read_bytes())
                record = Record(**known | {"state": State(known["state"])})
                whole = record.id == path.name and (path / (INPUT if not record.over else RECORD)).is_file()
            except (OSError, ValueError, TypeError, KeyError):
                whole = False
            if not whole:
                shutil.rmtree(path, ignore_errors=True)
                continue
            if record.over:
                (path / INPUT).unlink(missing_ok=True)
            yield record


def _encoded(record: Record) -> bytes:
    return json.dumps(asdict(record)).encode()
