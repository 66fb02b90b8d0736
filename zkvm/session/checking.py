"""Which of the proofs of a run are wrong: for whoever has them from others, and finds that the receipt does not verify."""

from __future__ import annotations

from collections.abc import Sequence

from zkvm.errors import VerificationError
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.protocol.joint import PART_DOMAIN, Challenges, Joined, Part, PartProof, early_logs, part_digest, pin_transcript
from zkvm.stark.protocol.params import Policy
from zkvm.stark.verifier.shape import check_shape
from zkvm.stark.verifier.verify import verify_proof


def wrong_parts(
    parts: Sequence[Part], proofs: Sequence[PartProof], digests: Sequence[bytes], challenges: Challenges, policy: Policy
) -> list[int]:
    """Numbers of the proofs that are not what they should be, each looked at by itself.

    Args:
        parts: what each is about.
        proofs: the proof of each.
        digests: what was to stand for each in the joint challenge.
        challenges: that came of it.
        policy: of the receipt's verifiers.
    """
    wrong = []
    for number, (part, own, digest) in enumerate(zip(parts, proofs, digests, strict=True)):
        try:
            shape = check_shape(part.machine, part.statement, own.proof)
            logs = early_logs(part.machine, shape.log_heights)
            transcript, point = pin_transcript(part.machine, shape.parameters, number, logs, own.root)
            if part_digest(transcript, own.pinned, part.statement) != digest:
                wrong.append(number)
                continue
            joined = Joined(number, challenges, own.root, point, own.pinned, own.early)
            verify_proof(part.machine, part.statement, own.proof, policy, Transcript(PART_DOMAIN), joined)
        except VerificationError:
            wrong.append(number)
    return wrong
