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
from zkvm.ml.operations.rearranging import TensorApply, TensorMove
from zkvm.ml.operations.tensors import TensorLinear
from zkvm.ml.operators.convolutions import convolution_of
from zkvm.ml.operators.depthwise import windowed_of
from zkvm.ml.operators.layers import MARK_VALUES, MARKS, MAX_MARKED_BIAS, Layer, Quantized
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


@pytest.mark.parametrize(
    ("columns", "stride", "pitch"),
    [(7, 1, 8), (14, 1, 15), (16, 1, 17), (28, 1, 31), (56, 1, 57), (112, 1, 113), (14, 2, 8), (28, 2, 15), (56, 2, 29), (112, 2, 57)],
)  # fmt: skip
def test_how_long_lines_are(columns: int, stride: int, pitch: int) -> None:
    """The rows of a window have room for two more elements, so a line of three taps may be one element longer or shorter than its blocks;
    with stride 2, of two taps, three."""
    _, windowed = layers_of((4, columns), 1, 1, (3, 3), pads=[1] * 4, strides=[stride] * 2)
    assert windowed.windowed is not None
    assert windowed.windowed.kept[0, -(-columns // stride)] == pitch


def test_two_planes_of_a_large_kernel() -> None:
    """A window for each line of seven needs the image twice, for five columns and for two; windows of three lines, six times."""
    _, windowed = layers_of((28, 28), 1, 1, (7, 7), pads=[3] * 4)
    assert windowed.windowed is not None
    assert windowed.index is not None
    assert windowed.windowed.windows.count == 7
    assert windowed.index.shape[1] < 3 * 28 * 32


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


def expanding(
    stride: int, kernel: int, size: int, *, cut: str = "Relu", seed: int = 0, samples: int = 1, bias: float = 1.0
) -> tuple[list[Any], dict[str, Any], tuple[int, ...]]:
    """A few channels, many for a depthwise convolution, and a few again."""
    end = " zero six" if cut == "Clip" else ""
    nodes = [
        node("Conv", "x w0 b0", "a0"), node("Relu", "a0", "r0"), node("Conv", "r0 w1 b1", "a1"), node(cut, f"a1{end}", "r1"),
        node("Conv", "r1 w2 b2", "a2", group=24, pads=[kernel // 2] * 4, strides=[stride] * 2), node("Relu", "a2", "r2"),
        node("Conv", "r2 w3 b3", "a3"), node("GlobalAveragePool", "a3", "p"), node("Flatten", "p", "f"), node("Gemm", "f w4", "y"),
    ]  # fmt: skip
    constants: dict[str, Any] = {
        "w0": weights(4, 3, 1, 1, seed=seed), "b0": weights(4), "w1": weights(24, 4, 1, 1, seed=seed + 1), "b1": weights(24) * bias,
        "w2": weights(24, 1, kernel, kernel, seed=seed + 2), "b2": weights(24, seed=2), "w3": weights(4, 24, 1, 1, seed=seed + 3),
        "b3": weights(4, seed=3), "w4": weights(4, 10, seed=seed + 4),
    }  # fmt: skip
    constants["b1"] = constants["b1"].astype(np.float32)
    constants |= {"zero": np.float32(0), "six": np.float32(6)} if cut == "Clip" else {}
    return nodes, constants, (samples, 3, size, size)


def gathered(made: Compilation) -> int:
    """Channels of what is gathered for a depthwise convolution: 0 if it reads what the layer before makes."""
    real = [operation for operation in made.graph.operations if not isinstance(operation, View)]
    place = next(place for place, operation in enumerate(real) if isinstance(operation, TensorDepthwise))
    layout = real[place - 1].output.layout
    return layout.channels if isinstance(real[place - 1], TensorMove) and layout is not None else 0


@pytest.mark.parametrize("cut", ["Relu", "Clip"])
@pytest.mark.parametrize(("stride", "kernel", "size"), [(1, 3, 14), (1, 3, 15), (2, 3, 28), (1, 5, 28), (2, 5, 28)])
def test_zeros_are_made_by_the_layer_before(stride: int, kernel: int, size: int, cut: str) -> None:
    """Its few channels are gathered, with marks, where its result is read; nothing is gathered in between."""
    nodes, constants, shape = expanding(stride, kernel, size, cut=cut)
    made = network(nodes, shape, constants)
    assert not gathered(made)
    layers = [operation for operation in made.graph.operations if isinstance(operation, TensorLinear)]
    marked = next(operation for operation in layers if len(operation.weights) == 24)
    assert marked.weights.shape[1] == 4 + len(MARKS)
    assert not marked.bias.any()


def test_zeros_of_several_samples() -> None:
    nodes, constants, shape = expanding(1, 3, 14, samples=3)
    nodes[-2:] = [node("Flatten", "p", "f"), node("Gemm", "f w4", "y")]
    assert not gathered(network(nodes, shape, constants))


@pytest.mark.parametrize("bias", [0.0, 1000.0, 1e6])
def test_zeros_whatever_the_bias_is(bias: float) -> None:
    """Weights of marks are int16 with large biases too: the others of the channel take a larger step."""
    nodes, constants, shape = expanding(1, 3, 14, bias=bias)
    assert not gathered(network(nodes, shape, constants))


@pytest.mark.parametrize(("function", "has"), [("HardSwish", False), ("LeakyRelu", False), ("Sigmoid", True)])
def test_functions_of_zeros(function: str, has: bool) -> None:
    """A function that is 0 for 0 keeps the order, and the zeros; behind another one, zeros are gathered."""
    nodes, constants, shape = expanding(1, 3, 28, cut=function)
    made = network(nodes, shape, constants)
    assert (gathered(made) > 0) == has
    assert TensorApply in kinds(made)


def test_a_border_that_is_the_bias() -> None:
    """A layer before with padding of its own has results, which are its bias, where all that it reads are zeros."""
    nodes, constants, shape = expanding(1, 3, 12)
    nodes[2] = node("Conv", "r0 w1 b1", "a1", pads=[1] * 4)
    constants["b1"] = np.abs(constants["b1"]) + 1
    assert not gathered(network(nodes, shape, constants))


def test_marks_say_the_bias() -> None:
    most = MARK_VALUES[0]
    bias = np.array([0, 1, -1, most, -most, most // 2, MAX_MARKED_BIAS + most // 2, -MAX_MARKED_BIAS - most // 2, 12345678])
    made = Quantized(np.zeros((len(bias), 2), np.int64), bias, np.ones(len(bias), np.int64)).with_marks()
    assert np.abs(made.weights).max() < 1 << 15
    assert (made.weights[:, 2:] @ np.array(MARK_VALUES)[list(MARKS)]).tolist() == bias.tolist()


def test_what_somebody_else_reads_is_gathered() -> None:
    """The layer before has its own order if its result has two readers, or if it has as many channels before as behind it."""
    nodes, constants, shape = expanding(1, 3, 14)
    nodes.insert(6, node("Add", "r1 r2", "s2"))
    nodes[7] = node("Conv", "s2 w3 b3", "a3")
    assert gathered(network(nodes, shape, constants)) == 24
    assert gathered(network(mobile(1, multiplier=2)[0], (1, 4, 14, 14), mobile(1, multiplier=2)[1])) == 16


@pytest.mark.parametrize("cut", ["Relu", "Clip"])
@pytest.mark.parametrize("stride", [1, 2])
def test_private_zeros(stride: int, cut: str) -> None:
    """The weights of marks are private as all others, and whether there are marks does not depend on them."""
    codes = []
    for seed in (0, 20):
        nodes, constants, shape = expanding(stride, 3, 14 * stride, cut=cut, seed=seed)
        samples = [{"x": normal(*shape, seed=seed)} for seed in range(3)]
        options = Options(arithmetic=Arithmetic.FIXED, privacy=Privacy(private_weights=True))
        made = check(model_of(nodes, samples[0], ["y"], constants), samples, 0.01, options)
        codes.append(made.model.elf)
        assert cut == "Clip" or not gathered(made)
    assert codes[0] == codes[1]


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


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("private", [False, True])
def test_a_proof(private: bool, wide: bool) -> None:
    """Of the smaller block, and of one that expands, whose receipts verify and say what the integer model does."""
    nodes, constants, shape = expanding(1, 3, 14) if wide else (*mobile(1), (1, 4, 14, 14))
    samples = [{"x": normal(*shape, seed=seed)} for seed in range(3)]
    options = Options(arithmetic=Arithmetic.FIXED, privacy=Privacy(private_weights=private))
    made = compiled(model_of(nodes, samples[0], ["y"], constants), samples, options)
    integers, _ = made.model.quantize([samples[0]["x"]])
    execution, _ = prove_and_verify(load_image(made.model.elf), made.model.stdin(integers))
    assert execution.journal == made.journal(evaluate(made.graph, integers), False)
    assert {call.descriptor.operation for call in execution.tensor_calls} & {tensors.DEPTHWISE, tensors.SCALED_DEPTHWISE}
