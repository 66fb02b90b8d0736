"""Small networks with all that private models have in tensor calls; weights follow from a seed and a size, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.ml.models import Array, model_of, normal
from zkvm.ml.samples import Sample

Made = tuple[onnx.ModelProto, list[Sample]]


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), output.split(), name=f"{operator}_{output.split()[0]}", **attributes)


class Weights(dict[str, Array]):
    """Constants by name."""

    def __init__(self, seed: int, size: float) -> None:
        super().__init__()
        self.random, self.size = np.random.default_rng(seed), size

    def drawn(self, **shapes: tuple[int, ...]) -> None:
        for name, shape in shapes.items():
            scale = self.size / max(1.0, np.sqrt(np.prod(shape[1:])))
            self[name] = (self.random.standard_normal(shape) * scale).astype(np.float32)

    def positive(self, **shapes: tuple[int, ...]) -> None:
        for name, shape in shapes.items():
            self[name] = (self.random.uniform(0.5, 1.5, shape) * self.size).astype(np.float32)

    def bounds(self, low: str, high: str) -> None:
        first, width = self.random.normal() * 0.3, self.random.uniform(1, 2)
        self[low], self[high] = np.array(first * self.size, np.float32), np.array((first + width) * self.size, np.float32)


def inverted(seed: int, size: float) -> Made:
    """A block of MobileNet's kind: 1 x 1, depthwise with stride 1 and with stride 2, both behind a Clip, and a sum with what came in."""
    weights = Weights(seed, size)
    weights.drawn(a=(24, 8, 1, 1), ab=(24,), d=(24, 1, 3, 3), db=(24,), p=(8, 24, 1, 1), e=(8, 1, 3, 3), w=(8, 10), wb=(10,))
    weights.bounds("l1", "h1")
    weights.bounds("l2", "h2")
    nodes = [
        node("Conv", "x a ab", "h"), node("Clip", "h l1 h1", "r"), node("Conv", "r d db", "g", pads=[1] * 4, group=24),
        node("Clip", "g l2 h2", "q"), node("Conv", "q p", "o"), node("Add", "x o", "s"), node("Conv", "s e", "t", group=8, strides=[2, 2]),
        node("Clip", "t l1 h1", "u"), node("MaxPool", "u", "v", kernel_shape=[2, 2]), node("GlobalAveragePool", "v", "m"),
        node("Flatten", "m", "f"), node("Gemm", "f w wb", "y"),
    ]  # fmt: skip
    samples: list[Sample] = [{"x": normal(1, 8, 11, 11, seed=number)} for number in range(4)]
    return model_of(nodes, samples[0], ["y"], weights), samples


def expanding(seed: int, size: float) -> Made:
    """The same with a Relu, whose zeros the layer before makes."""
    weights = Weights(seed, size)
    weights.drawn(a=(4, 3, 1, 1), ab=(4,), b=(24, 4, 1, 1), bb=(24,), d=(24, 1, 3, 3), db=(24,), p=(4, 24, 1, 1), w=(4, 10))
    nodes = [
        node("Conv", "x a ab", "h"), node("Relu", "h", "r"), node("Conv", "r b bb", "g"), node("Relu", "g", "q"),
        node("Conv", "q d db", "t", pads=[1] * 4, group=24), node("Relu", "t", "u"), node("Conv", "u p", "o"),
        node("GlobalAveragePool", "o", "m"), node("Flatten", "m", "f"), node("Gemm", "f w", "y"),
    ]  # fmt: skip
    samples: list[Sample] = [{"x": normal(1, 3, 14, 14, seed=number)} for number in range(4)]
    return model_of(nodes, samples[0], ["y"], weights), samples


def residual(seed: int, size: float) -> Made:
    """Convolutions with BatchNormalization, and sums of their results."""
    weights = Weights(seed, size)
    weights.drawn(a=(6, 3, 3, 3), b=(6, 6, 3, 3), s=(6, 3, 1, 1), am=(6,), ab=(6,), bm=(6,), bb=(6,), w=(6, 5))
    weights.positive(ag=(6,), av=(6,), bg=(6,), bv=(6,))
    nodes = [
        node("Conv", "x a", "h", pads=[1] * 4), node("BatchNormalization", "h ag ab am av", "n"), node("Relu", "n", "r"),
        node("Conv", "r b", "h2", pads=[1] * 4), node("BatchNormalization", "h2 bg bb bm bv", "n2"), node("Conv", "x s", "sx"),
        node("Add", "n2 sx", "z"), node("Relu", "z", "r2"), node("Sub", "r2 r", "t"), node("Concat", "t r2", "c", axis=1),
        node("GlobalAveragePool", "c", "m"), node("Flatten", "m", "f"), node("Slice", "f from to ax", "g"), node("Gemm", "g w", "y"),
    ]  # fmt: skip
    places = {"from": np.array([3]), "to": np.array([9]), "ax": np.array([1])}
    samples: list[Sample] = [{"x": normal(1, 3, 10, 10, seed=number)} for number in range(4)]
    return model_of(nodes, samples[0], ["y"], {**weights, **places}), samples


