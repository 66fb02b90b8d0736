"""The pages are precise enough: a verifier written from them agrees with the vectors, step by step, and refuses what is changed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import second_parts, second_verifier
from tests.second_parts import Refused
from tests.second_verifier import Seen
from zkvm.verifier.receipt import Receipt, verdict

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"
RECEIPT = (VECTORS / "hello.receipt").read_bytes()
STEPS = json.loads((VECTORS / "hello.json").read_text())


def second(data: bytes) -> Seen:
    text, listing = (VECTORS / "machine.txt").read_text(), json.loads((VECTORS / "machine.json").read_text())
    return second_verifier.verify(data, bytes.fromhex(STEPS["image id"]), text, listing)


@cache
def seen() -> Seen:
    return second(RECEIPT)


def strings(values: Any) -> Any:
    return [strings(value) for value in values] if isinstance(values, list | tuple) else str(values)


def test_vectors_are_current() -> None:
    result = subprocess.run([sys.executable, "tools/make_vectors.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_both_verifiers_accept() -> None:
    assert verdict(RECEIPT, STEPS["image id"])["accepted"]
    assert seen().positions


def test_every_state_of_the_transcript() -> None:
    assert [step["state"] for step in STEPS["transcript"]] == seen().states


def test_every_listed_value() -> None:
    openings = STEPS["openings"]
    assert STEPS["positions"] == seen().positions
    assert STEPS["constraints"]["combined"] == STEPS["constraints"]["quotient at zeta"] == strings(seen().combined)
    assert openings["batched values"] == strings(seen().batched[:3])
    assert [layer["folded"] for layer in openings["layers"]] == [strings(values[:3]) for values in seen().folded]


def test_primitives() -> None:
    view = json.loads((VECTORS / "primitives.json").read_text())
    a, b = (tuple(map(int, view["extension"][name])) for name in "ab")
    assert strings(second_parts.mul(a, b)) == view["extension"]["product"]  # type: ignore[arg-type]
    assert strings(second_parts.inverse(a)) == view["extension"]["inverse of a"]  # type: ignore[arg-type]
    assert {k: str(second_parts.root(1 << int(k))) for k in view["field"]["roots"]} == view["field"]["roots"]
    rows = [[[int(value) for value in row]] for row in view["leaf"]["rows, short to tall"]]
    assert second_verifier.leaf_digests(rows, [[int(word) for word in view["leaf"]["salt"]]])[0].hex() == view["leaf"]["digest"]
    transcript = second_parts.Transcript()
    transcript.step("domain", 0, b"vectors")
    transcript.step("bytes", 1, b"abc")
    transcript.step("integer", 3, bytes([255] * 8))
    transcript.step("elements", 2, second_parts.u64(0, 1, second_parts.P - 1))
    assert strings(transcript.draw("challenge")) == view["transcript"]["challenge"]
    assert transcript.states == [step["state"] for step in view["transcript"]["steps"]][:5]


@pytest.mark.parametrize("seed", range(12))
def test_changed_bytes_are_refused_by_both(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(RECEIPT)
    # every third in the part before the openings, where each byte has a meaning of its own
    place = rng.randrange(12, 1500) if seed % 3 == 0 else rng.randrange(12, len(data))
    data[place] ^= 1 << rng.randrange(8)
    with pytest.raises(Refused):
        second(bytes(data))
    assert not verdict(bytes(data), STEPS["image id"])["accepted"]


def test_the_guests_receipt_states_what_it_did() -> None:
    receipt = Receipt.from_bytes(RECEIPT)
    assert (receipt.journal, receipt.claim.exit_code, receipt.zk) == (b"hello", 0, False)
