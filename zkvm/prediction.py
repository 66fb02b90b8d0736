"""How long a proof will take and how much memory, before it starts.

Both follow what is committed: cells (elements of main and bus columns), cells on the low-degree extension, and points of the largest
domain; where the extension leaves the caches, its cells take longer. The coefficients were fitted to 47 proofs of four guests (14 to
1,048,145 cycles) under the three parameter sets. Memory was within 8 % of every measured peak, processor seconds within 12 % root mean
square and 27 % at most. Time is scaled by a measurement of this machine's speed and means one that has nothing else to do; how it falls
with threads is an assumption. ``--max-memory`` refuses by an upper bound instead, :func:`zkvm.prover.memory.predicted_bytes`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from zkvm.resources import prove_extra, thread_count
from zkvm.shape import ProofShape

MEBIBYTE = 1 << 20
BASE_SECONDS, CELL_SECONDS, EXTENDED_CELL_SECONDS, POINT_SECONDS = 0.168, 73.5e-9, 5e-9, 1105e-9
"""Processor seconds: of any proof, per cell, per cell and coset of the extension, per point of the largest domain."""
CACHED_CELLS, UNCACHED_SECONDS = 32e6, 4.6e-9
"""Extended cells from which on each takes longer, and by how much with every doubling."""
SERIAL_SHARE = 0.15
"""Of a proof's processor seconds, what more threads do not help."""
BASE_BYTES, EXTENDED_CELL_BYTES, POINT_BYTES = 219 * MEBIBYTE, 8.12, 585
"""Of the process with its kernels, per cell and coset of trace and extension, per point of the largest domain."""

BENCHMARK_SHAPE, BENCHMARK_BLOWUP, BENCHMARK_RUNS = (4, 1 << 14), 4, 7
REFERENCE_SECONDS = 1.33e-3
"""Of one low-degree extension of that shape on one core of the machine that the coefficients are from."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What proving a run takes.

    Attributes:
        params, security, threads: of the proof. seconds: execution to self-check, kernels compiled. memory_bytes: peak of the process.
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
    seconds = processor_seconds(shape) * slowness() * (SERIAL_SHARE + (1 - SERIAL_SHARE) / workers)
    return Prediction(chosen.name, chosen.security_bits, workers, seconds, memory_bytes(shape))


def committed_cells(shape: ProofShape) -> int:
    """Elements of main and bus columns."""
    return sum(sum(table.code.widths[1:]) * table.height for table in shape.tables)


def processor_seconds(shape: ProofShape) -> float:
    """Seconds of all threads together on the reference machine."""
    cells, points = committed_cells(shape), shape.tallest * shape.parameters.blowup
    extended = cells * shape.parameters.blowup
    doublings = max(0.0, math.log2(extended / CACHED_CELLS))
    return BASE_SECONDS + cells * CELL_SECONDS + extended * (EXTENDED_CELL_SECONDS + UNCACHED_SECONDS * doublings) + points * POINT_SECONDS


def memory_bytes(shape: ProofShape) -> int:
    """Peak of a process that proves once."""
    cosets, points = 1 + shape.parameters.blowup, shape.tallest * shape.parameters.blowup
    return int(BASE_BYTES + EXTENDED_CELL_BYTES * committed_cells(shape) * cosets + POINT_BYTES * points)


@cache
def slowness() -> float:
    """Seconds that this machine takes for what takes the reference machine one: the fastest of a few short extensions on one core."""
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
    return min(samples) / REFERENCE_SECONDS
