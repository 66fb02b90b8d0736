"""The agreement gate: what it finds, what it lets through, and what it says; and the command that refuses for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.cli.running import invoke
from tests.ml.models import compiled, model_of, normal, seen
from zkvm.errors import InexactError
from zkvm.ml import gate, onnx_runtime
from zkvm.ml.answers import Answer
from zkvm.ml.compiler import (
    Arithmetic,
    Compilation,
    Limits,
    Options,
    Precision,
    Privacy,
    agreement,
    compile_imported,
    import_file,
    integer_model,
)
from zkvm.ml.domain import GATE_SEED, input_domain
from zkvm.ml.gate import measure
from zkvm.ml.importer import ImportedModel
from zkvm.ml.labels import NOISE, LabelSource, differing_labels, differing_rows
from zkvm.ml.samples import Sample

LAYERS = [
    helper.make_node("Gemm", ["x", "w"], ["h"], name="first"),
    helper.make_node("Relu", ["h"], ["r"], name="relu"),
    helper.make_node("Gemm", ["r", "v"], ["y"], name="second"),
]
SAMPLES: list[Sample] = [{"x": normal(1, 6, seed=seed)} for seed in range(20)]


def network() -> onnx.ModelProto:
    return model_of(LAYERS, SAMPLES[0], ["y"], {"w": normal(6, 5, seed=1), "v": normal(5, 4, seed=2)})


class Wrong:
    """The float model, but for what a function makes of its tensors."""

    def __init__(self, imported: ImportedModel, change: Mapping[str, Any], saturated: str = "") -> None:
        self.imported, self.change, self.saturated = imported, change, saturated

    def inside(self, sample: Sample) -> dict[str, NDArray[Any]]:
        held = dict(sample)
        for node in self.imported.nodes:
            left, *rest = (held[name] if name in held else self.imported.constants[name] for name in node.inputs)
            result = np.maximum(left, 0) if node.operator == "Relu" else left @ rest[0]
            held[node.outputs[0]] = self.change.get(node.outputs[0], lambda array: array)(result)
        return held

    def evaluate(self, sample: Sample) -> Answer:
        return Answer([self.inside(sample)["y"]], {self.saturated: 2} if self.saturated else {})


def judged(change: Mapping[str, Any], limits: Limits | None = None, saturated: str = "") -> Any:
    imported = import_file(network(), Options())
    domain = input_domain(imported, SAMPLES, seen(imported.inputs, SAMPLES))
    return measure(Wrong(imported, change, saturated), imported, SAMPLES, domain, 64, limits)


@pytest.mark.parametrize("fails", ["opened", "run"])
def test_without_another_way_of_the_float_model_there_is_no_noise(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime may run a file with its optimizations only."""
    open_session, run, plain = onnx_runtime.session, onnx_runtime.run_session, list[Any]()

    def session(model: onnx.ModelProto, *, optimize: bool = False) -> Any:
        if not optimize and fails == "opened":
            plain.append(None)
            raise onnx_runtime.RuntimeRefusal("not without optimizations")
        made = open_session(model, optimize=optimize)
        plain.extend([] if optimize else [made])
        return made

    def run_session(runner: Any, inputs: Sample) -> dict[str, NDArray[Any]]:
        if runner in plain:
            raise onnx_runtime.RuntimeRefusal("not without optimizations")
        return run(runner, inputs)

    imported = import_file(network(), Options())
    domain = input_domain(imported, SAMPLES, seen(imported.inputs, SAMPLES))
    monkeypatch.setattr(onnx_runtime, "session", session)
    monkeypatch.setattr(onnx_runtime, "run_session", run_session)
    found = measure(Wrong(imported, {}), imported, SAMPLES, domain, 64)
    assert plain
    assert found.holds
    assert (found.samples, found.drawn, found.undefined) == (20, 64, 0)


def test_the_same_model_agrees() -> None:
    found = judged({})
    assert found.holds
    assert (found.samples, found.drawn, found.flips, found.same_top1) == (20, 64, 0, 84)
    assert found.error < 1e-5
    found.demand()


def test_an_error_is_traced_to_its_layer() -> None:
    for name, layer in (("h", "first"), ("y", "second")):
        found = judged({name: lambda array: array * 1.5})
        assert not found.holds
        assert layer in found.origin
        with pytest.raises(InexactError, match=r"of its range.*The error begins in .*--domain"):
            found.demand()


