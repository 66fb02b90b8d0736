"""Public models, if a folder of them is named: all compile, the guest computes the integer model's bits, within 1 % of the float model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.ml.scripts import bench_script

VARIABLE = "ZKVM_MODELS"
FOLDER = Path(os.environ.get(VARIABLE, ""))
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/network.onnx")) if os.environ.get(VARIABLE) else []
PROVEN = ("1l_conv", "1l_mlp", "1l_softmax", "boolean", "gru", "oh_decision_tree")

pytestmark = pytest.mark.skipif(not NAMES, reason=f"the variable {VARIABLE} names no folder of NAME/network.onnx and NAME/input.json")


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_model(name: str) -> None:
    row = bench_script("models").measure(FOLDER / name)
    assert (row.status, row.exact, row.same_label) == ("ok", True, True)
    assert row.error <= 0.01


@pytest.mark.parametrize("name", PROVEN)
def test_proof(name: str) -> None:
    row = bench_script("models").measure(FOLDER / name, prove=True, params="fast")
    assert row.status == "ok"
    assert row.receipt_bytes > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_every_model_is_proven(name: str) -> None:
    row = bench_script("models").measure(FOLDER / name, prove=True)
    assert row.status == "ok"
    assert row.receipt_bytes > 0
