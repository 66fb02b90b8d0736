"""``zkvm compile``, and ``zkvm run`` on what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import zkvm
from tests.cli.running import invoke
from tests.ml.models import normal, single
from zkvm.ml.interface import ModelInterface
from zkvm.ml.package import CompiledModel
from zkvm.stark.crypto.hashes import blake3
from zkvm.verifier.__main__ import main as stand_alone

X = normal(1, 6)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with model.onnx, x.npy, x.json and wrong.json."""
    proto = single("Gemm", {"x": X}, {"w": normal(6, 3, seed=1)})
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", onnx.TensorProto.FLOAT, [1, 3]))
    onnx.save(proto, str(tmp_path / "model.onnx"))
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.json").write_text(json.dumps({"input_data": [X.reshape(-1).tolist()]}))
    (tmp_path / "far.json").write_text(json.dumps({"input_data": [[1e6, 0, 0, 0, 0, 0]]}))
    (tmp_path / "wrong.json").write_text(json.dumps({"input_data": [[1, 2]]}))
    return tmp_path


def compile_in(folder: Path, *more: str) -> Path:
    outcome = invoke("compile", folder / "model.onnx", "--calibration", folder / "x.npy", "-o", folder / "out", "--json", *more)
    assert outcome.code == 0, outcome.err
    assert outcome.json["card"]["macs"] == 18
    assert outcome.json["card"]["execution"]["cycles"] > 0
    assert all(layer["cells"] > 0 for layer in outcome.json["card"]["execution"]["layers"])
    return folder / "out"


def test_compile_and_run(model: Path) -> None:
    directory = compile_in(model)
    expected = X @ normal(6, 3, seed=1)
    for name in ("x.npy", "x.json"):
        outcome = invoke("run", directory, "--input", model / name, "--execute-only", "--json")
        assert outcome.code == 0
        (output,) = outcome.json["outputs"]
        assert (output["name"], output["shape"], outcome.json["saturated_inputs"]) == ("y0", [1, 3], 0)
        np.testing.assert_allclose(output["values"], expected.reshape(-1), atol=1e-3)


def test_proof(model: Path) -> None:
    directory = compile_in(model, "--weights", "private", "--commit-input", "--output", "top1")
    receipt = model / "r.receipt"
    outcome = invoke("run", directory, "--input", model / "x.npy", "--params", "fast", "--out", receipt, "--json")
    assert outcome.code == 0
    assert outcome.json["label"] == int((X @ normal(6, 3, seed=1)).argmax())
    assert set(outcome.json["digests"]) == {"weights", "input"}
    published = json.loads((directory / "model.json").read_text())["weights_digest"]
    assert outcome.json["digests"]["weights"] == published
    tensor = CompiledModel.load(directory).inputs[0]
    hashed = bytes.fromhex(outcome.json["salts"]["input"]) + tensor.quantize(X)[0].astype("<i4").tobytes()
    assert outcome.json["digests"]["input"] == blake3(hashed).hex()
    assert invoke("verify", receipt, "--image-id", outcome.json["image_id"]).code == 0

    # a verifier has neither the guest nor the weights: the public metadata tell what the journal says
    (model / "public.json").write_bytes((directory / "model.json").read_bytes())
    accept = ("verify", receipt, "--image-id", outcome.json["image_id"], "--model")
    verified = invoke(*accept, model / "public.json", "--json")
    assert verified.code == 0
    for key in ("label", "digests", "outputs"):
        assert verified.json[key] == outcome.json[key]
    assert f"label           {outcome.json['label']}\n" in invoke(*accept, model / "public.json").out
    other = compile_in(model)
    refused = invoke(*accept, other)
    assert (refused.code, "MODEL: the journal is not one of a model with this interface" in refused.err) == (1, True)
    named = ("verify", receipt, "--image-id", outcome.json["image_id"], "--weights-digest")
    assert invoke(*named, published).code == 0
    refused = invoke(*named, "00" * 32, "--json")
    assert (refused.code, refused.json["accepted"], refused.json["reason"]) == (1, False, "MODEL")
    assert invoke(*named, "00").code == 2
    for arguments, code in (
        ((), 0),
        (("--model", str(model / "public.json")), 0),
        (("--weights-digest", published), 0),
        (("--weights-digest", f"0x{published}"), 0),
        (("--model", str(other)), 1),
    ):
        assert stand_alone([str(receipt), "--image-id", outcome.json["image_id"], *arguments]) == code
    assert stand_alone([str(receipt), "--image-id", outcome.json["image_id"], "--weights-digest", "00" * 32]) == 1
    assert stand_alone([str(receipt), "--image-id", outcome.json["image_id"], "--model", str(receipt)]) == 3
    # In Python
    loaded, interface = zkvm.Receipt.load(receipt), ModelInterface.read(model / "public.json")
    assert interface.verify(loaded, outcome.json["image_id"]).label == outcome.json["label"]
    with pytest.raises(zkvm.VerificationError, match="MODEL"):
        ModelInterface.read(other).verify(loaded, outcome.json["image_id"])
    with pytest.raises(zkvm.VerificationError, match="IMAGE_ID"):
        interface.verify(loaded, "00" * 32)
    assert "label" not in invoke("verify", receipt, "--image-id", "00" * 32, "--model", model / "public.json", "--json").json


