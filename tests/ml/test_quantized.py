"""Quantized ONNX that onnxruntime's own tool wrote, in both forms, is taken as it is: integers within one step of onnxruntime's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tests.ml.models import compiled, model_of, normal, run_guest, single
from zkvm.ml.compile import float_outputs
from zkvm.ml.importer import load_model
from zkvm.ml.ir import evaluate

SAMPLES: list[dict[str, NDArray[Any]]] = [{"x": normal(1, 2, 8, 8, seed=seed)} for seed in range(10)]


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds the samples."""

    def __init__(self) -> None:
        self.rest = list(SAMPLES)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return self.rest.pop() if self.rest else None


def small_network() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w", "v"], ["y"], name="dense", transB=1),
    ]
    constants = {"k": normal(3, 2, 3, 3, seed=1), "b": normal(3, seed=2), "w": normal(5, 27, seed=3), "v": normal(5, seed=4)}
    model = model_of(nodes, SAMPLES[0], ["y"], constants)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 5]))
    return model


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=["qdq", "operators"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_exported_network(tmp_path: Path, form: QuantFormat, per_channel: bool) -> None:
    onnx.save(small_network(), str(tmp_path / "float.onnx"))
    quantize_static(
        str(tmp_path / "float.onnx"),
        str(tmp_path / "int8.onnx"),
        Reader(),
        quant_format=form,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    made = compiled(load_model(tmp_path / "int8.onnx"), SAMPLES)
    scales = {operation.output.scale for operation in made.graph.operations}
    assert len(scales) >= 3
    steps = made.graph.outputs[0].scale
    for sample, expected in zip(SAMPLES, float_outputs(made.imported, SAMPLES), strict=True):
        integers, _ = made.model.quantize([sample["x"]])
        result = evaluate(made.graph, integers)
        assert run_guest(made, integers)[0] == result[0].astype("<i4").tobytes()
        difference = np.abs(made.graph.outputs[0].dequantize(result[0]) - expected[0])
        assert difference.max() <= 2.01 * steps


def test_quantized_output_has_its_zero_point() -> None:
    x = normal(50)
    constants = {"s": np.float32(0.02), "z": np.array(100, np.uint8)}
    model = single("QuantizeLinear", {"x": x}, constants)
    made = compiled(model, [{"x": x}])
    integers, _ = made.model.quantize([x])
    result = evaluate(made.graph, integers)[0]
    expected = float_outputs(made.imported, [{"x": x}])[0][0].astype(np.int64)
    assert made.model.outputs[0].kind == "integer"
    assert np.abs(result - expected).max() <= 1
    assert (result == expected).mean() > 0.9
    assert run_guest(made, integers)[0] == result.astype("<i4").tobytes()


def test_quantized_input() -> None:
    x = np.arange(200, 232, dtype=np.uint8)
    model = single("DequantizeLinear", {"x": x}, {"s": np.float32(0.5), "z": np.array(128, np.uint8)})
    made = compiled(model, [{"x": x}])
    result = evaluate(made.graph, made.model.quantize([x])[0])[0]
    np.testing.assert_array_equal(made.graph.outputs[0].dequantize(result), (x.astype(np.int64) - 128) * 0.5)
