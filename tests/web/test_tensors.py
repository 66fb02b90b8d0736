"""The verifier in JavaScript says of receipts with tensor calls, whose buses have sums, what the one in Python says."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.forge import Forgery
from tests.soundness.cheating import skip_own_checks
from tests.soundness.proven import expected, proof_of
from tests.soundness.tensor_forging import RESULTS, layer, lie, product_row, results_row, vector_of
from tests.soundness.test_tensor_edges import HIGH, about, claim
from tests.web.differential import agreed, reason_of
from tests.web.judge import ROOT, Judge, needs_node
from tools.tensor_network import meaning
from zkvm.errors import VerificationError
from zkvm.riscv.machine import machine
from zkvm.stark.protocol.codec import encode_proof
from zkvm.stark.protocol.params import Policy
from zkvm.stark.verifier.verify import verify_proof

pytestmark = needs_node
VECTORS = ROOT / "tests" / "vectors"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    started = Judge()
    yield started
    started.close()


def test_the_vectors(judge: Judge) -> None:
    """The honest receipt, and its changes, which change the buses that have sums."""
    told, data = json.loads((VECTORS / "tensors-refused.json").read_text()), (VECTORS / "tensors.receipt").read_bytes()
    assert agreed(judge, data, told["image id"])["journal"] == struct.pack("<16i", *meaning()).hex()
    for case in told["cases"]:
        changed = b"".join(bytes.fromhex(piece) if isinstance(piece, str) else data[slice(*piece)] for piece in case["pieces"])
        assert agreed(judge, changed, told["image id"])["reason"] == case["reason"]


def honest() -> Forgery:
    return layer().forged()


def errors_that_cancel() -> Forgery:
    """One result is too large and one too small, by the same amount: what the sums bus holds is not the total of a tile."""
    forged = honest()
    for index, change in ((0, 400), (1, -400)):
        lie(forged, index, 2, vector_of(forged, RESULTS, results_row(forged, index), "sum")[2] + change)
    return forged


def a_tap_left_out() -> Forgery:
    forged = honest()
    forged.erase("tensor_products", product_row(forged, 1))
    return forged


def one_above_the_greatest() -> Forgery:
    forged = about(HIGH + 1)
    claim(forged, 4, HIGH + 1)
    return forged


@pytest.mark.parametrize("make", [honest, errors_that_cancel, a_tap_left_out, one_above_the_greatest])
def test_proofs_of_forged_calls(judge: Judge, make: Callable[[], Forgery], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a prover without checks of his own: both refuse for the reason that follows, or accept what is honest."""
    forged = make()
    reason = expected(forged.refusals())
    skip_own_checks(monkeypatch)
    statement, proof = proof_of(forged)
    theirs = reason_of(judge.seal(machine(), statement, encode_proof(proof), 128))
    ours = "accepted"
    try:
        verify_proof(machine(), statement, proof, Policy(128))
    except VerificationError as error:
        ours = error.reason.value
    assert ours == theirs == ("accepted" if reason is None else reason.value)
