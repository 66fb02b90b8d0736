"""Trains a perceptron 784-56-10 and a LeNet-5 on handwritten digits, and writes them as ONNX files.

Data: the 10,000 test images of MNIST (Y. LeCun, C. Cortes, C. Burges), idx files, gzip. The first part trains, the rest is for
measuring. Plain numpy: convolutions as matrix products over unfolded windows, Adam, a fixed seed.
"""

from __future__ import annotations

import argparse
import gzip
import os
from collections.abc import Callable
from pathlib import Path

# The products are small: several threads mostly wait for each other, and add up in another order on every machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Floats = NDArray[np.float32]
Parameters = dict[str, Floats]
TRAINING_IMAGES = 8000
BATCH = 64
SEED = 0
SHIFT = 2
"""Training images are moved by up to so many pixels."""


def load_mnist(folder: Path) -> tuple[Floats, NDArray[np.int64]]:
    """Images (n, 1, 28, 28) in [0, 1] and labels (n,)."""
    images = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28).astype(np.float32) / np.float32(255)
    return np.asarray(pixels, np.float32), np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def initial(random: np.random.Generator, shapes: dict[str, tuple[int, ...]]) -> Parameters:
    """He initialisation of weights; biases are 0."""
    parameters = {}
    for name, shape in shapes.items():
        spread = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.0
        parameters[name] = (random.standard_normal(shape) * spread).astype(np.float32)
    return parameters


PERCEPTRON = {"w1": (56, 784), "b1": (56,), "w2": (10, 56), "b2": (10,)}
LENET = {
    "k1": (6, 1, 5, 5), "c1": (6,), "k2": (16, 6, 5, 5), "c2": (16,),
    "w1": (120, 400), "b1": (120,), "w2": (84, 120), "b2": (84,), "w3": (10, 84), "b3": (10,),
}  # fmt: skip


def unfold(x: Floats, size: int) -> Floats:
    """(n, c, h, w) -> windows (n, h', w', c * size * size)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    n, c, h, w = windows.shape[:4]
    return np.ascontiguousarray(windows.transpose(0, 2, 3, 1, 4, 5)).reshape(n, h, w, c * size * size)


def convolve(x: Floats, kernel: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """The result (n, channels, h', w') and the windows, for the gradient."""
    windows = unfold(x, kernel.shape[2])
    result = windows @ kernel.reshape(len(kernel), -1).T + bias
    return np.ascontiguousarray(result.transpose(0, 3, 1, 2)), windows


def convolve_back(gradient: Floats, windows: Floats, kernel: Floats, shape: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:
    """Gradients of input, kernel and bias."""
    rows = gradient.transpose(0, 2, 3, 1)
    flat = rows.reshape(-1, len(kernel))
    kernel_gradient = (flat.T @ windows.reshape(len(flat), -1)).reshape(kernel.shape)
    spread = (rows @ kernel.reshape(len(kernel), -1)).reshape(*rows.shape[:3], *kernel.shape[1:])
    result = np.zeros(shape, np.float32)
    height, width = rows.shape[1:3]
    for i in range(kernel.shape[2]):
        for j in range(kernel.shape[3]):
            result[:, :, i : i + height, j : j + width] += spread[..., i, j].transpose(0, 3, 1, 2)
    return result, kernel_gradient, flat.sum(axis=0)


def pool(x: Floats) -> tuple[Floats, Floats]:
    """Maxima of 2 x 2 blocks, and where they are (as 0 or 1, shared between equals)."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
    result = blocks.max(axis=(3, 5))
    chosen = (blocks == result[:, :, :, None, :, None]).astype(np.float32)
    return result, chosen / chosen.sum(axis=(3, 5), keepdims=True)


def pool_back(gradient: Floats, chosen: Floats) -> Floats:
    """Gradient of the input of :func:`pool`."""
    n, c, h, _, w, _ = chosen.shape
    return (chosen * gradient[:, :, :, None, :, None]).reshape(n, c, 2 * h, 2 * w)


