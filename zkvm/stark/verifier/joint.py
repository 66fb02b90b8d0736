"""Several proofs that are joined, verifier's side: the early columns of all of them, the joint challenge, then each proof by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.air.table import Closing
from zkvm.stark.crypto.hashes import DIGEST_BYTES
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import ONE, ZERO, Ext, ext_inv, ext_mul, to_ext
from zkvm.stark.protocol.joint import (
    MAX_PARTS,
    PART_DOMAIN,
    Begin,
    Challenges,
    Joined,
    JointStatement,
    Part,
    PartProof,
    check_pin,
    early_logs,
    joint_challenges,
    joint_product,
    part_digest,
    pin_transcript,
)
from zkvm.stark.protocol.joint_codec import StoredProofs
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.proof import Proof, TreeOpening
from zkvm.stark.protocol.security import joined_bits
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.verifier.constraints import closing_fingerprints, terminals_by_table
from zkvm.stark.verifier.lockstep import Checks, in_lockstep
from zkvm.stark.verifier.shape import check_elements, check_shape, reject
from zkvm.stark.verifier.verify import checks

LOCKSTEP = 8
"""Proofs that a thread verifies at one time: more of them take more memory, and little less time."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is kept of each proof while the others are looked at: enough for what they have in common.

    Attributes:
        shape: of the proof.
        root: 32 bytes, of its early tree.
        pinned: (e, 3) uint64, values of its early columns.
        terminals: (k, 3) uint64.
    """

    shape: ProofShape
    root: bytes
    pinned: NDArray[np.uint64]
    terminals: NDArray[np.uint64]


def verify_joint(
    statement: JointStatement,
    parts: Sequence[Part],
    proofs: Sequence[PartProof],
    policy: Policy,
    begin: Begin = Transcript,
    threads: int = 1,
) -> list[ProofShape]:
    """Accept or refuse proofs that are joined. Each is asked for twice, of stored ones once, and not kept.

    Args:
        statement: what they are about together.
        parts: what each is about, in the order of their numbers, from 0 on.
        proofs: the proof of each: the same one whenever it is asked for.
        policy: what the caller demands.
        begin: for tests that replay challenges.
        threads: that verify, each up to :data:`LOCKSTEP` proofs at one time.

    Returns:
        The shape of each proof.

    Raises:
        VerificationError: with the reason of the first check that fails, of the first proof of which it does.
    """
    # a ----- shapes and policy of all proofs, before any arithmetic
    known, zk = check_parts(parts, proofs.beginnings if isinstance(proofs, StoredProofs) else proofs)
    shapes = [own.shape for own in known]
    check_joined_security(shapes, parts, statement, policy)
    # b ----- early columns: each tree is pinned, then all enter the joint challenge
    points, digests = [], []
    for number, (part, own) in enumerate(zip(parts, known, strict=True)):
        logs = early_logs(part.machine, own.shape.log_heights)
        transcript, point = pin_transcript(part.machine, own.shape.parameters, number, logs, own.root, begin)
        check_pin(own.shape.parameters.blowup, point)
        points.append(point)
        digests.append(part_digest(transcript, own.pinned, part.statement))
    challenges = joint_challenges(statement, shapes[0].parameters, zk, digests, begin)
    # c ----- the joint buses must close over all proofs
    check_joint_buses(shapes, [own.terminals for own in known], statement.closings, challenges)

    # d ----- each proof by itself, several in lockstep
    def verify(number: int) -> Checks[ProofShape]:
        part, own = parts[number], proofs[number]
        joined = Joined(number, challenges, own.root, points[number], own.pinned, own.early)
        return (yield from checks(part.machine, part.statement, own.proof, policy, begin(PART_DOMAIN), joined))

    def verify_group(numbers: NDArray[np.int64]) -> None:
        in_lockstep([verify(number) for number in numbers.tolist()])

    rounds = -(-len(parts) // (LOCKSTEP * threads))
    groups = np.array_split(np.arange(len(parts)), min(rounds * threads, len(parts)))
    if threads == 1:
        for group in groups:
            verify_group(group)
        return shapes
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(verify_group, groups))  # in their order: later ones are left when one is refused
    return shapes


def check_parts(parts: Sequence[Part], proofs: Sequence[PartProof]) -> tuple[list[Known], bool]:
    """Everything about the proofs that can be checked before any arithmetic: what is kept of each, and the zk flag of all.

    Raises:
        VerificationError: SHAPE, or POLICY for unknown parameters.
    """
    if not 1 <= len(parts) <= MAX_PARTS or len(parts) != len(proofs):
        raise reject(f"{len(proofs)} proofs for {len(parts)} parts; there are 1 to {MAX_PARTS}")
    known: list[Known] = []
    common = None
    for part, own in zip(parts, proofs, strict=True):
        if not isinstance(own, PartProof) or not isinstance(own.proof, Proof):
            raise reject("a part is no proof")
        shape = check_shape(part.machine, part.statement, own.proof)
        if not isinstance(own.root, bytes) or len(own.root) != DIGEST_BYTES:
            raise reject(f"an early root is not {DIGEST_BYTES} bytes")
        if not isinstance(own.early, TreeOpening) or not isinstance(own.early.rows, tuple):
            raise reject("openings of trees must be tree openings with a tuple of rows")
        if not shape.pinned_count:
            raise reject("a part without early columns is joined with nothing")
        check_elements("pinned values", own.pinned, (shape.pinned_count, EXTENSION))
        common = common or (own.proof.parameters, own.proof.zk)
        if (own.proof.parameters, own.proof.zk) != common:
            raise reject("the parts have different parameters or zk flags")
        known.append(Known(shape, own.root, own.pinned, own.proof.terminals))
    assert common is not None
    return known, common[1]


def check_joined_security(shapes: Sequence[ProofShape], parts: Sequence[Part], statement: JointStatement, policy: Policy) -> None:
    """The proofs together have the bits that their parameter set claims, and those that the caller demands under the caller's regime.

    Raises:
        VerificationError: POLICY, they have fewer.
    """
    tuples, joint = [part.statement.closing_tuples for part in parts], sum(len(closing.values) for closing in statement.closings)
    (proven, _), claimed = joined_bits(shapes, tuples, joint), shapes[0].parameters.security_bits
    if proven < claimed:
        raise VerificationError(RejectReason.POLICY, f"{proven:.1f} proven bits for these shapes, but their parameters claim {claimed}")
    policy.check(joined_bits(shapes, tuples, joint, policy.regime)[0])


def check_joint_buses(
    shapes: Sequence[ProofShape], terminals: Sequence[NDArray[np.uint64]], closings: Sequence[Closing], challenges: Challenges
) -> None:
    """Product of all joint terminals of all proofs and of what the verifier sent over what it received is 1.

    Args:
        shapes: of the proofs.
        terminals: of the proofs.
        closings: the verifier's tuples.
        challenges: of the joint fingerprints.

    Raises:
        VerificationError: BUS. A zero terminal or closing factor is refused.
    """
    product, received = ONE, ONE
    for shape, own in zip(shapes, terminals, strict=True):
        product = ext_mul(product, joint_product(shape, terminals_by_table(shape, own)))
    for closing in closings:
        for value in _factors(closing, challenges):
            product, received = (ext_mul(product, value), received) if closing.sent else (product, ext_mul(received, value))
    if product == ZERO or received == ZERO:
        raise VerificationError(RejectReason.BUS, "a terminal or closing factor of a joint bus is zero")
    if ext_mul(product, ext_inv(received)) != ONE:
        raise VerificationError(RejectReason.BUS, "the joint buses do not close")


def _factors(closing: Closing, challenges: Challenges) -> Iterator[Ext]:
    """Fingerprints of the verifier's tuples, whose numbers count from 0."""
    yield from map(to_ext, closing_fingerprints(closing, challenges.alpha, challenges.beta))
