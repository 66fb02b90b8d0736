"""The verifier in JavaScript says of every receipt what the one in Python says: the same claim, or a refusal for the same reason."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.receipts import TEXT, dev_receipt, echo_receipt
from tests.soundness.manifest import MANIFEST, Row, first, flip, last, mutated
from tests.web.differential import (
    FROZEN,
    Subject,
    agreed,
    compare_many,
    compare_proof,
    compare_receipt,
    frozen_receipts,
    real,
    reason_of,
    toy,
)
from tests.web.judge import ROOT, Judge, needs_node
from zkvm.errors import UsageError, VerificationError
from zkvm.riscv.machine import machine
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.codec import encode_proof
from zkvm.stark.protocol.params import PARAMETERS, REGIMES, Parameters, Policy
from zkvm.stark.protocol.security import proven_bits
from zkvm.stark.protocol.shape import ProofShape
from zkvm.verifier.receipt import MAX_JOURNAL_BYTES, Receipt, journal_digest, verdict

pytestmark = needs_node

programs = st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=4).map(b"".join)
LONG_RUN = (
    "test_protocol", "test_low_degree", "test_manifest", "test_fiat_shamir", "test_sums", "test_policy", "test_shapes",
    "test_verifier_steps",
    "test_forgeries_proven", "test_tensor_forgeries_proven", "test_moving_forgeries_proven", "test_blake3_forgeries_proven",
    "test_joint_protocol", "test_joint_numbers", "test_segment_limits",
)  # fmt: skip
"""Files of tests/soundness whose tests verify proofs of cheating provers."""


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    started = Judge()
    yield started
    started.close()


@pytest.mark.parametrize("allow_dev", [False, True])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("demand", [0, 66, 67, 76, 88, 100, 103, 104, 128, 129])
def test_policies(judge: Judge, demand: int, regime: str, allow_dev: bool) -> None:
    paths = sorted(FROZEN.glob("*.receipt"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        image = Receipt.from_bytes(data).claim.image_id.hex()
        agreed(judge, data, image, Policy(demand, allow_dev, regime))


@pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")
def test_proven_bits(judge: Judge, chosen: Parameters) -> None:
    """Of shapes short and tall, with few tables and many: the same number but for rounding."""
    rng = random.Random(chosen.queries)
    for _ in range(40):
        tallest = rng.randint(15, 24)
        logs = tuple(rng.choice((0, rng.randint(9, tallest))) for _ in machine().chips[1:]) + (tallest,)
        tuples = rng.choice((4, 200, MAX_JOURNAL_BYTES))
        ours = [proven_bits(ProofShape(machine(), chosen, logs), tuples, regime) for regime in REGIMES]
        assert judge.bits(chosen.numbers, logs, tuples) == pytest.approx(ours, abs=1e-9)


def test_whole_answers(judge: Judge) -> None:
    honest = echo_receipt()
    data, image = honest.to_bytes(), honest.claim.image_id.hex()
    assert agreed(judge, data, image)["journal"] == TEXT.hex()
    assert agreed(judge, data, image, exit_code=1)["reason"] == "POLICY"
    assert agreed(judge, data, "00" * 32)["reason"] == "IMAGE_ID"
    assert agreed(judge, dev_receipt().to_bytes(), image)["reason"] == "POLICY"
    assert agreed(judge, dev_receipt().to_bytes(), image, Policy(allow_dev=True))["dev"]
    ours = verdict(data, image, "11" * 32)
    theirs = judge.receipt(data, [image, "11" * 32])
    assert (ours["reason"], ours["detail"]) == (theirs["reason"], theirs["detail"])


@pytest.mark.parametrize("row", MANIFEST, ids=lambda row: f"{row.path}: {row.why}")
def test_tamper_rows(judge: Judge, row: Row) -> None:
    """One change for each field. Of those that bytes can hold, the reason is the row's or the format's."""
    honest = echo_receipt()
    changed: Receipt = mutated(honest, row.path, row.mutation)
    try:
        data = changed.to_bytes()
    except UsageError:
        with pytest.raises(VerificationError):
            changed.verify(honest.claim.image_id)
        return
    assert agreed(judge, data, honest.claim.image_id.hex())["reason"] in (row.reason, "FORMAT")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("entry", lambda entry: entry + 4),
        ("initial_sp", lambda sp: sp - 16),
        ("gaps", first(lambda gap: (gap[0], gap[1] - 1))),
        ("gaps", lambda gaps: ()),
        ("gaps", lambda gaps: tuple((start, start + 1) for start in range(1, 129, 2))),
        ("heights", first(lambda height: 2 * height)),
        ("heights", last(lambda height: 512)),
        ("heights", first(lambda height: 256)),
        ("heights", first(lambda height: 0)),
        ("roots", first(flip)),
        ("roots", last(flip)),
    ],
)
def test_forged_images(judge: Judge, name: str, change: Any) -> None:
    """A receipt for an image of its forger's making, whose ID the caller trusts."""
    receipt = mutated(echo_receipt(), f"header.{name}", change)
    forged = replace(receipt, claim=replace(receipt.claim, image_id=receipt.header.image_id()))
    assert not agreed(judge, forged.to_bytes(), forged.claim.image_id.hex())["accepted"]


