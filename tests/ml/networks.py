"""Small networks of the kinds that people compile, each with its inputs; quantized ones as onnxruntime's own tool writes them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tests.ml.models import model_of, normal, positive, single
from zkvm.ml.importer import load_model
from zkvm.ml.samples import Sample

Network = tuple[onnx.ModelProto, list[Sample]]


def images(channels: int, count: int = 4) -> list[Sample]:
    return [{"x": normal(1, channels, 8, 8, seed=seed)} for seed in range(count)]


def dense() -> Network:
    samples = [{"x": normal(1, 12, seed=seed)} for seed in range(4)]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("MatMul", ["r", "w2"], ["y"], name="second"),
    ]
    constants = {"w1": normal(12, 9, seed=1), "b1": normal(9, seed=2), "w2": normal(9, 5, seed=3)}
    return model_of(nodes, samples[0], ["y"], constants), samples


def convolution() -> Network:
    """Convolution, maxima, dense layer."""
    samples = images(2, 10)
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w", "v"], ["y"], name="dense", transB=1),
    ]
    constants = {"k": normal(3, 2, 3, 3, seed=1), "b": normal(3, seed=2), "w": normal(5, 27, seed=3), "v": normal(5, seed=4)}
    model = model_of(nodes, samples[0], ["y"], constants)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 5]))
    return model, samples


def separable() -> Network:
    """Depthwise convolution, batch normalisation, a cut at 6, pointwise convolution, transposed convolution, averages."""
    samples = images(3)
    nodes = [
        helper.make_node("Conv", ["x", "depthwise"], ["d"], name="depthwise", group=3, pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["d", "scale", "shift", "mean", "variance"], ["n"], name="normalized"),
        helper.make_node("Clip", ["n", "zero", "six"], ["a"], name="cut"),
        helper.make_node("Conv", ["a", "pointwise"], ["p"], name="pointwise"),
        helper.make_node("ConvTranspose", ["p", "wider"], ["t"], name="wider", strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["t"], ["y"], name="averages"),
    ]
    constants = {
        "depthwise": normal(3, 1, 3, 3, seed=1), "pointwise": normal(4, 3, 1, 1, seed=2), "wider": normal(4, 2, 2, 2, seed=3),
        "scale": positive(3), "shift": normal(3, seed=4), "mean": normal(3, seed=5), "variance": positive(3, seed=6),
        "zero": np.float32(0), "six": np.float32(6),
    }  # fmt: skip
    return model_of(nodes, samples[0], ["y"], constants), samples


def normalisation() -> Network:
    """Layer normalisation, Gelu, residual sum, softmax."""
    samples = [{"x": normal(3, 8, seed=seed, scale=2)} for seed in range(4)]
    nodes = [
        helper.make_node("LayerNormalization", ["x", "g", "b"], ["n"], name="normalized"),
        helper.make_node("MatMul", ["n", "w"], ["m"], name="dense"),
        helper.make_node("Tanh", ["m"], ["t"], name="tanh"),
        helper.make_node("Add", ["t", "x"], ["s"], name="residual"),
        helper.make_node("Softmax", ["s"], ["y"], name="softmax", axis=1),
    ]
    constants = {"g": positive(8), "b": normal(8, seed=2), "w": normal(8, 8, seed=3)}
    return model_of(nodes, samples[0], ["y"], constants), samples


def recurrent(operator: str, gates: int) -> Network:
    inputs = {"x": normal(3, 1, 3)}
    constants = {"w": normal(1, 4 * gates, 3, seed=1), "r": normal(1, 4 * gates, 4, seed=2), "b": normal(1, 8 * gates, seed=3)}
    return single(operator, inputs, constants, hidden_size=4), [inputs]


def attention() -> Network:
    """Products of activations, a mask of -10^9, and a softmax."""
    samples = [{"x": normal(6, 8)}]
    nodes = [
        *(helper.make_node("MatMul", ["x", f"w{part}"], [part], name=part) for part in "qkv"),
        helper.make_node("Transpose", ["k"], ["kt"], name="turn", perm=[1, 0]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"], name="scores"),
        helper.make_node("Add", ["scores", "mask"], ["masked"], name="masked"),
        helper.make_node("Softmax", ["masked"], ["weights"], name="weights"),
        helper.make_node("MatMul", ["weights", "v"], ["y"], name="mixed"),
    ]
    constants = {f"w{part}": normal(8, 8, seed=seed) for seed, part in enumerate("qkv")}
    mask = np.triu(np.full((6, 6), -1e9, np.float32), 1)
    return model_of(nodes, samples[0], ["y"], constants | {"mask": mask}), samples


def movement() -> Network:
    """Gather by computed and by constant indices, scatter, resize, pad, concatenation."""
    sample = {"x": normal(1, 2, 3, 3), "places": np.array([1, 0])}
    nodes = [
        helper.make_node("Gather", ["x", "places"], ["g"], name="gather", axis=1),
        helper.make_node("ScatterElements", ["g", "rows", "updates"], ["s"], name="scatter", axis=2),
        helper.make_node("Resize", ["s", "", "factors"], ["r"], name="resize", mode="nearest"),
        helper.make_node("Pad", ["x", "pads"], ["p"], name="pad"),
        helper.make_node("Concat", ["r", "p"], ["y"], name="concat", axis=1),
    ]
    constants = {
        "rows": np.array([[[[2, 0, 1]], [[0, 1, 2]]]]), "updates": normal(1, 2, 1, 3, seed=1),
        "factors": np.array([1, 1, 2, 2], np.float32), "pads": np.array([0, 0, 1, 1, 0, 0, 2, 2]),
    }  # fmt: skip
    return model_of(nodes, sample, ["y"], constants), [sample]


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds samples to the quantizer."""

    def __init__(self, samples: list[Sample]) -> None:
        self.rest = list(samples)

    def get_next(self) -> Sample | None:
        return self.rest.pop() if self.rest else None


def quantized(form: Any, per_channel: bool = False) -> Network:
    """The convolution in 8 bits, in quantize-dequantize or in operator form."""
    model, samples = convolution()
    with tempfile.TemporaryDirectory() as scratch:
        before, after = Path(scratch) / "float.onnx", Path(scratch) / "int8.onnx"
        onnx.save(model, str(before))
        types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(str(before), str(after), Reader(samples), quant_format=form, per_channel=per_channel, **types)
        return load_model(after), samples


NETWORKS: dict[str, Callable[[], Network]] = {
    "dense": dense,
    "convolution": convolution,
    "separable": separable,
    "normalisation": normalisation,
    "lstm": lambda: recurrent("LSTM", 4),
    "gru": lambda: recurrent("GRU", 3),
    "attention": attention,
    "movement": movement,
    "quantize-dequantize": lambda: quantized(QuantFormat.QDQ),
    "quantized operators": lambda: quantized(QuantFormat.QOperator),
}
