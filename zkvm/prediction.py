"""How long a proof will take and how much memory, before it starts.

Both follow what is committed: cells (elements of main and bus columns) and cells on the low-degree extension; memory also the points of
the largest domain. Time was fitted to 29 proofs of two guests (11,710 to 1,045,021 cycles) under the three parameter sets, on one and two
threads, each after another one in the same process: 12 % root mean square, 29 % at most. It is scaled by a measurement of this machine's
speed and means one that has nothing else to do; more than two threads are an extrapolation. Memory was fitted to 17 of 26 peaks of an
earlier version, all within 8 %. ``--max-memory`` refuses by an upper bound instead, :func:`zkvm.prover.memory.predicted_bytes`.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from zkvm.resources import prove_extra, thread_count
from zkvm.shape import ProofShape

MEBIBYTE = 1 << 20
BASE_SECONDS, CELL_SECONDS, EXTENDED_CELL_SECONDS = 0.469, 57.4e-9, 9.38e-9
"""Seconds on one thread: of any proof, per cell, per cell and coset of the extension."""
SERIAL_SHARE = 0.46
"""Of these, what more threads do not help."""
BASE_BYTES, EXTENDED_CELL_BYTES, POINT_BYTES = 219 * MEBIBYTE, 8.12, 585
"""Of the process with its kernels, per cell and coset of the extension, per point of the largest domain."""
TRACE_COSETS = 0.35
"""The traces, in cosets of the extension: most of their memory is used again."""

BENCHMARK_SHAPE, BENCHMARK_BLOWUP, BENCHMARK_RUNS = (4, 1 << 14), 4, 60
REFERENCE_SECONDS = 2.13e-3
"""Of one low-degree extension of that shape on one core of the machine that the coefficients are from."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What proving a run takes.

    Attributes:
        params, security, threads: of the proof. seconds: execution to self-check, of a process that has proven before.
        memory_bytes: peak of the process.
    """

    params: str
    security: int
    threads: int
    seconds: float
    memory_bytes: int


def predict(shape: ProofShape, threads: int | None = None) -> Prediction:
    """The cost of proving tables of this shape on this machine.

    Raises:
        UsageError: the ``prove`` extra is missing, or less than one thread.
    """
    workers, chosen = thread_count(threads), shape.parameters
    seconds = single_thread_seconds(shape) * slowness() * (SERIAL_SHARE + (1 - SERIAL_SHARE) / workers)
    return Prediction(chosen.name, chosen.security_bits, workers, seconds, memory_bytes(shape))


def committed_cells(shape: ProofShape) -> int:
    """Elements of main and bus columns."""
    return sum(sum(table.code.widths[1:]) * table.height for table in shape.tables)


def single_thread_seconds(shape: ProofShape) -> float:
    """Seconds of one thread on the reference machine."""
    return BASE_SECONDS + committed_cells(shape) * (CELL_SECONDS + shape.parameters.blowup * EXTENDED_CELL_SECONDS)


def memory_bytes(shape: ProofShape) -> int:
    """Peak of a process that proves once."""
    cosets, points = TRACE_COSETS + shape.parameters.blowup, shape.tallest * shape.parameters.blowup
    return int(BASE_BYTES + EXTENDED_CELL_BYTES * committed_cells(shape) * cosets + POINT_BYTES * points)


@cache
def slowness() -> float:
    """Seconds that this machine takes for what takes the reference machine one: the median of short extensions on one core.

    A shared processor's speed changes within tens of milliseconds, and a proof sees all of it: not the fastest, and a quarter of a second.
    """
    with prove_extra():
        from zkvm.kernels.ntt import lde_plan
    columns = np.arange(BENCHMARK_SHAPE[0] * BENCHMARK_SHAPE[1], dtype=np.uint64).reshape(BENCHMARK_SHAPE)
    out = np.empty((BENCHMARK_SHAPE[0], BENCHMARK_BLOWUP, BENCHMARK_SHAPE[1]), np.uint64)
    plan = lde_plan(BENCHMARK_SHAPE[1], BENCHMARK_BLOWUP)
    plan.run(columns, out, 1)
    samples = []
    for _ in range(BENCHMARK_RUNS):
        started = time.perf_counter()
        plan.run(columns, out, 1)
        samples.append(time.perf_counter() - started)
    return statistics.median(samples) / REFERENCE_SECONDS
