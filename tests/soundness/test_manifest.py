"""Refusal from outside: one change per field of a receipt, and changes that keep the receipt consistent with itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.receipts import TEXT, echo_receipt
from tests.soundness.manifest import MANIFEST, Mutation, Row, first, flip, last, leaf_paths, mutated
from zkvm.errors import FormatError, RejectReason, UsageError, VerificationError
from zkvm.stark.crypto.hashes import blake3
from zkvm.verifier.receipt import Receipt


def test_every_field_has_a_row() -> None:
    paths = set(leaf_paths(echo_receipt()))
    assert len(paths) > 30
    assert paths - {row.path for row in MANIFEST} == set()


def test_a_new_field_would_be_noticed() -> None:
    assert "seal.nonce" in leaf_paths(echo_receipt())
    assert list(leaf_paths(replace(echo_receipt(), seal=None)))[-2:] == ["seal", "segmented"]


@pytest.mark.parametrize("row", MANIFEST, ids=lambda row: f"{row.path}: {row.why}")
def test_one_change_is_refused(row: Row) -> None:
    honest = echo_receipt()
    changed: Receipt = mutated(honest, row.path, row.mutation)
    with pytest.raises(VerificationError) as caught:
        changed.verify(honest.claim.image_id)
    assert caught.value.reason is row.reason
    # The same through the bytes: no change may become harmless by being encoded.
    try:
        decoded = Receipt.from_bytes(changed.to_bytes())
    except (FormatError, UsageError):
        return
    with pytest.raises(VerificationError):
        decoded.verify(honest.claim.image_id)


def edit_header(name: str, change: Mutation) -> Any:
    """A forger's receipt for an image of its own making, consistent with itself."""
    receipt = mutated(echo_receipt(), f"header.{name}", change)
    return replace(receipt, claim=replace(receipt.claim, image_id=receipt.header.image_id()))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("entry", lambda entry: entry + 4, RejectReason.BUS),
        ("initial_sp", lambda sp: sp - 16, RejectReason.BUS),
        ("gaps", first(lambda gap: (gap[0], gap[1] - 1)), RejectReason.BUS),
        ("gaps", lambda gaps: (), RejectReason.BUS),
        ("heights", first(lambda height: 2 * height), RejectReason.SHAPE),
        ("heights", last(lambda height: 512), RejectReason.SHAPE),
        ("roots", first(flip), RejectReason.BUS),
        ("roots", last(flip), RejectReason.BUS),
    ],
)
def test_the_proof_is_bound_to_its_image(name: str, change: Mutation, reason: RejectReason) -> None:
    """Even a caller who trusts the forged image ID gets no acceptance: every field enters the transcript."""
    forged = edit_header(name, change)
    with pytest.raises(VerificationError) as caught:
        forged.verify(forged.claim.image_id)
    assert caught.value.reason is reason


def test_the_proof_is_bound_to_journal_and_exit_code() -> None:
    honest = echo_receipt()
    other = replace(honest, journal=TEXT[::-1], claim=replace(honest.claim, journal_digest=blake3(TEXT[::-1])))
    failed = replace(honest, claim=replace(honest.claim, exit_code=1))
    for forged, code in ((other, 0), (failed, 1)):
        with pytest.raises(VerificationError) as caught:
            forged.verify(honest.claim.image_id, exit_code=code)
        assert caught.value.reason is RejectReason.BUS