def softmax_gradient(logits: Floats, labels: NDArray[np.int64]) -> Floats:
    """Gradient of the mean cross-entropy."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient = shifted / shifted.sum(axis=1, keepdims=True)
    gradient[np.arange(len(labels)), labels] -= 1
    return np.asarray(gradient / len(labels), np.float32)


def dense_layers(p: Parameters, x: Floats, names: list[tuple[str, str]]) -> list[Floats]:
    """Inputs of every dense layer, and the logits; ReLU between layers."""
    values = [x]
    for index, (weight, bias) in enumerate(names):
        y = values[-1] @ p[weight].T + p[bias]
        values.append(y if index == len(names) - 1 else np.maximum(y, 0))
    return values


def dense_back(p: Parameters, values: list[Floats], gradient: Floats, names: list[tuple[str, str]]) -> tuple[Floats, Parameters]:
    """Gradients of the first input and of all parameters."""
    gradients: Parameters = {}
    for index in reversed(range(len(names))):
        weight, bias = names[index]
        gradients[weight], gradients[bias] = gradient.T @ values[index], gradient.sum(axis=0)
        gradient = gradient @ p[weight]
        if index:
            gradient = gradient * (values[index] > 0)
    return gradient, gradients


def perceptron_gradients(p: Parameters, x: Floats, labels: NDArray[np.int64]) -> Parameters:
    """Of all parameters of the perceptron."""
    names = [("w1", "b1"), ("w2", "b2")]
    values = dense_layers(p, x.reshape(len(x), -1), names)
    return dense_back(p, values, softmax_gradient(values[-1], labels), names)[1]


LENET_DENSE = [("w1", "b1"), ("w2", "b2"), ("w3", "b3")]


def lenet_gradients(p: Parameters, x: Floats, labels: NDArray[np.int64]) -> Parameters:
    """Of all parameters of the LeNet."""
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    first, windows1 = convolve(padded, p["k1"], p["c1"])
    pooled1, chosen1 = pool(np.maximum(first, 0))
    second, windows2 = convolve(pooled1, p["k2"], p["c2"])
    pooled2, chosen2 = pool(np.maximum(second, 0))
    values = dense_layers(p, pooled2.reshape(len(x), -1), LENET_DENSE)
    gradient, gradients = dense_back(p, values, softmax_gradient(values[-1], labels), LENET_DENSE)
    back = pool_back(gradient.reshape(pooled2.shape), chosen2) * (second > 0)
    back, gradients["k2"], gradients["c2"] = convolve_back(back, windows2, p["k2"], pooled1.shape)
    back = pool_back(back, chosen1) * (first > 0)
    _, gradients["k1"], gradients["c1"] = convolve_back(back, windows1, p["k1"], padded.shape)
    return gradients


Gradients = Callable[[Parameters, Floats, NDArray[np.int64]], Parameters]


def train(shapes: dict[str, tuple[int, ...]], gradients: Gradients, images: Floats, labels: NDArray[np.int64], epochs: int) -> Parameters:
    """Adam with a falling step."""
    random = np.random.default_rng(SEED)
    parameters = initial(random, shapes)
    first = {name: np.zeros_like(value) for name, value in parameters.items()}
    second = {name: np.zeros_like(value) for name, value in parameters.items()}
    steps, total = 0, epochs * (len(images) // BATCH)
    for _ in range(epochs):
        order = random.permutation(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            moved = np.roll(images[chosen], tuple(random.integers(-SHIFT, SHIFT + 1, 2)), axis=(2, 3))
            steps += 1
            rate = 2e-3 * (1 - steps / (total + 1))
            for name, gradient in gradients(parameters, moved, labels[chosen]).items():
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.999 * second[name] + 0.001 * gradient**2
                step = first[name] / (1 - 0.9**steps) / (np.sqrt(second[name] / (1 - 0.999**steps)) + 1e-8)
                parameters[name] = (parameters[name] - rate * step).astype(np.float32)
    return parameters


def export(path: Path, parameters: Parameters, nodes: list[onnx.NodeProto]) -> None:
    """Write an ONNX file with input (1, 1, 28, 28) and logits (1, 10)."""
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value, name) for name, value in parameters.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def dense_nodes(source: str, names: list[tuple[str, str]]) -> list[onnx.NodeProto]:
    """Gemm and Relu nodes from ``source`` to ``logits``."""
    nodes = []
    for index, (weight, bias) in enumerate(names):
        last = index == len(names) - 1
        target = "logits" if last else f"dense{index}"
        nodes.append(helper.make_node("Gemm", [source, weight, bias], [target], name=f"gemm{index}", transB=1))
        if not last:
            source = f"hidden{index}"
            nodes.append(helper.make_node("Relu", [target], [source], name=f"relu{index}"))
    return nodes


def lenet_nodes() -> list[onnx.NodeProto]:
    """Two convolutions with ReLU and maxima, then three dense layers."""
    nodes, source = [], "image"
    for index, (kernel, bias, pad) in enumerate((("k1", "c1", 2), ("k2", "c2", 0))):
        pads = [pad] * 4
        nodes += [
            helper.make_node("Conv", [source, kernel, bias], [f"conv{index}"], name=f"conv{index}", kernel_shape=[5, 5], pads=pads),
            helper.make_node("Relu", [f"conv{index}"], [f"active{index}"], name=f"active{index}"),
            helper.make_node("MaxPool", [f"active{index}"], [f"pool{index}"], name=f"pool{index}", kernel_shape=[2, 2], strides=[2, 2]),
        ]
        source = f"pool{index}"
    return [*nodes, helper.make_node("Flatten", [source], ["flat"], name="flatten"), *dense_nodes("flat", LENET_DENSE)]


def main() -> None:
    """Train both, write ``perceptron.onnx``, ``lenet5.onnx`` and ``calibration.npy`` (training images)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the idx files")
    parser.add_argument("output", type=Path, help="folder for the models")
    parser.add_argument("--epochs", type=int, default=15)
    arguments = parser.parse_args()
    images, labels = load_mnist(arguments.data)
    arguments.output.mkdir(parents=True, exist_ok=True)
    part = slice(0, TRAINING_IMAGES)
    perceptron = train(PERCEPTRON, perceptron_gradients, images[part], labels[part], arguments.epochs)
    flatten = helper.make_node("Flatten", ["image"], ["flat"], name="flatten")
    export(arguments.output / "perceptron.onnx", perceptron, [flatten, *dense_nodes("flat", [("w1", "b1"), ("w2", "b2")])])
    lenet = train(LENET, lenet_gradients, images[part], labels[part], arguments.epochs)
    export(arguments.output / "lenet5.onnx", lenet, lenet_nodes())
    np.save(arguments.output / "calibration.npy", images[:200])


if __name__ == "__main__":
    main()
