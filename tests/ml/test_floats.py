"""Elementwise operators in floats: near onnxruntime, exact where IEEE 754 says so, and the guest computes the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.ml.floats import Lowered, expected
from tests.ml.models import model_of, normal, single
from zkvm.errors import UsageError
from zkvm.ml import float32
from zkvm.ml.compiler import build_guest
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 0.5, 1.5, 2.5, -0.5, 1.0, -1.0, 3e9, -70000.7, 300.5], np.float32)
X = np.concatenate([normal(40, scale=3), normal(12, seed=1, scale=1e-3), normal(12, seed=2, scale=30), SPECIAL])
EXACT = ("Neg", "Abs", "Sqrt", "Relu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "HardSwish", "Shrink", "Sign", "Reciprocal")
ROUNDING = ("Floor", "Ceil", "Round")
NEAR = (
    "Exp", "Log", "Softplus", "Softsign", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Tanh",
    "Erf",
)  # fmt: skip
CANCELLING = ("Sigmoid", "Elu", "Selu", "Celu", "Mish", "Gelu")
"""Near 0, or far from it, onnxruntime's own results are differences of larger numbers, or cut."""
PAIRS = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")


def steps(result: NDArray[Any], reference: NDArray[Any]) -> int:
    """Floats between the numbers of two arrays, at most; NaN and infinities must be the same."""
    np.testing.assert_array_equal(np.isnan(result), np.isnan(reference))
    np.testing.assert_array_equal(np.isinf(result), np.isinf(reference))
    finite = np.isfinite(result)
    places = [float32.order(float32.to_bits(array[finite])) for array in (result, reference)]
    # onnxruntime's functions do without subnormal numbers.
    close = np.abs(result[finite] - reference[finite]) < 1e-37
    return int(np.abs(places[0] - places[1])[~close].max(initial=0))


def unary_model(operators: tuple[str, ...], **attributes: Any) -> onnx.ModelProto:
    nodes = [helper.make_node(operator, ["x"], [operator], **attributes) for operator in operators]
    return model_of(nodes, {"x": X}, list(operators), opset=20)


def test_functions() -> None:
    model = unary_model((*EXACT, *ROUNDING, *NEAR))
    made = Lowered(model, [{"x": X}])
    for operator, result, reference in zip((*EXACT, *ROUNDING, *NEAR), made.agree({"x": X}), expected(model, {"x": X}), strict=True):
        assert result.dtype == np.float32
        assert steps(result, reference) <= (3 if operator in NEAR else 0), operator


def test_functions_that_cancel() -> None:
    model = unary_model(CANCELLING)
    made = Lowered(model, [{"x": X}])
    for operator, result, reference in zip(CANCELLING, made.agree({"x": X}), expected(model, {"x": X}), strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-6, atol=1e-6, err_msg=operator)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Gelu", {"approximate": "tanh"}),
        ("Celu", {"alpha": 2.0}),
        ("Elu", {"alpha": 0.5}),
        ("Selu", {"alpha": 1.5, "gamma": 0.75}),
        ("LeakyRelu", {"alpha": 0.3}),
        ("Shrink", {"lambd": 1.0, "bias": 0.25}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
        ("ThresholdedRelu", {"alpha": -0.5}),
    ],
)
def test_attributes(operator: str, attributes: dict[str, Any]) -> None:
    model = unary_model((operator,), **attributes)
    (result,), (reference,) = Lowered(model, [{"x": X}]).evaluate({"x": X}), expected(model, {"x": X})
    np.testing.assert_allclose(result, reference, rtol=1e-6, atol=1e-6)


def test_swish_is_its_definition() -> None:
    model = model_of([helper.make_node("Swish", ["x"], ["y"], alpha=1.5)], {"x": X}, ["y"], opset=24)
    made = _without_runtime(model)
    finite = X[np.isfinite(X)].astype(np.float64)
    with np.errstate(over="ignore"):
        truth = finite / (1 + np.exp(-1.5 * finite))
    np.testing.assert_allclose(made[np.isfinite(X)], truth, rtol=1e-6, atol=1e-7)


