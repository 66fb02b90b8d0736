"""The prover's memory: how much a proof will take, from its shape, before it starts; keeping what was freed."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import threading
from functools import cache
from pathlib import Path

import numpy as np

from zkvm.stark.crypto.hashes import DIGEST_BYTES
from zkvm.stark.crypto.merkle import SALT_WORDS
from zkvm.stark.field.extension import DEGREE
from zkvm.stark.multiplicities import counting_bytes
from zkvm.stark.protocol.shape import MAIN_TREE, MASK_COLUMNS, PREPROCESSED, QUOTIENT_COLUMNS, ProofShape

WORD_BYTES = 8
PROCESS_BYTES = 375 << 20
"""Interpreter, numpy and the kernels, numba and their compilation at the first use included (measured)."""
LATER_BYTES = 90 << 20
"""What is loaded or compiled after a run was executed, of the above (measured)."""
LEAST_BYTES = 32 << 20
"""What the arrays of the smallest proof take, for each coset of its extension (measured)."""
CODEWORDS = 5
"""Extension-field arrays over the largest domain that the DEEP quotient holds at once: result, sum, points, differences, inverses."""

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
"""Parameters of glibc's ``mallopt``, from its ``malloc.h``."""
_NEVER = -1
SMALL_PROOF = 8 << 30
"""Bytes up to which a proof's arrays lie in small pages: those of twice as many make later proofs slower (measured)."""


@cache
def keep_freed_pages() -> None:
    """Let this process keep the pages that it frees, for the arrays that come next.

    The C library hands large arrays back to the operating system one by one, and the kernel would clear every page of the next array
    again. One heap for all threads, never trimmed, needs no more memory at its peak. It concerns speed only, so that a C library which
    does not know ``mallopt`` is no error.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER)):
            mallopt(parameter, value)


_touching: list[threading.Thread] = []
"""Those of :func:`touch_ahead`."""


@cache
def touch_ahead(blowup: int) -> None:
    """Let a thread touch, once a process, the pages that its first proof takes in any case, while others load modules.

    The system clears a page at its first use, and a virtual machine may have to ask its host for it. The array is freed at once, and its
    pages are kept for those of the proof. It concerns speed only: without memory for it, the proof says so.

    Args:
        blowup: of the proof, to which its memory is about proportional.
    """

    def touch() -> None:
        with contextlib.suppress(MemoryError):
            np.empty(blowup * LEAST_BYTES, np.uint8)[:: mmap.PAGESIZE] = 0  # without the interpreter's lock

    keep_freed_pages()
    _touching.append(threading.Thread(target=touch, name="zkvm memory"))
    _touching[-1].start()


def choose_pages(size: int) -> bool:
    """Let numpy ask for huge pages for a large proof only; by itself it does so for every large array.

    The first use of a huge page is one fault for 2 MiB, of small ones 512. But many a virtual machine gives its free memory back to the
    host, in blocks as large as huge pages. Those have to be asked for again, at several times the price of the faults, while small pages
    are cut from what is left between such blocks; that is enough for most proofs. The kernels walk over memory in an order for
    which the size of pages makes no difference afterwards. It concerns speed only: another numpy may have no such switch.

    Args:
        size: bytes that the proof will take at most.

    Returns:
        Whether huge pages are asked for.
    """
    huge = size > SMALL_PROOF
    with contextlib.suppress(AttributeError):  # numpy documents the variable NUMPY_MADVISE_HUGEPAGE, which it reads once, for the same
        np._core.multiarray._set_madvise_hugepage(huge)  # type: ignore[attr-defined]
    return huge


def give_back_freed_pages() -> None:
    """Hand what this process has freed and kept back to the operating system, which then says how much there really is."""
    for thread in _touching:
        thread.join()  # what it touches is not freed yet
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def process_bytes() -> int:
    """What this process takes beside the arrays of a proof: what it has now and what comes later, less if it has proven before.

    Kept pages are no measure of what is needed, and not every system tells: then it is :data:`PROCESS_BYTES`.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
        return min(resident + LATER_BYTES, PROCESS_BYTES)
    return PROCESS_BYTES


def predicted_bytes(shape: ProofShape, record_bytes: int = 0, process: int = PROCESS_BYTES, threads: int = 1) -> int:
    """Peak memory of proving tables of this shape, in bytes: an upper bound, as all arrays are counted that may be alive at once.

    Args:
        shape: of the proof.
        record_bytes: bytes of the execution's records, which stay alive.
        process: bytes beside the arrays, see :func:`process_bytes`.
        threads: each has work space: a column while it is extended, and before that the look-ups that it counts.

    Returns:
        Bytes.
    """
    blowup = shape.parameters.blowup
    points = blowup * shape.tallest
    extended = sum(sum(table.code.widths) * table.height for table in shape.tables)
    traces = sum((table.code.widths[PREPROCESSED] + table.code.widths[MAIN_TREE]) * table.height for table in shape.tables)
    quotient = (2 + blowup) * (QUOTIENT_COLUMNS + MASK_COLUMNS) * shape.tallest
    salts = 3 * SALT_WORDS * points
    trees = 3 * 2 * DIGEST_BYTES * points
    codewords = CODEWORDS * DEGREE * points
    proof = trees + WORD_BYTES * (blowup * extended + traces + quotient + salts + codewords + threads * shape.tallest)
    return process + record_bytes + max(proof, WORD_BYTES * traces + threads * counting_bytes(shape.machine))
