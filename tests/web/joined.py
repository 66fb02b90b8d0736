"""Changed receipts of runs in segments for both verifiers, and what each says of them; programs as in ``tests/web/differential.py``."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from tests.fuzz.mutations import CHANGE_BYTES, changed_bytes, changed_proof, changes
from tests.soundness.replay import Frozen, Recorder
from tests.web.differential import ACCEPTED, NOT_IN_BYTES, agreed, own_image, reason_of
from tests.web.judge import ROOT, Judge
from zkvm import api
from zkvm.errors import UsageError, VerificationError
from zkvm.riscv.segments import segmented_statement
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.protocol.joint import Begin, JointStatement, Part, PartProof
from zkvm.stark.protocol.params import DEFAULT_DEMAND, Policy
from zkvm.stark.verifier.joint import verify_joint
from zkvm.verifier.receipt import Receipt
from zkvm.verifier.segments import SegmentedSeal

HELLO = ROOT / "guest_programs" / "hello" / "hello.elf"
Draws = list[dict[str, Any]]
"""The challenges of each transcript of a verification, in the order in which they begin."""
HARMLESS_REPLAYED = ("nonce", "zk")
"""Values that only challenges depend on: with recorded ones nothing notices a change."""


@cache
def receipt() -> Receipt:
    """Of a run in three segments, without randomness."""
    return Receipt.load(ROOT / "tests" / "vectors" / "segments.receipt")


@cache
def other_cut() -> Receipt:
    """The same run in segments of another length, two of them."""
    return api.prove(HELLO, params="compact", security=100, zk=False, verify=False, segment_cycles=14).receipt


def image() -> str:
    """The image ID of the program."""
    return receipt().claim.image_id.hex()


def seal_of(own: Receipt) -> SegmentedSeal:
    """The proofs of a receipt that has several."""
    assert own.segmented is not None
    return own.segmented


def with_seal(**values: Any) -> Receipt:
    """The receipt with other values in its seal."""
    return replace(receipt(), segmented=replace(seal_of(receipt()), **values))


def statement_of(own: Receipt) -> tuple[JointStatement, list[Part]]:
    """What its proofs are about.

    Raises:
        VerificationError: nothing that can be.
    """
    return segmented_statement(own.header, own.parameters, seal_of(own).parts(own.journal), own.claim.exit_code)


class Recording:
    """Begins transcripts that keep what they draw."""

    def __init__(self) -> None:
        self.begun: list[Recorder] = []

    def __call__(self, domain: str) -> Transcript:
        self.begun.append(Recorder(domain))
        return self.begun[-1]

    @property
    def draws(self) -> Draws:
        """What each drew."""
        return [transcript.draws for transcript in self.begun]


def replaying(draws: Draws) -> Begin:
    """Begins transcripts that give recorded challenges."""
    left = iter(draws)
    return lambda domain: Frozen(next(left, {}), domain=domain)


@cache
def recorded() -> Draws:
    """The challenges of the receipt."""
    recording = Recording()
    statement, parts = statement_of(receipt())
    verify_joint(statement, parts, seal_of(receipt()).proofs, Policy(), recording)
    return recording.draws


def reason_of_both(judge: Judge, data: bytes, trusted: str) -> str:
    """The reason that both give of a receipt's bytes.

    Raises:
        AssertionError: they do not agree.
    """
    return reason_of(agreed(judge, data, trusted))


def both_replayed(judge: Judge, own: Receipt, draws: Draws) -> str:
    """The reason that both give under recorded challenges; ``own``: decoded from bytes.

    Raises:
        AssertionError: they do not agree.
    """
    proofs = seal_of(own).proofs
    try:
        statement, parts = statement_of(own)
    except VerificationError as error:
        return error.reason.value
    ours = joint_reason(statement, parts, proofs, replaying(draws))
    theirs = reason_of(judge.joint(statement, parts, proofs, Policy(DEFAULT_DEMAND), draws))
    assert ours == theirs, (ours, theirs)
    return ours


def joint_reason(statement: JointStatement, parts: Sequence[Part], proofs: Sequence[PartProof], begin: Begin) -> str:
    """What the verifier in Python says of joined proofs."""
    try:
        verify_joint(statement, parts, proofs, Policy(DEFAULT_DEMAND), begin)
    except VerificationError as error:
        return error.reason.value
    return ACCEPTED


def compare_bytes(judge: Judge, program: bytes) -> str:
    """Change the bytes of the receipt; returns the reason that both give."""
    base = receipt().to_bytes()
    data = changed_bytes(base, program)
    reason = reason_of_both(judge, data, own_image(data) if program[0] & 32 else image())
    assert reason != ACCEPTED or data == base, program.hex()
    return reason


def compare_seal(judge: Judge, program: bytes) -> str:
    """Change values of the proofs and verify them with fresh or with recorded challenges; returns the reason that both give."""
    seal, paths = changed_proof(seal_of(receipt()), program)
    try:
        data = replace(receipt(), segmented=seal).to_bytes()
    except UsageError:
        return NOT_IN_BYTES
    if not program[0] & 64:
        reason = reason_of_both(judge, data, image())
        assert reason != ACCEPTED or data == receipt().to_bytes(), (paths, program.hex())
        return reason
    try:
        changed = Receipt.from_bytes(data)
    except VerificationError:
        return reason_of_both(judge, data, image())
    reason = both_replayed(judge, changed, recorded())
    harmless = data == receipt().to_bytes() or any(path.endswith(HARMLESS_REPLAYED) for path in paths)
    assert reason != ACCEPTED or harmless, (paths, program.hex())
    return reason


def compare_order(judge: Judge, program: bytes) -> str:
    """Leave proofs out, exchange and repeat them, take some of another cut of the run; returns the reason that both give."""
    seals = seal_of(receipt()), seal_of(other_cut())
    proofs, lengths = list(seals[0].proofs), list(seals[0].lengths)
    for operation, place, argument in changes(program):
        at, other = place % len(proofs), argument % len(proofs)
        match operation & 7:
            case 0 | 1:
                proofs[at], proofs[other] = proofs[other], proofs[at]
            case 2:
                proofs[at] = proofs[other]
            case 3 if len(lengths) > 1:
                del proofs[at], lengths[max(at - 1, 0)]
            case 4:
                proofs.insert(at, proofs[other])
                lengths.insert(max(at - 1, 0), 0)
            case 5:
                proofs[at] = seals[1].proofs[argument % len(seals[1].proofs)]
            case 6:
                number = place % len(lengths)
                lengths[number], lengths[argument % len(lengths)] = lengths[argument % len(lengths)], lengths[number]
            case _:
                lengths[place % len(lengths)] = argument % 8
    changed = with_seal(proofs=tuple(proofs), lengths=tuple(lengths))
    reason = reason_of_both(judge, changed.to_bytes(), image())
    assert reason != ACCEPTED or changed == receipt(), program.hex()
    return reason


def compare_many(judge: Judge, runs: int, seed: int) -> Counter[str]:
    """Random programs: of ten three change bytes, five values of proofs, two their order."""
    rng, ends = random.Random(seed), Counter[str]()
    for number in range(runs):
        program = rng.randbytes(CHANGE_BYTES * rng.choice((1, 1, 1, 2, 3)))
        compare = (compare_bytes, compare_seal, compare_order)[(0, 1, 0, 1, 2, 1, 0, 1, 2, 1)[number % 10]]
        ends[compare(judge, program)] += 1
    return ends
