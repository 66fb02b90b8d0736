"""What the jobs of the tests of queues do, in child processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from zkvm.errors import LimitError
from zkvm.session.resources import Progress


def double(value: int, progress: Progress) -> tuple[int, int]:
    """Twice the value, and who computed it. What is printed must not end up among the answers."""
    print("printed")
    progress("doubling", 0.5)
    return 2 * value, os.getpid()


def refuse(progress: Progress) -> None:
    raise LimitError("no more than this")


def exotic(progress: Progress) -> None:
    class Local(Exception):
        """Cannot be pickled."""

    raise Local("of a function")


def die(progress: Progress) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(marker: Path, progress: Progress) -> str:
    if not marker.exists():
        marker.touch()
        die(progress)
    return "alive"


def wait(marker: Path, progress: Progress) -> None:
    """For ever."""
    marker.touch()
    while True:
        time.sleep(1)


def take(count: int, progress: Progress) -> int:
    """So many bytes, for a moment."""
    taken = np.ones(count // 8)
    time.sleep(1)
    return int(taken.sum())


def append(shared: bytes, data: bytes, progress: Progress) -> bytes:
    """A piece of work of a pool."""
    if data == b"bad":
        raise LimitError("a bad piece")
    return shared + data
