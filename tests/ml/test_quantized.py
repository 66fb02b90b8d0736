"""Quantized ONNX that onnxruntime's own tool wrote, in both forms, is taken as it is: integers within one step of onnxruntime's."""

from __future__ import annotations

import numpy as np
import pytest
from onnxruntime.quantization import QuantFormat

from tests.ml.models import compiled, normal, run_guest, single
from tests.ml.networks import quantized
from zkvm.ml.compiler import float_outputs
from zkvm.ml.ir import evaluate


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
