"""What all segments of a run together must not exceed: looked at while the run is cut, so that nothing is proven that nobody accepts."""

from __future__ import annotations

from dataclasses import dataclass

from zkvm.errors import LimitError, UsageError, VerificationError
from zkvm.riscv.segments import MAX_INSTRUCTIONS, instruction_rows
from zkvm.stark.protocol.codec import expected_bytes
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.security import proven_bits
from zkvm.stark.protocol.shape import ProofShape


@dataclass(slots=True)
class Totals:
    """What verifiers demand of a run in segments, and what it comes to so far.

    Attributes:
        policy: theirs.
        max_bytes: most bytes of a receipt.
        segments: segments so far.
        rows: of instructions.
        size: expected bytes of the proofs, but for their early columns.
    """

    policy: Policy
    max_bytes: int
    segments: int = 0
    rows: int = 0
    size: int = 0

    def add_segment(self, shape: ProofShape, tuples: int) -> None:
        """One segment more.

        Args:
            shape: of its proof.
            tuples: how many the verifier puts on its own buses, one for each byte of journal.

        Raises:
            LimitError: the run has too many instructions, segments, or bytes of receipt.
            UsageError: its proof will not have the bits that its verifiers demand.
        """
        self.segments += 1
        self.rows += instruction_rows(shape)
        if self.rows >= MAX_INSTRUCTIONS:
            raise LimitError(f"segment {self.segments} ends with {self.rows} rows of instructions; a run has fewer than {MAX_INSTRUCTIONS}")
        if self.segments > self.policy.max_segments:
            raise LimitError(
                f"more than {self.policy.max_segments} segments, which is what verifiers accept: longer segments are needed "
                "(--segment-cycles, --max-memory), or a policy with other max_segments on both sides"
            )
        self.add_proof(shape, tuples)

    def add_proof(self, shape: ProofShape, tuples: int) -> None:
        """One proof more; ``tuples``: how many the verifier puts on its own buses.

        Raises:
            LimitError: the receipt is too long.
            UsageError: the proof will not have the bits that its verifiers demand.
        """
        self.size += expected_bytes(shape)
        if self.size > self.max_bytes:
            raise LimitError(
                f"a receipt of more than {self.max_bytes} bytes: longer segments are needed (--segment-cycles, --max-memory), or "
                "--params compact"
            )
        try:
            self.policy.check(proven_bits(shape, tuples, self.policy.regime))
        except VerificationError as error:
            chosen = shape.parameters
            raise UsageError(f"proofs by {chosen.name!r} with {chosen.security_bits} bits would be refused: {error.detail}") from error
