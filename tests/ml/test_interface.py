"""What journals say beside integers and scales: names of classes, floats, and whether something was cut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.ml.models import model_of, normal, run_guest
from zkvm.errors import RejectReason, UsageError, VerificationError
from zkvm.ml import interface as module
from zkvm.ml import twin
from zkvm.ml.compiler import Arithmetic, Compilation, Options, OutputMode, Privacy, compile_imported, import_file
from zkvm.ml.importer import ImportedModel, import_model
from zkvm.ml.interface import METADATA, ModelInterface, Output, check_weights
from zkvm.ml.package import CompiledModel
from zkvm.ml.tensor import Tensor

LABELS = ("setosa", "versicolor", "virginica \u00e4")
LOW, HIGH = -(2**31), 2**31 - 1
X = normal(1, 4)


def classifier(output: OutputMode = OutputMode.FULL, *, private: bool = False) -> Compilation:
    """A model whose first output is the number of a class that has a name."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["scores"], name="scores"),
        helper.make_node("ArgMax", ["scores"], ["label"], name="label", axis=1, keepdims=0),
    ]
    options = Options(privacy=Privacy(private_weights=private, output=output), arithmetic=Arithmetic.FIXED)
    imported = import_file(model_of(nodes, {"x": X}, ["label", "scores"], {"w": normal(4, 3, seed=1)}), options)
    imported.labels["label"] = LABELS
    return compile_imported(imported, [{"x": X}], options)


def journal_of(made: Compilation) -> bytes:
    integers, _ = made.model.quantize([X])
    return run_guest(made, integers)[0]


EXPECTED = int((X @ normal(4, 3, seed=1)).argmax())


def importing(*arguments: Any, **options: Any) -> ImportedModel:
    """An importer that knows the names."""
    imported = import_model(*arguments, **options)
    imported.labels["label"] = LABELS
    return imported


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_an_output_shows_the_name_of_its_class(private: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "import_model", importing)
    made = classifier(private=private)
    output = made.model.decode(journal_of(made))
    assert output.tensors["label"].tolist() == [LABELS[EXPECTED]]
    assert output.tensors["scores"].dtype == np.float64
    assert (output.label, output.label_name, output.saturated) == (None, None, None)


def test_top1_shows_the_name_of_its_class() -> None:
    made = classifier(OutputMode.TOP1)
    output = made.model.decode(journal_of(made))
    assert (output.label, output.label_name) == (EXPECTED, LABELS[EXPECTED])


def test_labels_are_published_and_read(tmp_path: Path) -> None:
    made = classifier()
    made.save(tmp_path)
    assert json.loads((tmp_path / METADATA).read_text())["outputs"][0]["labels"] == list(LABELS)
    read = ModelInterface.read(tmp_path)
    assert (read.outputs, read.digest) == (made.model.outputs, made.model.digest)
    assert read.decode(journal_of(made)).tensors["label"].tolist() == [LABELS[EXPECTED]]


@pytest.mark.parametrize("labels", [LABELS[::-1], LABELS[:2], (*LABELS, "other"), ("", *LABELS[1:]), ()], ids=str)
@pytest.mark.parametrize("output", [OutputMode.FULL, OutputMode.TOP1])
def test_other_names_are_refused(tmp_path: Path, output: OutputMode, labels: tuple[str, ...]) -> None:
    made = classifier(output)
    made.save(tmp_path)
    metadata = json.loads((tmp_path / METADATA).read_text())
    metadata["outputs"][0]["labels"] = list(labels)
    (tmp_path / METADATA).write_text(json.dumps(metadata))
    with pytest.raises(VerificationError, match="this interface") as caught:
        ModelInterface.read(tmp_path).decode(journal_of(made))
    assert caught.value.reason is RejectReason.MODEL


@pytest.mark.parametrize("output", ["full", "top1"])
def test_a_class_that_has_no_name_is_refused(output: str) -> None:
    model = interface(Tensor("label", (1,), "integer", 1.0, 0, 1, ("no", "yes")), output_mode=output)
    decoded = model.decode(model.digest + words(1))
    assert (decoded.label_name or decoded.tensors["label"].item()) == "yes"
    for word in (2, -1, LOW):
        with pytest.raises(VerificationError, match=f"says class {word}; the model has 2") as caught:
            model.decode(model.digest + words(word))
        assert caught.value.reason is RejectReason.MODEL


@pytest.mark.parametrize(
    ("side", "change"),
    [
        ("inputs", {"kind": "integer", "labels": ["a"]}),
        ("outputs", {"labels": ["a", "b"]}),
        ("outputs", {"kind": "float", "labels": ["a", "b"]}),
        ("outputs", {"kind": "integer", "labels": "ab"}),
        ("outputs", {"kind": "integer", "labels": ["a", 7]}),
        ("outputs", {"kind": "integer", "labels": None}),
        ("outputs", {"kind": "double"}),
        (None, {"saturation": "ignore"}),
        (None, {"saturation": None}),
    ],
)
def test_metadata_that_no_compilation_writes(tmp_path: Path, side: str | None, change: dict[str, Any]) -> None:
    made = classifier()
    made.save(tmp_path)
    metadata = json.loads((tmp_path / METADATA).read_text())
    target = metadata if side is None else metadata[side][-1]
    target.update(change)
    (tmp_path / METADATA).write_text(json.dumps(metadata))
    with pytest.raises(UsageError, match="not a compiled model"):
        ModelInterface.read(tmp_path)


