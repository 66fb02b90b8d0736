"""Makes the forgery tests prove what they forge: each set of forged tables goes through a prover that skips its own checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.forge import Forgery
from tests.proving import header_of
from tests.soundness.cheating import skip_own_checks
from zkvm.errors import RejectReason, VerificationError
from zkvm.riscv.header import run_statement
from zkvm.riscv.machine import machine
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.protocol.params import EXEMPT_MAX, Policy, parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover.preprocessed import Preprocessed, commit_preprocessed
from zkvm.stark.prover.prove import prove_tables
from zkvm.stark.verifier.verify import verify_proof

CHOSEN = parameters("fast", 128)
"""The set with as many exempt rows as the forged tables have."""
CONSTRAINTS = {f"{code.chip.name}: {constraint.label}" for code in machine().codes for constraint in code.chip.air_constraints}


def verdict(
    forged: Forgery, weaker: Machine | None = None, tables: Preprocessed | None = None, believed: bool = False
) -> RejectReason | None:
    """Prove the tables as they are and verify; why the verifier refuses, or None. Arguments are those of :func:`proof_of`."""
    statement, proof = proof_of(forged, weaker, tables, believed)
    try:
        verify_proof(weaker or machine(), statement, proof, Policy(128))
    except VerificationError as error:
        return error.reason
    return None


def proof_of(
    forged: Forgery, weaker: Machine | None = None, tables: Preprocessed | None = None, believed: bool = False
) -> tuple[Statement, Proof]:
    """Prove the tables as they are; what a verifier is told.

    Args:
        weaker: prove by this machine. tables: the prover's own preprocessed tables.
        believed: the verifier takes the root of these, not of the image's.
    """
    assert CHOSEN.exempt == EXEMPT_MAX
    used = weaker or machine()
    committed = commit_preprocessed(used, preprocess(used, forged.image), CHOSEN.blowup)
    known = tables if tables is not None and believed else committed
    honest = run_statement(header_of(forged.image, known, CHOSEN), CHOSEN, b"", 0)
    statement = replace(honest, closings=forged.closings)
    filled = [Table(own.chip, own.height, own.active, own.used, own.main.copy(), own.pre) for own in forged.tables.values()]
    proof, _ = prove_tables(used, CHOSEN, statement, filled, tables or committed, threads=2)
    return statement, proof


def expected(labels: set[str]) -> RejectReason | None:
    """Buses are checked first; whatever is no constraint is a tuple that does not cancel."""
    if not labels:
        return None
    return RejectReason.OOD if labels <= CONSTRAINTS else RejectReason.BUS


@pytest.fixture(autouse=True)
def proven(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RejectReason | None]]:
    """Whatever a test says that the machine refuses is proven, and the verifier's reason must be the one that follows."""
    skip_own_checks(monkeypatch)
    reasons: list[RejectReason | None] = []
    own = Forgery.refusals

    def refusals(forged: Forgery, recount: bool = True) -> set[str]:
        labels = own(forged, recount)
        reasons.append(verdict(forged))
        assert reasons[-1] is expected(labels), f"{labels}: {reasons[-1]}"
        return labels

    monkeypatch.setattr(Forgery, "refusals", refusals)
    yield reasons
    assert reasons