@pytest.mark.parametrize("length", [0, 1, 4096, 4097, 70_000, MAX_JOURNAL_BYTES])
def test_other_journals(judge: Judge, length: int) -> None:
    honest, journal = echo_receipt(), random.Random(length).randbytes(length)
    forged = replace(honest, journal=journal, claim=replace(honest.claim, journal_digest=journal_digest(journal)))
    assert agreed(judge, forged.to_bytes(), honest.claim.image_id.hex())["reason"] == "BUS"


def test_other_exit_codes(judge: Judge) -> None:
    honest = echo_receipt()
    for code in (1, 3, 2**31, 2**32 - 1):
        forged = replace(honest, claim=replace(honest.claim, exit_code=code))
        assert agreed(judge, forged.to_bytes(), honest.claim.image_id.hex(), exit_code=code)["reason"] == "BUS"


def test_a_claim_of_another_level(judge: Judge) -> None:
    """Known parameters, but not those of the proof."""
    honest = echo_receipt()
    forged = replace(honest, claim=replace(honest.claim, parameters=(8, 76, 160)))
    assert agreed(judge, forged.to_bytes(), honest.claim.image_id.hex())["reason"] == "CLAIM"


@settings(max_examples=200, deadline=None)
@given(programs)
def test_changed_bytes(judge: Judge, program: bytes) -> None:
    compare_receipt(judge, program)


@settings(max_examples=60, deadline=None)
@given(programs)
def test_changed_proofs(judge: Judge, program: bytes) -> None:
    compare_proof(judge, toy(), program)
    compare_proof(judge, real(), program)


def test_random_programs_reach_every_check(judge: Judge) -> None:
    ends = compare_many(judge, 300, 1)
    assert {"FORMAT", "CLAIM", "IMAGE_ID", "BUS", "OOD", "GRINDING", "MERKLE"} <= ends.keys()


@pytest.mark.slow
def test_20000_changed_receipts(judge: Judge) -> None:
    """``python -m pytest -m slow tests/web/test_agreement.py -k 20000 -s`` prints how they ended."""
    ends = compare_many(judge, 20_000, 2)
    print(f"\n{ends.total()} changed receipts, on which both agree: {dict(ends.most_common())}")
    assert {"FORMAT", "CLAIM", "IMAGE_ID", "POLICY", "SHAPE", "BUS", "OOD", "GRINDING", "MERKLE", "FRI"} <= ends.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG_RUN)
def test_proofs_of_cheating_provers(name: str) -> None:
    """The tests of soundness once more, each proof verified by both."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.web.both", f"tests/soundness/{name}.py"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "verified by both: " in result.stdout


# --- the last step: folds that do not continue, under recorded challenges --------------------------------------------------------------


@pytest.mark.parametrize("make", [toy, real], ids=["toy", "real"])
def test_a_changed_final_polynomial(judge: Judge, make: Any) -> None:
    """Every tree is as it was, and every challenge: only the folds notice."""
    base: Subject = make()
    for place in range(0, base.proof.final.size, 7):
        final = base.proof.final.copy()
        final.flat[place] = (int(final.flat[place]) + 1) % P
        data = encode_proof(replace(base.proof, final=final))
        assert reason_of(judge.seal(base.machine, base.statement, data, draws=base.draws)) == "FRI"


@pytest.mark.parametrize("label", ["batching challenge", "folding challenge 0", "folding challenge 2", "query positions", "zeta", "beta"])
def test_another_challenge(judge: Judge, label: str) -> None:
    """Each challenge is needed for what it is there for."""
    base = real()
    value = base.draws[label]
    other = (value + 1) % 512 if isinstance(value, np.ndarray) else ((value[0] + 1) % P, *value[1:])
    answer = judge.seal(base.machine, base.statement, encode_proof(base.proof), draws={**base.draws, label: other})
    expected = {"query positions": ("SHAPE", "MERKLE"), "zeta": ("OOD",), "beta": ("BUS",)}
    assert reason_of(answer) in expected.get(label, ("FRI",))


def test_recorded_challenges_are_those_that_it_draws(judge: Judge) -> None:
    for base in (toy(), real()):
        data = encode_proof(base.proof)
        assert judge.seal(base.machine, base.statement, data)["accepted"]
        assert judge.seal(base.machine, base.statement, data, draws=base.draws)["accepted"]


def test_the_frozen_receipts_are_of_every_kind() -> None:
    dev, short, long = map(Receipt.from_bytes, frozen_receipts())
    assert (dev.dev, short.dev, long.dev) == (True, False, False)
    assert blake3(long.journal) == long.claim.journal_digest