def test_an_error_is_a_part_of_the_range_of_all_inputs() -> None:
    found = judged({"y": lambda array: array + 1})
    output = found.outputs["y"]
    assert output.error == pytest.approx(1 / (output.high - output.low), rel=1e-4)
    assert output.sample_error > output.error, "the samples reach less far than drawn inputs"


def test_digits_that_the_runtimes_sigmoid_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores around 1e-6 that are right to the last bit are more than 1 % off what onnxruntime says of them."""
    nodes = [helper.make_node("Sub", ["x", "c"], ["h"]), helper.make_node("Sigmoid", ["h"], ["s"])]
    nodes.append(helper.make_node("Reshape", ["s", "shape"], ["y"]))
    samples: list[Sample] = [{"x": normal(1, 24, seed=seed).clip(-1, 1)} for seed in range(4)]
    model = model_of(nodes, samples[0], ["y"], {"c": np.float32(13), "shape": np.array([24, 1])})
    imported, options = import_file(model, Options()), Options(domain={"x": (-1, 1)})
    made = compile_imported(imported, samples, options)
    assert agreement(imported, made.graph, samples, options).holds
    monkeypatch.setattr(gate, "SIGMOID_NOISE", 0.0)
    assert agreement(imported, made.graph, samples, options).error > 0.01


@pytest.mark.parametrize(("version", "gains"), [(18, 2), (21, 4)])
def test_digits_that_the_definition_of_group_normalization_does_not_have(version: int, gains: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of numbers far from 0 the runtime has no variance: no answer, or any other one."""
    nodes = [helper.make_node("GroupNormalization", ["x", "g", "b"], ["h"], num_groups=2), helper.make_node("Flatten", ["h"], ["f"])]
    nodes.append(helper.make_node("Gemm", ["f", "w", "c"], ["y"]))
    samples: list[Sample] = [{"x": 1000 + 0.1 * normal(1, 4, 4, 4, seed=seed)} for seed in range(16)]
    constants = {"g": 1 + normal(gains) ** 2, "b": normal(gains, seed=1), "w": normal(64, 3, seed=2), "c": normal(3, seed=3, scale=20)}
    model = model_of(nodes, samples[0], ["y"], constants, opset=version)
    options = Options(arithmetic=Arithmetic.FLOAT, limits=Limits(accept_inexact=True))
    imported = import_file(model, options)
    made = compile_imported(imported, samples, options)
    found = agreement(imported, made.graph, samples, options)
    assert found.error < 1e-3
    assert found.undefined == 0
    monkeypatch.setattr(onnx_runtime, "centred", lambda model: model)
    assert not agreement(imported, made.graph, samples, options).error < 0.1


def test_a_model_without_groups_is_itself() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": normal(1, 4)}, ["y"])
    assert onnx_runtime.centred(model) == model


NORMALIZATION = """
    mean = ReduceMean (x, axes)
    difference = Sub (x, mean)
    powers = Pow (difference, exponent)
    power = ReduceMean (powers, axes)
    above = Add (power, least)
    root = Sqrt (above)
    normal = Div (difference, root)
    scaled = Mul (normal, gains)
    y = Add (scaled, offsets)
"""
"""A layer normalization that is spelled out; of another exponent than 2 it is another function."""


def normalization(exponent: float) -> onnx.ModelProto:
    steps = [re.findall(r"\w+", line) for line in NORMALIZATION.strip().splitlines()]
    nodes = [helper.make_node(operator, names, [result]) for result, operator, *names in steps]
    numbers = {"exponent": np.float32(exponent), "least": np.float32(0.1), "axes": np.array([-1])}
    return model_of(nodes, SAMPLES[0], ["y"], numbers | {"gains": normal(6), "offsets": normal(6, seed=1)}, opset=18)


QUOTIENTS = [helper.make_node("Div", ["one", "x"], ["quotient"]), helper.make_node("Mul", ["quotient", "six"], ["y"])]
INTEGERS: list[Sample] = [{"x": np.arange(1, 7) + step} for step in range(4)]


@pytest.mark.parametrize(
    ("model", "samples"),
    [
        (normalization(2), SAMPLES),
        (normalization(4), SAMPLES),
        (model_of(QUOTIENTS, INTEGERS[0], ["y"], {"one": np.array(1), "six": np.array(6)}), INTEGERS),
    ],
    ids=["squares", "fourth powers", "quotients of integers"],
)
def test_optimizations_that_change_a_model_are_not_its_answers(model: onnx.ModelProto, samples: list[Sample]) -> None:
    """onnxruntime's take any power for the square, and 6 * (1 / x) of integers for 6 / x."""
    expected = [onnx_runtime.run_session(onnx_runtime.session(model), sample)["y"] for sample in samples]
    optimized = onnx_runtime.session(model, optimize=True)
    for sample, answer in zip(samples, expected, strict=True):
        np.testing.assert_allclose(onnx_runtime.run_session(optimized, sample)["y"], answer, rtol=1e-4, atol=1e-6)
    options = Options(arithmetic=Arithmetic.FLOAT)
    imported = import_file(model, options)
    assert agreement(imported, compile_imported(imported, samples, options).graph, samples, options).holds


