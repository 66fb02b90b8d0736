"""What joins several proofs: early columns, pinned before one joint challenge that all of them share.

The columns that joint buses read are committed for every proof first (*early* columns). A root alone does not fix them: beyond unique
decoding a word may be close to several polynomials, and a prover who may choose among them for each of many proofs, after he has seen the
challenge, has more choices than any field makes up for. So each early tree is *pinned*: a point is drawn from its root, and the columns'
values there are published before the joint challenge is drawn. They are checked with all other openings of the proof. Steps of the
transcripts: ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Closing
from zkvm.stark.crypto.hashes import DIGEST_BYTES
from zkvm.stark.crypto.merkle import subtree_root
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import ONE, Ext, ext_from_base, ext_mul, ext_pow, ext_scale, ext_sub
from zkvm.stark.field.goldilocks import P, coset_shift
from zkvm.stark.protocol.params import MAX_HEIGHT, PROTOCOL_VERSION, Parameters
from zkvm.stark.protocol.proof import ByContent, LayerOpening, Proof, TreeOpening
from zkvm.stark.protocol.shape import ProofShape, shared_params
from zkvm.stark.protocol.statement import Statement

EARLY_DOMAIN, JOINT_DOMAIN, PART_DOMAIN = "zkvm early columns", "zkvm joint", "zkvm part"
MAX_PARTS = (1 << 16) + 1
"""Proofs that are joined at most: their numbers are below, so that differences of two are in one range check."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one of the joined proofs is about; its number is its place among them.

    Attributes:
        machine: its machine.
        statement: what it says by itself; its fields enter the joint challenge too.
    """

    machine: Machine
    statement: Statement


@dataclass(frozen=True, slots=True)
class JointStatement:
    """What all proofs together are about.

    Attributes:
        fields: labelled bytes, absorbed in order.
        closings: the verifier's tuples on the joint buses; their first value is the number of a proof.
    """

    fields: tuple[tuple[str, bytes], ...]
    closings: tuple[Closing, ...]


NOT_OPENED = TreeOpening((), None, np.zeros((0, DIGEST_BYTES), np.uint8))
"""Of the early tree, while a proof is made; of all trees, while only the beginnings of proofs are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class PartProof(ByContent):
    """One of several proofs that are joined.

    Attributes:
        root: 32 bytes, of the tree of early columns.
        pinned: (e, 3) uint64, the early columns' values at the point that the root leads to, in the order of the openings.
        early: opening of the tree of early columns.
        proof: everything else.
    """

    root: bytes
    pinned: NDArray[np.uint64]
    early: TreeOpening
    proof: Proof

    def beginning(self) -> PartProof:
        """A small part of it, enough for what the proofs have in common. Nothing is opened at query positions, and the openings and the
        final polynomial are zeros, as many as they were, that take no memory: a proof by itself needs their values, and is read again.
        """
        zero = np.zeros((), np.uint64)
        openings, final = (np.broadcast_to(zero, values.shape) for values in (self.proof.openings, self.proof.final))
        layers = (LayerOpening(np.zeros((0, 0), np.uint64), NOT_OPENED.siblings),) * len(self.proof.layers)
        none = NOT_OPENED
        proof = replace(self.proof, openings=openings, final=final, preprocessed=none, main=none, bus=none, quotient=none, layers=layers)
        return replace(self, early=none, proof=proof)


@dataclass(frozen=True, slots=True)
class Challenges:
    """What the joint transcript ends with.

    Attributes:
        digest: 32 bytes that stand for everything that it absorbed.
        alpha: the first challenge of the joint fingerprints.
        beta: the second.
    """

    digest: bytes
    alpha: Ext
    beta: Ext

    def alpha_of(self, number: int) -> Ext:
        """alpha - number beta: numbers in a proof's joint tuples count from its own."""
        return ext_sub(self.alpha, ext_scale(self.beta, number))


@dataclass(frozen=True, slots=True)
class Joined:
    """What one proof has from the others.

    Attributes:
        number: of the proof.
        challenges: those that all proofs share.
        root: of its early tree.
        point: where its early columns are pinned, for tables of the largest height.
        pinned: their values there.
        tree: opening of the early tree, for who verifies.
    """

    number: int
    challenges: Challenges
    root: bytes
    point: Ext
    pinned: NDArray[np.uint64]
    tree: TreeOpening


Begin = Callable[[str], Transcript]
"""Begins a transcript of a domain; tests begin some that replay challenges."""


def early_logs(machine: Machine, log_heights: Sequence[int]) -> bytes:
    """log2 heights of the tables with early columns, in machine order; 0: absent."""
    return bytes(log for chip, log in zip(machine.chips, log_heights, strict=True) if chip.early)


