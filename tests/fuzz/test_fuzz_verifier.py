"""The verifier under changed bytes and changed proofs: a bounded slice of what ``tools/fuzz_verifier.py`` runs for hours."""

from __future__ import annotations

import importlib.util
import random
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import changed_array, changed_bytes, same, slots
from tests.receipts import HELLO, echo_receipt, toy_proof
from zkvm import api
from zkvm.errors import FormatError, VerificationError
from zkvm.stark.protocol.proof import Proof
from zkvm.verifier.receipt import MAX_JOURNAL_BYTES, Receipt, journal_digest

ROOT = Path(__file__).resolve().parents[2]
CORPUS = [line.split() for line in (Path(__file__).parent / "corpus.txt").read_text().splitlines() if line and not line.startswith("#")]


def load_tool() -> ModuleType:
    name = "fuzz_verifier"
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


TOOL: Any = load_tool()
programs = st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=4).map(b"".join)


@pytest.mark.parametrize(("target", "program"), CORPUS, ids=lambda value: str(value))
def test_corpus(target: str, program: str) -> None:
    assert TOOL.run([target, "--program", program]) == 0


@settings(max_examples=400, deadline=None)
@given(programs)
def test_changed_bytes(program: bytes) -> None:
    TOOL.check_bytes(program)


@settings(max_examples=60, deadline=None)
@given(programs)
def test_changed_proofs(program: bytes) -> None:
    TOOL.check_proof(program)


def test_random_programs_reach_every_kind_of_check() -> None:
    """Otherwise the long run would be long for nothing."""
    ends = TOOL.fuzz("bytes", 10_000, 1)
    read = {end.partition(", ")[0] for end in ends if "FORMAT" not in end}
    assert {"dev receipt: passed", "dev receipt: CLAIM", "dev receipt: IMAGE_ID", "toy seal: passed", "receipt: passed"} <= read
    assert {
        "toy seal: FORMAT, opened leaves of FRI layer #",
        "toy seal: FORMAT, openings",
        "receipt: FORMAT, the body must have # bytes, not #",
    } <= ends.keys()
    ends = TOOL.fuzz("proofs", 250, 1)
    reasons = {end.partition(" ")[0] for end in ends}
    assert {"SHAPE", "POLICY", "BUS", "OOD", "MERKLE", "GRINDING"} <= reasons
    assert any("replayed" in end for end in ends)


@pytest.mark.slow
def test_many_random_programs() -> None:
    TOOL.fuzz("bytes", 1_000_000, 2, seconds=600)
    TOOL.fuzz("proofs", 20_000, 2, seconds=900)


def test_every_value_of_a_proof_is_a_slot() -> None:
    """Mutations reach all of them, and putting a value back changes nothing."""
    proof = toy_proof()[1]
    found = list(slots(proof, lambda new: new))
    paths = {slot.path for slot in found}
    assert {"terminals", "openings", "final", "nonce", "zk", "fri_roots[0]", "main.rows[0]", "bus.salts", "layers[1].siblings"} <= paths
    assert all(same(slot.put(slot.value), proof) for slot in found)


@pytest.mark.parametrize("operation", range(8))
def test_operations_change_something(operation: int) -> None:
    base = bytes(range(1, 101))
    program = bytes([operation]) + (37).to_bytes(4, "little") + (9).to_bytes(3, "little")
    assert changed_bytes(base, program) != base
    array = np.arange(1, 41, dtype=np.uint64).reshape(8, 5)
    changed = changed_array(array, operation, 37, 9)
    assert changed.shape != array.shape or not np.array_equal(changed, array)


def accept_everything(*arguments: Any) -> None:
    """A verifier that is broken."""


def test_an_accepted_change_is_a_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(TOOL, "verify_proof", accept_everything)
    assert TOOL.run(["proofs", "--runs", "50"]) == 1
    assert "accepted with" in capsys.readouterr().out


def test_a_crash_is_a_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def crash(*arguments: Any) -> Proof:
        raise IndexError("out of bounds")

    monkeypatch.setattr(TOOL, "verify_proof", crash)
    monkeypatch.setattr(TOOL, "decode_proof", crash)
    for target in ("proofs", "bytes"):
        assert TOOL.run([target, "--runs", "50"]) == 1
        assert "IndexError" in capsys.readouterr().out


# --- memory ------------------------------------------------------------------------------------------------------------------------

DECODING_BYTES, VERIFYING_BYTES = 3, 24
"""Bounds for each byte of a receipt, stated in docs/security.md; besides, ``FIXED_BYTES`` for everything that does not depend on it."""
FIXED_BYTES = 8 << 20


def peak_bytes(work: Any) -> int:
    """Most memory allocated at a time by Python and numpy while ``work`` runs; refusals are swallowed."""
    tracemalloc.start()
    try:
        work()
    except (FormatError, VerificationError):
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_memory_of_honest_receipts() -> None:
    receipt = echo_receipt()
    data = receipt.to_bytes()
    assert peak_bytes(lambda: Receipt.from_bytes(data)) < DECODING_BYTES * len(data) + FIXED_BYTES
    assert peak_bytes(lambda: receipt.verify(receipt.claim.image_id)) < VERIFYING_BYTES * len(data) + FIXED_BYTES


def test_memory_of_changed_receipts() -> None:
    """Whatever lengths the bytes claim, nothing is allocated beyond what is there."""
    data = echo_receipt().to_bytes()
    rng = random.Random(3)
    for _ in range(40):
        program = bytes([8 | rng.randrange(8)]) + rng.randbytes(7)
        changed = changed_bytes(data, program)
        assert peak_bytes(lambda changed=changed: Receipt.from_bytes(changed)) < DECODING_BYTES * len(changed) + FIXED_BYTES


@pytest.mark.parametrize("length", [1 << 16, MAX_JOURNAL_BYTES])
def test_memory_of_long_journals(length: int) -> None:
    """The verifier's own tuples, one for each byte, with the smallest proof around them."""
    journal = random.Random(4).randbytes(length)
    receipt = small_receipt()
    changed = replace(receipt, journal=journal, claim=replace(receipt.claim, journal_digest=journal_digest(journal)))
    peak = peak_bytes(lambda: changed.verify(changed.claim.image_id))
    assert 8 * length < peak < VERIFYING_BYTES * len(changed.to_bytes()) + FIXED_BYTES  # it came as far as the tuples


def small_receipt() -> Receipt:
    """With the shortest proof."""
    return api.prove(HELLO, params="compact", security=100).receipt


def test_memory_of_claimed_heights() -> None:
    """The tallest tables that the format can name, with the openings of small ones: refused before any array of their size exists."""
    receipt = echo_receipt()
    seal = receipt.seal
    assert seal is not None
    tall = replace(receipt, seal=replace(seal, log_heights=tuple(24 if log else 0 for log in seal.log_heights)))
    assert peak_bytes(lambda: tall.verify(tall.claim.image_id)) < FIXED_BYTES
