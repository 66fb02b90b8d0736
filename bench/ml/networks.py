"""Networks of the sizes that the performance page speaks of, with random weights, and samples for them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from bench.ml.transformers import transformer

CALIBRATION = 20
SEQUENCE_RANK = 3
"""Of (1, tokens, width): such inputs are embedded tokens and normally distributed; others are pixels from 0 to 1."""
Constants = dict[str, NDArray[Any]]


def _defaults(node: onnx.NodeProto, constants: Constants) -> dict[str, Any]:
    """What the operator's attributes are if nothing is said."""
    if node.op_type == "Gemm":
        return {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
    if node.op_type == "Conv":
        return {"kernel_shape": constants[node.input[1]].shape[2:], "strides": [1, 1], "dilations": [1, 1], "pads": [0] * 4, "group": 1}
    return {"dilations": [1, 1], "pads": [0] * 4} if node.op_type == "MaxPool" else {}


def _model(nodes: list[str], shape: list[int], constants: Constants) -> onnx.ModelProto:
    protos = [parser.parse_node(node) for node in nodes]
    for proto in protos:  # other tools know layers by their names, and no defaults
        proto.name = f"{proto.op_type.lower()}_{proto.output[0]}"
        present = {attribute.name for attribute in proto.attribute}
        given = _defaults(proto, constants).items()
        proto.attribute.extend(helper.make_attribute(key, value) for key, value in given if key not in present)
    graph = helper.make_graph(
        protos,
        "network",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


class _Weights:
    """Random constants by name, of a size that keeps what flows through a network about the same."""

    def __init__(self, seed: int) -> None:
        self.random, self.constants = np.random.default_rng(seed), Constants()

    def dense(self, name: str, taps: int, channels: int) -> None:
        self._add(name, (taps, channels), taps)
        self._add(f"{name}b", (channels,), 16)

    def conv(self, name: str, before: int, channels: int, size: int) -> None:
        self._add(name, (channels, before, size, size), before * size * size)
        self._add(f"{name}b", (channels,), 16)

    def _add(self, name: str, shape: tuple[int, ...], taps: int) -> None:
        self.constants[name] = (self.random.standard_normal(shape) * np.sqrt(2 / taps)).astype(np.float32)


def perceptron() -> onnx.ModelProto:
    """784-128-10."""
    weights = _Weights(0)
    weights.dense("a", 784, 128)
    weights.dense("b", 128, 10)
    nodes = ["h = Gemm(x, a, ab)", "r = Relu(h)", "y = Gemm(r, b, bb)"]
    return _model(nodes, [1, 784], weights.constants)


def wide() -> onnx.ModelProto:
    """784-2048-784-192-10: 3.4 million parameters."""
    weights = _Weights(4)
    widths = (784, 2048, 784, 192, 10)
    for number, (taps, channels) in enumerate(itertools.pairwise(widths)):
        weights.dense("abcd"[number], taps, channels)
    nodes = []
    for before, name, after in zip(("x", "ra", "rb", "rc"), "abcd", ("ha", "hb", "hc", "y"), strict=True):
        nodes += [f"{after} = Gemm({before}, {name}, {name}b)"] + ([f"r{name} = Relu({after})"] if after != "y" else [])
    return _model(nodes, [1, 784], weights.constants)


def lenet5() -> onnx.ModelProto:
    """LeNet-5 on 28 x 28 with Relu and MaxPool: 0.42 million products."""
    weights = _Weights(1)
    weights.conv("a", 1, 6, 5)
    weights.conv("b", 6, 16, 5)
    for name, taps, channels in (("c", 256, 120), ("d", 120, 84), ("e", 84, 10)):
        weights.dense(name, taps, channels)
    pool = "MaxPool<kernel_shape=[2, 2], strides=[2, 2]>"
    nodes = [
        "h0 = Conv(x, a, ab)", "r0 = Relu(h0)", f"p0 = {pool}(r0)", "h1 = Conv(p0, b, bb)", "r1 = Relu(h1)", f"p1 = {pool}(r1)",
        "f = Flatten(p1)", "h2 = Gemm(f, c, cb)", "r2 = Relu(h2)", "h3 = Gemm(r2, d, db)", "r3 = Relu(h3)", "y = Gemm(r3, e, eb)",
    ]  # fmt: skip
    return _model(nodes, [1, 1, 28, 28], weights.constants)


def cnn() -> onnx.ModelProto:
    """Three convolutions and two dense layers on 3 x 32 x 32: 3.0 million products."""
    weights = _Weights(2)
    for name, before, channels in (("a", 3, 16), ("b", 16, 32), ("c", 32, 32)):
        weights.conv(name, before, channels, 3)
    weights.dense("d", 512, 64)
    weights.dense("e", 64, 10)
    conv, pool = "Conv<pads=[1, 1, 1, 1]>", "MaxPool<kernel_shape=[2, 2], strides=[2, 2]>"
    nodes = []
    last = "x"
    for name in "abc":
        nodes += [f"h{name} = {conv}({last}, {name}, {name}b)", f"r{name} = Relu(h{name})", f"p{name} = {pool}(r{name})"]
        last = f"p{name}"
    nodes += [f"f = Flatten({last})", "hd = Gemm(f, d, db)", "rd = Relu(hd)", "y = Gemm(rd, e, eb)"]
    return _model(nodes, [1, 3, 32, 32], weights.constants)


def mobile() -> onnx.ModelProto:
    """Two blocks of MobileNetV2 on 16 x 56 x 56, 16-96-16 and 16-96-24 with a stride of 2: 19.8 million products, 3.4 of them depthwise."""
    weights = _Weights(5)
    weights.conv("s", 3, 16, 1)
    nodes, last = ["hs = Conv(x, s, sb)", "rs = Relu(hs)"], "rs"
    for name, stride, after in (("a", 1, 16), ("b", 2, 24)):
        weights.conv(f"{name}0", 16, 96, 1)
        weights.conv(f"{name}1", 1, 96, 3)
        weights.conv(f"{name}2", 96, after, 1)
        spread = f"Conv<group=96, pads=[1, 1, 1, 1], strides=[{stride}, {stride}]>"
        nodes += [
            f"h{name}0 = Conv({last}, {name}0, {name}0b)", f"r{name}0 = Clip(h{name}0, low, high)",
            f"h{name}1 = {spread}(r{name}0, {name}1, {name}1b)", f"r{name}1 = Clip(h{name}1, low, high)",
            f"h{name}2 = Conv(r{name}1, {name}2, {name}2b)",
        ]  # fmt: skip
        last = f"h{name}2"
        if stride == 1:
            nodes += [f"s{name} = Add({last}, rs)"]
            last = f"s{name}"
    weights.dense("e", 24, 10)
    nodes += [f"p = GlobalAveragePool({last})", "f = Flatten(p)", "y = Gemm(f, e, eb)"]
    return _model(nodes, [1, 3, 56, 56], weights.constants | {"low": np.array(0, np.float32), "high": np.array(6, np.float32)})


def separable(taps: int, stride: int, side: int, before: int, between: int, after: int) -> onnx.ModelProto:
    """A 1 x 1 convolution, one of single channels, and another 1 x 1 convolution, between other 1 x 1 convolutions.

    Args:
        taps: of a side of the middle one.
        stride: of the middle one.
        side: lines of the image.
        before: channels of the image.
        between: channels of what the middle one reads and makes.
        after: channels of the result.
    """
    weights = _Weights(6)
    layers = ("s", 3, before, 1), ("a", before, between, 1), ("b", 1, between, taps), ("c", between, after, 1), ("d", after, 8, 1)
    for name, first, channels, size in layers:
        weights.conv(name, first, channels, size)
    weights.dense("e", 8, 10)
    pad = taps // 2
    spread = f"Conv<group={between}, pads=[{pad}, {pad}, {pad}, {pad}], strides=[{stride}, {stride}]>"
    nodes = [
        "hs = Conv(x, s, sb)", "rs = Relu(hs)",
        "ha = Conv(rs, a, ab)", "ra = Clip(ha, low, high)", f"hb = {spread}(ra, b, bb)", "rb = Clip(hb, low, high)", "hc = Conv(rb, c, cb)",
        "hd = Conv(hc, d, db)", "p = GlobalAveragePool(hd)", "f = Flatten(p)", "y = Gemm(f, e, eb)",
    ]  # fmt: skip
    limits = {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    return _model(nodes, [1, 3, side, side], weights.constants | limits)


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    """Feeds random pictures to the quantizer."""

    def __init__(self, shape: list[int]) -> None:
        random = np.random.default_rng(8)
        self.left = [{"x": random.random(shape, np.float32)} for _ in range(CALIBRATION)]

    def get_next(self) -> Constants | None:
        return self.left.pop() if self.left else None


def int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """A network of pixels as onnxruntime quantizes it: activations of 8 bits, weights of 8 bits with a scale for each channel."""
    shape = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        quantize_static(model, str(target), _Samples(shape), quant_format=QuantFormat.QDQ, per_channel=True)
        return onnx.load(str(target))


def wide8() -> onnx.ModelProto:
    """The wide one in 8 bits."""
    return int8(wide())


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "perceptron": perceptron,
    "lenet5": lenet5,
    "cnn": cnn,
    "wide": wide,
    "wide8": wide8,
    "mobile": mobile,
    "block": partial(transformer, 1, 64, 4, 64),
    "blocks": partial(transformer, 4, 64, 4, 64),
    "gpt2-block": partial(transformer, 1, 768, 12, 64),
}
"""By name: the last three are a transformer's block, four of them (the size of nanoGPT), and a block of the size of GPT-2's."""


def write(name: str, folder: Path) -> tuple[Path, Path]:
    """Write a network and samples for it.

    Args:
        name: of :data:`NETWORKS`.
        folder: where.

    Returns:
        The ONNX file, and the calibration data.
    """
    model = NETWORKS[name]()
    shape = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim]
    random = np.random.default_rng(7)
    draw = random.standard_normal if len(shape) == SEQUENCE_RANK else random.random
    samples = draw((CALIBRATION, *shape[1:]), np.float32)
    paths = folder / f"{name}.onnx", folder / f"{name}.npy"
    onnx.save(model, str(paths[0]))
    np.save(paths[1], samples)
    return paths
