"""A plugin of pytest: every proof that a test verifies is also verified in JavaScript, and both must say the same.

    python -m pytest -p tests.web.both tests/soundness/test_protocol.py

It takes the place of ``verify_proof`` before any test imports it. Left out are proof objects that no bytes encode, and calls with a
verifier or a transcript that a test has changed. At the end it says how often both agreed; a disagreement fails the test in which it
happens.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from tests.soundness.replay import Frozen, Recorder
from tests.web.judge import Judge
from zkvm.errors import UsageError, VerificationError
from zkvm.stark.protocol import params, security
from zkvm.stark.protocol.codec import decode_proof, encode_proof
from zkvm.stark.protocol.params import Policy
from zkvm.stark.verifier import verify

ENDS: Counter[str] = Counter()
JUDGES: list[Judge] = []
original = verify.verify_proof
UNCHANGED = dict(vars(verify)), dict(vars(params)), dict(vars(security))
LEFT_OUT = "left out"


def judge() -> Judge:
    """The one that all tests ask."""
    if not JUDGES:
        JUDGES.append(Judge())
    return JUDGES[0]


def comparable(machine: Any, proof: Any, transcript: Any) -> bytes | None:
    """The proof's bytes, if JavaScript can be asked about them: nobody changed the verifier, and they decode to what was encoded."""
    now = dict(vars(verify)), dict(vars(params)), dict(vars(security))
    changed = any(
        before[name] is not after.get(name)
        for before, after in zip(UNCHANGED, now, strict=True)
        for name in before
        if name != "verify_proof"
    )
    if changed or type(transcript) not in (type(None), Recorder, Frozen):
        return None
    try:
        data = encode_proof(proof)
        decode_proof(machine, data)
    except (UsageError, VerificationError, AttributeError, TypeError, IndexError, ValueError):
        return None
    return data


def verify_by_both(machine: Any, statement: Any, proof: Any, policy: Any, transcript: Any = None) -> Any:
    """As ``verify_proof``; what it says is compared."""
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
        if getattr(module, "verify_proof", None) is original:
            vars(module)["verify_proof"] = verify_by_both


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How often both said the same."""
    terminalreporter.write_line("verified by both: " + ", ".join(f"{count} {end}" for end, count in ENDS.most_common()))


def pytest_unconfigure() -> None:
    """End the process of Node."""
    while JUDGES:
        JUDGES.pop().close()