@pytest.mark.parametrize(
    "change",
    [
        {"format": 4}, {"saturation": "ignore"},
        {"weights": "secret"}, {"weights": "private"}, {"weights": "private", "weights_digest": "zz" * 32},
        {"input_mode": "full"}, {"output_mode": "none"}, {"card": 7}, {"outputs": [{}]},
        {"outputs": [{"name": "y", "shape": [0], "kind": "real", "scale": 1, "lo": 0, "hi": 1}]},
        {"outputs": [{"name": "y", "shape": [1], "kind": "complex", "scale": 1, "lo": 0, "hi": 1}]},
        {"outputs": [{"name": "y", "shape": [1], "kind": "real", "scale": 0, "lo": 0, "hi": 1}]},
        {"outputs": [{"name": "y", "shape": [1], "kind": "real", "scale": 10**400, "lo": 0, "hi": 1}]},
        {"outputs": [{"name": "y", "shape": [1], "kind": "real", "scale": 1, "lo": 0, "hi": float("inf")}]},
        {"outputs": [{"name": "y", "shape": [2**32, 2**32], "kind": "real", "scale": 1, "lo": 0, "hi": 1}]},
        {"outputs": [{"name": "y", "shape": [1], "kind": "real", "scale": 1, "lo": 0, "hi": 1}] * 2},
    ],
)  # fmt: skip
def test_metadata_that_no_compilation_writes(tmp_path: Path, change: dict[str, object]) -> None:
    metadata = {
        "format": 6,
        "saturation": "refuse",
        "weights_digest": "",
        "inputs": [],
        "outputs": [],
        "weights": "public",
        "input_mode": "none",
        "output_mode": "full",
        "card": {},
    }
    (tmp_path / "model.json").write_text(json.dumps(metadata))
    assert ModelInterface.read(tmp_path).outputs == ()
    (tmp_path / "model.json").write_text(json.dumps(metadata | change))
    (tmp_path / "receipt").write_bytes(b"")
    outcome = invoke("verify", tmp_path / "receipt", "--image-id", "00" * 32, "--model", tmp_path)
    assert outcome.code == 3
    assert str(tmp_path) in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("compile", "absent.onnx", "--calibration", "x.npy", "-o", "out"), 3, "No such file"),
        (("compile", "x.npy", "--calibration", "x.npy", "-o", "out"), 3, "not a"),
        (("compile", "model.onnx", "--calibration", "wrong.json", "-o", "out"), 3, "takes 6"),
        (("compile", "model.onnx", "--calibration", "x.npy", "-o", "out", "--activation-bits", "9"), 2, "choose one of 8, 16"),
        (("compile", "model.onnx", "--calibration", "x.npy", "-o", "out", "--output", "none"), 2, "choose one of full, top1, digest"),
        (("compile", "model.onnx", "--calibration", "x.npy", "-o", "out", "--shape", "x=a"), 2, "NAME=1,3,32,32"),
        (("compile", "model.onnx", "--calibration", "x.npy", "-o", "out", "--shape", "x=1,7"), 3, "is 6, not 7"),
    ],
)
def test_bad_input(model: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str) -> None:
    monkeypatch.chdir(model)
    outcome = invoke(*arguments)
    assert outcome.code == code
    assert message in outcome.err
    assert not (model / "out").exists()


def test_run_needs_an_input_that_fits(model: Path) -> None:
    directory = compile_in(model)
    assert invoke("run", directory, "--execute-only").code == 2
    assert invoke("run", directory, "--input", model / "wrong.json", "--execute-only").code == 3
