"""Quantized forms of an MLP and a CNN: dynamic, QDQ and operator form, 8 and 16 bits, by channel or not."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.ml.adapter import Array
from bench.ml.corpus.entry import CALIBRATION, Entry, Made, generator
from bench.ml.corpus.torch_exports import drawn

FAMILY = "quantized"


def entries() -> Iterator[Entry]:
    """All models of this family."""
    for name in NETWORKS:
        for signed in (False, True):
            for channel in (False, True):
                form = f"{'int8' if signed else 'uint8'}{'-channel' if channel else ''}"
                yield Entry(FAMILY, f"{name}-dynamic-{form}", partial(_dynamic, name, signed, channel))
        for name_of_form, arguments in STATIC.items():
            yield Entry(FAMILY, f"{name}-{name_of_form}", partial(_static, name, arguments))


STATIC: dict[str, dict[str, str]] = {
    "qdq-u8-i8": {"quant_format": "QDQ", "activation_type": "QUInt8", "weight_type": "QInt8"},
    "qdq-i8-i8-channel": {"quant_format": "QDQ", "activation_type": "QInt8", "weight_type": "QInt8", "per_channel": "yes"},
    "qdq-u8-u8": {"quant_format": "QDQ", "activation_type": "QUInt8", "weight_type": "QUInt8"},
    "qdq-u16-i8": {"quant_format": "QDQ", "activation_type": "QUInt16", "weight_type": "QInt8"},
    "qdq-i16-i16": {"quant_format": "QDQ", "activation_type": "QInt16", "weight_type": "QInt16"},
    "operators-u8-i8": {"quant_format": "QOperator", "activation_type": "QUInt8", "weight_type": "QInt8"},
    "operators-i8-i8-channel": {"quant_format": "QOperator", "activation_type": "QInt8", "weight_type": "QInt8", "per_channel": "yes"},
    "operators-u8-u8": {"quant_format": "QOperator", "activation_type": "QUInt8", "weight_type": "QUInt8"},
}


def _network(nodes: list[Any], weights: dict[str, Array], shape: tuple[int, ...], classes: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _mlp() -> onnx.ModelProto:
    random = generator("quantized mlp")
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], name="first"),
        helper.make_node("Add", ["a", "b1"], ["b"], name="bias"),
        helper.make_node("Relu", ["b"], ["c"], name="relu"),
        helper.make_node("Gemm", ["c", "w2", "b2"], ["y"], name="second"),
    ]
    weights = {"w1": random.standard_normal((10, 24)) / 3, "b1": random.standard_normal(24) / 4}
    # Columns of different sizes, or scales by column would say nothing.
    weights |= {"w2": random.standard_normal((24, 5)) / 5 * np.array([1, 0.3, 2, 0.7, 1.5]), "b2": random.standard_normal(5) / 4}
    return _network(nodes, weights, (1, 10), 5)


def _cnn() -> onnx.ModelProto:
    random = generator("quantized cnn")
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("MaxPool", ["b"], ["c"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "w2", "b2"], ["d"], name="second"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], name="mean"),
        helper.make_node("Flatten", ["e"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], name="head"),
    ]
    shapes = {"w1": (4, 1, 3, 3), "b1": (4,), "w2": (6, 4, 3, 3), "b2": (6,), "w3": (6, 4), "b3": (4,)}
    weights = {name: random.standard_normal(shape) / 3 * (3 if name == "w3" else 1) for name, shape in shapes.items()}
    return _network(nodes, weights, (1, 1, 12, 12), 4)


NETWORKS: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[int, ...], str]] = {
    "mlp": (_mlp, (1, 10), "normal"),
    "cnn": (_cnn, (1, 1, 12, 12), "image"),
}


def _made(name: str, count: int, quantize: Callable[[Path, Path, list[dict[str, Array]]], None]) -> Made:
    make, shape, kind = NETWORKS[name]
    random = generator(f"inputs of {name}")
    calibration, inputs = (drawn(kind, wanted, shape, random) for wanted in (CALIBRATION, count))
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        logging.getLogger().setLevel(logging.ERROR)
        source, target = Path(scratch) / "float.onnx", Path(scratch) / "quantized.onnx"
        onnx.save(make(), str(source))
        quantize(source, target, [{"x": row} for row in calibration])
        return Made(target.read_bytes(), {"x": calibration}, {"x": inputs}, "y")


def _dynamic(name: str, signed: bool, channel: bool, count: int) -> Made:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    def quantize(source: Path, target: Path, rows: list[dict[str, Array]]) -> None:
        quantize_dynamic(source, target, per_channel=channel, weight_type=QuantType.QInt8 if signed else QuantType.QUInt8)

    return _made(name, count, quantize)


def _static(name: str, arguments: dict[str, str], count: int) -> Made:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Rows(CalibrationDataReader):  # type: ignore[misc]  # the package says nothing of its types
        def __init__(self, rows: list[dict[str, Array]]) -> None:
            self.rows = iter(rows)

        def get_next(self) -> dict[str, Array] | None:
            return next(self.rows, None)

    def quantize(source: Path, target: Path, rows: list[dict[str, Array]]) -> None:
        types = {key: QuantType[arguments[key]] for key in ("activation_type", "weight_type")}
        chosen = QuantFormat[arguments["quant_format"]]
        quantize_static(source, target, Rows(rows), quant_format=chosen, per_channel="per_channel" in arguments, **types)

    return _made(name, count, quantize)
