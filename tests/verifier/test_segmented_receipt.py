"""Receipts of runs in segments: the same claim as those of one proof, strict bytes, and a refusal of every change."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zkvm
from tests.cli.running import guest, invoke
from tests.soundness.manifest import MANIFEST, Mutation, Row, leaf_paths, mutated
from zkvm.errors import FormatError, RejectReason, UsageError, VerificationError
from zkvm.stark.protocol.params import Policy
from zkvm.verifier.receipt import MAX_RECEIPT_BYTES, SEGMENTS_MAGIC, Receipt, verdict
from zkvm.verifier.segments import SegmentedSeal

PROGRAM = guest(
    [
        ("la", "s0", "data"), ("li", "a7", 63), ("li", "a0", 0), ("mv", "a1", "s0"), ("li", "a2", 4), ("ecall",),
        ("li", "a7", 64), ("li", "a0", 3), ("mv", "a1", "s0"), ("li", "a2", 3), ("ecall",), ("li", "a0", 3), ("li", "a2", 5), ("ecall",),
        ("li", "a0", 0), ("li", "a7", 93), ("ecall",),
    ],
    data=bytes(8),
)  # fmt: skip
INPUT = b"abcd"


@cache
def proven(cycles: int = 13) -> zkvm.ProveInfo:
    return zkvm.prove(PROGRAM, INPUT, params="fast", segment_cycles=cycles, threads=2)


def seal_of(receipt: Receipt) -> SegmentedSeal:
    assert receipt.segmented is not None
    return receipt.segmented


def refusal(receipt: Receipt, policy: Policy | None = None) -> RejectReason | None:
    try:
        receipt.verify(proven().image_id, policy=policy or Policy())
    except VerificationError as error:
        return error.reason
    return None


def with_seal(**changes: Any) -> Receipt:
    return replace(proven().receipt, segmented=replace(seal_of(proven().receipt), **changes))


# --- honest -------------------------------------------------------------------------------------------------------------------------


def test_bytes_and_back() -> None:
    receipt, info = proven().receipt, proven()
    data = receipt.to_bytes()
    assert data.startswith(SEGMENTS_MAGIC)
    assert Receipt.from_bytes(data) == receipt
    assert receipt.segments == 2
    assert not receipt.dev
    assert receipt.zk
    claim = Receipt.from_bytes(data).verify(info.image_id)
    assert claim == receipt.claim
    assert (info.session.journal, info.session.exit_code) == (b"abcabcd\0", 0)
    assert receipt.journal == b"abcabcd\0"
    assert info.security_bits == receipt.security_bits() >= 128


def test_the_claim_is_that_of_one_proof() -> None:
    """With one segment, with several, and with none."""
    whole = zkvm.prove(PROGRAM, INPUT, params="fast", threads=2)
    single = proven(1 << 20)
    assert (single.receipt.segments, whole.receipt.segments) == (1, 0)
    assert whole.receipt.claim == single.receipt.claim == proven().receipt.claim
    assert whole.receipt.header == proven().receipt.header
    assert whole.cycles == proven().cycles


def test_views(tmp_path: Path) -> None:
    path = tmp_path / "run.receipt"
    proven().receipt.save(path)
    view = proven().receipt.to_json()
    assert view["seal"]["bytes"] + 300 > len(proven().receipt.to_bytes()) - len(proven().receipt.journal) > view["seal"]["bytes"]
    assert [own["journal_bytes"] for own in view["seal"]["segments"]] == [3, 5]
    assert view["seal"]["memory"]["heights"]["zero_init"] == 512
    assert all(own["heights"]["boundary"] == 512 for own in view["seal"]["segments"])
    shown = invoke("inspect", path)
    assert shown.code == 0
    assert "segment 2, 5 bytes of journal" in shown.out
    assert invoke("inspect", "--json", path).json["seal"] == view["seal"]


def test_commands_verify_it(tmp_path: Path) -> None:
    path = tmp_path / "run.receipt"
    proven().receipt.save(path)
    assert Receipt.load(path) == proven().receipt
    assert invoke("verify", path, "--image-id", proven().image_id).code == 0
    answer = subprocess.run(
        [sys.executable, "-m", "zkvm.verifier", str(path), "--image-id", proven().image_id], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    demanded = ["--image-id", proven().image_id, "--max-segments", "1"]
    refused = invoke("verify", path, *demanded)
    assert (refused.code, "POLICY: 2 segments; at most 1" in refused.err) == (1, True)
    again = subprocess.run([sys.executable, "-m", "zkvm.verifier", str(path), *demanded], capture_output=True, text=True, check=False)
    assert (again.returncode, "POLICY: 2 segments; at most 1" in again.stderr) == (1, True)
    assert verdict(proven().receipt.to_bytes(), proven().image_id)["accepted"]


def test_a_receipt_longer_than_one_proof_has_is_read(tmp_path: Path) -> None:
    """Runs in segments have no such limit; other files do."""
    path = tmp_path / "long"
    path.write_bytes(SEGMENTS_MAGIC + bytes(MAX_RECEIPT_BYTES))
    with pytest.raises(FormatError, match="format version"):
        Receipt.load(path)
    path.write_bytes(b"ZKVMRCPT" + bytes(MAX_RECEIPT_BYTES))
    with pytest.raises(FormatError, match="no receipt is that long"):
        Receipt.load(path)


# --- refused ------------------------------------------------------------------------------------------------------------------------


def in_second(mutation: Mutation, path: str) -> Mutation:
    """A change of a field of the second proof: that of the first segment."""
    return lambda proofs: (proofs[0], mutated(proofs[1], path, mutation), *proofs[2:])


SEAL_ROWS = [
    Row("segmented.proofs", in_second(own.mutation, own.path.replace("seal.", "proof.")), own.reason, f"{own.path} {own.why}")
    for own in MANIFEST
    if own.path.startswith("seal.")
]
"""The rows of a proof's fields."""


def flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def bump(array: Any) -> Any:
    result = array.copy()
    result.reshape(-1)[-1] ^= np.array(1, result.dtype)
    return result


ROWS = [
    Row("segmented.lengths", lambda lengths: (lengths[0] + 1, lengths[1] - 1), RejectReason.BUS, "the parts are other ones"),
    Row("segmented.lengths", lambda lengths: (*lengths, 0), RejectReason.SHAPE, "a segment without a proof"),
    Row("segmented.lengths", lambda lengths: (lengths[0], lengths[1] + 1), RejectReason.CLAIM, "more than the journal"),
    Row("segmented.lengths", lambda lengths: (-1, 9), RejectReason.SHAPE, "no length"),
    Row("segmented.lengths", lambda lengths: list(lengths), RejectReason.SHAPE, "no tuple"),
    Row("segmented.proofs[].root", flip, RejectReason.BUS, "another pin, another challenge"),
    Row("segmented.proofs[].pinned", bump, RejectReason.BUS, "another challenge"),
    Row("segmented.proofs[].early.rows", lambda rows: (bump(rows[0]), *rows[1:]), RejectReason.MERKLE, "not under the root"),
    Row("segmented.proofs[].early.salts", bump, RejectReason.MERKLE, "not under the root"),
    Row("segmented.proofs[].early.siblings", bump, RejectReason.MERKLE, "not under the root"),
]  # fmt: skip


def test_every_field_has_a_row() -> None:
    paths = {path for path in leaf_paths(proven().receipt) if path.startswith("segmented")}
    assert len(paths) > 20
    fields = {row.path.replace("seal.", "segmented.proofs[].proof.") for row in MANIFEST}
    assert paths - {row.path for row in ROWS} - fields == set()


@pytest.mark.parametrize("row", [*ROWS, *SEAL_ROWS], ids=lambda row: f"{row.path}: {row.why}")
def test_one_change_is_refused(row: Row) -> None:
    honest = proven().receipt
    changed: Receipt = mutated(honest, row.path, row.mutation)
    reason = refusal(changed)
    assert reason is not None
    if row in ROWS:
        assert reason is row.reason
    try:
        data = changed.to_bytes()
        decoded = Receipt.from_bytes(data)
    except (FormatError, UsageError):
        return
    assert data == honest.to_bytes() or refusal(decoded) is not None


