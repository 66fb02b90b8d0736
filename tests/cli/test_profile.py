"""``zkvm profile``: its lists, its JSON, the files it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import guest, invoke
from tests.receipts import ECHO, HELLO, TEXT
from zkvm.riscv.vm.assemble import EXIT


def test_lists() -> None:
    outcome = invoke("profile", HELLO)
    assert outcome.code == 0
    assert "  main\n" in outcome.out
    assert "no source lines: build with debug information" in outcome.out
    assert "range" in outcome.out
    assert "predicted for balanced" in outcome.out


def test_json(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(TEXT)
    view = invoke("profile", ECHO, "--input", tmp_path / "in", "--json", "--params", "fast").json
    assert view["journal"] == TEXT.hex()
    assert view["prediction"]["params"] == "fast"
    assert view["charged_cells"] == sum(entry["cells"] for entry in view["functions"])


@pytest.mark.parametrize("name", ["graph.html", "graph.json"])
def test_files(name: str, tmp_path: Path) -> None:
    assert invoke("profile", HELLO, "--out", tmp_path / name).code == 0
    text = (tmp_path / name).read_text()
    assert text.startswith("<!doctype html>") if name.endswith("html") else json.loads(text)["exporter"] == "zkvm"


def test_refused_before_the_run(tmp_path: Path) -> None:
    assert invoke("profile", HELLO, "--out", tmp_path / "graph.txt").code == 2
    assert invoke("profile", HELLO, "--out", tmp_path / "missing" / "graph.html").code == 2
    assert invoke("profile", HELLO, "--params", "slow").code == 2


def test_a_guest_that_fails_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "g.elf").write_bytes(guest([("li", "a0", 3), *EXIT]))
    assert invoke("profile", tmp_path / "g.elf").code == 1


def test_execute_only_predicts_the_proof() -> None:
    view = invoke("run", HELLO, "--execute-only", "--json", "--params", "fast", "--threads", "3").json
    assert (view["prediction"]["params"], view["prediction"]["threads"]) == ("fast", 3)
    assert view["prediction"]["memory_bytes"] > 1 << 27
    assert "predicted for fast" in invoke("run", HELLO, "--execute-only", "--params", "fast").out
