"""``zkvm profile``: its lists, its JSON, the files it writes, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.cli.running import guest, invoke
from tests.ml.models import compiled, model_of, normal
from tests.receipts import ECHO, HELLO, TEXT
from zkvm.cli.profile import remark
from zkvm.ml.compiler import Arithmetic, Options
from zkvm.riscv.vm.assemble import EXIT
from zkvm.session.profiling import ChipCost


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


def test_what_a_height_may_tell() -> None:
    """Of a table of calls, no more than which calls there were; of a compiled model's, nothing, for they are the same for every input."""
    jump, products = (ChipCost(name, 500, 512, 13, True, name != "jump") for name in ("jump", "tensor_products"))
    for model in (False, True):
        assert remark(jump, model) == "  near a power of two: its height may tell inputs apart"
        assert remark(replace(jump, near_boundary=False), model) == remark(replace(products, near_boundary=False), model) == ""
    assert remark(products, False) == "  near a power of two: its height may tell which calls a run makes"
    assert remark(products, True) == ""


def test_the_lists_of_a_compiled_model_say_nothing_of_tables_of_calls(tmp_path: Path) -> None:
    """Of so large an input that an eighth more would need another height."""
    inputs = normal(16, 448)
    made = compiled(
        model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": inputs}, ["y"], {"w": normal(448, 16, seed=1)}),
        [{"x": inputs}],
        Options(arithmetic=Arithmetic.FIXED),
    )
    made.save(tmp_path / "model")
    np.save(tmp_path / "x.npy", inputs)
    chips = invoke("profile", tmp_path / "model", "--input", tmp_path / "x.npy", "--json").json["chips"]
    near = {chip["name"] for chip in chips if chip["near_boundary"] and chip["by_call"]}
    assert "tensor_import" in near
    of_model = invoke("profile", tmp_path / "model", "--input", tmp_path / "x.npy", "--top", "100").out
    assert not any(f"  {name}  near" in of_model for name in near)
    integers, _ = made.model.quantize([inputs])
    (tmp_path / "in").write_bytes(made.model.stdin(integers))
    of_program = invoke("profile", tmp_path / "model" / "model.elf", "--input", tmp_path / "in", "--top", "100").out
    assert all(f"  {name}  near a power of two: its height may tell which calls a run makes\n" in of_program for name in near)


def test_execute_only_predicts_the_proof() -> None:
    view = invoke("run", HELLO, "--execute-only", "--json", "--params", "fast", "--threads", "3").json
    assert (view["prediction"]["params"], view["prediction"]["threads"]) == ("fast", 3)
    assert view["prediction"]["memory_bytes"] > 1 << 27
    assert "predicted for fast" in invoke("run", HELLO, "--execute-only", "--params", "fast").out
