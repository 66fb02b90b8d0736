"""What a service may do, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zkvm.errors import UsageError

MIB = 1 << 20
MISSING = "the service needs starlette, uvicorn and prometheus-client: pip install 'zkvm[serve]'"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""What a browser on this machine calls it."""
SLOTS = 2
"""Bodies that are held at a time, for each one that is worked on: the next one is read meanwhile."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a service may do.

    Attributes:
        state: the folder of jobs and their receipts.
        images: the folder of programs that it proves; None: it only verifies.
        jobs: proofs at a time, each in a process of its own.
        concurrency: verifications at a time, each in a process of its own.
        max_queue: proofs that may wait, and so many verifications.
        max_upload: bytes of a receipt or an input.
        max_memory: bytes that a process may take; None: what there is.
        max_seconds: that a proof or a verification may take.
        max_kept: jobs that have ended and are kept, with their receipts; older ones are deleted.
        body_seconds: that an upload may take, and that a request waits for its turn.
        hosts: what the header Host may name; empty: anything.

    Raises:
        UsageError: a number is out of range.
    """

    state: Path
    images: Path | None = None
    jobs: int = 1
    concurrency: int = 1
    max_queue: int = 100
    max_upload: int = 16 * MIB
    max_memory: int | None = None
    max_seconds: float = 3600.0
    max_kept: int = 100
    body_seconds: float = 60.0
    hosts: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """A limit that allows nothing is a mistake."""
        for name in ("jobs", "concurrency", "max_queue", "max_upload", "max_memory", "max_seconds", "max_kept", "body_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} = {value}: more than 0 is needed")
