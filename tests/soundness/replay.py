"""Transcripts that record their challenges, and transcripts whose challenges are frozen: as if nothing had been absorbed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.transcript import Kind, Transcript
from zkvm.stark.protocol.params import Parameters, Policy
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.protocol.steps import DOMAIN
from zkvm.stark.verifier import verify

Draws = dict[str, Any]
"""Label of a draw -> the challenge."""


class Recorder(Transcript):
    """The real transcript; keeps what it draws."""

    def __init__(self, domain: str = DOMAIN) -> None:
        super().__init__(domain)
        self.draws: Draws = {}

    def draw_extension(self, label: str) -> tuple[int, int, int]:
        self.draws[label] = super().draw_extension(label)
        value: tuple[int, int, int] = self.draws[label]
        return value

    def draw_indices(self, label: str, count: int, bound: int) -> NDArray[np.int64]:
        self.draws[label] = super().draw_indices(label, count, bound)
        value: NDArray[np.int64] = self.draws[label]
        return value


class Frozen(Recorder):
    """Gives the challenges of ``draws`` whatever was absorbed, real ones for other labels; asks for no work."""

    def __init__(self, draws: Draws, labels: Collection[str] | None = None, domain: str = DOMAIN) -> None:
        super().__init__(domain)
        self._frozen = {label: value for label, value in draws.items() if labels is None or label in labels}

    def draw_extension(self, label: str) -> tuple[int, int, int]:
        drawn = super().draw_extension(label)
        value: tuple[int, int, int] = self._frozen.get(label, drawn)
        return value

    def draw_indices(self, label: str, count: int, bound: int) -> NDArray[np.int64]:
        drawn = super().draw_indices(label, count, bound)
        value: NDArray[np.int64] = self._frozen.get(label, drawn)
        return value

    def grind_check(self, label: str, nonce: int, bits: int) -> None:
        self._absorb(label, Kind.NONCE, nonce.to_bytes(8, "little"))


class Unworked(Recorder):
    """A recorder that asks for no work."""

    grind_check = Frozen.grind_check


def every_challenge(machine: Machine, parameters: Parameters, statement: Statement, proof: Proof) -> Draws:
    """All challenges that the verifier would draw for a proof, in its own order, with its checks switched off."""
    shape = ProofShape(machine, parameters, proof.log_heights)
    transcript = Unworked()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "check_shape", lambda *arguments: shape)
        patch.setattr(verify, "proven_bits", lambda *arguments: 128.0)
        for name in ("check_buses", "check_constraints", "check_openings", "check_trees", "deep_values", "check_low_degree"):
            patch.setattr(verify, name, lambda *arguments: ())  # also of a generator: nothing is worked out
        patch.setattr(verify, "terminals_by_table", lambda *arguments: [])
        verify.verify_proof(machine, statement, proof, Policy(), transcript)
    return transcript.draws
