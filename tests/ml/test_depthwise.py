"""Depthwise convolutions as sums over windows: which elements meet which weights, and blocks of MobileNet's kind, bit for bit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.ml.models import check, compiled, model_of, normal
from tests.ml.test_tensor_networks import network, node, weights
from tests.proving import prove_and_verify
from zkvm.ml.codegen import Privacy
from zkvm.ml.compiler import Arithmetic, Compilation, Options
from zkvm.ml.ir import Graph, View, evaluate
from zkvm.ml.layout import Layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node
from zkvm.ml.operations import depthwise
from zkvm.ml.operations.depthwise import TensorDepthwise
from zkvm.ml.operations.rearranging import TensorMove
from zkvm.ml.operations.tensors import TensorLinear
from zkvm.ml.operators.convolutions import convolution_of
from zkvm.ml.operators.depthwise import windowed_of
from zkvm.ml.operators.layers import Layer
from zkvm.ml.ranges import Precision, TensorInfo
from zkvm.ml.value import Kind, Value
from zkvm.riscv.isa import tensors
from zkvm.riscv.vm.elf import load_image

FIXED = Options(arithmetic=Arithmetic.FIXED)


def layers_of(
    size: tuple[int, ...], channels: int, multiplier: int, kernel: tuple[int, ...], *, samples: int = 1, **attributes: Any
) -> tuple[Layer, Layer]:
    """A depthwise convolution as a layer of all channels, and with windows."""
    inputs = {"x": normal(samples, channels, *size)}
    constants = {"w": normal(channels * multiplier, 1, *kernel, seed=1), "b": normal(channels * multiplier, seed=2)}
    made = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", group=channels, **attributes)
    model = model_of([made], inputs, ["y"], constants)
    shape = tuple(dimension.dim_value for dimension in onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim)
    infos = {name: TensorInfo(dims, Kind.REAL, -1.0, 1.0) for name, dims in (("x", inputs["x"].shape), ("y", shape))}
    context = Context(infos, constants, Precision(), Graph([], []), lambda *_: [])
    own = Node("Conv", "conv", ("x", "w", "b"), ("y",), {"group": channels, **attributes})
    plain = convolution_of(context, own)
    assert plain is not None
    windowed = windowed_of(context, own, plain)
    assert windowed is not None
    return plain, windowed


def same(plain: Layer, windowed: Layer, size: int, seed: int) -> None:
    """Both add up the same products, and say of which positions of the wide result."""
    rng = np.random.default_rng(seed)
    x = np.append(rng.integers(-50, 50, size), 0)
    assert plain.index is not None
    assert windowed.index is not None
    assert windowed.windowed is not None
    taken, given = windowed.layouts(size)
    kernel, bias = rng.integers(-9, 10, windowed.weights.shape) * (windowed.weights != 0), np.zeros(len(windowed.weights), np.int64)
    source = Value("x", (taken.channels, taken.positions), -50, 50, layout=taken)
    target = Value("y", (given.channels, given.positions), -(1 << 15), (1 << 15) - 1, layout=given)
    own = windowed.windowed
    step = TensorDepthwise("conv", (source,), target, kernel, bias, np.full(len(bias), 1 << 28), own.windows, windowed.products)
    made = step.evaluate(x[windowed.index])
    sums = taps_of(plain, windowed, kernel) @ x[plain.index]
    assert made[:, own.kept.reshape(-1)].tolist() == ((sums * (1 << 28) + (1 << 31)) >> 32).tolist()


def taps_of(plain: Layer, windowed: Layer, kernel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The integers of windows as weights of all channels' taps: each is where the same real number is."""
    taps = np.zeros(plain.weights.shape, np.int64)
    for channel, (row, own) in enumerate(zip(plain.weights, windowed.weights, strict=True)):
        for place in np.flatnonzero(own):
            found = np.flatnonzero(row == own[place])
            assert len(found) == 1
            taps[channel, found[0]] = kernel[channel, place]
    return taps


