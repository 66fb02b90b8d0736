"""A verifier demands proven bits of what it is given: of the proof's own heights and widths, by its own calculation."""

from __future__ import annotations

import json
import math
from functools import cache

import pytest
from typer.testing import CliRunner

from tests.receipts import HELLO
from tests.soundness.cheating import WIDE, committed, honest_statement, honest_tables
from zkvm import api
from zkvm.cli.main import app
from zkvm.errors import RejectReason, VerificationError
from zkvm.riscv.machine import machine
from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol import params
from zkvm.stark.protocol.params import PARAMETERS, Parameters, Policy, parameters
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
    assert "proven bits for this shape" in refused(WEAK, Policy(0))


@pytest.mark.parametrize("name", ["fast", "balanced", "compact"])
def test_the_demand_is_compared_with_the_shape_s_own_bits(name: str) -> None:
    chosen = parameters(name)
    shape = verify_proof(WIDE, honest_statement(WIDE, chosen), proof_of(chosen), Policy(0))
    bits = proven_bits(shape, honest_statement(WIDE, chosen).closing_tuples)
    assert verify_proof(WIDE, honest_statement(WIDE, chosen), proof_of(chosen), Policy(math.floor(bits))) == shape
    assert f"{bits:.1f} proven bits" in refused(chosen, Policy(math.floor(bits) + 1))


def test_a_100_bit_proof_is_no_128_bit_proof() -> None:
    assert "128 demanded" in refused(parameters("compact"), Policy(128))


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
    weak = runner.invoke(app, ["soundness", "--params", "weak"])
    assert weak.exit_code == 1
    assert "NOT REACHED" in weak.stdout
    assert json.loads(runner.invoke(app, ["soundness", "--params", "weak", "--json"]).stdout)["claim_reached"] is False
