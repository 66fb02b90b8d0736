"""Models that take several samples at once: convolutions and pools of all of them are one call each, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ml.models import check, compiled, model_of, normal
from tests.ml.test_depthwise import kinds, layers_of, mobile, same
from tests.ml.test_tensor_networks import LENET, LENET_WEIGHTS, calls, network, node, weights
from tests.proving import prove_and_verify
from zkvm.ml.codegen import Privacy
from zkvm.ml.compiler import Arithmetic, Options, Precompiles
from zkvm.ml.operations.depthwise import TensorDepthwise
from zkvm.ml.operations.linear import Linear
from zkvm.ml.operations.rearranging import TensorMaximum
from zkvm.ml.operations.tensor_combining import TensorCombine
from zkvm.ml.operations.tensors import TensorLinear
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

SAMPLES = 3


def test_a_convolutional_network() -> None:
    """The same calls as of one sample, and no more instructions than they and the outputs take."""
    made = network(LENET, (SAMPLES, 1, 14, 14), LENET_WEIGHTS)
    assert calls(made) == [TensorLinear, TensorMaximum, TensorLinear, TensorLinear]
    words = made.model.quantize([normal(SAMPLES, 1, 14, 14)])[0]
    assert execute(load_image(made.model.elf), made.model.stdin(words), trace=False).cycles < 1500


def test_samples_do_not_meet() -> None:
    """A sample's outputs are the same beside whatever others, and in whatever place."""
    made = compiled(model_of(LENET, {"x": normal(SAMPLES, 1, 14, 14)}, ["y"], LENET_WEIGHTS), [{"x": normal(SAMPLES, 1, 14, 14)}])
    first = normal(SAMPLES, 1, 14, 14, seed=5)
    others = normal(SAMPLES, 1, 14, 14, seed=6)
    others[2] = first[0]
    outputs = []
    for array in (first, others):
        words = made.model.quantize([array.clip(-3, 3)])[0]
        journal = execute(load_image(made.model.elf), made.model.stdin(words), trace=False).journal
        outputs.append(np.frombuffer(journal[-4 * 10 * SAMPLES :], "<i4").reshape(SAMPLES, 10))
    assert (outputs[0][0] == outputs[1][2]).all()
    assert (outputs[0] != outputs[1]).any()


