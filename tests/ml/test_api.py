"""The Python API of models: compile, run, prove, save, load, read, each as the command line does it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import zkvm
import zkvm.ml
from tests.ml.models import model_of, normal, single
from tests.test_layers import run_without_extras
from zkvm.errors import GuestError, InputError, UsageError
from zkvm.stark.crypto.hashes import blake3

ROOT = Path(__file__).resolve().parents[2]
X, W = normal(1, 6), normal(6, 3, seed=1)
SAMPLES = np.concatenate([X, normal(7, 6, seed=2)])


def gemm() -> onnx.ModelProto:
    proto = single("Gemm", {"x": X}, {"w": W})
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", onnx.TensorProto.FLOAT, [1, 3]))  # files are checked
    return proto


def two_inputs() -> onnx.ModelProto:
    inputs = {"a": normal(1, 3), "k": np.array([1, 2], np.int64)}
    nodes = [helper.make_node("Gather", ["a", "k"], ["y"], axis=1), helper.make_node("Add", ["k", "k"], ["z"])]
    return model_of(nodes, inputs, ["y", "z"])


@pytest.fixture(scope="module")
def model() -> zkvm.ml.CompiledModel:
    return zkvm.ml.compile(gemm(), SAMPLES)


@pytest.fixture(scope="module")
def fixed() -> zkvm.ml.CompiledModel:
    return zkvm.ml.compile(gemm(), SAMPLES, arithmetic="fixed")


def test_compile_and_run(model: zkvm.ml.CompiledModel) -> None:
    assert model.card["accuracy"]["samples"] == 8
    for inputs in (X, X[0], {"x": X}, [X], [X[0].tolist()], X[0].tolist(), X.astype(np.float64)):
        output = model.run(inputs)
        assert isinstance(output, zkvm.ml.Output)
        np.testing.assert_allclose(output.tensors["y0"], X @ W, atol=1e-3)
    session = model.execute(X, profile=True)
    assert (session.exit_code, list(model.decode(session.journal).tensors)) == (0, ["y0"])
    assert sum(cycles for _, cycles in session.functions) == session.cycles > 0


def test_prove_and_verify(model: zkvm.ml.CompiledModel) -> None:
    receipt = model.prove(X, params="fast")
    image_id = model.image_id()
    assert image_id == zkvm.compute_image_id(model.elf)
    assert model.verify(receipt, image_id).tensors["y0"].tolist() == model.run(X).tensors["y0"].tolist()
    with pytest.raises(zkvm.VerificationError, match="IMAGE_ID"):
        model.verify(receipt, "00" * 32)


def test_save_and_load(model: zkvm.ml.CompiledModel, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["model.c", "model.elf", "model.json"]
    loaded = zkvm.ml.CompiledModel.load(str(tmp_path / "m"))
    assert replace(loaded, source=model.source) == model
    assert loaded.run(X).tensors["y0"].tolist() == model.run(X).tensors["y0"].tolist()
    loaded.save(tmp_path / "n")
    assert replace(zkvm.ml.CompiledModel.load(tmp_path / "n"), source=model.source) == model
    public = zkvm.ml.ModelInterface.read(tmp_path / "m" / "model.json")
    assert public.decode(model.execute(X).journal).tensors.keys() == {"y0"}
    assert public == loaded.interface() != model


@pytest.mark.parametrize("form", ["file", "text", "array", "list", "dictionary", "dictionaries"])
def test_calibration_in_all_its_forms(tmp_path: Path, model: zkvm.ml.CompiledModel, form: str) -> None:
    """From a file too, and the same model every time."""
    onnx.save(gemm(), str(tmp_path / "model.onnx"))
    np.save(tmp_path / "x.npy", SAMPLES)
    forms: dict[str, Any] = {
        "file": tmp_path / "x.npy",
        "text": str(tmp_path / "x.npy"),
        "array": SAMPLES,
        "list": SAMPLES.tolist(),
        "dictionary": {"x": SAMPLES},
        "dictionaries": [{"x": sample} for sample in SAMPLES],
    }
    made = zkvm.ml.compile(tmp_path / "model.onnx" if form == "file" else gemm(), forms[form])
    assert (made.inputs, made.elf == model.elf) == (model.inputs, True)


def test_several_inputs() -> None:
    made = zkvm.ml.compile(two_inputs(), {"a": normal(4, 3), "k": np.array([[1, 2], [0, 0], [2, 1], [0, 2]])})
    for inputs in ([[0.5, 0.25, -1], [2, 0]], {"k": [2, 0], "a": np.array([0.5, 0.25, -1])}):
        tensors = made.run(inputs).tensors
        np.testing.assert_allclose(tensors["y"], [[-1, 0.5]], atol=1e-3)
        assert tensors["z"].tolist() == [4, 0]
    with pytest.raises(InputError, match="one array for 2 inputs"):
        made.run(X)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32])
def test_a_number_without_dimensions(dtype: type[np.generic]) -> None:
    """What numpy makes of one is no array, which onnxruntime refused."""
    operator = "Equal" if dtype is np.bool_ else "Mul"
    proto = single(operator, {"x": np.zeros((), dtype)}, {"w": np.array(1, dtype)})
    proto.graph.output[0].type.tensor_type.elem_type = proto.graph.input[0].type.tensor_type.elem_type
    made = zkvm.ml.compile(proto, [{"x": np.array(value, dtype)} for value in (0, 1, 1)])
    assert made.run({"x": np.array(1, dtype)}).tensors["y0"] == 1


def test_options() -> None:
    made = zkvm.ml.compile(gemm(), X, weights="private", commit_input=True, output="top1", activation_bits=8, measure=True)
    assert (made.weights, made.input_mode, made.output_mode, made.card["activation_bits"]) == ("private", "digest", "top1", 8)
    assert made.card["execution"]["cycles"] > 0
    salts = made.fresh_salts()
    output = made.decode(made.execute(X, salts=salts).journal)
    assert output.label == int((X @ W).argmax())
    words = made.inputs[0].quantize(X)[0].astype("<i4").tobytes()
    assert output.digests == {"weights": made.weights_digest, "input": blake3(salts["input"] + words).hex()}


def test_shapes_of_open_dimensions() -> None:
    proto = single("Relu", {"x": X})
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    made = zkvm.ml.compile(proto, normal(2, 6), shapes={"x": (2, 6)})
    assert made.run(normal(2, 6)).tensors["y0"].shape == (2, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "best"}, "method 'best': choose one of minmax, percentile, mse"),
        ({"arithmetic": "double"}, "arithmetic 'double': choose one of auto, fixed, float"),
        ({"weights": "secret"}, "choose one of public, private"),
        ({"output": "none"}, "choose one of full, top1, digest"),
        ({"activation_bits": 9}, "choose one of 8, 16"),
        ({"weight_bits": 1}, "choose one of 2, 3"),
        ({"shapes": {"z": (1, 6)}}, "no input is called 'z'"),
    ],
)
def test_options_that_do_not_exist(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        zkvm.ml.compile(gemm(), X, **options)


def test_calibration_that_does_not_fit() -> None:
    with pytest.raises(InputError, match=r"an array of shape \(1, 5\)"):
        zkvm.ml.compile(gemm(), X[:, :5])
    with pytest.raises(UsageError, match="No such file"):
        zkvm.ml.compile(gemm(), "absent.npy")
    with pytest.raises(UsageError, match="No such file"):
        zkvm.ml.compile("absent.onnx", X)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (X[:, :5], r"an array of shape \(1, 5\): 5 numbers for input 'x'"),
        (SAMPLES, "8 samples; one run takes one"),
        ([SAMPLES], "8 samples; one run takes one"),
        ({"y": X, "z": X}, "no array called 'x'; there are y, z"),
        (np.full((1, 6), np.nan), "is a NaN or an infinity"),
        (["a"] * 6, "it holds texts"),
        (np.array([[0, 0, 1e6, 0, -1e6, 0]]), r"input 'x', place \[0, 2\]: 1000000.0 is outside .* \(1 more are too\): compile it with"),
    ],
)
def test_inputs_that_do_not_fit(fixed: zkvm.ml.CompiledModel, inputs: Any, message: str) -> None:
    uses: tuple[Callable[[Any], object], ...] = (fixed.run, fixed.execute, fixed.prove)
    for use in uses:
        with pytest.raises(InputError, match=message):
            use(inputs)


def test_a_model_that_goes_on_cuts_its_input(fixed: zkvm.ml.CompiledModel) -> None:
    integers, cut = replace(fixed, saturation="flag").words({"x": np.full((1, 6), 1e6, np.float32)})
    assert (cut, integers[0].tolist()) == (6, [[fixed.inputs[0].hi] * 6])


def test_floats_take_what_the_float_model_takes(model: zkvm.ml.CompiledModel) -> None:
    """Numbers of any size, infinities, NaN; no text, and no other number of numbers."""
    far = np.array([[1e30, -1e-30, 3, 0, 7, 1e6]], np.float32)
    np.testing.assert_allclose(model.run(far).tensors["y0"], far @ W, rtol=1e-6)
    far[0, 0] = np.inf
    np.testing.assert_array_equal(model.run(far).tensors["y0"], np.sign(W[:1]) * np.inf)
    far[0, 3] = np.nan
    assert np.isnan(model.run(far).tensors["y0"]).all()
    for inputs, message in ((["a"] * 6, "it holds texts"), (X[:, :5], "5 numbers for input 'x'")):
        with pytest.raises(InputError, match=message):
            model.run(inputs)


def test_a_guest_that_fails_is_not_proven(fixed: zkvm.ml.CompiledModel) -> None:
    """As one does in which a value leaves its integers; here a wider input than it was built for."""
    wrong = replace(fixed, inputs=(replace(fixed.inputs[0], hi=2**31 - 1),))
    far = np.full((1, 6), 1e4, np.float32)
    assert wrong.execute(far).exit_code == 1
    for use in (wrong.run, wrong.prove):
        with pytest.raises(GuestError, match="ended with exit code 1: .*an input is out of its range"):
            use(far)


def test_importing_needs_numpy_only() -> None:
    code = "import zkvm.ml; zkvm.ml.ModelInterface.read, zkvm.ml.CompiledModel.load, zkvm.ml.load_samples"
    result = run_without_extras(code)
    assert result.returncode == 0, result.stderr
    result = run_without_extras("import zkvm.ml; zkvm.ml.compile")
    assert "UsageError: compiling a model needs onnx, onnxruntime and onnxslim: pip install" in result.stderr


def test_the_function_is_one_whatever_was_imported_first() -> None:
    for first in ("import zkvm.ml.compiler", "from zkvm.ml.compiler import Options", "import zkvm.ml; zkvm.ml.compile"):
        code = f"{first}\nimport zkvm.ml, zkvm.ml.compiler\nprint(zkvm.ml.compile is zkvm.ml.compiler.compile)"
        result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (result.stdout, result.stderr) == ("True\n", "")


def test_public_names_exist_and_are_documented() -> None:
    assert set(zkvm.ml.__all__) <= set(dir(zkvm.ml))
    for name in zkvm.ml.__all__:
        assert getattr(zkvm.ml, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        zkvm.ml.absent  # type: ignore[attr-defined]  # noqa: B018
