"""A verifier demands proven bits of what it is given: of the proof's own heights and widths, by its own calculation."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.receipts import HELLO
from tests.soundness.cheating import WIDE, committed, honest_statement, honest_tables
from zkvm import api
from zkvm.cli.main import app
from zkvm.errors import RejectReason, UsageError, VerificationError
from zkvm.riscv.machine import machine
from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol import params
from zkvm.stark.protocol.params import PARAMETERS, REGIMES, Parameters, Policy, parameters
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.security import proven_bits
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover.prove import prove_tables
from zkvm.stark.verifier.verify import verify_proof

WEAK = Parameters("weak", 4, 40, 88, 100)
"""Claims 100 bits with half of the queries that these take."""


@cache
def proof_of(chosen: Parameters) -> Proof:
    tables = list(honest_tables(WIDE, chosen).values())
    return prove_tables(WIDE, chosen, honest_statement(WIDE, chosen), tables, committed(WIDE, chosen.blowup))[0]


def refused(chosen: Parameters, policy: Policy, subject: Machine = WIDE) -> str:
    with pytest.raises(VerificationError) as caught:
        verify_proof(subject, honest_statement(WIDE, chosen), proof_of(chosen), policy)
    assert caught.value.reason is RejectReason.POLICY
    return str(caught.value)


def test_an_unknown_set_is_refused_whatever_is_demanded() -> None:
    assert "unknown parameters" in refused(WEAK, Policy(0))


def test_a_set_below_its_claim_is_refused_whatever_is_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if someone adds it to the known sets, and the caller demands nothing."""
    monkeypatch.setattr(params, "PARAMETERS", (*PARAMETERS, WEAK))
    assert "proven bits for this shape, but its parameters claim 100" in refused(WEAK, Policy(0))


@pytest.mark.parametrize("name", ["fast", "balanced", "compact"])
def test_the_demand_is_compared_with_the_shape_s_own_bits(name: str) -> None:
    chosen = parameters(name, 100)
    shape = verify_proof(WIDE, honest_statement(WIDE, chosen), proof_of(chosen), Policy(0))
    bits = proven_bits(shape, honest_statement(WIDE, chosen).closing_tuples)
    assert verify_proof(WIDE, honest_statement(WIDE, chosen), proof_of(chosen), Policy(math.floor(bits))) == shape
    assert f"{bits:.1f} proven bits" in refused(chosen, Policy(math.floor(bits) + 1))


def test_a_100_bit_proof_is_no_128_bit_proof() -> None:
    assert "128 demanded" in refused(parameters("compact", 100), Policy(128))


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", ["fast", "balanced", "compact"])
def test_the_demand_is_about_the_bits_under_its_regime(name: str, regime: str) -> None:
    chosen = parameters(name, 100)
    shape = verify_proof(WIDE, honest_statement(WIDE, chosen), proof_of(chosen), Policy(0, regime=regime))
    bits = proven_bits(shape, honest_statement(WIDE, chosen).closing_tuples, regime)
    assert verify_proof(WIDE, honest_statement(WIDE, chosen), proof_of(chosen), Policy(math.floor(bits), regime=regime)) == shape
    demand = math.floor(bits) + 1
    named = "" if regime == "best" else f" under regime {regime!r}"
    assert f"{bits:.1f} proven bits for this shape{named}, {demand} demanded" in refused(chosen, Policy(demand, regime=regime))


