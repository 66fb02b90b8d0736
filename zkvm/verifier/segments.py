"""The seal of a run in segments: the proof of its memory and one for each segment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from zkvm.errors import RejectReason, UsageError, VerificationError
from zkvm.riscv.header import ImageHeader
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.segments import check_instructions, segmented_statement
from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import DIGEST_BYTES
from zkvm.stark.protocol.codec import Reader
from zkvm.stark.protocol.joint import MAX_PARTS, PartProof
from zkvm.stark.protocol.joint_codec import StoredProofs, encode_part
from zkvm.stark.protocol.params import BEST, Parameters, Policy
from zkvm.stark.protocol.proof import ByContent, Proof
from zkvm.stark.protocol.security import joined_bits
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.verifier.joint import verify_joint
from zkvm.stark.verifier.shape import check_types


def verifier_threads(threads: int | None) -> int:
    """How many threads verify: one if nothing is said, since threads mostly wait for each other, for parts are Python's.

    Raises:
        UsageError: less than one.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads: at least 1 is needed")
    return 1 if threads is None else threads


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedSeal(ByContent):
    """Proofs of a run in segments.

    Attributes:
        lengths: bytes that each segment writes to the journal.
        proofs: that of memory, then one for each segment.
    """

    lengths: tuple[int, ...]
    proofs: tuple[PartProof, ...] | StoredProofs

    @property
    def parameters(self) -> tuple[int, int, int]:
        """(blowup, queries, exempt rows) of the proofs; a verifier refuses proofs with different ones."""
        return self._first.parameters

    @property
    def zk(self) -> bool:
        """The prover's statement that the proofs hide their witness."""
        return self._first.zk

    @property
    def _first(self) -> Proof:
        """The proof of memory; of a stored one what is kept: it says the same when its file has changed, or is closed."""
        first = self.proofs.beginnings[0] if isinstance(self.proofs, StoredProofs) else self.proofs[0]
        return first.proof

    def machines(self) -> list[Machine]:
        """The machine of each proof."""
        return [memory_machine(), *[segment_machine()] * (len(self.proofs) - 1)]

    def parts(self, journal: bytes) -> list[bytes]:
        """What each segment writes.

        Raises:
            VerificationError: SHAPE or CLAIM, the lengths are none, or not those of the journal.
        """
        if not isinstance(self.lengths, tuple) or any(type(length) is not int or length < 0 for length in self.lengths):
            raise VerificationError(RejectReason.SHAPE, "lengths of the journal's parts must be integers")
        if sum(self.lengths) != len(journal):
            raise VerificationError(RejectReason.CLAIM, f"segments write {sum(self.lengths)} bytes; the journal has {len(journal)}")
        return [journal[first:last] for first, last in pairwise(accumulate(self.lengths, initial=0))]

    def check_counts(self) -> None:
        """Refuse numbers of proofs and lengths that do not fit together.

        Raises:
            VerificationError: SHAPE.
        """
        if not isinstance(self.proofs, tuple | StoredProofs) or not isinstance(self.lengths, tuple):
            raise VerificationError(RejectReason.SHAPE, "proofs and lengths must be tuples")
        if len(self.proofs) != len(self.lengths) + 1:
            raise VerificationError(RejectReason.SHAPE, "a run in segments has a proof of its memory and one for each segment")
        for own in self.proofs if isinstance(self.proofs, tuple) else ():
            if not isinstance(own, PartProof) or not isinstance(own.proof, Proof):
                raise VerificationError(RejectReason.SHAPE, "a part of a run in segments is no proof")
            check_types(own.proof)
        if not 2 <= len(self.proofs) <= MAX_PARTS:
            raise VerificationError(RejectReason.SHAPE, f"{len(self.lengths)} segments; there are 1 to {MAX_PARTS - 1}")

    def verify(self, header: ImageHeader, parameters: Parameters, journal: bytes, exit_code: int, policy: Policy, threads: int = 1) -> None:
        """Accept the proofs of this run, or refuse them; ``threads``: that verify, each several proofs at one time.

        Raises:
            VerificationError: with the reason of the first check that fails.
        """
        self.check_counts()
        if not len(self.lengths) <= policy.max_segments:  # a bound that is no number is not kept
            raise VerificationError(RejectReason.POLICY, f"{len(self.lengths)} segments; at most {policy.max_segments} are verified")
        statement, parts = segmented_statement(header, parameters, self.parts(journal), exit_code)
        check_instructions(verify_joint(statement, parts, self.proofs, policy, threads=threads))

    def security_bits(self, header: ImageHeader, parameters: Parameters, journal: bytes, exit_code: int, regime: str = BEST) -> float:
        """Proven bits of the likeliest error, those that :meth:`verify` compares. Meaningful for a seal that was accepted."""
        statement, parts = segmented_statement(header, parameters, self.parts(journal), exit_code)
        shapes = [ProofShape(part.machine, parameters, logs) for part, logs in zip(parts, self.log_heights(), strict=True)]
        tuples = [part.statement.closing_tuples for part in parts]
        return joined_bits(shapes, tuples, sum(len(closing.values) for closing in statement.closings), regime)[0]

    def log_heights(self) -> tuple[tuple[int, ...], ...]:
        """Of the tables of each proof."""
        return self.proofs.log_heights if isinstance(self.proofs, StoredProofs) else tuple(own.proof.log_heights for own in self.proofs)

    def _encoded(self) -> Iterator[bytes]:
        """The bytes of each proof."""
        return map(self.proofs.encoded, range(len(self.proofs))) if isinstance(self.proofs, StoredProofs) else map(encode_part, self.proofs)

    def to_bytes(self) -> bytes:
        """The binary form.

        Raises:
            UsageError: some value has no place in the format.
        """
        try:
            lengths = b"".join(length.to_bytes(4, "little") for length in (len(self.lengths), *self.lengths))
        except OverflowError as error:
            raise UsageError(f"a number of the receipt does not fit its field: {error}") from error
        digests = segment_machine().digest + memory_machine().digest
        return b"".join([digests, lengths, *self._encoded()])

    @classmethod
    def read(cls, reader: Reader, journal_bytes: int) -> SegmentedSeal:
        """What :meth:`to_bytes` encoded, up to the end.

        Raises:
            FormatError: the bytes encode no such seal.
        """
        for machine in (segment_machine(), memory_machine()):
            reader.constant(machine.digest, f"digest of the machine {machine.name!r} (the receipt was made by another version)")
        count = reader.integer(4, "number of segments", 1, min(MAX_PARTS - 1, reader.left // DIGEST_BYTES))
        lengths = tuple(reader.integer(4, "length of a journal's part", 0, journal_bytes) for _ in range(count))
        proofs = StoredProofs([memory_machine(), *[segment_machine()] * count], reader)
        reader.end()
        return cls(lengths, proofs)

    def to_json(self) -> dict[str, Any]:
        """A readable view of everything but the proofs' numbers."""
        views: list[dict[str, Any]] = []
        for machine, data, logs in zip(self.machines(), self._encoded(), self.log_heights(), strict=True):
            heights = {chip.name: 1 << log for chip, log in zip(machine.chips, logs, strict=True) if log}
            views.append({"bytes": len(data), "heights": heights})
        segments = [view | {"journal_bytes": length} for view, length in zip(views[1:], self.lengths, strict=True)]
        size = 2 * DIGEST_BYTES + 4 * (1 + len(self.lengths)) + sum(view["bytes"] for view in views)
        return {"bytes": size, "memory": views[0], "segments": segments}