def test_labels_are_counted() -> None:
    """Two scores change places: an error of next to nothing, and another label wherever one of them is the largest."""
    found = judged({"y": lambda array: array[:, [1, 0, 2, 3]]}, Limits(max_error=10))
    assert not found.holds
    assert 10 < found.flips == found.samples + found.drawn - found.same_top1
    with pytest.raises(InexactError, match=r"labels differ.*instead of"):
        found.demand()
    assert replace(found, limits=Limits(10, found.flips)).holds
    replace(found, limits=Limits(accept_inexact=True)).demand()
    assert replace(found, limits=Limits(accept_inexact=True)).as_json()["accepted_inexact"]


def test_saturation_is_no_answer() -> None:
    found = judged({}, saturated="second")
    assert not found.holds
    with pytest.raises(InexactError, match=r"saturate in layers second \(84\), first on calibration sample 0"):
        found.demand()
    assert judged({}, Limits(saturate=True), saturated="second").holds


def test_ties_of_the_float_model_are_none_of_ours() -> None:
    real = np.array([[1.0, 1.0 - NOISE / 2, 0.0], [1.0, 1.0 - 2 * NOISE, 0.0]])
    found = differing_rows(real[:, [1, 0, 2]], real)
    assert (found.flips, found.ties) == (1, 1)
    assert found.first == "1 instead of 0"


def test_labels_of_every_kind() -> None:
    names = LabelSource("scores", ("cat", "dog"))
    texts, scores = np.array(["dog", "cat"]), np.array([[0.2, 0.8], [0.5, 0.5]])
    assert differing_labels(np.array([1, 0]), texts, names, scores).flips == 0
    assert differing_labels(np.array([0, 0]), texts, names, scores).first == "'cat' instead of 'dog'"
    found = differing_labels(np.array([1, 1]), texts, names, scores)
    assert (found.flips, found.ties) == (0, 1), "the scores of the second are equal"
    assert differing_labels(texts, texts, names, None).flips == 0
    numbers = LabelSource("scores", (7, 3))
    assert differing_labels(np.array([7, 3]), np.array([3, 3]), numbers, scores).flips == 1
    assert differing_labels(np.array([3, 7]), np.array([3, 3]), numbers, scores).ties == 1
    assert differing_labels(np.array([5]), np.array([6]), LabelSource(), None).flips == 1


def scaled() -> tuple[onnx.ModelProto, list[Sample]]:
    """A loan model on raw features: an income beside a ratio, scaled by a standard scaler that is part of the model."""
    random = np.random.default_rng(0)
    size = np.array([6e4, 0.3, 4e6, 0.01])
    rows = (size * (1 + 0.3 * random.standard_normal((40, 4)))).astype(np.float32)
    nodes = [
        helper.make_node(
            "Scaler", ["x"], ["s"], name="scaler", domain="ai.onnx.ml", offset=size.tolist(), scale=(1 / (0.3 * size)).tolist()
        ),
        helper.make_node("Gemm", ["s", "w"], ["y"], name="dense"),
    ]
    return model_of(nodes, {"x": rows[:1]}, ["y"], {"w": normal(4, 3)}, domains=["ai.onnx.ml"]), [{"x": row[None]} for row in rows]


def first_features() -> tuple[onnx.ModelProto, list[Sample]]:
    """A pipeline whose exporters leave it as it is: centred, divided, and a layer."""
    model, samples = scaled()
    attributes = {attribute.name: np.array(attribute.floats, np.float32) for attribute in model.graph.node[0].attribute}
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["c"], name="centred"),
        helper.make_node("Mul", ["c", "factor"], ["s"], name="divided"),
        helper.make_node("Gemm", ["s", "w"], ["y"], name="dense"),
    ]
    constants = {"mean": attributes["offset"], "factor": attributes["scale"], "w": normal(4, 3)}
    return model_of(nodes, samples[0], ["y"], constants), samples


