"""Public models, where there is a folder of them: all compile, guest and integer model agree, within 1 %; a dozen are proven."""

from __future__ import annotations

import pytest

from tests.ml.scripts import bench_script

MODELS = bench_script("models")
FOLDER = MODELS.default_folder()
NAMES = [path.name for path in MODELS.folders(FOLDER)]
PROVEN = (
    "1l_max_pool", "1l_softmax", "1l_topk", "1l_upsample", "4l_relu_conv_fc", "boolean",
    "gru", "layernorm", "oh_decision_tree", "quantize_dequantize", "sklearn_mlp", "xgboost_reg",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not NAMES, reason=f"{FOLDER} holds no NAME/network.onnx ({MODELS.VARIABLE} names another folder)")


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_model(name: str) -> None:
    row = MODELS.measure(FOLDER / name, prove=name in PROVEN, params="fast")
    assert row.good
    assert row.proven == (name in PROVEN)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_every_model_is_proven(name: str) -> None:
    row = MODELS.measure(FOLDER / name, prove=True)
    assert (row.good, row.proven) == (True, True)