def interface(*outputs: Tensor, **members: Any) -> ModelInterface:
    plain: dict[str, Any] = {"weights": "public", "input_mode": "none", "output_mode": "full", "card": {}, "weights_digest": ""}
    return ModelInterface((), outputs, **plain | members)


def words(*values: int) -> bytes:
    return np.array(values, "<i4").tobytes()


FLOATS = [0.0, -0.0, 1.5, -1e-45, 3.4e38, np.inf, -np.inf, np.nan]


def test_words_of_floats() -> None:
    tensor = Tensor("x", (8,), "float", 1.0, LOW, HIGH)
    integers, cut = tensor.quantize(np.array(FLOATS))
    assert (str(tensor.dtype), str(integers.dtype), cut) == ("float32", "int64", 0)
    assert integers[:3].tolist() == [0, LOW, 0x3FC00000]
    assert integers[-1] == 0x7FC00000
    back = tensor.dequantize(integers)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, np.array(FLOATS, np.float32))
    np.testing.assert_array_equal(np.signbit(back[:2]), [False, True])


def test_every_nan_is_the_same_word() -> None:
    others = np.array([0x7F800001, 0x7FFFFFFF, 0xFFC00000], np.uint32).view(np.float32)
    assert Tensor("x", (3,), "float", 1.0, LOW, HIGH).quantize(others)[0].tolist() == [0x7FC00000] * 3


def test_a_journal_of_floats() -> None:
    model = interface(Tensor("y", (2, 2), "float", 1.0, LOW, HIGH), Tensor("z", (1,), "boolean", 1.0, 0, 1))
    output = model.decode(model.digest + np.array([1.5, -2, np.nan, np.inf], "<f4").tobytes() + words(1))
    np.testing.assert_array_equal(output.tensors["y"], np.array([[1.5, -2], [np.nan, np.inf]], np.float32))
    assert output.tensors["z"].tolist() == [True]


@pytest.mark.parametrize("mode", ["full", "top1", "digest"])
@pytest.mark.parametrize(("weights", "input_mode"), [("public", "none"), ("private", "digest")])
def test_a_journal_says_whether_something_was_cut(mode: str, weights: str, input_mode: str) -> None:
    """The word is directly after the digests."""
    members = {"weights": weights, "input_mode": input_mode, "output_mode": mode, "saturation": "flag"}
    digest = "11" * 32 if weights == "private" else ""
    model = interface(Tensor("y", (1,), "integer", 1.0, 0, 9), weights_digest=digest, **members)
    digests = model.digest + bytes.fromhex(digest) + (bytes(32) if input_mode == "digest" else b"")
    body = bytes(range(32)) if mode == "digest" else words(7)
    for flag, said in ((0, False), (1, True)):
        output = model.decode(digests + words(flag) + body)
        assert output.saturated is said
        assert {"full": output.tensors.get("y"), "top1": output.label, "digest": (output.digests or {}).get("output")}[mode] is not None
    for journal, message in (
        (digests + words(2) + body, "on saturation is 2"),
        (digests + words(-1) + body, "on saturation is 4294967295"),
        (digests + body, "bytes is not one of this model"),
    ):
        with pytest.raises(VerificationError, match=message) as caught:
            model.decode(journal)
        assert caught.value.reason is RejectReason.MODEL


def test_a_flag_is_not_read_as_an_output() -> None:
    """The journal of a model that goes on, read as one of a model that ends."""
    model = interface(Tensor("y", (1,), "integer", 1.0, 0, 9), saturation="flag")
    with pytest.raises(VerificationError, match="this interface"):
        replace(model, saturation="refuse").decode(model.digest + words(1, 7))
    assert model.decode(model.digest + words(1, 7)) == Output({"y": np.array([7])}, saturated=True)


@pytest.mark.parametrize("change", [{"saturation": "flag"}, {"input_mode": "digest"}, {"output_mode": "top1"}, {"version": b"3"}], ids=str)
def test_weights_of_a_model_with_another_descriptor_or_version(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that is of the published weights, and begins with another descriptor, or with that of another version."""
    model = interface(Tensor("y", (1,), "integer", 1.0, 0, 9), weights="private", weights_digest="11" * 32)
    weights, body = bytes.fromhex(model.weights_digest), words(7)
    assert model.decode(model.digest + weights + body).tensors["y"].tolist() == [7]
    with monkeypatch.context() as patch:
        patch.setattr(module, "DOMAIN", module.DOMAIN[:-1] + change.get("version", module.DOMAIN[-1:]))
        other = replace(model, **{name: value for name, value in change.items() if name != "version"}).digest
    assert other != model.digest
    check_weights(other + weights + body, model.weights_digest)
    for journal, message in ((other + weights, "this interface"), (model.digest + other, "private weights have the digest")):
        with pytest.raises(VerificationError, match=message) as caught:
            model.decode(journal + body)
        assert caught.value.reason is RejectReason.MODEL


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    model = replace(classifier().model, saturation="flag")
    model.save(tmp_path)
    assert CompiledModel.load(tmp_path).saturation == "flag"
