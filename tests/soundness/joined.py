"""Proves the tables of a run in segments, honest or forged, with transcripts that may replay the joint challenges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from tests.proving import header_of
from tests.soundness.segment_forging import Composite, honest
from zkvm.riscv.machine import machine
from zkvm.riscv.segments import segmented_statement
from zkvm.stark.air.table import Table
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import Ext
from zkvm.stark.protocol.joint import JOINT_DOMAIN, Begin, Challenges, JointStatement, Part, PartProof, joint_challenges
from zkvm.stark.protocol.params import EXEMPT_MAX, Policy, parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover.joint import Early, commit_early, last_share, prove_part, share_of
from zkvm.stark.prover.preprocessed import commit_preprocessed
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.verifier.joint import verify_joint

CHOSEN = parameters("fast", 128)
"""The set with as many exempt rows as the forged tables have."""
Seeds = Callable[[str, int], Randomness]
"""The randomness of a purpose and a proof's number."""


class FrozenJoint(Transcript):
    """Gives these joint challenges whatever was absorbed."""

    def __init__(self, challenges: tuple[Ext, Ext]) -> None:
        super().__init__(JOINT_DOMAIN)
        self._frozen = dict(zip(("joint alpha", "joint beta"), challenges, strict=True))

    def draw_extension(self, label: str) -> Ext:
        super().draw_extension(label)
        return self._frozen[label]


FIXED: tuple[Ext, Ext] = ((3, 1, 4), (1, 5, 9))


def frozen(domain: str) -> Transcript:
    """Joint challenges that everybody knows from the start; real transcripts for all else."""
    return FrozenJoint(FIXED) if domain == JOINT_DOMAIN else Transcript(domain)


def seeded(purpose: str, number: int) -> Randomness:
    """The same in each run of the tests."""
    return Randomness(f"{purpose} {number}".encode().ljust(32, b"."))


def zeros(purpose: str, number: int) -> Randomness:
    """No zero knowledge."""
    return Randomness.zeros()


@dataclass
class Joint:
    """What the proofs of a run in segments are about, and the proofs."""

    statement: JointStatement
    parts: list[Part]
    proofs: list[PartProof]
    early: list[Early]
    challenges: Challenges

    def verify(self, begin: Begin = Transcript, policy: Policy | None = None) -> list[ProofShape]:
        """As a verifier who knows the statement."""
        return verify_joint(self.statement, self.parts, self.proofs, policy or Policy(128), begin)

    def with_proof(self, number: int, **changes: object) -> Joint:
        """Another value of fields of one proof."""
        proofs = list(self.proofs)
        proofs[number] = replace(proofs[number], **changes)  # type: ignore[arg-type]
        return replace(self, proofs=proofs)


def tables_of(forged: Composite) -> list[list[Table]]:
    """Copies of all tables, memory first."""
    return [[replace(table, main=table.main.copy()) for table in proof.tables.values()] for proof in (forged.memory, *forged.segments)]


def prove_composite(
    forged: Composite | None = None,
    *,
    begin: Begin = Transcript,
    seeds: Seeds = seeded,
    shares: Callable[[list[Ext]], list[Ext]] | None = None,
    exit_code: int = 0,
    threads: int = 2,
) -> Joint:
    """Prove tables as they are, with the verifier's tuples that they have.

    Args:
        forged: the tables; None: the honest ones.
        begin: begins transcripts.
        seeds: where randomness is from.
        shares: changes the shares of the proofs.
        exit_code: that is claimed.
        threads: at most this many.
    """
    own = forged or honest()
    assert CHOSEN.exempt == EXEMPT_MAX
    image = own.memory.image
    preprocessed = commit_preprocessed(machine(), preprocess(machine(), image), CHOSEN.blowup)
    header = header_of(image, preprocessed, CHOSEN)
    journal = [bytes(int(byte) for byte in proof.closings[0].values[:, 1]) for proof in own.segments]
    statement, parts = segmented_statement(header, CHOSEN, journal, exit_code)
    closings = [own.memory.closings, *(proof.closings for proof in own.segments)]
    parts = [replace(part, statement=replace(part.statement, closings=told)) for part, told in zip(parts, closings, strict=True)]
    tables = tables_of(own)
    given = [share_of(seeds("share", number)) for number in range(1, len(parts))]
    given = [last_share(given), *given]
    given = shares(given) if shares else given
    early = [
        commit_early(part, number, CHOSEN, tables[number], given[number], seeds("early", number), threads, begin)
        for number, part in enumerate(parts)
    ]
    zk = not seeds("early", 0).is_zero
    challenges = joint_challenges(statement, CHOSEN, zk, [one.digest for one in early], begin)
    proofs = [
        prove_part(
            part, early[number], challenges, CHOSEN, tables[number], preprocessed, seeds("rest", number), threads=threads, begin=begin
        )[0]
        for number, part in enumerate(parts)
    ]
    return Joint(statement, parts, proofs, early, challenges)


@cache
def proven() -> Joint:
    """The honest program's proofs, in two segments."""
    return prove_composite(honest((15,)))
