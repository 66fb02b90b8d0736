"""Each step of the verifier is needed: a false proof that it alone refuses, and that the verifier without the step accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.soundness.cheating import (
    BALANCED,
    WIDE,
    forge_openings,
    honest_statement,
    honest_tables,
    prove_tables,
    refusal,
    skip_own_checks,
)  # fmt: skip
from tests.soundness.replay import Unworked
from zkvm.stark.air.table import Table
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.prover import prove
from zkvm.stark.prover.preprocessed import commit_preprocessed
from zkvm.stark.verifier import verify


def broken_row() -> dict[str, Table]:
    """A filler that is not zero: nothing but its constraint objects."""
    tables = honest_tables()
    tables["squares"].main[2, tables["squares"].active - 1] = 1
    return tables


def unbalanced(patch: pytest.MonkeyPatch) -> Proof:
    """A note that nobody wrote is consumed."""
    tables = honest_tables()
    tables["audit"].main[:, tables["audit"].active - 1] = (1, 7, 49)
    return prove_tables(tables)


def false_trace(patch: pytest.MonkeyPatch) -> Proof:
    """The quotient is wrong at zeta."""
    skip_own_checks(patch)
    return prove_tables(broken_row())


def false_opening(patch: pytest.MonkeyPatch) -> Proof:
    """One opened value makes the constraints hold at zeta, and is none of the committed polynomial."""
    skip_own_checks(patch)
    forge_openings(patch)
    return prove_tables(broken_row())


def other_table(patch: pytest.MonkeyPatch) -> Proof:
    """3^2 = 10 in the prover's own copy of the lookup table."""
    columns = {name: matrix.copy() for name, matrix in preprocess(WIDE, None).items()}
    columns["squares"][1, 3] = 10
    return prove_tables(honest_tables(), preprocessed=commit_preprocessed(WIDE, columns, BALANCED.blowup))


def unworked(patch: pytest.MonkeyPatch) -> Proof:
    """No proof of work was looked for."""
    patch.setattr(prove, "search_nonce", lambda *arguments: 0)
    return prove_tables(honest_tables(), transcript=Unworked())


def accept(*arguments: Any) -> tuple[()]:
    """A step that checks nothing, and has nothing worked out."""
    return ()


@pytest.mark.parametrize(
    ("lie", "step", "reason"),
    [
        (unbalanced, "check_buses", "BUS: the grand product does not close"),
        (false_trace, "check_constraints", "OOD: the constraints do not equal the quotient"),
        (false_opening, "check_low_degree", "FRI: the final polynomial"),
        (other_table, "check_trees", "MERKLE: opened leaves do not lead to the root of the preprocessed tree"),
    ],
)
def test_a_step_that_is_left_out(monkeypatch: pytest.MonkeyPatch, lie: Callable[..., Proof], step: str, reason: str) -> None:
    proof = lie(monkeypatch)
    assert refusal(proof).startswith(reason)
    monkeypatch.setattr(verify, step, accept)
    verify.verify_proof(WIDE, honest_statement(), proof, Policy())


def test_work_that_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    proof = unworked(monkeypatch)
    assert refusal(proof).startswith("GRINDING")
    verify.verify_proof(WIDE, honest_statement(), proof, Policy(), Unworked())
