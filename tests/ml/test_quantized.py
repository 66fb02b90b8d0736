"""Quantized ONNX that onnxruntime's own tool wrote, in both forms, is taken as it is: integers within one step of onnxruntime's."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import QuantFormat

from tests.ml.models import compiled, model_of, normal, run_guest, single
from tests.ml.networks import quantized
from zkvm.ml.compiler import float_outputs
from zkvm.ml.ir import evaluate
from zkvm.ml.onnx_runtime import run_session, session


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=["qdq", "operators"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_exported_network(form: QuantFormat, per_channel: bool) -> None:
    model, samples = quantized(form, per_channel)
    made = compiled(model, samples)
    scales = {operation.output.scale for operation in made.graph.operations}
    assert len(scales) >= 3
    steps = made.graph.outputs[0].scale
    for sample, expected in zip(samples, float_outputs(made.imported, samples), strict=True):
        integers, _ = made.model.quantize([sample["x"]])
        result = evaluate(made.graph, integers)
        assert run_guest(made, integers)[0] == made.journal(result)
        difference = np.abs(made.graph.outputs[0].dequantize(result[0]) - expected[0])
        assert difference.max() <= 2.01 * steps


def test_quantized_output_has_its_zero_point() -> None:
    x = normal(50)
    constants = {"s": np.float32(0.02), "z": np.array(100, np.uint8)}
    model = single("QuantizeLinear", {"x": x}, constants)
    made = compiled(model, [{"x": x}])
    integers, _ = made.model.quantize([x])
    (result,) = evaluate(made.graph, integers)
    expected = float_outputs(made.imported, [{"x": x}])[0][0].astype(np.int64)
    assert made.model.outputs[0].kind == "integer"
    assert np.abs(result - expected).max() <= 1
    assert (result == expected).mean() > 0.9
    assert run_guest(made, integers)[0] == made.journal([result])


def test_quantized_input() -> None:
    x = np.arange(200, 232, dtype=np.uint8)
    model = single("DequantizeLinear", {"x": x}, {"s": np.float32(0.5), "z": np.array(128, np.uint8)})
    made = compiled(model, [{"x": x}])
    result = evaluate(made.graph, made.model.quantize([x])[0])[0]
    np.testing.assert_array_equal(made.graph.outputs[0].dequantize(result), (x.astype(np.int64) - 128) * 0.5)


def _factors(signed: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Large numbers of both signs where a factor is signed, in the order (left, right) of the letters."""
    random = np.random.default_rng(5)
    left, right = (
        random.integers(96, 128, shape) * (2 if letter == "u" else 1) for letter, shape in zip(signed, ((4, 32), (32, 8)), strict=True)
    )
    return left, right


@pytest.mark.parametrize("signed", ["uu", "us", "su", "ss"])
@pytest.mark.parametrize("constant", [False, True], ids=["computed", "weights"])
@pytest.mark.parametrize("zeros", [False, True], ids=["plain", "zero points"])
def test_integer_products_are_exact_on_every_processor(signed: str, constant: bool, zeros: bool) -> None:
    types = [np.dtype(np.uint8 if letter == "u" else np.int8) for letter in signed]
    left, right = (array.astype(dtype) for array, dtype in zip(_factors(signed), types, strict=True))
    offsets = [np.array(3, types[0]), np.arange(8).astype(types[1])] if zeros else []
    inputs, weights = ({"a": left}, {"b": right}) if constant else ({"a": left, "b": right}, {})
    model = single("MatMulInteger", inputs, weights | {f"zero{index}": array for index, array in enumerate(offsets)})
    (found,) = run_session(session(model), inputs).values()
    rows, columns = left.astype(np.int64), right.astype(np.int64)
    if zeros:
        rows, columns = rows - 3, columns - np.arange(8)
    np.testing.assert_array_equal(found, rows @ columns)


def _quantized_operator(operator: str) -> tuple[onnx.ModelProto, NDArray[np.uint8], NDArray[np.int64]]:
    """A model of uint8 times int8, whose products in pairs are above 2^15, its input and its exact answer."""
    left, right = _factors("us")
    x, weights = left.astype(np.uint8), right.astype(np.int8)
    sums = left @ right
    if "Conv" in operator:  # every position is a row
        x, weights = x.T.reshape(1, 32, 4, 1), weights.T.reshape(8, 32, 1, 1)
        sums = sums.T.reshape(1, 8, 4, 1)
    if "Integer" in operator:
        return single(operator, {"x": x}, {"w": weights}), x, sums
    step = float(2 ** np.ceil(np.log2(sums.max() / 255)))
    one, zero = np.float32(1), np.zeros((), np.uint8)
    constants = {"sx": one, "zx": zero, "w": weights, "sw": one, "zw": np.zeros((), np.int8)}
    names, domain = ["x", *constants], "com.microsoft" if operator == "QGemm" else ""
    node = helper.make_node(operator, [*names, *([""] if domain else []), "sy", "zy"], ["y"], domain=domain)
    model = model_of([node], {"x": x}, ["y"], constants | {"sy": np.float32(step), "zy": zero}, domains=[domain] if domain else [])
    return model, x, np.rint(sums / step).astype(np.int64)


@pytest.mark.parametrize("operator", ["MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv", "QGemm"])
def test_products_of_large_weights(operator: str) -> None:
    model, x, expected = _quantized_operator(operator)
    made = compiled(model, [{"x": x}])
    (result,) = evaluate(made.graph, made.model.quantize([x])[0])
    np.testing.assert_array_equal(float_outputs(made.imported, [{"x": x}])[0][0], expected)
    answer = np.asarray(made.graph.outputs[0].dequantize(result), np.float64)
    assert np.abs(answer - expected).max() <= 1e-4 * expected.max()


def test_constant_products_of_large_weights() -> None:
    left, right = _factors("us")
    node = helper.make_node("MatMulInteger", ["a", "b"], ["c"], name="constant")
    total = helper.make_node("Add", ["x", "c"], ["y"], name="sum")
    x = np.arange(8, dtype=np.int32)
    model = model_of([node, total], {"x": x}, ["y"], {"a": left.astype(np.uint8), "b": right.astype(np.int8)})
    made = compiled(model, [{"x": x}])
    (result,) = evaluate(made.graph, made.model.quantize([x])[0])
    np.testing.assert_array_equal(made.graph.outputs[0].dequantize(result), x + left @ right)