def _without_runtime(model: onnx.ModelProto) -> NDArray[Any]:
    """The result of a model of one Swish, which no version of onnxruntime need have."""
    try:
        return np.asarray(Lowered(model, [{"x": X}]).evaluate({"x": X})[0])
    except UsageError as error:
        pytest.skip(str(error)[:80])


def test_pairs() -> None:
    sample = {"x": X, "y": np.roll(X, 5)}
    model = model_of([helper.make_node(name, ["x", "y"], [name]) for name in PAIRS], sample, PAIRS)
    made = Lowered(model, [sample])
    for operator, result, reference in zip(PAIRS, made.agree(sample), expected(model, sample), strict=True):
        assert result.dtype == reference.dtype
        np.testing.assert_array_equal(result, reference, err_msg=operator)


def test_powers_and_remainders() -> None:
    sample = {"x": np.concatenate([X, X]), "y": np.concatenate([np.roll(X, 5), np.full_like(X, 3)])}
    nodes = [helper.make_node("Pow", ["x", "y"], ["p"]), helper.make_node("Mod", ["x", "y"], ["m"], fmod=1)]
    nodes.append(helper.make_node("Pow", ["x", "two"], ["s"]))
    model = model_of(nodes, sample, ["p", "m", "s"], {"two": np.array(2)})
    made = Lowered(model, [sample])
    (power, remainder, square), reference = made.agree(sample), expected(model, sample)
    assert steps(power, reference[0]) <= 2
    assert steps(remainder, reference[1]) == 0
    assert steps(square, reference[2]) == 0
    whole = {"x": np.arange(-9, 10, dtype=np.float32)}
    cubes = Lowered(single("Pow", whole, {"e": np.float32(3)}), [whole]).evaluate(whole)[0]
    np.testing.assert_array_equal(cubes, whole["x"] ** 3)


@pytest.mark.parametrize("limits", [(-1.0, 0.5), (3.0, 1.0)])
@pytest.mark.parametrize("computed", [False, True])
def test_clip(limits: tuple[float, float], computed: bool) -> None:
    bounds = {"low": np.float32(limits[0]), "high": np.float32(limits[1])}
    inputs = {"x": X} | ({name: np.asarray(bound) for name, bound in bounds.items()} if computed else {})
    model = single("Clip", inputs, None if computed else bounds)
    np.testing.assert_array_equal(Lowered(model, [inputs]).agree(inputs)[0], expected(model, inputs)[0])


def test_fixed_point_clips_with_bounds_the_wrong_way_round() -> None:
    x = np.array([0, 2, 5], np.float32)
    model = single("Clip", {"x": x}, {"low": np.float32(3), "high": np.float32(1)})
    made = Lowered(model, [{"x": x}], floats=frozenset())
    value = made.graph.inputs[0]
    integers = made.imported.inputs[0].name, np.round(x / value.scale).astype(np.int64)
    np.testing.assert_array_equal(made.evaluate(dict([integers]))[0], [1, 1, 1])


def test_classes() -> None:
    nodes = [helper.make_node("IsNaN", ["x"], ["n"]), helper.make_node("IsInf", ["x"], ["i"])]
    nodes += [helper.make_node("IsInf", ["x"], ["p"], detect_negative=0), helper.make_node("IsInf", ["x"], ["m"], detect_positive=0)]
    nodes += [helper.make_node("Not", ["n"], ["k"]), helper.make_node("Where", ["k", "x", "zero"], ["w"])]
    names = ["n", "i", "p", "m", "k", "w"]
    model = model_of(nodes, {"x": X}, names, {"zero": np.float32(0)})
    for result, reference in zip(Lowered(model, [{"x": X}]).agree({"x": X}), expected(model, {"x": X}), strict=True):
        np.testing.assert_array_equal(result, reference)


