"""NaN and infinities in operators that compare: guest and twin agree, with onnxruntime where its answer does not hang on its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.ml.floats import Lowered, expected, same_numbers
from tests.ml.models import Array, model_of, normal, single
from zkvm.ml.samples import Sample

NAN, INF = np.float32(np.nan), np.float32(np.inf)
LEAST = np.finfo(np.float32).min
SPECIALS: list[tuple[Any, ...]] = [(NAN,), (INF,), (-INF,), (NAN, INF), (NAN, -INF), (INF, -INF)]


def rows(length: int) -> Array:
    """Rows with each of the special numbers at first, in the middle, last, at both ends, everywhere, and everywhere but in one place."""
    places = [[0], [length // 2], [length - 1], [0, length - 1], range(length), range(1, length), range(length - 1)]
    result = normal(len(SPECIALS) * len(places), length)
    for row, (special, where) in enumerate((special, where) for special in SPECIALS for where in places):
        result[row, list(where)] = np.resize(np.array(special, np.float32), len(where))
    return result


def scattered(*shape: int, specials: Sequence[tuple[Any, ...]] = SPECIALS) -> list[Sample]:
    """Numbers of which some, most and all are special."""
    random = np.random.default_rng(0)
    samples: list[Sample] = []
    for special in specials:
        for part in (0.1, 0.7, 1.0):
            x = normal(*shape, seed=len(samples))
            chosen = random.random(shape) < part
            x[chosen] = random.choice(np.array(special, np.float32), int(chosen.sum()))
            samples.append({"x": x})
    return samples


def check(model: Any, samples: Sequence[Sample], tolerance: float = 0.0) -> None:
    """Guest, twin and onnxruntime on all samples; ranges from ordinary numbers."""
    made = Lowered(model, [{name: normal(*array.shape) if array.dtype.kind == "f" else array for name, array in samples[0].items()}])
    for sample in samples:
        same_numbers(made.agree(sample), expected(model, sample), tolerance)


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
def test_position_of_an_extreme(operator: str, last: int) -> None:
    """A NaN is it where it comes first; others are skipped."""
    for length in (3, 9):
        x = rows(length)
        check(single(operator, {"x": x}, axis=1, select_last_index=last), [{"x": x}])
        check(single(operator, {"x": x.T}, axis=0, select_last_index=last), [{"x": np.ascontiguousarray(x.T)}])


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin"])
def test_extreme(operator: str) -> None:
    x = np.ascontiguousarray(rows(9).T)
    check(single(operator, {"x": x}, {"axes": np.array([0])}), [{"x": x}])


def test_one_at_the_largest() -> None:
    x = rows(3)
    check(single("Hardmax", {"x": x}, axis=1), [{"x": x}])


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((1, 2, 9), {"kernel_shape": [3], "pads": [1, 1]}),
        ((1, 2, 9), {"kernel_shape": [3], "pads": [2, 1], "dilations": [2]}),
        ((1, 1, 3), {"kernel_shape": [2], "pads": [1, 1], "dilations": [4]}),
        ((1, 2, 9, 9), {"kernel_shape": [3, 3], "strides": [3, 3]}),
        ((1, 1, 9, 9), {"kernel_shape": [2, 3], "pads": [1, 2, 1, 2], "dilations": [2, 1]}),
        ((1, 1, 2, 40), {"kernel_shape": [2, 33]}),
        ((1, 1, 4, 4, 7), {"kernel_shape": [2, 2, 2], "strides": [1, 2, 3]}),
    ],
)  # fmt: skip
def test_largest_of_windows(shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    samples = scattered(*shape)
    check(single("MaxPool", samples[0], **attributes), samples)


@pytest.mark.parametrize(
    ("operator", "shape", "attributes"),
    [
        ("MaxPool", (1, 2, 8, 9), {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("MaxPool", (1, 2, 8, 9), {"kernel_shape": [2, 2], "pads": [0, 1, 0, 1]}),
        ("MaxPool", (1, 2, 8, 9), {"kernel_shape": [2, 2], "pads": [1, 0, 1, 0]}),
        ("MaxPool", (1, 2, 3, 4, 5), {"kernel_shape": [2, 2, 2], "pads": [1, 1, 1, 1, 1, 1]}),
        ("MaxPool", (1, 2, 3, 3), {"kernel_shape": [3, 3]}),
        ("GlobalMaxPool", (1, 2, 5, 3), {}),
    ],
)  # fmt: skip
def test_infinities_in_windows_that_are_computed_at_once(operator: str, shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    """Minus infinity is the least number there, but in two dimensions within the image. A NaN wins, as at some places there."""
    samples = scattered(*shape, specials=[(INF,), (-INF,), (INF, -INF)])
    model = single(operator, samples[0], **attributes)
    check(model, samples)
    x = normal(*shape)
    x[(0,) * len(shape)] = NAN
    made = Lowered(model, [{"x": normal(*shape)}])
    result, real = made.agree({"x": x})[0], expected(model, {"x": normal(*shape)})[0]
    assert np.isnan(result.reshape(-1)[0])
    np.testing.assert_array_equal(result[0, 1], real[0, 1])


def test_slopes_below_zero() -> None:
    """x itself from 0 on, whatever the slope; 0 times an infinity below it."""
    x, slope = np.array([NAN, INF, -INF, 0, 1, -1, -1e-45, 3e38], np.float32), np.array([NAN, INF, -INF, 0, 0.25, -1], np.float32)
    samples = [{"x": np.repeat(x, len(slope)).reshape(len(x), -1), "s": slope}]
    check(single("PRelu", samples[0]), samples)
    check(single("PRelu", {"x": x}, {"s": np.array([INF])}), [{"x": x}])


@pytest.mark.parametrize("bounds", [{"a": -1.0, "b": 2.0}, {"a": -INF, "b": INF}, {"a": 0.0}, {"b": 6.0}, {"a": INF}, {"b": -INF}, {}])
def test_clip(bounds: dict[str, Any]) -> None:
    """Infinities are cut to the largest numbers where there is no bound."""
    x = np.array([NAN, INF, -INF, 0, 1, -1, 3e38, -3e38, LEAST], np.float32)
    node = helper.make_node("Clip", ["x", *("a" if "a" in bounds else "", "b" if "b" in bounds else "")], ["y"])
    check(model_of([node], {"x": x}, ["y"], {name: np.float32(value) for name, value in bounds.items()}), [{"x": x}])
    if np.isfinite([*bounds.values()]).all():  # as attributes, which older models have
        names: dict[str, Any] = {{"a": "min", "b": "max"}[name]: float(value) for name, value in bounds.items()}
        old = model_of([helper.make_node("Clip", ["x"], ["y"], **names)], {"x": x}, ["y"], opset=10)
        check(old, [{"x": x}])


@pytest.mark.parametrize("reduction", ["max", "min"])
def test_changed_to_an_extreme(reduction: str) -> None:
    """Of a NaN and another number the update stays."""
    values = np.array([NAN, INF, -INF, 1, -1], np.float32)
    x, updates = (array.reshape(-1) for array in np.meshgrid(values, values))
    sample: Sample = {"x": x, "i": np.arange(x.size), "u": updates}
    check(single("ScatterElements", sample, reduction=reduction), [sample])


@pytest.mark.parametrize("largest", [0, 1])
def test_first_of_a_row(largest: int) -> None:
    """A NaN is larger than all numbers."""
    x = rows(9)
    check(single("TopK", {"x": x}, {"k": np.array([4])}, 2, axis=1, largest=largest), [{"x": x}])


@pytest.mark.parametrize(("size", "beta"), [(1, 0.75), (3, 0.5), (9, 0.75)])
def test_neighbouring_channels(size: int, beta: float) -> None:
    """They take part in windows that hold them, and in no others: running sums, as onnxruntime has them, carry them on."""
    x = np.concatenate([sample["x"] for sample in scattered(1, 5, 2, 3)])
    model = single("LRN", {"x": x}, size=size, alpha=0.5, beta=beta, bias=2.0)
    made = Lowered(model, [{"x": normal(*x.shape)}])
    with np.errstate(all="ignore"):
        squares = x.astype(np.float64) ** 2
        sums = [squares[:, max(0, channel - (size - 1) // 2) : channel + size // 2 + 1].sum(axis=1) for channel in range(5)]
        real = x / (2.0 + 0.5 / size * np.stack(sums, axis=1)) ** beta
    same_numbers(made.agree({"x": x}), [real], 1e-6)
    ordinary = {"x": normal(*x.shape)}
    same_numbers(made.agree(ordinary), expected(model, ordinary), 1e-6)


@pytest.mark.parametrize(
    "operator",
    ["Relu", "LeakyRelu", "ThresholdedRelu", "Elu", "Selu", "Celu", "Shrink", "HardSigmoid", "HardSwish", "Sign", "Round", "Softsign"],
)  # fmt: skip
def test_functions_of_one_element(operator: str) -> None:
    x = np.array([NAN, INF, -INF, 0, 1, -1, 3e38, 1e-45], np.float32)
    check(single(operator, {"x": x}), [{"x": x}], 1e-6)


@pytest.mark.parametrize("operator", ["Max", "Min", "Less", "GreaterOrEqual", "Equal"])
def test_functions_of_two_elements(operator: str) -> None:
    """NaN wins extremes, and compares with nothing."""
    values = np.array([NAN, INF, -INF, 0, 1, -1], np.float32)
    x, y = (array.reshape(-1) for array in np.meshgrid(values, values))
    check(single(operator, {"x": x, "y": y}), [{"x": x, "y": y}])
