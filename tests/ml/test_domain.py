"""The input domain: what is declared, what calibration says, inputs that are drawn, and bounds inside the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.ml.models import model_of, normal, positive, single
from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.bounds import tensor_bounds
from zkvm.ml.calibrate import calibrate
from zkvm.ml.compiler import Options, import_file
from zkvm.ml.domain import Domain, drawn_count, input_domain, parse_domain, widened
from zkvm.ml.importer import ImportedModel
from zkvm.ml.quantize import quantize
from zkvm.ml.samples import Sample


def imported(model: onnx.ModelProto) -> ImportedModel:
    return import_file(model, Options())


def domain_of(samples: list[Sample], declared: Mapping[str, tuple[float, float]] | None = None) -> Domain:
    """Of a model that does nothing with these inputs."""
    nodes = [helper.make_node("Identity", [name], [f"y_{name}"]) for name in samples[0]]
    return input_domain(imported(model_of(nodes, samples[0], [f"y_{name}" for name in samples[0]])), samples, declared or {})


def test_columns_have_ranges_of_their_own() -> None:
    rows = [{"x": np.array([[1.7e9 + 1000 * seed, 0.1 + 0.008 * seed]], np.float32)} for seed in range(100)]
    span = domain_of(rows).spans["x"]
    assert span.low[0, 0] < 1.7e9 < 1.7e9 + 99_000 < span.high[0, 0] < 1.8e9
    assert 0 <= span.low[0, 1] <= 0.1
    assert 0.9 < span.high[0, 1] < 1.2


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_say_nothing_of_a_range(number: float) -> None:
    rows: list[Sample] = [{"x": np.array([[seed, 7 * seed]], np.float32)} for seed in range(20)]
    span = domain_of(rows).spans["x"]
    rows.append({"x": np.array([[number, 7]], np.float32)})
    found = domain_of(rows).spans["x"]
    np.testing.assert_allclose((found.low, found.high), (span.low, span.high))
    nothing = domain_of([{"x": np.array([[number, 7]], np.float32)}]).spans["x"]
    assert np.isfinite((nothing.low, nothing.high)).all()


def test_pictures_have_one_range() -> None:
    span = domain_of([{"x": positive(1, 3, 8, 8)}]).spans["x"]
    assert len(np.unique(span.low)) == len(np.unique(span.high)) == 1
    assert 0 <= span.low.min() < 0.1
    assert 4 < span.high.max() < 5.2


@pytest.mark.parametrize(
    ("numbers", "whole", "least", "most"),
    [
        (np.linspace(2, 6, 200), False, (1, 1), (7, 7)),
        (np.linspace(2, 6, 50), False, (0, 0), (8, 8)),
        (np.linspace(-2, 6, 200), False, (-4, -4), (8, 8)),
        (np.array([3.0]), False, (-13, -9), (15, 19)),
        (np.array([0.0, 1, 1]), True, (0, 0), (1, 1)),
        (np.array([5.0]), True, (0, 0), (25, 25)),
    ],
)
def test_how_far_data_are_widened(numbers: NDArray[Any], whole: bool, least: tuple[float, float], most: tuple[float, float]) -> None:
    low, high = widened(numbers, float(np.abs(numbers).max()), whole)
    assert least[0] <= low <= least[1]
    assert most[0] <= high <= most[1]


def test_declared() -> None:
    samples = [{"x": normal(1, 3, seed=seed), "n": np.array([4])} for seed in range(3)]
    domain = domain_of(samples, {"x[1]": (-50, 50), "x": (-9, 9), "n": (0, 6.5)})
    assert domain.declared
    assert domain.spans["x"].low.tolist() == [[-9, -50, -9]]
    assert domain.spans["n"].high.tolist() == [6]
    assert not domain_of(samples, {"x": (-9, 9)}).declared
    wrong = {"z": (0, 1)}, {"x[3]": (-9, 9)}, {"n": (5, 9)}, {"x": (0, np.inf)}, {"x[0]": (1, 0)}
    for limits, message in zip(wrong, ("no input", "no column", "outside", "no range", "no range"), strict=True):
        with pytest.raises(UsageError, match=message):
            domain_of(samples, limits)


def test_written(tmp_path: Path) -> None:
    file = tmp_path / "domain.json"
    file.write_text(json.dumps({"a": [0, 1], "b[2]": [-1, 3]}))
    assert parse_domain([str(file), "c=1e3:2e9", "d=e=-4:-2"]) == {"a": (0, 1), "b[2]": (-1, 3), "c": (1e3, 2e9), "d=e": (-4, -2)}
    for wrong in ("a=1", "a=2:1", "a=x:y", "a=0:inf", "nowhere.json", "a"):
        with pytest.raises(UsageError, match="--domain"):
            parse_domain([wrong])


def test_drawn_inputs_are_of_the_domain_and_of_the_kind() -> None:
    samples: list[Sample] = [
        {"x": normal(2, 3, seed=seed), "n": np.array([seed, 3], np.int32), "b": np.array([True, False]), "u": np.array([7], np.uint8)}
        for seed in range(5)
    ]
    domain = domain_of(samples, {"n": (-2, 9)})
    seen: dict[str, set[Any]] = {name: set() for name in samples[0]}
    for number in range(64):
        drawn = domain.draw(number, 1, samples)
        again = domain.draw(number, 1, samples)
        for name, array in drawn.items():
            assert array.dtype == samples[0][name].dtype
            assert array.shape == samples[0][name].shape
            np.testing.assert_array_equal(array, again[name])
            assert (array >= domain.spans[name].low.astype(np.float32)).all()
            assert (array <= domain.spans[name].high.astype(np.float32)).all()
            seen[name] |= set(array.reshape(-1).tolist())
    assert {-2, 9} <= seen["n"] <= set(range(-2, 10))
    assert len(seen["n"]) > 8
    assert seen["b"] == {True, False}
    assert {0, 255} <= seen["u"]
    assert (domain.draw(9, 0, samples)["x"] != domain.draw(9, 1, samples)["x"]).any()


def test_dear_models_draw_less() -> None:
    assert drawn_count(10) == 256
    assert 4 < drawn_count(1 << 25) < 256
    assert drawn_count(1 << 40) == 4


def test_ids_have_the_range_of_their_table() -> None:
    nodes = [helper.make_node("Cast", ["ids"], ["i"], to=7), helper.make_node("Gather", ["table", "i"], ["y"])]
    sample = {"ids": np.array([1, 2], np.int32)}
    model = imported(model_of(nodes, sample, ["y"], {"table": normal(10, 3)}))
    assert input_domain(model, [sample], {}).spans["ids"].high.tolist() == [9, 9]
    value = quantize(model, calibrate(model, [sample]), Options().precision).inputs[0]
    assert (value.lo, value.hi) == (-10, 9)


def test_integers_that_no_word_holds_are_refused() -> None:
    sample = {"x": np.array([1_700_000_000_000, 5])}
    model = imported(single("Add", sample, {"one": np.array([1])}))
    with pytest.raises(UsageError, match="32 bits"):
        calibrate(model, [sample])


def chain(*nodes: onnx.NodeProto, **constants: Any) -> tuple[onnx.ModelProto, Sample]:
    sample = {"x": normal(1, 2, 6, 6)}
    return model_of(list(nodes), sample, [nodes[-1].output[0]], constants), sample


def node(operator: str, *inputs: str, to: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), [to], **attributes)


CHAINS = {
    "convolution": chain(
        node("Conv", "x", "k", "b", to="c", pads=[1, 1, 1, 1]), node("Relu", "c", to="r"),
        node("MaxPool", "r", to="p", kernel_shape=[2, 2], strides=[2, 2]), node("Flatten", "p", to="f"),
        node("Gemm", "f", "w", to="y", transB=1, alpha=-0.5),
        k=normal(3, 2, 3, 3, seed=1), b=normal(3, seed=2), w=normal(4, 27, seed=3),
    ),
    "normalized": chain(
        node("BatchNormalization", "x", "s", "o", "m", "v", to="n"), node("InstanceNormalization", "n", "s", "o", to="i"),
        node("HardSwish", "i", to="g"), node("Softmax", "g", to="y", axis=3),
        s=np.array([-1.5, 2], np.float32), o=normal(2, seed=4), m=normal(2, seed=5), v=positive(2, seed=6),
    ),
    "elementwise": chain(
        node("Sub", "x", "a", to="s"), node("Mul", "s", "s", to="q"), node("Mul", "s", "a", to="t"), node("Max", "q", "t", to="m"),
        node("Abs", "m", to="b"), node("Neg", "b", to="n"), node("Exp", "n", to="e"), node("Pow", "e", "two", to="p"),
        node("Greater", "p", "a", to="g"), node("Where", "g", "p", "s", to="w"), node("Tanh", "w", to="h"), node("Sin", "h", to="i"),
        node("ReduceMean", "i", to="y", keepdims=0),
        a=normal(2, 1, 6, seed=7), two=np.float32(2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_bounds_hold_for_every_input_of_the_domain(name: str) -> None:
    proto, sample = CHAINS[name]
    model = imported(proto)
    domain = input_domain(model, [sample], {"x": (-3.0, 2.0)} if np.abs(sample["x"]).max() < 2 else {})
    runner = onnx_runtime.session(onnx_runtime.with_intermediates(model.proto))
    results = onnx_runtime.run_session(runner, sample)
    bounds = tensor_bounds(model, domain, {key: (np.shape(array), array.dtype) for key, array in (results | sample).items()})
    assert set(results) <= set(bounds), "every operator has a rule"
    wide = 0
    for number in range(128):
        for key, array in onnx_runtime.run_session(runner, domain.draw(number, 5, [sample])).items():
            low, high = bounds[key]
            assert -np.inf < low <= array.min()
            assert array.max() <= high < np.inf
            wide += 1
    assert wide > 500


def test_bounds_replace_data_where_they_are_close() -> None:
    """A sigmoid, positive by itself; a layer whose bound the samples do not come near has headroom, and is guarded."""
    nodes = [node("Gemm", "x", "w", to="h"), node("Sigmoid", "h", to="s"), node("Gemm", "s", "v", to="t"), node("Relu", "t", to="y")]
    samples = [{"x": normal(1, 300, seed=seed, scale=0.01)} for seed in range(3)]
    model = imported(model_of(nodes, samples[0], ["y"], {"w": normal(300, 4, seed=1), "v": normal(4, 3, seed=2)}))
    tensors = calibrate(model, samples, declared={"x": (-1.0, 1.0)})
    assert tensors["x"].guarded == (False, False)
    assert (tensors["x"].low, tensors["x"].high) == (-1, 1)
    assert tensors["h"].guarded == (True, True)
    assert tensors["s"].guarded == (False, False)
    assert tensors["s"].low == 0
    assert tensors["y"].low == 0
    assert not tensors["y"].guarded[0]


def test_what_the_guest_takes_and_the_domain_does_not_is_guarded() -> None:
    """A small column beside a large one could be large: the guest looks at whole inputs."""
    samples = [{"x": np.array([[1.0, 1000.0]], np.float32)}]
    model = imported(model_of([node("Gemm", "x", "w", to="y")], samples[0], ["y"], {"w": np.array([[1.0], [0.001]], np.float32)}))
    tensors = calibrate(model, samples, declared={"x[0]": (0, 1), "x[1]": (0, 1000)})
    assert tensors["y"].high < 3
    assert tensors["y"].guarded[1]
    value = quantize(model, tensors, Options().precision).inputs[0]
    assert value.lo == 0
    assert 1000 <= value.hi * value.scale < 1000.1
    alike = calibrate(model, samples, declared={"x": (0, 1000)})
    assert alike["y"].high > 1000
    assert alike["y"].guarded == (False, False)
