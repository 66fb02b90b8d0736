"""The pages on runs in segments are precise enough: a verifier written from them accepts what the package does, and refuses changes."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import pytest

import zkvm
from tests.second_parts import Refused
from tests.second_segments import Owner, owner, verify
from tests.verifier.test_segmented_receipt import INPUT, PROGRAM
from tools.make_vectors import chips
from zkvm.riscv.machine import machine, memory_machine, segment_machine
from zkvm.verifier.receipt import Receipt, verdict

VECTORS = Path(__file__).resolve().parent / "vectors"


@cache
def owners() -> tuple[Owner, Owner, Owner]:
    whole, segment, memory = (owner(own.description, chips(own)) for own in (machine(), segment_machine(), memory_machine()))
    return whole, segment, memory


@cache
def proven(zk: bool) -> tuple[bytes, str]:
    info = zkvm.prove(PROGRAM, INPUT, params="compact", security=100, zk=zk, segment_cycles=13, threads=2)
    return info.receipt.to_bytes(), info.image_id


def second(data: bytes, image_id: str) -> list[str]:
    return verify(data, bytes.fromhex(image_id), *owners())


@pytest.mark.parametrize("zk", [False, True])
def test_both_verifiers_accept(zk: bool) -> None:
    data, image_id = proven(zk)
    assert verdict(data, image_id)["accepted"]
    assert len(second(data, image_id)) == 13


def test_the_vectors() -> None:
    """A receipt that is the same every time, and every state of its joint transcript."""
    steps, data = json.loads((VECTORS / "segments.json").read_text()), (VECTORS / "segments.receipt").read_bytes()
    assert verdict(data, steps["image id"])["accepted"]
    assert second(data, steps["image id"]) == [step["state"] for step in steps["joint transcript"]]
    receipt = Receipt.from_bytes(data)
    assert (receipt.journal, receipt.segments, receipt.zk) == (b"hello", 3, False)
    whole = Receipt.load(VECTORS / "hello.receipt")
    assert receipt.claim == whole.claim


def test_receipts_that_must_be_refused() -> None:
    """The vectors that are not about a demand of the caller, which the second verifier does not know."""
    told, data = json.loads((VECTORS / "segments-refused.json").read_text()), (VECTORS / "segments.receipt").read_bytes()
    cases = [case for case in told["cases"] if not case["demands"]]
    assert {case["reason"] for case in told["cases"]} == {
        "FORMAT",
        "IMAGE_ID",
        "CLAIM",
        "POLICY",
        "SHAPE",
        "BUS",
        "OOD",
        "MERKLE",
        "GRINDING",
    }
    for case in cases[::5]:
        changed = b"".join(bytes.fromhex(piece) if isinstance(piece, str) else data[slice(*piece)] for piece in case["pieces"])
        with pytest.raises(Refused):
            second(changed, told["image id"])


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_are_refused_by_both(seed: int) -> None:
    data, image_id = proven(True)
    rng = random.Random(seed)
    place = rng.randrange(12, 900) if seed % 2 else rng.randrange(12, len(data))
    changed = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
    with pytest.raises(Refused):
        second(changed, image_id)
    assert not verdict(changed, image_id)["accepted"]
