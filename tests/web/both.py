"""A plugin of pytest: every proof that a test verifies is also verified in JavaScript, and both must say the same.

    python -m pytest -p tests.web.both tests/soundness/test_protocol.py

It takes the place of ``verify_proof`` and ``verify_joint`` before any test imports them. Left out are proof objects that no bytes encode,
and calls with a verifier or a transcript that a test has changed. At the end it says how often both agreed; a disagreement fails the test
in which it happens.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from tests.soundness.replay import Frozen, Recorder
from tests.web.judge import Judge
from zkvm.errors import UsageError, VerificationError
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.protocol import params, security
from zkvm.stark.protocol.codec import Reader, decode_proof, encode_proof
from zkvm.stark.protocol.joint_codec import encode_part, read_part
from zkvm.stark.protocol.params import Policy
from zkvm.stark.verifier import joint, verify

ENDS: Counter[str] = Counter()
JUDGES: list[Judge] = []
original, original_joint = verify.verify_proof, joint.verify_joint
MODULES = (verify, joint, params, security)
UNCHANGED = tuple(dict(vars(module)) for module in MODULES)
OWN = ("verify_proof", "verify_joint")
LEFT_OUT = "left out"


def judge() -> Judge:
    """The one that all tests ask."""
    if not JUDGES:
        JUDGES.append(Judge())
    return JUDGES[0]


def is_changed() -> bool:
    """Whether a test has changed the verifier."""
    now = tuple(vars(module) for module in MODULES)
    return any(
        before[name] is not after.get(name) for before, after in zip(UNCHANGED, now, strict=True) for name in before if name not in OWN
    )


def comparable(machine: Any, proof: Any, transcript: Any) -> bytes | None:
    """The proof's bytes, if JavaScript can be asked about them: nobody changed the verifier, and they decode to what was encoded."""
    if is_changed() or type(transcript) not in (type(None), Recorder, Frozen):
        return None
    try:
        data = encode_proof(proof)
        decode_proof(machine, data)
    except (UsageError, VerificationError, AttributeError, TypeError, IndexError, ValueError):
        return None
    return data


def verify_by_both(machine: Any, statement: Any, proof: Any, policy: Any, transcript: Any = None, joined: Any = None) -> Any:
    """As ``verify_proof``; what it says is compared, unless the proof is one of several, which are compared together."""
    if joined is not None:
        return original(machine, statement, proof, policy, transcript, joined)
    data = comparable(machine, proof, transcript) if type(policy) is Policy else None
    draws = transcript._frozen if type(transcript) is Frozen else None
    theirs = None
    if data is not None:
        answer = judge().seal(machine, statement, data, policy.min_security, policy.regime, draws)
        theirs = "accepted" if answer["accepted"] else answer["reason"]
    try:
        shape = original(machine, statement, proof, policy, transcript)
    except VerificationError as error:
        ours = error.reason.value
        if data is not None and theirs != ours and transcript is None:
            ours = reason_of_bytes(machine, statement, data, policy)  # an object may have types that its bytes do not show
        compare(theirs, ours)
        raise
    compare(theirs, "accepted")
    return shape


def comparable_parts(parts: Any, proofs: Any) -> bool:
    """The same of joined proofs."""
    if is_changed() or len(parts) != len(proofs):
        return False
    try:
        for part, own in zip(parts, proofs, strict=True):
            read_part(part.machine, Reader(encode_part(own)))
    except (UsageError, VerificationError, AttributeError, TypeError, IndexError, ValueError):
        return False
    return True


class Watched:
    """Begins transcripts as a test does; keeps what each draws."""

    def __init__(self, begin: Any) -> None:
        self._begin = begin
        self.draws: list[dict[str, Any]] = []

    def __call__(self, domain: str) -> Transcript:
        transcript: Transcript = self._begin(domain)
        draw, drawn = transcript.draw_extension, dict[str, Any]()
        self.draws.append(drawn)

        def kept(label: str) -> Any:
            drawn[label] = draw(label)
            return drawn[label]

        transcript.draw_extension = kept  # type: ignore[method-assign]
        return transcript


def verify_joint_by_both(statement: Any, parts: Any, proofs: Any, policy: Any, begin: Any = Transcript, threads: int = 1) -> Any:
    """As ``verify_joint``; what it says is compared."""
    asked = type(policy) is Policy and comparable_parts(parts, proofs)
    watched = Watched(begin)
    ours, shapes, refusal = "accepted", None, None
    try:
        shapes = original_joint(statement, parts, proofs, policy, watched)
    except VerificationError as error:
        ours, refusal = error.reason.value, error
    if asked:
        draws = None if begin is Transcript else watched.draws
        answer = judge().joint(statement, parts, proofs, policy, draws)
        compare("accepted" if answer["accepted"] else answer["reason"], ours)
    else:
        compare(None, ours)
    if refusal is not None:
        raise refusal
    return shapes


def reason_of_bytes(machine: Any, statement: Any, data: bytes, policy: Policy) -> str:
    """What ``verify_proof`` says of the object that the bytes encode."""
    try:
        original(machine, statement, decode_proof(machine, data), policy)
    except VerificationError as error:
        return error.reason.value
    return "accepted"


def compare(theirs: str | None, ours: str) -> None:
    """Count the end; fail if they differ."""
    ENDS[LEFT_OUT if theirs is None else ours] += 1
    if theirs is not None and theirs != ours:
        pytest.fail(f"Python says {ours}, JavaScript says {theirs}")


def pytest_configure() -> None:
    """Before any test is imported; what this module imports has the function already."""
    for module in list(sys.modules.values()):
        for name, known, own in (("verify_proof", original, verify_by_both), ("verify_joint", original_joint, verify_joint_by_both)):
            if getattr(module, name, None) is known:
                vars(module)[name] = own


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How often both said the same."""
    terminalreporter.write_line("verified by both: " + ", ".join(f"{count} {end}" for end, count in ENDS.most_common()))


def pytest_unconfigure() -> None:
    """End the process of Node."""
    while JUDGES:
        JUDGES.pop().close()
