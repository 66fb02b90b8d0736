"""What proving needs of the machine it runs on: optional packages, threads, memory, time."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from zkvm.errors import UsageError

Progress = Callable[[str, float], None]
"""Called with the phase that begins and the share of the work done before it, in [0, 1]; at the end with ('', 1.0)."""
PROVE_EXTRA = frozenset({"numba", "llvmlite"})
SHARES = {"load": 0.0, "execute": 0.02, "image": 0.05, "trace": 0.1, "segments": 0.1, "verify": 0.97}
"""Share of the work before each phase; the proof system has what is between PROVE_START and the self-check."""
PROVE_START = 0.15


@contextmanager
def prove_extra() -> Iterator[None]:
    """Turns a missing package of the ``prove`` extra into an error that says how to install it.

    Raises:
        UsageError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PROVE_EXTRA:
            raise
        raise UsageError(f"this needs {error.name}, which is not installed: pip install 'zkvm[prove]'") from error


def prove_extra_found() -> bool:
    """Whether the packages of the ``prove`` extra are installed; imports none of them."""
    try:
        return all(find_spec(name) is not None for name in PROVE_EXTRA)
    except ImportError:
        return False


MANY_OBJECTS = 20_000
"""So many new ones are worth a move to the old ones; what proving makes every time is less."""


@contextmanager
def no_collection() -> Iterator[None]:
    """Nobody looks for cyclic garbage meanwhile: for work that makes many objects which stay.

    Many are then old ones, as if they had been looked at already; the collector comes to them when it looks at everything.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            if gc.get_count()[0] > MANY_OBJECTS and not gc.get_freeze_count():  # what somebody froze stays frozen
                gc.freeze()
                gc.unfreeze()  # into the oldest generation
            gc.enable()


class Clock:
    """Takes the seconds of each phase and reports progress.

    Attributes:
        progress: whom it reports to, if anybody.
        seconds: by phase, in the order in which they ended.
    """

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Times the phase that it is put around, one of :data:`SHARES`."""
        if self.progress is not None:
            self.progress(phase, SHARES[phase])
        started = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - started

    def prover_phase(self, phase: str, share: float) -> None:
        """Progress of the proof system as part of the whole."""
        if self.progress is not None and phase:
            self.progress(phase, PROVE_START + (SHARES["verify"] - PROVE_START) * share)

    def end(self) -> None:
        """Everything is done."""
        if self.progress is not None:
            self.progress("", 1.0)


def thread_count(threads: int | None) -> int:
    """Worker threads: as asked, else as many as this process may use.

    Raises:
        UsageError: less than 1.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads: at least 1 is needed")
    if threads is not None:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far; 0 where the system does not tell.

    Linux says it in ``VmHWM``; the counter of ``getrusage`` starts at the parent's size there.
    """
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
