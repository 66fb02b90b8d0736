"""How long a proof will take and how much memory, before it starts.

Both follow what is committed: cells (elements of main and bus columns) and cells on the low-degree extension; memory also the points of the
largest domain. Seconds are scaled by measurements of this machine (:mod:`zkvm.session.speed`) and mean one that has nothing else to do;
more than two threads are an extrapolation. ``docs/profiling.md`` says what this was fitted to and how far off it was elsewhere.
``--max-memory`` refuses by an upper bound instead, :func:`zkvm.stark.prover.memory.predicted_bytes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from zkvm.session.resources import thread_count
from zkvm.session.speed import first_touch, kernel_slowness, python_slowness
from zkvm.stark.protocol.shape import ProofShape

MEBIBYTE = 1 << 20
SERIAL_SECONDS = (0.338, 16.8e-9)
"""Seconds on the reference machine of what one thread does: of any proof, per cell."""
SHARED_SECONDS = (16.1e-9, 20.7e-9)
"""Seconds on one thread of what threads share: per cell, per cell and coset of the extension."""
BASE_BYTES, EXTENDED_CELL_BYTES, POINT_BYTES = 137 * MEBIBYTE, 8.12, 585
"""Of the process with its kernels, per cell and coset of the extension, per point of the largest domain."""
TRACE_COSETS = 0.35
"""The traces, in cosets of the extension: most of their memory is used again."""

START_SECONDS = 0.83
"""Of a whole ``zkvm run`` beside the proof: Python, loading, what a first proof derives, the end of the process."""
TOUCH_SECONDS = 0.52 / (1 << 30)
"""First use of a byte, as it usually is on the reference machine, whose host lends memory on demand. What is measured there tells of that
moment only, elsewhere it tells more: the geometric mean of both is predicted."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What proving a run takes.

    Attributes:
        params: name of the parameter set.
        security: proven bits that the set claims.
        threads: workers of the proof.
        seconds: from execution to self-check, of a process that has proven before.
        process_seconds: of a whole ``zkvm run``, which starts, loads, proves for the first time and ends.
        memory_bytes: peak of that process.
    """

    params: str
    security: int
    threads: int
    seconds: float
    process_seconds: float
    memory_bytes: int


def predict(shape: ProofShape, threads: int | None = None) -> Prediction:
    """The cost of proving tables of this shape on this machine.

    Args:
        shape: heights of the tables, and the parameters of the proof.
        threads: workers; None: as many as this process may use.

    Raises:
        UsageError: the ``prove`` extra is missing, or less than one thread.
    """
    workers, chosen, memory = thread_count(threads), shape.parameters, memory_bytes(shape)
    seconds = proof_seconds(shape, workers) * kernel_slowness()
    touched = max(memory - BASE_BYTES, 0)
    touch = math.sqrt(first_touch().seconds(touched) * TOUCH_SECONDS * touched)
    whole = seconds + START_SECONDS * python_slowness() + touch
    return Prediction(chosen.name, chosen.security_bits, workers, seconds, whole, memory)


def committed_cells(shape: ProofShape) -> int:
    """Elements of main and bus columns."""
    return sum(sum(table.code.widths[1:]) * table.height for table in shape.tables)


def cost(cells: int, blowup: int, workers: int) -> tuple[float, ...]:
    """What the coefficients :data:`SERIAL_SECONDS` and :data:`SHARED_SECONDS` are multiplied with, in this order."""
    return 1, cells, cells / workers, cells * blowup / workers


def proof_seconds(shape: ProofShape, workers: int) -> float:
    """Seconds of a later proof on the reference machine."""
    amounts = cost(committed_cells(shape), shape.parameters.blowup, workers)
    return sum(seconds * amount for seconds, amount in zip((*SERIAL_SECONDS, *SHARED_SECONDS), amounts, strict=True))


def memory_bytes(shape: ProofShape) -> int:
    """Peak of a process that proves once."""
    cosets, points = TRACE_COSETS + shape.parameters.blowup, shape.tallest * shape.parameters.blowup
    return int(BASE_BYTES + EXTENDED_CELL_BYTES * committed_cells(shape) * cosets + POINT_BYTES * points)