TOKENS, HEADS, WIDTH = 11, 2, 8


def transformer(seed: int, size: float, chosen: bool = False) -> Made:
    """Attention with a mask, which is added or chosen, normalisation in front and behind, and Gelu."""
    width, weights = HEADS * WIDTH, Weights(seed, size)
    weights.drawn(
        wq=(width, width), wk=(width, width), wv=(width, width), wo=(width, width), up=(width, 3 * width), down=(3 * width, width),
        o1=(width,), o2=(width,),
    )  # fmt: skip
    weights.positive(g1=(width,), root=(1,))
    weights["g2"] = (weights.random.standard_normal(width) * size).astype(np.float32)
    weights["never"] = np.array(-np.inf, np.float32)
    weights["mask"] = np.triu(np.full((TOKENS, TOKENS), -1e9, np.float32), 1)
    turned = {"q": [0, 2, 1, 3], "k": [0, 2, 3, 1], "v": [0, 2, 1, 3]}
    nodes = [node("LayerNormalization", "x g1 o1", "n")]
    for name, order in turned.items():
        nodes += [node("MatMul", f"n w{name}", f"{name}p"), node("Reshape", f"{name}p split", f"{name}s"),
                  node("Transpose", f"{name}s", name, perm=order)]  # fmt: skip
    nodes += [
        node("MatMul", "q k", "s"), node("Div", "s root", "d"),
        node("Where", "seen d never", "m") if chosen else node("Add", "d mask", "m"), node("Softmax", "m", "p", axis=-1),
        node("MatMul", "p v", "a"), node("Transpose", "a", "at", perm=[0, 2, 1, 3]), node("Reshape", "at whole", "aw"),
        node("MatMul", "aw wo", "ao"), node("Add", "x ao", "h"), node("RMSNormalization", "h g2", "l"), node("MatMul", "l up", "u"),
        node("Gelu", "u", "g"), node("MatMul", "g down", "e"), node("Add", "h e", "b"), node("LayerNormalization", "b g2 o2", "y"),
    ]  # fmt: skip
    shapes = {"split": np.array([1, TOKENS, HEADS, WIDTH]), "whole": np.array([1, TOKENS, width]), "seen": weights["mask"] == 0}
    samples: list[Sample] = [{"x": normal(1, TOKENS, width, seed=number)} for number in range(4)]
    return model_of(nodes, samples[0], ["y"], {**weights, **shapes}, opset=23), samples


def gated(seed: int, size: float) -> Made:
    """Functions, products of tensors, and constants that are added, subtracted, multiplied with and divided by."""
    weights = Weights(seed, size)
    weights.drawn(w=(24, 32), v=(24, 32), mean=(1, 24), shift=(32,), last=(32, 6))
    weights.positive(deviation=(1, 24), gain=(32,))
    weights.bounds("low", "high")
    weights["number"] = np.array(-0.7 * size, np.float32)
    nodes = [
        node("Sub", "x mean", "c"), node("Div", "c deviation", "n"), node("MatMul", "n w", "a"), node("MatMul", "n v", "b"),
        node("Sigmoid", "a", "s"), node("Mul", "b s", "g"), node("Tanh", "g", "t"), node("Mul", "t gain", "k"), node("Add", "k shift", "l"),
        node("LeakyRelu", "l", "r", alpha=0.1), node("HardSwish", "r", "h"), node("Mul", "number h", "o"), node("Sub", "number o", "q"),
        node("Clip", "q low high", "cut"), node("Neg", "cut", "opposite"),
        node("Erf", "q", "e"), node("MatMul", "e last", "z"), node("Softmax", "z", "y", axis=-1),
    ]  # fmt: skip
    samples: list[Sample] = [{"x": normal(5, 24, seed=number)} for number in range(4)]
    return model_of(nodes, samples[0], ["y", "g", "opposite"], weights), samples


NETWORKS: dict[str, Callable[[int, float], Made]] = {
    "inverted": inverted, "expanding": expanding, "residual": residual, "transformer": transformer, "gated": gated,
    "chosen": partial(transformer, chosen=True),
}  # fmt: skip