def test_an_unknown_regime_is_no_policy() -> None:
    """It must not pass for a weaker one; nor does a demand that is no number."""
    for wrong in ("", "Unique", "capacity", "BEST"):
        with pytest.raises(UsageError, match="no regime"):
            Policy(regime=wrong)
        with pytest.raises(UsageError, match="no regime"):
            proven_bits(ProofShape(machine(), parameters(), (15,) * len(machine().chips)), regime=wrong)
    with pytest.raises(VerificationError):
        Policy(math.nan).check(128.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "demands",
    [
        {"allow_dev": "false"}, {"allow_dev": 1}, {"allow_dev": None}, {"min_security": True}, {"min_security": "128"},
        {"min_security": None}, {"min_security": np.bool_(True)}, {"min_security": np.float32(128)}, {"max_segments": None},
        {"max_segments": "4"}, {"max_segments": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_demand_of_another_type_is_no_policy(demands: dict[str, Any]) -> None:
    """Some would be weaker than what their writer thinks: any text is true, True is 1 bit, and what is compared with few digits is rounded
    first."""
    with pytest.raises(UsageError, match="min_security and max_segments are numbers, its allow_dev is True or False"):
        Policy(**demands)
    with pytest.raises(UsageError, match="are numbers"):
        replace(Policy(), **demands)
    assert Policy(100, True, "best", 7).allow_dev


@pytest.mark.parametrize("bits", [np.int64(101), np.uint8(101), np.float64(101), 101.0], ids=lambda bits: type(bits).__name__)
def test_numpys_numbers_are_demands(bits: Any) -> None:
    policy = Policy(bits, max_segments=np.int32(4))  # type: ignore[arg-type]  # integers, of which numpy says too little
    policy.check(101.0)
    with pytest.raises(VerificationError, match=r"100\.9 proven bits for this shape, 101"):
        policy.check(100.9)


def test_what_is_demanded_if_nothing_is_said() -> None:
    """100 bits, from all that is proven: a receipt of either level is accepted, and no environment variable is asked."""
    assert Policy() == Policy(100, allow_dev=False, regime="best")
    chosen = parameters("compact", 100)
    assert verify_proof(WIDE, honest_statement(WIDE, chosen), proof_of(chosen), Policy())
    assert parameters() == parameters("balanced", 128)


def test_the_prover_refuses_what_its_verifiers_would_refuse() -> None:
    """Before it proves: no phase of the proof begins."""
    phases: list[str] = []
    with pytest.raises(UsageError, match="'compact' with 128 bits would be refused: 83.1 proven bits for this shape under regime 'unique'"):
        api.prove(HELLO, params="compact", policy=Policy(regime="unique"), progress=lambda phase, share: phases.append(phase))
    assert "main" not in phases
    info = api.prove(HELLO, params="fast", policy=Policy(114, regime="unique"))
    assert [info.receipt.security_bits(regime) for regime in REGIMES] == [128, 123, 115]
    assert info.receipt.verify(info.image_id, policy=Policy(114, regime="unique"))
    with pytest.raises(VerificationError, match=r"115\.\d proven bits for this shape under regime 'unique', 116 demanded"):
        info.receipt.verify(info.image_id, policy=Policy(116, regime="unique"))
    assert api.prove(HELLO, params="compact", policy=Policy(regime="unique"), dev=True).receipt.dev


@pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")
def test_taller_and_more_tables_prove_fewer_bits(chosen: Parameters) -> None:
    """The calculation sees the heights and the widths of the shape."""
    chips = len(machine().chips)
    bits = [proven_bits(ProofShape(machine(), chosen, (log,) * chips)) for log in (15, 18, 21, 24)]
    capped = [min(value, 127.99) for value in bits]
    assert sorted(capped, reverse=True) == capped
    mandatory = tuple(15 if chip.mandatory else 0 for chip in machine().chips)
    assert proven_bits(ProofShape(machine(), chosen, mandatory)) >= bits[0]
    assert bits[-1] >= chosen.security_bits


@pytest.mark.parametrize("name", ["fast", "balanced", "compact"])
def test_128_bits_of_the_real_machine(name: str) -> None:
    """A guest proven with the set of 128 bits is accepted by who demands 128, after its way through bytes."""
    info = api.prove(HELLO, params=name, security=128)
    assert info.security_bits >= 128
    decoded = type(info.receipt).from_bytes(info.receipt.to_bytes())
    claim = decoded.verify(info.image_id, policy=Policy(128))
    assert claim.parameters == parameters(name, 128).numbers
    with pytest.raises(VerificationError, match="129 demanded"):
        decoded.verify(info.image_id, policy=Policy(129))


def test_the_command_labels_a_set_below_its_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    honest = runner.invoke(app, ["soundness", "--params", "balanced", "--json"])
    assert (honest.exit_code, json.loads(honest.stdout)["claim_reached"]) == (0, True)
    monkeypatch.setattr(params, "PARAMETERS", (WEAK,))
    weak = runner.invoke(app, ["soundness", "--params", "weak", "--security", "100"])
    assert weak.exit_code == 1
    assert "NOT REACHED" in weak.stdout
    assert json.loads(runner.invoke(app, ["soundness", "--params", "weak", "--security", "100", "--json"]).stdout)["claim_reached"] is False
