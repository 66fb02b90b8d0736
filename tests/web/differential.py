"""Changed receipts and proofs for both verifiers, and what each says of them.

A *program* says what to change, as in ``tests/fuzz/mutations.py``: a disagreement is a short string.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import CHANGE_BYTES, changed_bytes, changed_proof, same
from tests.receipts import toy_proof
from tests.soundness.replay import Frozen, Recorder
from tests.toy import TOY
from tests.web.judge import Judge
from zkvm.errors import FormatError, UsageError, VerificationError
from zkvm.riscv.header import run_statement
from zkvm.riscv.machine import machine
from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol.codec import decode_proof, encode_proof
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.verifier.verify import verify_proof
from zkvm.verifier.receipt import DEFAULT_POLICY, Receipt, verdict

FROZEN = Path(__file__).resolve().parents[1] / "compat"
BODY = re.compile(r"the body must have (\d+) bytes, not (\d+)")
ACCEPTED = "accepted"
NOT_IN_BYTES = "cannot be encoded"
HARMLESS_REPLAYED = {"nonce", "zk"}
"""Values that only challenges depend on: with recorded ones nothing notices a change."""


@dataclass(frozen=True)
class Subject:
    """An honest proof and the challenges of its verification."""

    machine: Machine
    statement: Statement
    proof: Proof
    draws: dict[str, Any]


def subject(own: Machine, statement: Statement, proof: Proof) -> Subject:
    """With recorded challenges."""
    recorder = Recorder()
    verify_proof(own, statement, proof, Policy(), recorder)
    return Subject(own, statement, proof, recorder.draws)


@cache
def toy() -> Subject:
    """Of the small machine: fast."""
    return subject(TOY, *toy_proof(name="compact"))


@cache
def real() -> Subject:
    """Of the machine itself."""
    receipt = Receipt.load(FROZEN / "hello-compact-100.receipt")
    assert receipt.seal is not None
    return subject(machine(), run_statement(receipt.header, receipt.parameters, receipt.journal, receipt.claim.exit_code), receipt.seal)


@cache
def frozen_receipts() -> tuple[bytes, ...]:
    """A dev receipt, a short one, a long one."""
    names = ("echo-dev", "hello-compact-100", "echo-balanced-100-padded")
    return tuple((FROZEN / f"{name}.receipt").read_bytes() for name in names)


def reason_of(answer: dict[str, Any]) -> str:
    """The reason, or that it was accepted."""
    return ACCEPTED if answer["accepted"] else str(answer["reason"])


def claim_of(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of JavaScript with the names of Python; of a refusal the reason alone."""
    if not answer["accepted"]:
        return {"accepted": False, "reason": answer["reason"]}
    numbers = answer["parameters"]
    names = {"imageId": "image_id", "exitCode": "exit_code", "securityBits": "security_bits", "bitsByRegime": "bits_by_regime"}
    renamed = {names.get(key, key): value for key, value in answer.items()}
    return renamed | {"parameters": {"blowup": numbers["blowup"], "queries": numbers["queries"], "exempt_rows": numbers["exemptRows"]}}


def agreed(judge: Judge, data: bytes, image_id: str, policy: Policy = DEFAULT_POLICY, exit_code: int = 0) -> dict[str, Any]:
    """What both say of a receipt: the same claim, or a refusal for the same reason.

    Raises:
        AssertionError: they do not agree.
    """
    ours = verdict(data, image_id, policy=policy, exit_code=exit_code)
    options = {
        "minSecurity": policy.min_security, "regime": policy.regime, "exitCode": exit_code, "allowDev": policy.allow_dev,
        "maxSegments": policy.max_segments,
    }  # fmt: skip
    theirs = claim_of(judge.receipt(data, image_id, **options))
    told = ours.pop("detail", None)
    assert ours == theirs, told
    return ours


def fitted(data: bytes) -> bytes:
    """Bytes whose body has the length that its head demands, so that a changed head is not the end."""
    try:
        Receipt.from_bytes(data)
    except FormatError as error:
        found = BODY.search(error.detail)
        if found is not None:
            missing = int(found[1]) - int(found[2])
            return data + bytes(missing) if missing > 0 else data[:missing]
    return data


def own_image(data: bytes) -> str:
    """The image ID of a receipt's header, as if its forger was trusted."""
    try:
        return Receipt.from_bytes(data).header.image_id().hex()
    except VerificationError:
        return "00" * 32


def compare_receipt(judge: Judge, program: bytes) -> str:
    """Change the bytes of a receipt; returns the reason that both give.

    Raises:
        AssertionError: they do not agree.
    """
    base = frozen_receipts()[program[-1] % 3]
    data = changed_bytes(base, program)
    data = fitted(data) if program[0] & 16 else data
    image = own_image(data if program[0] & 32 else base)
    allow_dev = bool(program[0] & 64)
    ours = verdict(data, image, policy=Policy(allow_dev=allow_dev))
    theirs = judge.receipt(data, image, allowDev=allow_dev)
    assert reason_of(ours) == reason_of(theirs), (ours, theirs, program.hex())
    return reason_of(ours)


def compare_proof(judge: Judge, base: Subject, program: bytes) -> str:
    """Change a proof and verify it with fresh or with recorded challenges; returns the reason that both give.

    Raises:
        AssertionError: they do not agree, or accept.
    """
    proof, paths = changed_proof(base.proof, program)
    replayed = bool(program[0] & 64)
    try:
        data = encode_proof(proof)
    except UsageError:
        return NOT_IN_BYTES
    ours = proof_reason(base, data, replayed)
    theirs = reason_of(judge.seal(base.machine, base.statement, data, draws=base.draws if replayed else None))
    assert ours == theirs, (ours, theirs, paths, program.hex())
    harmless = same(proof, base.proof) or (replayed and HARMLESS_REPLAYED & set(paths))
    assert ours != ACCEPTED or harmless, (paths, program.hex())
    return ours


def proof_reason(base: Subject, data: bytes, replayed: bool) -> str:
    """What the verifier in Python says of a seal's bytes."""
    try:
        verify_proof(base.machine, base.statement, decode_proof(base.machine, data), Policy(), Frozen(base.draws) if replayed else None)
    except VerificationError as error:
        return error.reason.value
    return ACCEPTED


def compare_many(judge: Judge, runs: int, seed: int) -> Counter[str]:
    """Random programs: of ten four change a receipt's bytes, five a proof of the small machine, one a proof of the machine itself."""
    rng, ends = random.Random(seed), Counter[str]()
    for number in range(runs):
        program = rng.randbytes(CHANGE_BYTES * rng.choice((1, 1, 1, 2, 3)))
        match number % 10:
            case 0 | 2 | 4 | 6:
                ends[compare_receipt(judge, program)] += 1
            case 9:
                ends[compare_proof(judge, real(), program)] += 1
            case _:
                ends[compare_proof(judge, toy(), program)] += 1
    return ends
