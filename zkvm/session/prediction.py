"""How long a proof will take and how much memory, before it starts.

Time follows five amounts, see :class:`Work`; memory the committed elements and the points of the largest domain. Seconds are scaled by
measurements of this machine (:mod:`zkvm.session.speed`: Python for what one thread does, kernels for what threads share), and mean one
that has nothing else to do; more than two threads are an extrapolation. ``docs/profiling.md`` says what this was fitted to and how far off
it was elsewhere.
``--max-memory`` refuses by an upper bound instead, :func:`zkvm.stark.prover.memory.predicted_bytes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul

from zkvm.riscv.chips.steps import StepChip
from zkvm.session.resources import thread_count
from zkvm.session.speed import first_touch, kernel_slowness, python_slowness
from zkvm.stark.protocol.shape import MAIN_TREE, ProofShape

MEBIBYTE = 1 << 20
SERIAL_SECONDS = (0.129, 39.7e-9)
"""Seconds on the reference machine of what one thread does, of the first two amounts of :class:`Work`: of any proof (the self-check most of
all), and of each element that numpy fills."""
SHARED_SECONDS = (33.4e-9, 7.4e-9, 520e-9)
"""Seconds on one thread of what threads share, of the other amounts."""
MEMORY_PART = 0.2
"""Of what threads share: waiting for memory, which takes as long where kernels are faster or slower than on the reference machine. Taken
from one machine, whose kernels take 0.47 of the time."""
MEETING = 1.07
"""What threads that share memory and wait for each other take, for 1 of one that is alone."""
BASE_BYTES, EXTENDED_CELL_BYTES, POINT_BYTES = 125 * MEBIBYTE, 8.12, 585
"""Of the process with its kernels, per cell and coset of the extension, per point of the largest domain."""
TRACE_COSETS = 0.35
"""The traces, in cosets of the extension: most of their memory is used again."""

START_SECONDS = 0.45
"""Of a whole ``zkvm run`` beside the proof: Python, loading, what a first proof derives, the end of the process."""
TOUCH_SECONDS = 0.52 / (1 << 30)
"""First use of a byte, which threads share, as it usually is on the reference machine, whose host lends memory on demand. What is measured
there tells of that moment only, elsewhere it tells more: the geometric mean of both is predicted."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a proof has to do, as far as its seconds follow from it.

    Attributes:
        proofs: 1.
        filled: elements of main columns that numpy fills: of all chips but those of instructions and those of the image.
        cells: elements of main and bus columns. Each is filled or computed, and read by the constraints on two cosets.
        extended: elements on all cosets, which are transformed, hashed and batched. A transform of a tall column takes more steps; it
            goes unseen beside the rest.
        points: of the largest domain, which have salts, digests, quotient columns and FRI layers.
    """

    proofs: int
    filled: int
    cells: int
    extended: int
    points: int

    def amounts(self, workers: int) -> tuple[float, ...]:
        """What the coefficients :data:`SERIAL_SECONDS` and :data:`SHARED_SECONDS` are multiplied with, in this order."""
        part = share(workers)
        return self.proofs, self.filled, self.cells * part, self.extended * part, self.points * part

    def seconds(self, workers: int, kernels: float = 1.0, python: float = 1.0) -> float:
        """Of a later proof.

        Args:
            workers: threads.
            kernels: seconds that kernels take for one second of the reference machine, see :func:`kernel_slowness`.
            python: the same of Python, see :func:`python_slowness`.

        Returns:
            Seconds.
        """
        amounts, parts = self.amounts(workers), len(SERIAL_SECONDS)
        serial: float = sum(map(mul, SERIAL_SECONDS, amounts[:parts]))
        shared: float = sum(map(mul, SHARED_SECONDS, amounts[parts:]))
        return serial * python + shared * (MEMORY_PART + (1 - MEMORY_PART) * kernels)


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
    seconds = work_of(shape).seconds(workers, kernel_slowness(), python_slowness())
    touched = max(memory - BASE_BYTES, 0)
    touch = math.sqrt(first_touch().seconds(touched) * TOUCH_SECONDS * touched)
    whole = seconds + START_SECONDS * python_slowness() + touch * share(workers)
    return Prediction(chosen.name, chosen.security_bits, workers, seconds, whole, memory)


def share(workers: int) -> float:
    """What is left for each of the workers, of what they share."""
    return MEETING / workers if workers > 1 else 1.0


def work_of(shape: ProofShape) -> Work:
    """What proving tables of this shape has to do."""
    tables = [(table.code.chip, table.code.widths, table.height) for table in shape.tables]
    by_numpy = [
        widths[MAIN_TREE] * height for chip, widths, height in tables if not isinstance(chip, StepChip) and not len(chip.preprocessed)
    ]
    cells = sum(sum(widths[MAIN_TREE:]) * height for _, widths, height in tables)
    blowup = shape.parameters.blowup
    return Work(1, sum(by_numpy), cells, cells * blowup, shape.tallest * blowup)


def memory_bytes(shape: ProofShape) -> int:
    """Peak of a process that proves once."""
    cosets, points = TRACE_COSETS + shape.parameters.blowup, shape.tallest * shape.parameters.blowup
    return int(BASE_BYTES + EXTENDED_CELL_BYTES * work_of(shape).cells * cosets + POINT_BYTES * points)
