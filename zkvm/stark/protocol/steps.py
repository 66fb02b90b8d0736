"""The order in which prover and verifier absorb messages and draw challenges: written once, used by both.

Each method is one round of ``docs/protocol.md``: it absorbs what the prover sent and returns the challenges that answer it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import Steps as HashSteps
from zkvm.stark.crypto.hashes import run
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import Ext
from zkvm.stark.protocol.joint import Joined
from zkvm.stark.protocol.params import GRINDING_BITS, PROTOCOL_VERSION
from zkvm.stark.protocol.shape import ProofShape, distinct
from zkvm.stark.protocol.statement import Statement

DOMAIN = "zkvm proof"
GRINDING_LABEL = "query grinding"


class Steps:
    """One run of the protocol over a transcript."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript

    def joined(self, joined: Joined) -> None:
        """Before round 0, of a proof that is joined with others: everything that they share, and its number among them."""
        self.transcript.absorb_bytes("joint digest", joined.challenges.digest)
        self.transcript.absorb_int("number", joined.number)

    def statement(self, machine: Machine, statement: Statement, shape: ProofShape, zk: bool) -> None:
        """Round 0: everything public, before any commitment. ``zk``: whether the prover says that its randomness is real."""
        absorb = self.transcript
        absorb.absorb_int("protocol version", PROTOCOL_VERSION)
        for name, number in zip(("blowup", "queries", "exempt rows"), shape.parameters.numbers, strict=True):
            absorb.absorb_int(name, number)
        absorb.absorb_int("zk", int(zk))
        absorb.absorb_bytes("machine digest", machine.digest)
        for label, data in statement.fields:
            absorb.absorb_bytes(label, data)
        absorb.absorb_bytes("preprocessed root", statement.preprocessed_root)
        absorb.absorb_bytes("log heights", bytes(shape.log_heights))

    def main(self, root: bytes) -> tuple[Ext, Ext]:
        """Round 1: main columns are fixed; fingerprint challenges alpha and beta."""
        self.transcript.absorb_bytes("main root", root)
        return self.transcript.draw_extension("alpha"), self.transcript.draw_extension("beta")

    def bus(self, root: bytes, terminals: NDArray[np.uint64]) -> Ext:
        """Round 2: bus columns and terminals are fixed; constraint challenge."""
        self.transcript.absorb_bytes("bus root", root)
        self.transcript.absorb_elements("terminals", terminals)
        return self.transcript.draw_extension("constraint challenge")

    def quotient(self, root: bytes) -> Ext:
        """Round 3: quotient chunks and mask are fixed; the out-of-domain point zeta."""
        self.transcript.absorb_bytes("quotient and mask root", root)
        return self.transcript.draw_extension("zeta")

    def openings(self, values: NDArray[np.uint64]) -> Ext:
        """Round 4: openings are fixed; batching challenge."""
        return run(self.opening_steps(values))

    def opening_steps(self, values: NDArray[np.uint64]) -> HashSteps[Ext]:
        """:meth:`openings` as a hash in steps: there are many of them, and a verifier hashes those of several proofs at once."""
        yield from self.transcript.absorbing("openings", values)
        return self.transcript.draw_extension("batching challenge")

    def layer(self, number: int, root: bytes) -> Ext:
        """Round 5, once per FRI layer: folding challenge."""
        self.transcript.absorb_bytes(f"fri root {number}", root)
        return self.transcript.draw_extension(f"folding challenge {number}")

    def final(self, coefficients: NDArray[np.uint64]) -> bytes:
        """Round 6: the final polynomial; returns the seed of the proof of work."""
        self.transcript.absorb_elements("final polynomial", coefficients)
        return self.transcript.grinding_seed(GRINDING_LABEL)

    def queries(self, nonce: int, count: int, bound: int) -> NDArray[np.int64]:
        """Round 7: check and absorb the proof of work, then draw the query positions.

        Args:
            nonce: the proof of work.
            count: number of queries.
            bound: number of points of the largest LDE domain.

        Returns:
            The positions, (k,) int64, unique and ascending.

        Raises:
            VerificationError: GRINDING.
        """
        self.transcript.grind_check(GRINDING_LABEL, nonce, GRINDING_BITS)
        return distinct(self.transcript.draw_indices("query positions", count, bound))
