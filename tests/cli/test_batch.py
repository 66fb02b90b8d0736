"""Many inputs: one receipt each, kept when it is done, failures by name; by this process and by others."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import zkvm
import zkvm.ml
from tests.cli.running import guest, invoke
from tests.ml.models import normal, single
from tests.receipts import ECHO, HELLO
from zkvm.errors import Cancelled, InexactError, LimitError, UsageError
from zkvm.riscv.vm.assemble import EXIT
from zkvm.session import preparing

X = normal(4, 6)
W = normal(6, 3, seed=1)
DEV = ("--params", "fast", "--dev")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three inputs, and a file that is none."""
    place = tmp_path / "in"
    place.mkdir()
    for name, content in (("a", b"short"), ("b", b"x" * 3000), ("c", b"")):
        (place / f"{name}.txt").write_bytes(content)
    (place / ".hidden").write_bytes(b"no input")
    return place


def receipts(place: Path) -> dict[str, int]:
    """Names of the receipts, with the time when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in place.iterdir()}


def test_a_receipt_for_each_input(folder: Path, tmp_path: Path) -> None:
    """By a worker process, with proofs."""
    out = tmp_path / "out"
    outcome = invoke("run", ECHO, "--inputs", folder, "--out", out, "--params", "fast", "--jobs", "1", "--json")
    assert outcome.code == 0, outcome.err
    view = outcome.json
    assert (view["proven"], view["kept"], view["failed"]) == (3, 0, 0)
    assert sorted(receipts(out)) == ["a.txt.receipt", "b.txt.receipt", "c.txt.receipt"]
    image_id = zkvm.compute_image_id(ECHO)
    for own in view["receipts"]:
        stdin = (folder / own["input"]).read_bytes()
        receipt = zkvm.Receipt.load(own["receipt"])
        receipt.verify(image_id)
        assert receipt.journal == bytes.fromhex(own["journal"]) == zkvm.execute(ECHO, stdin).journal
        assert own["worker"].startswith("process ")


def test_what_is_done_is_kept(folder: Path, tmp_path: Path) -> None:
    """Unless its input is newer, or another program, parameter set or kind of receipt is asked for, or it is damaged."""
    out = tmp_path / "out"
    program = tmp_path / "guest.elf"
    program.write_bytes(ECHO.read_bytes())
    command = ("run", program, "--inputs", folder, "--out", out)
    assert invoke(*command, *DEV).code == 0
    before = receipts(out)
    outcome = invoke(*command, *DEV, "--json")
    assert (outcome.json["proven"], outcome.json["kept"]) == (0, 3)
    assert receipts(out) == before
    (folder / "a.txt").write_bytes(b"other")
    (out / "b.txt.receipt").write_bytes(b"damaged")
    (folder / "d.txt").write_bytes(b"new")
    outcome = invoke(*command, *DEV, "--json")
    assert {own["input"] for own in outcome.json["receipts"] if "kept" not in own} == {"a.txt", "b.txt", "d.txt"}
    assert receipts(out)["c.txt.receipt"] == before["c.txt.receipt"]
    for other in (("--params", "balanced", "--dev"), ("--params", "balanced", "--dev", "--security", "100")):
        assert invoke(*command, *other, "--json").json["kept"] == 0
    program.write_bytes(ECHO.read_bytes())
    assert invoke(*command, *other, "--json").json["kept"] == 0, "the program is newer"
    moved = tmp_path / "old"
    moved.write_bytes(b"an input from before")
    os.utime(moved, (1, 1))
    moved.replace(folder / "a.txt")
    assert invoke(*command, *other, "--json").json["kept"] == 3, "another file took the name"


def test_what_fails_is_named_and_the_others_go_on(folder: Path, tmp_path: Path) -> None:
    outcome = invoke("run", ECHO, "--inputs", folder, "--out", tmp_path / "out", *DEV, "--max-cycles", "1000")
    assert outcome.code == 1
    assert "zkvm: b.txt: the guest has not ended after 1000 cycles" in outcome.err
    assert "a.txt" in outcome.out
    assert "2 in" in outcome.out
    assert sorted(receipts(tmp_path / "out")) == ["a.txt.receipt", "c.txt.receipt"]


def test_folders_that_are_none(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place, said in (
        (tmp_path / "nowhere", "No such file"),
        (tmp_path / "empty", "no files in it"),
        (folder / "a.txt", "Not a directory"),
    ):
        outcome = invoke("run", ECHO, "--inputs", place, "--out", tmp_path / "out", *DEV)
        assert outcome.code == 2
        assert said in outcome.err
    for option in (("--input", folder / "a.txt"), ("--execute-only",), ("--work-dir", tmp_path / "work")):
        outcome = invoke("run", ECHO, "--inputs", folder, *option)
        assert outcome.code == 2
        assert f"{option[0]} is for one run: not with --inputs" in outcome.err


def test_samples_of_a_model(tmp_path: Path) -> None:
    """Several in a file; one that does not fit; and the salts of digests, for who made them alone."""
    zkvm.ml.compile(single("Gemm", {"x": X[:1]}, {"w": W}), X, commit_input=True).save(tmp_path / "model")
    place, out = tmp_path / "in", tmp_path / "out"
    place.mkdir()
    np.save(place / "four.npy", X)
    np.save(place / "one.npy", X[2])
    np.save(place / "bad.npy", np.zeros(5))
    outcome = invoke("run", tmp_path / "model", "--inputs", place, "--out", out, *DEV, "--pad-to", "2^9", "--json")
    assert outcome.code == 1
    made = {own["input"]: own for own in outcome.json["receipts"]}
    assert sorted(made) == ["bad.npy", *(f"four.npy-{number}" for number in range(4)), "one.npy"]
    assert made["bad.npy"]["kind"] == "InputFileError"
    for number in range(4):
        np.testing.assert_allclose(made[f"four.npy-{number}"]["outputs"][0]["values"], X[number] @ W, atol=1e-3)
    salts = out / "one.npy.salts.json"
    assert stat.S_IMODE(salts.stat().st_mode) == 0o600
    assert json.loads(salts.read_text()) == made["one.npy"]["salts"]
    kept = invoke("run", tmp_path / "model", "--inputs", place, "--out", out, *DEV, "--pad-to", "2^9", "--json").json
    assert (kept["proven"], kept["kept"], kept["failed"]) == (0, 5, 1)
    assert json.loads(salts.read_text()) == made["one.npy"]["salts"]


# --- from Python ---------------------------------------------------------------------------------------------------------------------


def test_results_come_one_by_one() -> None:
    """Inputs are asked for as they are needed."""
    asked: list[int] = []

    def inputs() -> Iterator[bytes]:
        for number in range(3):
            asked.append(number)
            yield bytes([number]) * number

    names = []
    for number, own in enumerate(zkvm.prove_many(ECHO, inputs(), params="fast", dev=True)):
        assert len(asked) == number + 1
        assert own.info is not None
        assert own.info.session.journal == zkvm.execute(ECHO, bytes([number]) * number).journal
        names.append(own.name)
    assert names == ["0", "1", "2"]


def test_runs_that_are_not_proven() -> None:
    items = [("li", "a0", 0), ("la", "a1", "data"), ("li", "a2", 1), ("li", "a7", 63), ("ecall",), *EXIT]
    reads = guest(items, data=bytes(4))  # its exit code is the number of bytes that it reads
    refused, proven = zkvm.prove_many(reads, [b"x", b""], params="fast", dev=True, refuse={1: "Give it nothing."})
    assert isinstance(refused.error, InexactError)
    assert str(refused.error).endswith("nothing was proven. Give it nothing.")
    assert proven.error is None
    assert proven.info is not None


def test_many_samples_of_a_model() -> None:
    """One of them outside of what the model is exact for."""
    model = zkvm.ml.compile(single("Gemm", {"x": X[:1]}, {"w": W}), X, arithmetic="fixed", domain={"x": (-100, 100)}, accept_inexact=True)
    results = list(model.prove_many([X[1], X[3]], params="fast", dev=True, pad_to=0))
    for own, row in zip(results, (1, 3), strict=True):
        assert own.info is not None
        np.testing.assert_allclose(model.decode(own.info.receipt.journal).tensors["y0"], X[row : row + 1] @ W, atol=0.1)
    assert model.refused_exits()
    with pytest.raises(UsageError, match="outside what the model was compiled for"):
        list(model.prove_many([X[1] + 1000], dev=True))


def test_errors_of_one_input_and_of_all() -> None:
    failed, done = zkvm.prove_many(ECHO, [("long", b"x" * 3000), ("short", b"")], params="fast", dev=True, max_cycles=1000)
    assert (failed.name, failed.info, done.error) == ("long", None, None)
    assert isinstance(failed.error, LimitError)
    with pytest.raises(UsageError):
        next(zkvm.prove_many(ECHO, [b""], params="tiny"))
    with pytest.raises(UsageError, match="at least 1"):
        next(zkvm.prove_many(ECHO, [b""], jobs=0))
    with pytest.raises(Cancelled):
        next(zkvm.prove_many(ECHO, [b""], cancel=lambda: True))


def test_the_image_is_committed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not kept when nobody needs it any more."""
    from zkvm.stark.prover import preprocessed, roots

    made: list[object] = []
    own = preprocessed.commit_preprocessed

    def commit(*arguments: object) -> object:
        made.append(arguments)
        return own(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(roots, "commit_preprocessed", commit)
    zkvm.prove(ECHO, params="fast", dev=True)  # the other roots are remembered now
    for program, count in ((ECHO, 1), (HELLO, 1), (ECHO, 1)):
        made.clear()
        assert all(result.error is None for result in zkvm.prove_many(program, [b""] * 3, params="fast", dev=True))
        assert len(made) == count
    made.clear()
    zkvm.prove(ECHO, params="fast", dev=True)
    assert len(made) == 1
    assert preparing._kept.committed is None