def pin_transcript(
    machine: Machine, parameters: Parameters, number: int, logs: bytes, root: bytes, begin: Begin = Transcript
) -> tuple[Transcript, Ext]:
    """The transcript of an early tree up to the point where its columns are pinned, and that point.

    Args:
        machine: of the proof.
        parameters: of all proofs.
        number: of the proof.
        logs: of :func:`early_logs`.
        root: of the early tree.
        begin: begins the transcript.
    """
    transcript = begin(EARLY_DOMAIN)
    transcript.absorb_int("protocol version", PROTOCOL_VERSION)
    for name, value in zip(("blowup", "queries", "exempt rows"), parameters.numbers, strict=True):
        transcript.absorb_int(name, value)
    transcript.absorb_bytes("machine digest", machine.digest)
    transcript.absorb_int("number", number)
    transcript.absorb_bytes("early log heights", logs)
    transcript.absorb_bytes("early root", root)
    return transcript, transcript.draw_extension("pin")


def part_digest(transcript: Transcript, pinned: NDArray[np.uint64], statement: Statement) -> bytes:
    """What stands for a proof in the joint challenge: 32 bytes. ``transcript``: of :func:`pin_transcript`."""
    transcript.absorb_elements("pinned", pinned)
    for label, data in statement.fields:
        transcript.absorb_bytes(label, data)
    return transcript.state


def joint_challenges(
    statement: JointStatement, parameters: Parameters, zk: bool, digests: Sequence[bytes], begin: Begin = Transcript
) -> Challenges:
    """The challenges of all proofs, from everything that is public and the early columns of each.

    Args:
        statement: of all of them.
        parameters: of all of them.
        zk: whether the prover says that his randomness is real.
        digests: of :func:`part_digest`, in the order of the numbers.
        begin: begins the transcript.
    """
    transcript = begin(JOINT_DOMAIN)
    transcript.absorb_int("protocol version", PROTOCOL_VERSION)
    for name, value in zip(("blowup", "queries", "exempt rows"), parameters.numbers, strict=True):
        transcript.absorb_int(name, value)
    transcript.absorb_int("zk", int(zk))
    for label, data in statement.fields:
        transcript.absorb_bytes(label, data)
    transcript.absorb_int("number of parts", len(digests))
    transcript.absorb_bytes("root of the parts", parts_root(digests))
    alpha, beta = transcript.draw_extension("joint alpha"), transcript.draw_extension("joint beta")
    return Challenges(transcript.state, alpha, beta)


def parts_root(digests: Sequence[bytes]) -> bytes:
    """Root of the Merkle tree over the digests, zeros up to the next power of two: 32 bytes."""
    count = 1 << (len(digests) - 1).bit_length()
    leaves = b"".join(digests) + bytes(DIGEST_BYTES * (count - len(digests)))
    return subtree_root(np.frombuffer(leaves, np.uint8).reshape(count, DIGEST_BYTES)).tobytes()


def all_params(machine: Machine, alpha: Ext, beta: Ext, joined: Joined | None) -> list[int]:
    """Runtime constants that all chips share: those of the proof's own challenges, then, of a machine with joint buses, of the joint ones.

    Raises:
        ValueError: the machine has joint buses, and the proof is joined with no others, or the other way round.
    """
    if (joined is None) == bool(machine.joint_powers):
        raise ValueError(f"machine {machine.name}: a proof is joined with others exactly if it has joint buses")
    own = shared_params(alpha, beta, machine.powers)
    if joined is None:
        return own
    across = joined.challenges
    return own + shared_params(across.alpha_of(joined.number), across.beta, machine.joint_powers)


def check_pin(blowup: int, point: Ext) -> None:
    """Refuse a point whose powers, where tables of any height are opened, could lie in a domain.

    Raises:
        VerificationError: OOD.
    """
    size = blowup * MAX_HEIGHT
    if ext_pow(point, MAX_HEIGHT) == ONE or ext_pow(point, size) == ext_from_base(pow(coset_shift(MAX_HEIGHT), size, P)):
        raise VerificationError(RejectReason.OOD, "the point that pins the early columns lies in a domain")


def lifted_pin(shape: ProofShape, point: Ext) -> Ext:
    """Where the lifted early columns of a proof are opened: a table of height n is opened at point^(2^24 / n)."""
    return ext_pow(point, MAX_HEIGHT // shape.tallest)


def joint_product(shape: ProofShape, terminals: Sequence[Sequence[Ext]]) -> Ext:
    """Product of the terminals of a proof's joint buses; ``terminals``: for each table those of its running columns."""
    product = ONE
    for table, values in zip(shape.tables, terminals, strict=True):
        for value in values[: table.code.plan.joint]:
            product = ext_mul(product, value)
    return product
