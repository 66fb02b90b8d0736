"""The pages are precise enough: a verifier written from them agrees with the vectors, step by step, and refuses what is changed."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import second_parts, second_verifier
from tests.second_parts import Refused
from tests.second_verifier import Closing, Seen, Statement, verify_seal
from tests.soundness.cheating import skip_own_checks
from tests.tiles import I64, TILES, committed, product, tile_statement, tile_tables
from tools.make_vectors import chips
from tools.tensor_network import BOUND, meaning, sample, vector_bytes
from zkvm.api import compute_image_id
from zkvm.errors import VerificationError
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute
from zkvm.stark.air.builder import Argument
from zkvm.stark.protocol.codec import decode_proof, encode_proof
from zkvm.stark.protocol.params import Policy, parameters
from zkvm.stark.prover.prove import prove_tables
from zkvm.stark.verifier.verify import verify_proof
from zkvm.verifier.receipt import Receipt, verdict

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"
NAMES = ("hello", "tensors")
RECEIPTS = {name: (VECTORS / f"{name}.receipt").read_bytes() for name in NAMES}
STEPS = {name: json.loads((VECTORS / f"{name}.json").read_text()) for name in NAMES}
of_each = pytest.mark.parametrize("name", NAMES)


def second(name: str, data: bytes) -> Seen:
    text, listing = (VECTORS / "machine.txt").read_text(), json.loads((VECTORS / "machine.json").read_text())
    return second_verifier.verify(data, bytes.fromhex(STEPS[name]["image id"]), text, listing)


@cache
def seen(name: str) -> Seen:
    return second(name, RECEIPTS[name])


def strings(values: Any) -> Any:
    return [strings(value) for value in values] if isinstance(values, list | tuple) else str(values)


def test_vectors_are_current() -> None:
    result = subprocess.run([sys.executable, "tools/make_vectors.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@of_each
def test_both_verifiers_accept(name: str) -> None:
    assert verdict(RECEIPTS[name], STEPS[name]["image id"])["accepted"]
    assert seen(name).positions


@of_each
def test_every_state_of_the_transcript(name: str) -> None:
    assert [step["state"] for step in STEPS[name]["transcript"]] == seen(name).states


@of_each
def test_every_listed_value(name: str) -> None:
    steps = STEPS[name]
    openings, constraints = steps["openings"], steps["constraints"]
    assert steps["positions"] == seen(name).positions
    assert constraints["combined"] == constraints["quotient at zeta"] == strings(seen(name).combined)
    assert openings["batched values"] == strings(seen(name).batched[:3])
    assert [layer["folded"] for layer in openings["layers"]] == [strings(values[:3]) for values in seen(name).folded]


def test_primitives() -> None:
    view = json.loads((VECTORS / "primitives.json").read_text())
    a, b = (tuple(map(int, view["extension"][name])) for name in "ab")
    assert strings(second_parts.mul(a, b)) == view["extension"]["product"]  # type: ignore[arg-type]
    assert strings(second_parts.inverse(a)) == view["extension"]["inverse of a"]  # type: ignore[arg-type]
    assert {k: str(second_parts.root(1 << int(k))) for k in view["field"]["roots"]} == view["field"]["roots"]
    rows = [[[int(value) for value in row]] for row in view["leaf"]["rows, short to tall"]]
    assert second_parts.leaf_digests(rows, [[int(word) for word in view["leaf"]["salt"]]])[0].hex() == view["leaf"]["digest"]
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
    data = bytearray(RECEIPTS["hello"])
    # every third in the part before the openings, where each byte has a meaning of its own
    place = rng.randrange(12, 1500) if seed % 3 == 0 else rng.randrange(12, len(data))
    data[place] ^= 1 << rng.randrange(8)
    with pytest.raises(Refused):
        second("hello", bytes(data))
    assert not verdict(bytes(data), STEPS["hello"]["image id"])["accepted"]


@of_each
def test_a_receipt_states_what_its_guest_did(name: str) -> None:
    receipt = Receipt.from_bytes(RECEIPTS[name])
    said = b"hello" if name == "hello" else struct.pack("<16i", *meaning())
    assert (receipt.journal, receipt.claim.exit_code, receipt.zk) == (said, 0, False)


# --- a run with sums -----------------------------------------------------------------------------------------------------------------


def test_the_network_has_sums() -> None:
    """Of both signs, of which some are cut; its program is among the vectors."""
    elf = (VECTORS / "tensors.elf").read_bytes()
    assert compute_image_id(elf) == STEPS["tensors"]["image id"]
    assert {"tensor_products", "tensor_results", "tensor_apply", "tensor_maxima"} <= STEPS["tensors"]["heights"].keys()
    run = execute(load_image(elf), vector_bytes(sample()))
    assert run.journal == struct.pack("<16i", *meaning())
    [sums] = [call.sums for call in run.tensor_calls if call.sums.size]
    assert sums.min() < -4 * BOUND
    assert sums.max() > 4 * BOUND


def test_changed_sums_are_refused_by_both() -> None:
    told, data = json.loads((VECTORS / "tensors-refused.json").read_text()), RECEIPTS["tensors"]
    assert {case["reason"] for case in told["cases"]} == {"BUS", "OOD", "MERKLE", "CLAIM"}
    for case in told["cases"]:
        changed = b"".join(bytes.fromhex(piece) if isinstance(piece, str) else data[slice(*piece)] for piece in case["pieces"])
        assert verdict(changed, told["image id"])["reason"] == case["reason"]
        with pytest.raises(Refused):
            second("tensors", changed)


# --- a machine with sums -------------------------------------------------------------------------------------------------------------


def verdicts_on_tiles(result: I64, change: dict[str, int] | None = None) -> tuple[bool, bool]:
    """Whether each verifier accepts a zero-knowledge proof of tiles, of which some cells of the first row of results may be others."""
    chosen = parameters("balanced", 128)
    statement, tables = tile_statement(chosen, result), tile_tables(chosen)
    out = tables["out"]
    for name, value in (change or {}).items():
        out.main[out.chip.main.index(name), 0] = value % second_parts.P
    proof, _ = prove_tables(TILES, chosen, statement, list(tables.values()), committed(chosen.blowup))
    assert proof.zk
    data, accepted = encode_proof(proof), [True, True]
    try:
        verify_proof(TILES, statement, decode_proof(TILES, data), Policy(128))
    except VerificationError:
        accepted[0] = False
    own = [
        Closing(entry.bus.id, [tuple(row) for row in entry.values.tolist()], entry.sent, entry.bus.argument is Argument.LOGUP)
        for entry in statement.closings
    ]
    fixed = {"vectors": 15}
    try:
        verify_seal(data, TILES.description, chips(TILES), Statement(dict(statement.fields), fixed, statement.preprocessed_root, own))
    except Refused:
        accepted[1] = False
    return accepted[0], accepted[1]


def test_sums_are_understood_by_both() -> None:
    """A coefficient of degree 3 and pairs of degree 2, powers up to 127, more values in a tuple than the machine of the vectors has."""
    assert (TILES.powers, TILES.arity) == (127, 7)
    assert verdicts_on_tiles(product()) == (True, True)


def test_a_wrong_sum_is_refused_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_own_checks(monkeypatch)
    result = product()
    result[0, 0] += 1
    assert verdicts_on_tiles(result, {"y0": int(result[0, 0])}) == (False, False)
    assert verdicts_on_tiles(result) == (False, False)