@pytest.mark.parametrize(
    ("size", "kernel", "attributes"),
    [
        ((7, 7), (3, 3), {"pads": [1, 1, 1, 1]}),
        ((8, 8), (3, 3), {"pads": [1, 1, 1, 1]}),
        ((14, 14), (3, 3), {"pads": [1, 1, 1, 1]}),
        ((15, 15), (3, 3), {"pads": [1, 1, 1, 1]}),
        ((15, 15), (3, 3), {"pads": [1, 0, 1, 2]}),
        ((9, 16), (3, 3), {}),
        ((14, 14), (3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ((15, 13), (3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ((14, 14), (3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((13, 17), (3, 3), {"strides": [3, 1], "pads": [2, 0, 0, 1]}),
        ((13, 17), (3, 3), {"strides": [1, 2], "dilations": [2, 3]}),
        ((16, 16), (3, 3), {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
        ((12, 12), (5, 5), {"pads": [2, 2, 2, 2]}),
        ((12, 12), (5, 5), {"pads": [2, 2, 2, 2], "strides": [2, 2]}),
        ((12, 12), (5, 5), {"pads": [4, 4, 4, 4], "dilations": [2, 2]}),
        ((12, 13), (7, 7), {"pads": [3, 3, 3, 3]}),
        ((15, 15), (7, 7), {"pads": [3, 3, 3, 3], "strides": [2, 2]}),
        ((20, 20), (4, 11), {"strides": [3, 2], "dilations": [2, 1]}),
        ((9, 9), (1, 1), {}),
        ((9, 9), (1, 5), {"pads": [0, 2, 0, 2]}),
        ((9, 9), (2, 2), {"strides": [2, 2]}),
        ((1, 30), (1, 3), {"pads": [0, 1, 0, 1]}),
        ((40,), (3,), {"pads": [1, 1]}),
        ((40,), (9,), {"pads": [4, 4], "strides": [2], "dilations": [3], "auto_pad": "NOTSET"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("channels", "multiplier"), [(1, 1), (3, 1), (2, 3)])
def test_every_tap_meets_its_element(
    size: tuple[int, ...], kernel: tuple[int, ...], attributes: dict[str, Any], channels: int, multiplier: int
) -> None:
    plain, windowed = layers_of(size, channels, multiplier, kernel, **attributes)
    same(plain, windowed, channels * int(np.prod(size)), len(attributes))


@pytest.mark.parametrize("seed", range(40))
def test_random_convolutions(seed: int) -> None:
    rng = random.Random(seed)
    size = rng.randrange(6, 24), rng.randrange(6, 24)
    kernel = rng.randrange(1, 8), rng.randrange(1, 8)
    strides, dilations = [[rng.randrange(1, 4) for _ in range(2)] for _ in range(2)]
    reach = [dilations[axis] * (kernel[axis] - 1) + 1 for axis in range(2)]
    pads = [max(0, reach[k % 2] - size[k % 2]) + rng.randrange(3) for k in range(4)]
    plain, windowed = layers_of(size, 2, rng.randrange(1, 3), kernel, strides=strides, dilations=dilations, pads=pads)
    same(plain, windowed, 2 * size[0] * size[1], seed)


def test_windows_are_those_of_the_machine() -> None:
    own = (depthwise.WINDOW_ROWS, depthwise.WINDOW_TAPS, depthwise.WINDOW_PRODUCTS, depthwise.WINDOW_VECTORS, depthwise.PAIR_BLOCKS)
    assert own == (tensors.WINDOW_ROWS, tensors.WINDOW_TAPS, tensors.WINDOW_PRODUCTS, tensors.WINDOW_VECTORS, tensors.PAIR_BLOCKS)


def test_lines_share_their_zeros() -> None:
    """Nine columns of an image of seven and its border take one block: the last zero is the first of the next line."""
    _, windowed = layers_of((7, 7), 1, 1, (3, 3), pads=[1, 1, 1, 1])
    assert windowed.windowed is not None
    assert (windowed.windowed.blocks, windowed.windowed.windows.second) == (8, 1)


def test_windows_of_usual_kernels() -> None:
    """Strides take a window for each remainder of columns, larger kernels one for each three rows."""
    counts = {(3, 1): 1, (3, 2): 2, (5, 1): 2}
    for (kernel, stride), count in counts.items():
        _, windowed = layers_of((16, 16), 1, 1, (kernel, kernel), pads=[kernel // 2] * 4, strides=[stride] * 2)
        assert windowed.windowed is not None
        assert windowed.windowed.windows.count == count


def mobile(stride: int, kernel: int = 3, multiplier: int = 1) -> tuple[list[Any], dict[str, Any]]:
    """Pointwise, depthwise, pointwise, and these two once more without a cut behind them."""
    attributes = {"group": 8, "pads": [kernel // 2] * 4, "strides": [stride] * 2}
    nodes = [
        node("Conv", "x w0 b0", "a0"), node("Relu", "a0", "r0"), node("Conv", "r0 w1 b1", "a1", **attributes),
        node("Clip", "a1 zero six", "r1"), node("Conv", "r1 w2 b2", "a2"), node("Relu", "a2", "r2"),
        node("Conv", "r2 w3", "a3", group=12, pads=[1] * 4), node("Conv", "a3 w4", "a4"), node("GlobalAveragePool", "a4", "p"),
        node("Flatten", "p", "f"), node("Gemm", "f w5", "y"),
    ]  # fmt: skip
    constants = {
        "w0": weights(8, 4, 1, 1), "b0": weights(8), "w1": weights(8 * multiplier, 1, kernel, kernel, seed=1),
        "b1": weights(8 * multiplier, seed=2), "w2": weights(12, 8 * multiplier, 1, 1, seed=3), "b2": weights(12, seed=4),
        "w3": weights(12, 1, 3, 3, seed=5), "w4": weights(6, 12, 1, 1, seed=6), "w5": weights(6, 10, seed=7), "zero": np.float32(0),
        "six": np.float32(6),
    }  # fmt: skip
    return nodes, constants


def kinds(made: Compilation) -> list[type]:
    return [type(operation) for operation in made.graph.operations if not isinstance(operation, View)]


@pytest.mark.parametrize(("stride", "kernel", "multiplier"), [(1, 3, 1), (2, 3, 1), (1, 5, 1), (2, 5, 1), (1, 3, 2)])
@pytest.mark.parametrize("size", [14, 15])
def test_blocks_of_a_mobile_network(size: int, stride: int, kernel: int, multiplier: int) -> None:
    """The guest gives the integer model's bits, on samples and at the ends of all bounds. A layer of few positions may have no windows."""
    nodes, constants = mobile(stride, kernel, multiplier)
    made = network(nodes, (1, 4, size, size), constants)
    assert kinds(made).count(TensorDepthwise) >= (2 if stride == 1 else 1)


def test_positions_that_nobody_reads_are_kept() -> None:
    """A pointwise convolution behind a depthwise one computes at all positions of its tensor: no gather is between them."""
    nodes, constants = mobile(1)
    made = network(nodes, (1, 4, 14, 14), constants)
    found = kinds(made)
    place = found.index(TensorDepthwise)
    assert found[place + 1] is TensorLinear
    wide = made.graph.operations[[type(operation) for operation in made.graph.operations].index(TensorDepthwise)].output
    assert wide.layout == Layout(8, 16 * 14, True)


@pytest.mark.parametrize("stride", [1, 2])
def test_private_weights(stride: int) -> None:
    """Weights, biases and multipliers come with the input; the program does not depend on them."""
    nodes, constants = mobile(stride)
    samples = [{"x": normal(1, 4, 14, 14, seed=seed)} for seed in range(3)]
    options = Options(arithmetic=Arithmetic.FIXED, privacy=Privacy(private_weights=True))
    made = check(model_of(nodes, samples[0], ["y"], constants), samples, 0.01, options)
    assert TensorDepthwise in kinds(made)
    assert all(operation.limit for operation in made.graph.operations if isinstance(operation, TensorDepthwise))


def test_a_cheaper_way_is_taken() -> None:
    """Of few positions the taps of all channels cost less than windows, whose blocks are made by twos."""
    nodes = [node("Conv", "x w", "h", group=2), node("Flatten", "h", "f"), node("Gemm", "f g", "y")]
    made = network(nodes, (1, 2, 4, 4), {"w": weights(2, 1, 3, 3), "g": weights(8, 40, seed=1)})
    assert TensorDepthwise not in kinds(made)
    assert sum(kind is TensorMove for kind in kinds(made)) <= 2


@pytest.mark.parametrize("private", [False, True])
def test_a_proof(private: bool) -> None:
    """Of the smaller block, whose receipt verifies and says what the integer model does."""
    nodes, constants = mobile(1)
    samples = [{"x": normal(1, 4, 14, 14, seed=seed)} for seed in range(3)]
    options = Options(arithmetic=Arithmetic.FIXED, privacy=Privacy(private_weights=private))
    made = compiled(model_of(nodes, samples[0], ["y"], constants), samples, options)
    integers, _ = made.model.quantize([samples[0]["x"]])
    execution, _ = prove_and_verify(load_image(made.model.elf), made.model.stdin(integers))
    assert execution.journal == made.journal(evaluate(made.graph, integers), False)
    assert {call.descriptor.operation for call in execution.tensor_calls} & {tensors.DEPTHWISE, tensors.SCALED_DEPTHWISE}