@pytest.mark.parametrize(
    ("shape", "kernel", "attributes"),
    [
        ((2, 3, 9, 11), (8, 3, 3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
        ((3, 16, 6, 4), (17, 16, 1, 1), {}),
        ((4, 5, 40), (12, 5, 4), {"pads": [3, 1], "strides": [3]}),
        ((2, 2, 5, 6, 5), (8, 2, 2, 3, 2), {"pads": [1, 1, 0, 0, 1, 0]}),
        ((3, 32, 12, 12), (32, 1, 3, 3), {"group": 32}),
    ],
)  # fmt: skip
def test_convolutions(shape: tuple[int, ...], kernel: tuple[int, ...], attributes: dict[str, Any]) -> None:
    made = network(
        [node("Conv", "x w b", "h", **attributes), node("Clip", "h low high", "y")],
        shape,
        {"w": weights(*kernel), "b": weights(kernel[0]), "low": np.float32(-1), "high": np.float32(2)},
    )
    assert calls(made)[-1] is (TensorDepthwise if attributes.get("group") == kernel[0] else TensorLinear)


@pytest.mark.parametrize(("stride", "kernel"), [(1, 3), (2, 3), (1, 5)])
def test_blocks_of_a_mobile_network(stride: int, kernel: int) -> None:
    nodes, constants = mobile(stride, kernel)
    made = network(nodes, (SAMPLES, 4, 14, 14), constants)
    assert TensorDepthwise in kinds(made)


@pytest.mark.parametrize("precompiles", Precompiles)
def test_a_residual_block_with_a_normalization(precompiles: Precompiles) -> None:
    """In calls, and in loops, where each sample is a layer."""
    nodes = [
        node("Conv", "x w b", "h", pads=[1] * 4), node("BatchNormalization", "h scale shift mean variance", "n"), node("Relu", "n", "r"),
        node("Conv", "r w2", "c", pads=[1] * 4), node("Add", "c r", "a"), node("BatchNormalization", "a scale shift mean variance", "m"),
        node("GlobalAveragePool", "m", "p"), node("Flatten", "p", "f"), node("Gemm", "f w4", "y"),
    ]  # fmt: skip
    constants = {
        "w": weights(8, 3, 3, 3), "b": weights(8), "w2": weights(8, 8, 3, 3, seed=1), "w4": weights(8, 10, seed=3),
        "scale": weights(8, seed=4), "shift": weights(8, seed=5), "mean": weights(8, seed=6),
        "variance": np.abs(weights(8, seed=7)) + np.float32(0.5),
    }  # fmt: skip
    made = network(nodes, (SAMPLES, 3, 8, 8), constants, options=Options(arithmetic=Arithmetic.FIXED, precompiles=precompiles))
    assert (TensorLinear in kinds(made)) == (precompiles is Precompiles.AUTO)
    assert (Linear in kinds(made)) == (precompiles is Precompiles.NONE)


def perceptron(channels: int) -> tuple[list[Any], dict[str, Any]]:
    """Two dense layers, and between them a normalization that no layer takes into its weights."""
    nodes = [
        node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("BatchNormalization", "r scale shift mean variance", "n"),
        node("Gemm", "n w2", "y"),
    ]  # fmt: skip
    return nodes, {
        "w": weights(12, channels), "w2": weights(channels, 5, seed=1), "scale": weights(channels, seed=2),
        "shift": weights(channels, seed=3), "mean": weights(channels, seed=4),
        "variance": np.abs(weights(channels, seed=5)) + np.float32(0.5),
    }  # fmt: skip


@pytest.mark.parametrize("private", [False, True])
def test_a_normalization_of_rows(private: bool) -> None:
    """A layer between layers, whatever the number of rows."""
    nodes, constants = perceptron(24)
    options = Options(arithmetic=Arithmetic.FIXED, privacy=Privacy(private_weights=private))
    assert calls(network(nodes, (9, 12), constants, tolerance=0.01, options=options)) == 3 * [TensorLinear]


def test_a_normalization_of_rows_in_loops() -> None:
    """One operation for all rows, and for all samples: code does not grow with their number."""
    options = Options(arithmetic=Arithmetic.FIXED, precompiles=Precompiles.NONE)
    nodes, constants = perceptron(24)
    assert kinds(network(nodes, (9, 12), constants, options=options)) == 3 * [Linear]
    constants = {name: array for name, array in constants.items() if not name.startswith("w")}
    alone = [node("BatchNormalization", "x scale shift mean variance", "y")]
    for shape in ((2, 24), (3, 24, 5)):
        assert kinds(network(alone, shape, constants, options=options)) == [Linear]


def test_a_normalization_of_many_channels() -> None:
    """Products and sums: a layer would multiply each channel with all others' zeros."""
    nodes, constants = perceptron(130)
    assert TensorCombine in calls(network(nodes, (16, 12), constants))


def test_private_weights() -> None:
    nodes, constants = mobile(1)
    samples = [{"x": normal(SAMPLES, 4, 14, 14, seed=seed)} for seed in range(3)]
    options = Options(arithmetic=Arithmetic.FIXED, privacy=Privacy(private_weights=True))
    made = check(model_of(nodes, samples[0], ["y"], constants), samples, 0.01, options)
    assert TensorDepthwise in kinds(made)


@pytest.mark.parametrize(
    ("size", "kernel", "attributes"),
    [
        ((7, 9), (3, 3), {"pads": [1] * 4}), ((12, 13), (7, 7), {"pads": [3] * 4, "strides": [2, 2]}),
        ((9, 9), (2, 2), {"strides": [2, 2]}),
        ((20, 20), (4, 11), {"strides": [3, 2], "dilations": [2, 1]}), ((40,), (9,), {"pads": [4, 4], "strides": [2], "dilations": [3]}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("samples", [2, 3])
def test_windows_stay_within_a_sample(size: tuple[int, ...], kernel: tuple[int, ...], attributes: dict[str, Any], samples: int) -> None:
    plain, windowed = layers_of(size, 2, 2, kernel, samples=samples, **attributes)
    assert windowed.windowed is not None
    assert windowed.windowed.blocks % 2 == 0
    same(plain, windowed, samples * 2 * int(np.prod(size)), samples)


def test_a_proof() -> None:
    made = network(LENET, (SAMPLES, 1, 14, 14), LENET_WEIGHTS)
    words = made.model.quantize([normal(SAMPLES, 1, 14, 14)])[0]
    execution, _ = prove_and_verify(load_image(made.model.elf), made.model.stdin(words))
    assert execution.exit_code == 0
