"""How long a proof will take and how much memory, before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from zkvm.records import REFRESH, STEP
from zkvm.resources import prove_extra, thread_count
from zkvm.shape import ProofShape


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


def predict(shape: ProofShape, cycles: int, refreshes: int, threads: int | None = None) -> Prediction:
    """The cost of proving tables of this shape."""
    with prove_extra():
        from zkvm.prover.memory import predicted_bytes
    workers = thread_count(threads)
    memory = predicted_bytes(shape, cycles * STEP.itemsize + refreshes * REFRESH.itemsize)
    return Prediction(shape.parameters.name, shape.parameters.security_bits, workers, 0.0, memory)