@pytest.mark.parametrize("make", [scaled, first_features])
def test_columns_of_different_size_are_refused(make: Any) -> None:
    model, samples = make()
    made: Compilation = compiled(model, samples, Options(privacy=Privacy(saturate=True)))
    with pytest.raises(InexactError, match="error begins in"):
        agreement(made.imported, made.graph, samples, made.options).demand()


def test_the_command_writes_nothing(tmp_path: Path) -> None:
    model, samples = first_features()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3]))
    onnx.save(model, str(tmp_path / "model.onnx"))
    np.save(tmp_path / "data.npy", np.concatenate([sample["x"] for sample in samples]))
    files = [str(tmp_path / name) for name in ("model.onnx", "data.npy", "out")]
    command = ["compile", files[0], "--calibration", files[1], "-o", files[2], "--no-measure", "--arithmetic", "fixed"]
    refused = invoke(*command)
    assert refused.code == 1
    assert "the integer model's answers are not the float model's" in refused.err
    assert not (tmp_path / "out").exists()
    accuracy = invoke(*command, "--accept-inexact", "--json").json["card"]["accuracy"]
    assert json.loads((tmp_path / "out" / "model.json").read_text())["card"]["accuracy"] == accuracy
    assert accuracy["accepted_inexact"]
    assert accuracy["label_disagreements"]["y"] > 0
    assert accuracy["same_top1"] < accuracy["samples"] + accuracy["drawn"]


def test_few_bits_are_refused_and_accepted() -> None:
    """Four bits a weight: beyond the default limit, within a wider one."""
    made = compiled(network(), SAMPLES, Options(precision=Precision(16, 4)))
    found = agreement(made.imported, made.graph, SAMPLES, made.options)
    assert not found.holds
    assert replace(found, limits=Limits(found.error, found.flips)).holds


def test_an_input_without_an_answer() -> None:
    """A drawn one is left out, as are those on which the float model fails; the guest has to have an answer for a sample."""
    samples: list[Sample] = [{"x": np.array([[number, 1]])} for number in range(8)]
    model = model_of([helper.make_node("Mul", ["x", "k"], ["y"], name="product")], samples[0], ["y"], {"k": np.array([2**26, 2**20])})
    options = Options(domain={"x": (0, 100)})
    made = compiled(model, samples, options)
    found = agreement(made.imported, made.graph, samples, options)
    assert found.samples == 8
    assert min(found.undefined, found.drawn) > 0
    assert found.holds
    domain = input_domain(made.imported, samples, options.domain)
    drawn = [int(domain.draw(number, GATE_SEED, samples)["x"][0, 0]) for number in range(found.undefined + found.drawn)]
    assert found.undefined == sum(number * 2**26 >= 2**31 for number in drawn)
    with pytest.raises(InexactError, match=r"no answer for calibration sample 8: layer product"):
        agreement(made.imported, made.graph, [*samples, {"x": np.array([[40, 1]])}], options)


def moments(far: float) -> tuple[onnx.ModelProto, list[Sample]]:
    """Milliseconds in double precision, and how far they lie behind a moment, with a single sample as all users of other tools have."""
    samples: list[Sample] = [{"x": np.full((1, 1), 1.7e12 + far)}]
    node = helper.make_node("Sub", ["x", "start"], ["y"], name="elapsed")
    return model_of([node], samples[0], ["y"], {"start": np.array(1.7e12)}), samples


def test_digits_of_doubles_that_are_not_held_are_refused() -> None:
    """A range drawn around one sample is wide enough to hide any error."""
    for far, holds in ((5e3, False), (5e11, True)):
        model, samples = moments(far)
        imported = import_file(model, Options())
        choice = integer_model(imported, samples, Options())[0]
        found = agreement(imported, choice.graph, samples, Options())
        assert found.holds == holds
        assert holds or "double precision" in found.message()


def test_labels_alone_are_judged_by_the_scores_behind_them() -> None:
    """An ArgMax hides its scores; how closely it decides is known all the same."""
    samples: list[Sample] = [{"x": normal(1, 6, seed=seed)} for seed in range(20)]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["s"]), helper.make_node("ArgMax", ["s"], ["y"], axis=1, keepdims=0)]
    model = model_of(nodes, samples[0], ["y"], {"w": normal(6, 4)})
    options = Options(arithmetic=Arithmetic.FIXED, precision=Precision(8, 8))
    imported = import_file(model, options)
    choice = integer_model(imported, samples, options)[0]
    found = agreement(imported, choice.graph, samples, options)
    assert found.expected_flips > 1e-4
    assert found.as_json()["expected_disagreements"]["y"] == found.expected_flips
