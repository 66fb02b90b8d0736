"""Commands on a compiled model's directory: which sample runs, what is refused, and what the other commands show of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import zkvm
import zkvm.ml
from tests.cli.running import invoke
from tests.ml.models import normal, single
from zkvm.ml.compiler import Options, compile_imported, import_file
from zkvm.ml.package import CompiledModel

X = np.concatenate([normal(1, 6), normal(3, 6, seed=2)])
W = normal(6, 3, seed=1)
BOUND = float(np.abs(X).max())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model compiled to floats in ``model``, to fixed point in ``fixed``, one that names classes in ``named``, and inputs."""
    path = tmp_path_factory.mktemp("models")
    zkvm.ml.compile(single("Gemm", {"x": X[:1]}, {"w": W}), X).save(path / "model")
    zkvm.ml.compile(single("Gemm", {"x": X[:1]}, {"w": W}), X, arithmetic="fixed", domain={"x": (-BOUND, BOUND)}).save(path / "fixed")
    proto = single("ArgMax", {"x": X[:1]}, axis=1, keepdims=0)
    imported = import_file(proto, Options())
    imported.labels["y0"] = tuple("abcdef")
    compile_imported(imported, [{"x": X[:1]}], Options()).save(path / "named")
    np.save(path / "one.npy", X[0])
    np.save(path / "four.npy", X)
    (path / "four.json").write_text(json.dumps({"input_data": [X.reshape(-1).tolist()]}))
    far = X.copy()
    far[2, 4] = 1e6
    np.save(path / "far.npy", far)
    return path


def test_a_file_of_several_samples_is_not_cut(folder: Path) -> None:
    for name in ("four.npy", "four.json"):
        for command in (("run",), ("run", "--execute-only"), ("check",), ("profile",)):
            outcome = invoke(command[0], folder / "model", *command[1:], "--input", folder / name)
            assert outcome.code == 3
            assert f"{name}: 4 samples, and a run takes one: choose it with --sample N, from 0 to 3" in outcome.err


def test_one_sample_is_chosen(folder: Path) -> None:
    for number in range(4):
        arguments = ("--input", folder / "four.npy", "--sample", str(number), "--execute-only", "--json")
        outcome = invoke("run", folder / "model", *arguments)
        assert outcome.code == 0, outcome.err
        np.testing.assert_allclose(outcome.json["outputs"][0]["values"], X[number] @ W, atol=1e-3)
    assert invoke("run", folder / "model", "--input", folder / "one.npy", "--sample", "0", "--execute-only").code == 0
    outcome = invoke("run", folder / "model", "--input", folder / "four.npy", "--sample", "4", "--execute-only")
    assert (outcome.code, "no sample 4: there are 4, numbered from 0" in outcome.err) == (3, True)
    assert invoke("run", folder / "model", "--input", folder / "four.npy", "--sample", "-1").code == 2


def test_all_samples(folder: Path) -> None:
    outcome = invoke("run", folder / "model", "--input", folder / "four.npy", "--execute-only", "--all", "--json")
    assert outcome.code == 0, outcome.err
    samples = outcome.json["samples"]
    assert [sample["exit_code"] for sample in samples] == [0] * 4
    np.testing.assert_allclose([sample["outputs"][0]["values"] for sample in samples], X @ W, atol=1e-3)
    text = invoke("run", folder / "model", "--input", folder / "four.npy", "--execute-only", "--all").out
    assert [line.split(":")[0].split()[-1] for line in text.splitlines() if line.startswith("sample")] == ["0", "1", "2", "3"]


def test_all_is_without_proofs_and_of_models(folder: Path) -> None:
    for arguments in (
        (folder / "model", "--input", folder / "four.npy", "--all"),
        (folder / "model", "--input", folder / "four.npy", "--all", "--execute-only", "--sample", "1"),
        (folder / "model" / "model.elf", "--input", folder / "four.npy", "--all", "--execute-only"),
    ):
        outcome = invoke("run", *arguments)
        assert (outcome.code, "--all is for compiled models" in outcome.err) == (2, True)
    outcome = invoke("run", folder / "model" / "model.elf", "--input", folder / "four.npy", "--sample", "0", "--execute-only")
    assert (outcome.code, "--sample is for compiled models" in outcome.err) == (2, True)


def test_a_number_outside_what_the_model_was_compiled_for_is_refused(folder: Path) -> None:
    for more in (("--sample", "2", "--execute-only"), ("--sample", "2"), ("--all", "--execute-only")):
        outcome = invoke("run", folder / "fixed", "--input", folder / "far.npy", *more)
        assert (outcome.code, outcome.out) == (3, "")
        assert "far.npy" in outcome.err
        assert "input 'x', place [0, 4]: 1000000.0 is outside what the model was compiled for, -" in outcome.err
        assert "compile it with data or a --domain that reach so far, or with --saturate" in outcome.err
    tensor = CompiledModel.load(folder / "fixed").inputs[0]
    assert tensor.scale is not None
    assert BOUND <= tensor.hi * tensor.scale < 1.001 * BOUND


