"""Transposed convolutions as layers of tensor calls: every phase has its taps, bit for bit, within the float model's error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ml.models import check, model_of, normal
from tests.ml.test_depthwise import kinds
from tests.ml.test_tensor_networks import calls, network, node, weights
from zkvm.ml.codegen import Privacy
from zkvm.ml.compiler import Arithmetic, Options
from zkvm.ml.operations.tensors import TensorLinear

KERNELS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 4, 9, 9), (4, 6, 2, 2), {"strides": [2, 2]}),
    ((1, 4, 7, 9), (4, 6, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    ((1, 6, 7, 7), (6, 5, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((1, 6, 8, 8), (6, 5, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((1, 4, 6, 7), (4, 4, 3, 2), {"strides": [3, 2], "dilations": [2, 3]}),
    ((1, 4, 6, 7), (4, 4, 2, 3), {"strides": [3, 1], "auto_pad": "SAME_LOWER"}),
    ((1, 4, 6, 6), (4, 4, 5, 5), {"strides": [2, 2], "output_shape": [12, 13]}),
    ((1, 8, 7, 7), (8, 3, 3, 3), {"strides": [2, 2], "group": 4, "pads": [0, 1, 1, 0]}),
    ((3, 6, 7, 5), (6, 5, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((1, 8, 30), (8, 6, 5), {"strides": [3], "pads": [2, 1]}),
    ((1, 3, 5, 5, 5), (3, 8, 2, 2, 2), {"strides": [2, 2, 2]}),
]


@pytest.mark.parametrize(("shape", "kernel", "attributes"), KERNELS)
def test_kernels(shape: tuple[int, ...], kernel: tuple[int, ...], attributes: dict[str, Any]) -> None:
    channels = kernel[1] * attributes.get("group", 1)
    made = network(
        [node("ConvTranspose", "x w b", "h", **attributes), node("Relu", "h", "y")],
        shape,
        {"w": weights(*kernel), "b": weights(channels)},
    )
    assert calls(made)[-1] is TensorLinear


def test_a_generator() -> None:
    """A dense layer, two transposed convolutions, a function: all of it in calls, also if the results are looked at."""
    nodes = [
        node("Gemm", "x w0 b0", "h0"), node("Relu", "h0", "r0"), node("Reshape", "r0 shape", "i"),
        node("ConvTranspose", "i w1 b1", "h1", strides=[2, 2], pads=[1] * 4), node("Relu", "h1", "r1"),
        node("ConvTranspose", "r1 w2 b2", "h2", strides=[2, 2], pads=[1] * 4), node("Tanh", "h2", "y"),
    ]  # fmt: skip
    constants = {
        "w0": weights(10, 16 * 16), "b0": weights(256, seed=1), "w1": weights(16, 8, 4, 4, seed=2), "b1": weights(8, seed=3),
        "w2": weights(8, 1, 4, 4, seed=4), "b2": weights(1, seed=5), "shape": np.array([1, 16, 4, 4]),
    }  # fmt: skip
    made = network(nodes, (1, 10), constants, tolerance=0.005)
    assert kinds(made).count(TensorLinear) == 3


def test_private_weights() -> None:
    """The program has the shape of the kernel alone."""
    nodes = [node("ConvTranspose", "x w b", "h", strides=[2, 2]), node("Relu", "h", "r"), node("Conv", "r w2", "y")]
    constants = {"w": weights(4, 6, 3, 3), "b": weights(6), "w2": weights(8, 6, 3, 3, seed=1)}
    samples = [{"x": normal(1, 4, 9, 9, seed=seed)} for seed in range(3)]
    options = Options(arithmetic=Arithmetic.FIXED, privacy=Privacy(private_weights=True))
    made = check(model_of(nodes, samples[0], ["y"], constants), samples, 0.01, options)
    assert kinds(made).count(TensorLinear) == 2