def test_casts() -> None:
    types = {name: getattr(onnx.TensorProto, name) for name in ("INT8", "UINT8", "INT16", "UINT16", "INT32", "BOOL", "FLOAT")}
    model = model_of([helper.make_node("Cast", ["x"], [name], to=to) for name, to in types.items()], {"x": X}, list(types))
    for result, reference in zip(Lowered(model, [{"x": X}]).agree({"x": X}), expected(model, {"x": X}), strict=True):
        np.testing.assert_array_equal(result, reference)


def test_casts_to_floats() -> None:
    sample = {"i": np.array([0, 1, -1, 2**24 + 1, 2**31 - 1, -(2**31)]), "b": np.array([True, False])}
    nodes = [helper.make_node("Cast", [name], [f"{name}f"], to=1) for name in sample]
    model = model_of(nodes, sample, ["if", "bf"])
    for result, reference in zip(Lowered(model, [sample]).agree(sample), expected(model, sample), strict=True):
        np.testing.assert_array_equal(result, reference)


@pytest.mark.parametrize("to", ["INT64", "UINT32"])
@pytest.mark.parametrize("number", [np.nan, 3e9, -3e9])
def test_casts_beyond_a_word_end_the_run(to: str, number: float) -> None:
    made = Lowered(single("Cast", {"x": X[:2]}, to=getattr(onnx.TensorProto, to)), [{"x": np.abs(X[:2])}])
    assert made.agree({"x": np.array([2.5, 7.0], np.float32)})[0].tolist() == [2, 7]
    execution = made.run({"x": np.array([1, number], np.float32)})
    assert execution.exit_code == 3
    assert b"node" in execution.stderr


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
def test_quantization(dtype: type[np.integer[Any]]) -> None:
    x = np.concatenate([normal(200, scale=3), np.arange(-40, 40, dtype=np.float32) * 0.125, [1e9, -1e9]]).astype(np.float32)
    rows = x.reshape(3, -1)
    constants = {
        "s": np.float32(0.25), "z": dtype(3), "ss": np.array([0.1, 0.02, 3.0], np.float32), "zz": np.array([0, 7, 100], dtype),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("QuantizeLinear", ["x", "ss", "zz"], ["qq"], axis=0),
        helper.make_node("DequantizeLinear", ["qq", "ss", "zz"], ["dd"], axis=0),
    ]
    sample = {"x": rows}
    model = model_of(nodes, sample, ["q", "d", "qq", "dd"], constants, opset=21)
    for result, reference in zip(Lowered(model, [sample]).agree(sample), expected(model, sample), strict=True):
        np.testing.assert_array_equal(result, reference)


def test_private_weights() -> None:
    nodes = [helper.make_node("Mul", ["x", "w"], ["m"]), helper.make_node("Pow", ["m", "e"], ["p"]), helper.make_node("Tanh", ["p"], ["y"])]
    sample = {"x": normal(3, 4)}
    sources = []
    for seed, power in ((1, 2.0), (2, 3.0)):
        constants = {"w": normal(4, seed=seed), "e": np.float32(power)}
        made = Lowered(model_of(nodes, sample, ["y"], constants), [sample], private=True)
        np.testing.assert_allclose(made.agree(sample)[0], np.tanh((sample["x"] * constants["w"]) ** power), rtol=1e-5)
        sources.append(made.code.source)
    assert sources[0] == sources[1]


def test_an_input_has_one_nan_only() -> None:
    """Other words of NaN would make two journals of one input."""
    made = Lowered(single("Neg", {"x": X}), [{"x": X}])
    image = load_image(build_guest(made.code.source))
    words = made.words({"x": X})[0]
    assert float32.NAN in words
    for word in (0x7FC00001, 0x7F800001, 0x7FFFFFFF, -(1 << 22), -1):
        changed = words.copy()
        changed[5] = word
        run = execute(image, changed.astype("<i4").tobytes(), trace=False)
        assert (run.exit_code, b"a NaN that is not the one" in run.stderr) == (1, True)
        assert run.journal == bytes(32), "nothing but the interface"
    for word in (0x7F800000, -(1 << 23), float32.NAN):
        changed = words.copy()
        changed[5] = word
        assert execute(image, changed.astype("<i4").tobytes(), trace=False).exit_code == 0