def test_floats_take_every_number(folder: Path) -> None:
    outcome = invoke("run", folder / "model", "--input", folder / "far.npy", "--sample", "2", "--execute-only", "--json")
    assert (outcome.code, outcome.json["saturated_inputs"]) == (0, 0)
    far = X[2] * (np.arange(6) != 4) + 1e6 * (np.arange(6) == 4)
    np.testing.assert_allclose(outcome.json["outputs"][0]["values"], far @ W, rtol=1e-6)


def test_a_model_that_goes_on_says_what_it_cut(folder: Path, tmp_path: Path) -> None:
    """Its guest is not built here: only what the host does before it."""
    from zkvm.cli.model import model_run

    replace(CompiledModel.load(folder / "fixed"), saturation="flag").save(tmp_path)
    assert model_run(tmp_path, folder / "far.npy", 2).saturated == 1
    assert model_run(tmp_path, folder / "far.npy", 1).saturated == 0


def test_names_of_classes_are_shown(folder: Path) -> None:
    outcome = invoke("run", folder / "named", "--input", folder / "one.npy", "--execute-only", "--json")
    assert outcome.json["outputs"][0]["values"] == ["abcdef"[int(X[0].argmax())]]
    assert f"['{'abcdef'[int(X[0].argmax())]}']" in invoke("run", folder / "named", "--input", folder / "one.npy", "--execute-only").out


def test_check_and_profile_take_a_model(folder: Path) -> None:
    outcome = invoke("check", folder / "model", "--input", folder / "four.npy", "--sample", "1", "--json")
    assert (outcome.code, outcome.json) == (0, {"ok": True, "failures": []})
    outcome = invoke("profile", folder / "model", "--input", folder / "four.npy", "--sample", "1", "--json")
    assert outcome.code == 0
    assert outcome.json["cycles"] > 0
    assert invoke("check", folder / "model").code == 2
    assert invoke("check", folder / "model" / "model.elf", "--sample", "1").code == 2


def test_commands_about_the_program_take_a_model(folder: Path) -> None:
    guest = folder / "model" / "model.elf"
    for command in ("disasm", "image-id"):
        outcomes = [invoke(command, path, "--json") for path in (folder / "model", guest)]
        assert (outcomes[0].code, outcomes[0].json) == (0, outcomes[1].json)
    assert invoke("disasm", folder / "model").out == invoke("disasm", guest).out


def test_inspect_shows_model_and_program(folder: Path) -> None:
    view = invoke("inspect", folder / "model", "--json").json
    program = invoke("inspect", folder / "model" / "model.elf", "--json").json
    assert view == program | {"kind": "model", "model": view["model"]}
    model = CompiledModel.load(folder / "model")
    assert view["model"]["interface_digest"] == model.digest.hex()
    assert [tensor["name"] for tensor in (*view["model"]["inputs"], *view["model"]["outputs"])] == ["x", "y0"]
    assert (view["model"]["weights"], view["model"]["saturation"]) == ("public", "refuse")
    text = invoke("inspect", folder / "named").out
    assert "input           x: float [1, 6]\n" in text
    assert "output          y0: integer [1], 0 to 5, 6 classes" in text
    assert "input           x: real [1, 6], -" in invoke("inspect", folder / "fixed").out
    assert view["image_id"] in invoke("inspect", folder / "model").out


@pytest.mark.parametrize("command", ["run", "check", "profile", "inspect", "disasm", "image-id"])
def test_a_directory_without_a_model(tmp_path: Path, command: str) -> None:
    outcome = invoke(command, tmp_path)
    assert (outcome.code, "Is a directory" in outcome.err) == (3, True)


def test_a_receipt_of_a_chosen_sample(folder: Path, tmp_path: Path) -> None:
    receipt = tmp_path / "r.receipt"
    arguments = ("--input", folder / "four.npy", "--sample", "3", "--params", "fast", "--out", receipt, "--json")
    outcome = invoke("run", folder / "model", *arguments)
    assert outcome.code == 0, outcome.err
    interface = zkvm.ml.ModelInterface.read(folder / "model")
    output = interface.verify(zkvm.Receipt.load(receipt), outcome.json["image_id"])
    np.testing.assert_allclose(output.tensors["y0"], X[3:] @ W, atol=1e-3)


def test_calibration_takes_all_samples(folder: Path, tmp_path: Path) -> None:
    proto = single("Gemm", {"x": X[:1]}, {"w": W})
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", onnx.TensorProto.FLOAT, [1, 3]))
    onnx.save(proto, str(tmp_path / "model.onnx"))
    arguments = ("--calibration", folder / "four.json", "-o", tmp_path / "out", "--json", "--no-measure")
    outcome = invoke("compile", tmp_path / "model.onnx", *arguments)
    assert outcome.json["card"]["accuracy"]["samples"] == 4
