"""What the jobs of the service's tests do in child processes, instead of a proof."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zkvm.serve.work import RECEIPT, Program
from zkvm.session.resources import Progress

BEGUN = "begun"


def wait_work(folder: Path, program: Program, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Says that it has begun, and waits for ever."""
    progress("waiting", 0.5)
    (folder / BEGUN).touch()
    while True:
        time.sleep(1)


def quick_work(folder: Path, program: Program, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Has a receipt at once."""
    (folder / RECEIPT).write_bytes(b"a receipt")
    return {"exit_code": 0}


def broken_work(folder: Path, program: Program, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Has a bug."""
    raise ZeroDivisionError("a secret")


def dying_work(folder: Path, program: Program, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Takes its process with it."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}
