"""How much memory this process may still take, whoever limits it, and what it says when there is none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zkvm.errors import LimitError

GIB = 1 << 30
UNLIMITED = 1 << 62
"""Where nobody tells of a limit."""
CONTROL_GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows the limits of containers, of version 2 of them here, of version 1 in a folder ``memory``."""
PROCESS = Path("/proc/self")
MEMORY_INFORMATION = Path("/proc/meminfo")
VERSION_2 = ("memory.max", "memory.current", "inactive_file")
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Files of limit and use, and what ``memory.stat`` calls the file contents that the system keeps as long as nobody needs their place."""
NO_THREAD = "can't start new thread"
"""What Python says when there is no room for a thread's stack; it has no class of its own."""


def available_bytes() -> int:
    """Memory that this process can still take: of the machine, of each control group that it is in, and of its own limits.

    Swap space does not count: a proof walks over all of its memory, again and again.
    """
    candidates = [*_of_machine(), *_of_groups(), *_of_process()]
    return max(min(candidates, default=UNLIMITED), 0)


def total_bytes() -> int:
    """Memory of the machine; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0


def _of_machine() -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
        lines = MEMORY_INFORMATION.read_text().splitlines()
        yield next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    if total_bytes():
        yield total_bytes()


def _of_groups() -> Iterator[int]:
    """Of the process's control groups and those around them. A container may see the names of groups that it cannot look at."""
    with contextlib.suppress(OSError):
        for entry in (PROCESS / "cgroup").read_text().splitlines():
            number, _, rest = entry.partition(":")
            controllers, _, name = rest.partition(":")
            if number != "0" and "memory" not in controllers.split(","):
                continue
            base, names = (CONTROL_GROUPS, VERSION_2) if number == "0" else (CONTROL_GROUPS / "memory", VERSION_1)
            parts = [part for part in name.split("/") if part not in ("", "..")]
            for depth in range(len(parts) + 1):
                yield from _of_group(base.joinpath(*parts[:depth]), *names)


def _of_group(folder: Path, limit: str, used: str, reclaimable: str) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):  # without a limit it is the word "max"
        left = int((folder / limit).read_text()) - int((folder / used).read_text())
        with contextlib.suppress(OSError, ValueError, IndexError):
            lines = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
            left += sum(int(line[1]) for line in lines if line[0] == reclaimable)
        yield left


def _of_process() -> Iterator[int]:
    """Of its address space (``ulimit -v``) and its data (``ulimit -d``)."""
    with contextlib.suppress(ImportError, OSError, ValueError, IndexError, AttributeError):
        import resource

        sizes = [int(pages) * resource.getpagesize() for pages in (PROCESS / "statm").read_text().split()]
        for limit, used in ((resource.RLIMIT_AS, sizes[0]), (resource.RLIMIT_DATA, sizes[5])):
            soft, _ = resource.getrlimit(limit)
            if soft != resource.RLIM_INFINITY:
                yield soft - used


def gib(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / GIB:.2f} GiB"


@contextmanager
def out_of_memory(what: str) -> Iterator[None]:
    """Turns memory that nobody has, which no prediction foresaw, into an error that says what to do.

    Args:
        what: is being done.

    Raises:
        LimitError: there is no memory, or none for the stack of a thread.
    """
    try:
        yield
    except MemoryError as error:
        raise LimitError(_advice(what, error)) from error
    except RuntimeError as error:
        if NO_THREAD not in str(error):
            raise
        raise LimitError(_advice(what, error)) from error


def _advice(what: str, error: Exception) -> str:
    detail = f" ({error})" if str(error) else ""
    return (
        f"{what} ran out of memory{detail}; there are {gib(available_bytes())} left: choose --params fast or fewer --threads, prove a "
        "shorter run, or raise the limit of this process or its container"
    )
