"""Receipts: what a verifier accepts and refuses, their bytes, and how they are saved."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.receipts import ECHO, HELLO, TEXT, dev_receipt, echo_receipt
from zkvm.api import compute_image_id
from zkvm.errors import FormatError, RejectReason, UsageError, VerificationError
from zkvm.riscv.header import MAX_GAPS, preprocessed_chips
from zkvm.riscv.machine import machine
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.protocol.codec import layout
from zkvm.stark.protocol.params import FOLDING, MAX_HEIGHT, MIN_TALLEST, PARAMETERS, REGIMES, Parameters, Policy
from zkvm.stark.protocol.shape import PREPROCESSED, ProofShape
from zkvm.verifier.receipt import FORMAT_VERSION, MAGIC, MAX_JOURNAL_BYTES, MAX_RECEIPT_BYTES, Receipt, parse_image_id, verdict

FLAGS_AT, DIGEST_AT, GAPS_AT = 10, 12, 52


@cache
def data() -> bytes:
    return echo_receipt().to_bytes()


@cache
def echo_id() -> str:
    return compute_image_id(ECHO)


def reason(receipt: Receipt, image_id: str | None = None, policy: Policy | None = None, exit_code: int = 0) -> RejectReason:
    """Why the receipt is refused."""
    with pytest.raises(VerificationError) as caught:
        receipt.verify(image_id or echo_id(), policy=policy or Policy(), exit_code=exit_code)
    return caught.value.reason


def test_an_honest_receipt_is_accepted() -> None:
    claim = echo_receipt().verify(echo_id())
    assert claim.image_id.hex() == echo_id()
    assert claim.journal_digest == blake3(TEXT)
    assert claim.exit_code == 0
    assert echo_receipt().journal == TEXT
    assert echo_receipt().verify(bytes.fromhex(echo_id())) == claim


def test_round_trip() -> None:
    decoded = Receipt.from_bytes(data())
    assert decoded.to_bytes() == data()
    assert decoded.verify(echo_id()) == echo_receipt().claim
    assert (decoded.zk, decoded.dev) == (True, False)


@pytest.mark.parametrize("image_id", ["", "00", "zz" * 32, "0" * 63, "0x" + "0" * 62, bytes(31), None, 32, [0] * 32, range(32)])
def test_what_is_no_image_id(image_id: Any) -> None:
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        parse_image_id(image_id)


@pytest.mark.parametrize("data", ["some.receipt", np.zeros(1 << 9, np.uint8), list(MAGIC)], ids=lambda data: type(data).__name__)
def test_what_is_no_bytes(data: Any) -> None:
    with pytest.raises(UsageError, match=f"bytes, not of type {type(data).__name__}: Receipt.load reads one from a path"):
        Receipt.from_bytes(data)


def test_other_program() -> None:
    assert reason(echo_receipt(), compute_image_id(HELLO)) is RejectReason.IMAGE_ID


def test_other_exit_code() -> None:
    assert reason(echo_receipt(), exit_code=1) is RejectReason.POLICY


def test_an_exit_code_that_the_guest_did_not_return() -> None:
    lie = replace(echo_receipt(), claim=replace(echo_receipt().claim, exit_code=1))
    assert reason(lie, exit_code=1) is RejectReason.BUS


def test_a_journal_that_the_guest_did_not_write() -> None:
    for journal in (TEXT[:-1], TEXT + b"\0", b"", b"x" + TEXT[1:]):
        lie = replace(echo_receipt(), journal=journal, claim=replace(echo_receipt().claim, journal_digest=blake3(journal)))
        assert reason(lie) is RejectReason.BUS


def test_more_security_than_the_proof_has() -> None:
    assert reason(echo_receipt(), policy=Policy(min_security=128)) is RejectReason.POLICY


@pytest.mark.parametrize(
    "chosen", [entry for entry in PARAMETERS if entry.numbers != (2, 164, 336)], ids=lambda chosen: str(chosen.numbers)
)
def test_other_known_parameters(chosen: Parameters) -> None:
    seal = echo_receipt().seal
    assert seal is not None
    claim = replace(echo_receipt().claim, parameters=chosen.numbers)
    assert reason(replace(echo_receipt(), claim=claim)) is RejectReason.CLAIM
    lie = replace(echo_receipt(), claim=claim, seal=replace(seal, parameters=chosen.numbers))
    assert reason(lie) is RejectReason.BUS


def test_a_dev_receipt_says_so_and_needs_permission() -> None:
    receipt = Receipt.from_bytes(dev_receipt().to_bytes())
    assert receipt.dev
    assert not receipt.zk
    assert receipt.to_json()["dev"] is True
    assert reason(receipt) is RejectReason.POLICY
    assert receipt.verify(echo_id(), policy=Policy(allow_dev=True)).journal_digest == blake3(TEXT)
    assert reason(receipt, compute_image_id(HELLO), Policy(allow_dev=True)) is RejectReason.IMAGE_ID
    assert reason(replace(receipt, journal=b""), policy=Policy(allow_dev=True)) is RejectReason.CLAIM


def test_no_environment_variable_allows_dev_receipts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZKVM_DEV", "ZKVM_DEV_MODE", "RISC0_DEV_MODE"):
        monkeypatch.setenv(name, "1")
    assert reason(dev_receipt()) is RejectReason.POLICY


def test_a_proof_does_not_make_a_dev_receipt() -> None:
    flagged = data()[:FLAGS_AT] + b"\1\0" + data()[FLAGS_AT + 2 :]
    with pytest.raises(FormatError, match="too many"):
        Receipt.from_bytes(flagged)


def test_every_truncation_of_the_head_is_refused() -> None:
    seal = data().index(b"ZKVMSEAL")
    for end in [*range(seal + 64), len(data()) - 1]:
        with pytest.raises(FormatError):
            Receipt.from_bytes(data()[:end])


@pytest.mark.parametrize(
    ("offset", "content", "message"),
    [
        (0, b"XKVM", "magic"),
        (8, (FORMAT_VERSION + 1).to_bytes(2, "little"), "format version"),
        (FLAGS_AT, b"\2\0", "flags"),
        (FLAGS_AT, b"\0\1", "flags"),
        (DIGEST_AT, bytes(32), "another version"),
        (GAPS_AT, bytes([MAX_GAPS + 1]), "number of gaps"),
        (GAPS_AT + 1, bytes(4), "start of a gap"),
        (GAPS_AT + 5, b"\xff\xff\xff\xff", "end of a gap"),
    ],
)
def test_bad_head(offset: int, content: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Receipt.from_bytes(data()[:offset] + content + data()[offset + len(content) :])


def test_a_journal_longer_than_allowed_is_refused_before_it_is_read() -> None:
    at = data().index(TEXT) - 4
    for length in (MAX_JOURNAL_BYTES + 1, 2**32 - 1):
        with pytest.raises(FormatError, match="journal length"):
            Receipt.from_bytes(data()[:at] + length.to_bytes(4, "little") + data()[at + 4 :])
    with pytest.raises(UsageError, match="at most"):
        replace(dev_receipt(), journal=bytes(MAX_JOURNAL_BYTES + 1)).to_bytes()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_mutation_is_refused_or_encodes_to_itself(draw: st.DataObject) -> None:
    dev = dev_receipt().to_bytes()
    place = draw.draw(st.integers(0, len(dev) - 1))
    mutated = dev[:place] + bytes([draw.draw(st.integers(0, 255))]) + dev[place + 1 :]
    try:
        decoded = Receipt.from_bytes(mutated)
    except FormatError:
        return
    assert decoded.to_bytes() == mutated
    if mutated != dev:
        assert reason(decoded, policy=Policy(allow_dev=True)) in (RejectReason.IMAGE_ID, RejectReason.CLAIM, RejectReason.POLICY)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(noise: bytes) -> None:
    for head in (b"", MAGIC, data()[:FLAGS_AT], data()[:GAPS_AT], data()[: GAPS_AT + 60]):
        answer = verdict(head + noise, echo_id())
        assert answer["accepted"] is False
        assert answer["reason"] == "FORMAT"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_mutated_proof_is_refused_whatever_the_place(draw: st.DataObject) -> None:
    """Nothing but a verdict comes out, and none accepts."""
    places = st.one_of(st.integers(0, 2000), st.integers(0, len(data()) - 1))
    mutated = bytearray(data())
    for place in draw.draw(st.lists(places, min_size=1, max_size=3, unique=True)):
        mutated[place] ^= draw.draw(st.integers(1, 255))
    assert verdict(bytes(mutated), echo_id())["accepted"] is False


def test_verdict() -> None:
    answer = verdict(data(), echo_id())
    assert answer.pop("bits_by_regime") == {"best": answer["security_bits"], "bciks20": 100, "unique": 88}
    assert answer.pop("security_bits") == 101
    assert answer == {
        "accepted": True,
        "image_id": echo_id(),
        "exit_code": 0,
        "journal": TEXT.hex(),
        "parameters": {"blowup": 2, "queries": 164, "exempt_rows": 336},
        "zk": True,
        "dev": False,
        "regime": "best",
    }
    refused = verdict(data(), "00" * 32)
    assert (refused["accepted"], refused["reason"]) == (False, "IMAGE_ID")
    dev = verdict(dev_receipt().to_bytes(), echo_id(), policy=Policy(allow_dev=True))
    assert (dev["security_bits"], dev["bits_by_regime"]) == (0, dict.fromkeys(REGIMES, 0))


def test_a_verdict_counts_under_the_demanded_regime() -> None:
    accepted = verdict(data(), echo_id(), policy=Policy(88, regime="unique"))
    assert (accepted["accepted"], accepted["security_bits"], accepted["regime"]) == (True, 88, "unique")
    refused = verdict(data(), echo_id(), policy=Policy(regime="unique"))
    assert refused == {
        "accepted": False,
        "reason": "POLICY",
        "detail": "88.1 proven bits for this shape under regime 'unique', 100 demanded",
    }


def test_json_view() -> None:
    view = json.loads(json.dumps(echo_receipt().to_json()))
    assert view["image_id"] == echo_id()
    assert view["receipt_bytes"] == len(data())
    assert list(view["image"]["heights"]) == list(preprocessed_chips())
    assert view["machine_digest"] == machine().digest.hex()
    assert view["seal"]["heights"]["ecall"] == 512


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "run.receipt"
    assert echo_receipt().save(path) == len(data())
    assert Receipt.load(path).to_bytes() == path.read_bytes() == data()
    assert os.listdir(tmp_path) == ["run.receipt"]


def test_bits_count_what_the_journal_puts_on_the_buses(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    def bits(shape: ProofShape, closing_tuples: int, regime: str) -> float:
        assert regime == "best"
        counted.append(closing_tuples)
        return 101.9

    monkeypatch.setattr("zkvm.verifier.receipt.proven_bits", bits)
    receipt = echo_receipt()
    assert receipt.security_bits() == 101
    replace(receipt, journal=receipt.journal + bytes(1000)).security_bits()
    assert counted[1] - counted[0] == 1000


def test_the_bound_on_receipts_is_above_the_format() -> None:
    """Every table at its largest, every query with leaves and siblings of its own, the longest journal."""
    largest = 0
    for chosen in PARAMETERS:
        for log in range(MIN_TALLEST.bit_length() - 1, MAX_HEIGHT.bit_length()):
            shape = ProofShape(machine(), chosen, (log,) * len(machine().chips))
            heights = [shape.tallest, shape.levels(PREPROCESSED)[-1][0], *(height // FOLDING for height in shape.fri_heights)]
            opened = [min(chosen.queries, chosen.blowup * height) for height in heights]
            counts = tuple((k, k * (chosen.blowup * height).bit_length()) for k, height in zip(opened, heights, strict=True))
            largest = max(largest, sum(part.size for part in layout(shape, counts)))
    head = 4096  # claim, image header with its 64 gaps, head of the seal
    assert largest + MAX_JOURNAL_BYTES + head < MAX_RECEIPT_BYTES


@pytest.mark.parametrize("source", ["file", "device", "sparse file"])
def test_what_is_longer_than_any_receipt_is_not_read(source: str, tmp_path: Path) -> None:
    path = Path("/dev/zero") if source == "device" else tmp_path / "run.receipt"
    if source == "file":
        path.write_bytes(data() + bytes(MAX_RECEIPT_BYTES))
    if source == "sparse file":
        path.touch()
        os.truncate(path, 1 << 40)
    with pytest.raises(FormatError, match=f"more than {MAX_RECEIPT_BYTES} bytes: no receipt is that long"):
        Receipt.load(path)