def test_proofs_left_out_exchanged_and_repeated() -> None:
    memory, first, second = seal_of(proven().receipt).proofs
    lengths = seal_of(proven().receipt).lengths
    assert refusal(with_seal(proofs=(memory, second, first))) is RejectReason.BUS
    assert refusal(with_seal(proofs=(memory, first, first))) is RejectReason.BUS
    assert refusal(with_seal(proofs=(memory, second), lengths=(sum(lengths),))) is RejectReason.BUS
    assert refusal(with_seal(proofs=(first, second))) is RejectReason.SHAPE
    assert refusal(with_seal(proofs=(first, memory, second))) is RejectReason.SHAPE
    assert refusal(with_seal(proofs=(memory,), lengths=())) is RejectReason.SHAPE
    assert refusal(with_seal(proofs=())) is RejectReason.SHAPE
    assert refusal(with_seal(proofs=(memory, first, None))) is RejectReason.SHAPE
    assert refusal(with_seal(proofs=(memory.proof, first, second))) is RejectReason.SHAPE
    assert refusal(with_seal(proofs=(memory, replace(first, proof=None), second))) is RejectReason.SHAPE  # type: ignore[arg-type]


def test_a_segment_of_another_run_of_the_program() -> None:
    other = zkvm.prove(PROGRAM, b"abce", params="fast", segment_cycles=13, threads=2)
    memory, first, second = seal_of(proven().receipt).proofs
    assert refusal(with_seal(proofs=(memory, first, seal_of(other.receipt).proofs[2]))) is RejectReason.BUS
    assert refusal(with_seal(proofs=(memory, seal_of(other.receipt).proofs[1], second))) is RejectReason.BUS


def test_the_claim_is_compared() -> None:
    receipt = proven().receipt
    with pytest.raises(VerificationError, match="IMAGE_ID"):
        receipt.verify(bytes(32))
    with pytest.raises(VerificationError, match="POLICY: the guest exited with 0"):
        receipt.verify(proven().image_id, exit_code=1)
    code = replace(receipt, claim=replace(receipt.claim, exit_code=1))
    with pytest.raises(VerificationError, match="BUS"):
        code.verify(proven().image_id, exit_code=1)
    assert refusal(replace(receipt, journal=receipt.journal[:-1])) is RejectReason.CLAIM
    numbers = zkvm.prove(PROGRAM, INPUT, dev=True).receipt.claim.parameters
    assert refusal(replace(receipt, claim=replace(receipt.claim, parameters=numbers))) is RejectReason.CLAIM


def test_policy() -> None:
    assert refusal(proven().receipt, Policy(max_segments=1)) is RejectReason.POLICY
    assert refusal(proven().receipt, Policy(max_segments=2)) is None
    assert refusal(proven().receipt, Policy(129)) is RejectReason.POLICY
    assert refusal(proven().receipt, Policy(100, regime="unique")) is None


def test_one_proof_and_proofs_of_segments_are_not_both_there() -> None:
    whole = zkvm.prove(PROGRAM, INPUT, params="fast", threads=2).receipt
    assert refusal(replace(whole, segmented=seal_of(proven().receipt))) is RejectReason.SHAPE


# --- bytes --------------------------------------------------------------------------------------------------------------------------


def test_no_prefix_decodes() -> None:
    data = proven().receipt.to_bytes()
    rng = random.Random(3)
    for length in [*range(0, 700, 23), *(rng.randrange(len(data)) for _ in range(40)), len(data) - 1]:
        with pytest.raises(FormatError):
            Receipt.from_bytes(data[:length])
    with pytest.raises(FormatError, match="1 bytes too many"):
        Receipt.from_bytes(data + b"\0")


def test_changed_bytes_raise_nothing_else() -> None:
    data = proven().receipt.to_bytes()
    rng = random.Random(4)
    places = [*range(8, 12), *(rng.randrange(12, 900) for _ in range(20)), *(rng.randrange(len(data)) for _ in range(12))]
    for place in places:
        changed = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
        with pytest.raises(VerificationError):
            Receipt.from_bytes(changed).verify(proven().image_id)


def test_other_magic_bytes_are_another_kind() -> None:
    data = proven().receipt.to_bytes()
    with pytest.raises(FormatError):
        Receipt.from_bytes(b"ZKVMRCPT" + data[8:])
    with pytest.raises(FormatError, match="flags"):
        Receipt.from_bytes(data[:10] + b"\1\0" + data[12:])
