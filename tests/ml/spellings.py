"""Pairs of models that say the same: an operator, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import parser

from tests.ml.models import Array, model_of, normal

Nodes = Sequence[str | onnx.NodeProto]


@dataclass(frozen=True)
class Pair:
    """An operator and its decomposition.

    Attributes:
        name: of the pair.
        operator, written_out: nodes, in the text form of ONNX, from ``x`` to ``y``.
        shape: of ``x``.
        constants: of both.
        scale: of the inputs, which are normal unless ``draw`` makes them.
        opset: of both.
        rows: whether the first axis counts independent rows.
        tolerance: what the spellings may differ by in floats, relative to the range.
    """

    name: str
    operator: Nodes
    written_out: Nodes
    shape: tuple[int, ...] = (6, 8)
    constants: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    draw: Callable[[int], Array] | None = None
    opset: int = 18
    rows: bool = True
    tolerance: float = 1e-5

    def samples(self, count: int, first: int = 0) -> list[dict[str, Array]]:
        """Inputs, always the same."""
        made = self.draw or (lambda seed: normal(*self.shape, seed=seed, scale=self.scale))
        return [{"x": made(first + index)} for index in range(count)]

    def model(self, nodes: Nodes) -> onnx.ModelProto:
        """One of the spellings."""
        protos = [parser.parse_node(node) if isinstance(node, str) else node for node in nodes]
        read = {name for proto in protos for name in proto.input}
        read |= {name for proto in protos for part in proto.attribute for inner in part.g.node for name in inner.input}
        constants = {name: array for name, array in (COMMON | dict(self.constants)).items() if name in read}
        return model_of(protos, self.samples(1)[0], ["y"], constants, opset=self.opset, domains=sorted({p.domain for p in protos} - {""}))


def floats(*numbers: float) -> Array:
    """A small constant."""
    return np.array(numbers, np.float32)


COMMON = {
    "one": floats(1), "two": floats(2), "half": floats(0.5), "three": floats(3), "six": floats(6), "eps": floats(1e-5), "zero": floats(0),
    "last": np.array([-1], np.int64), "root2": floats(2**0.5), "minus1": floats(-1),
    "g": floats(1, 0.5, 2, -1, 0.1, 1, 1.5, 0.7), "b": floats(0, 1, -1, 0.5, 2, 0, 0.3, -0.2),
}  # fmt: skip
"""Constants that many pairs share; a model has those that it reads."""
MOMENTS = (
    "m = ReduceMean(x, last)",
    "d = Sub(x, m)",
    "s = Mul(d, d)",
    "v = ReduceMean(s, last)",
    "w = Add(v, eps)",
    "r = Sqrt(w)",
    "n = Div(d, r)",
)
NORMALISATION = [
    Pair("LayerNormalization", ["y = LayerNormalization<axis=-1, epsilon=1e-5>(x, g, b)"], [*MOMENTS, "h = Mul(n, g)", "y = Add(h, b)"]),
    Pair(
        "RMSNormalization",
        ["y = RMSNormalization<axis=-1, epsilon=1e-5>(x, g)"],
        ["s = Pow(x, two)", "v = ReduceMean(s, last)", "w = Add(v, eps)", "r = Sqrt(w)", "i = Reciprocal(r)", "n = Mul(x, i)",
            "y = Mul(n, g)"],
        opset=23,
    ),
    Pair(
        "BatchNormalization",
        ["y = BatchNormalization<epsilon=1e-5>(x, bg, bb, bm, bv)"],
        ["d = Sub(x, bm)", "w = Add(bv, eps)", "r = Sqrt(w)", "n = Div(d, r)", "h = Mul(n, bg)", "y = Add(h, bb)"],
        constants={"bg": floats(1, 2, 0.5), "bb": floats(0, 1, -1), "bm": floats(0.1, -0.3, 2), "bv": floats(1, 0.2, 9)},
        shape=(4, 3),
    ),
    Pair(
        "InstanceNormalization",
        ["y = InstanceNormalization<epsilon=1e-5>(x, ig, ib)"],
        [
            "m = ReduceMean(x, plane)", "d = Sub(x, m)", "s = Mul(d, d)", "v = ReduceMean(s, plane)", "w = Add(v, eps)", "r = Sqrt(w)",
            "n = Div(d, r)", "ic = Reshape(ig, channel)", "jc = Reshape(ib, channel)", "h = Mul(n, ic)", "y = Add(h, jc)",
        ],
        constants={"ig": floats(1, 2), "ib": floats(0, -1), "plane": np.array([2, 3]), "channel": np.array([1, 2, 1, 1])},
        shape=(2, 2, 4, 4),
    ),
    Pair(
        "GroupNormalization",
        ["y = GroupNormalization<epsilon=1e-5, num_groups=2>(x, gg, gb)"],
        [
            "q = Reshape(x, grouped)", "m = ReduceMean(q, last)", "d = Sub(q, m)", "s = Mul(d, d)", "v = ReduceMean(s, last)",
            "w = Add(v, eps)",
            "r = Sqrt(w)", "n = Div(d, r)", "p = Reshape(n, whole)", "gc = Reshape(gg, channel)", "gd = Reshape(gb, channel)",
            "h = Mul(p, gc)", "y = Add(h, gd)",
        ],
        constants={
            "gg": floats(1, 2, 0.5, 1), "gb": floats(0, -1, 1, 0), "grouped": np.array([2, 2, 18]), "whole": np.array([2, 4, 3, 3]),
            "channel": np.array([1, 4, 1, 1]),
        },
        shape=(2, 4, 3, 3),
        opset=21,
    ),
    Pair(
        "LpNormalization",
        ["y = LpNormalization<axis=-1, p=2>(x)"],
        ["s = Mul(x, x)", "t = ReduceSum(s, last)", "r = Sqrt(t)", "y = Div(x, r)"],
    ),
]  # fmt: skip
STABLE = ("m = ReduceMax(x, last)", "d = Sub(x, m)", "e = Exp(d)", "s = ReduceSum(e, last)")
SOFTMAX = [
    Pair("Softmax", ["y = Softmax<axis=-1>(x)"], [*STABLE, "y = Div(e, s)"], scale=3),
    Pair("Softmax without the largest", ["y = Softmax<axis=-1>(x)"], ["e = Exp(x)", "s = ReduceSum(e, last)", "y = Div(e, s)"], scale=2),
    Pair("Softmax of 13 and of 11", ["y = Softmax<axis=-1>(x)"], ["l = LogSoftmax<axis=-1>(x)", "y = Exp(l)"], scale=3),
    Pair("LogSoftmax", ["y = LogSoftmax<axis=-1>(x)"], [*STABLE, "l = Log(s)", "y = Sub(d, l)"], scale=3),
    Pair("ReduceLogSumExp", ["y = ReduceLogSumExp(x, last)"], [*STABLE, "l = Log(s)", "y = Add(l, m)"], scale=3),
    Pair("ReduceLogSum", ["p = Exp(x)", "y = ReduceLogSum(p, last)"], ["p = Exp(x)", "s = ReduceSum(p, last)", "y = Log(s)"]),
    Pair("ReduceL2", ["y = ReduceL2(x, last)"], ["s = Mul(x, x)", "t = ReduceSum(s, last)", "y = Sqrt(t)"]),
    Pair("ReduceL1", ["y = ReduceL1(x, last)"], ["a = Abs(x)", "y = ReduceSum(a, last)"]),
    Pair("ReduceSumSquare", ["y = ReduceSumSquare(x, last)"], ["s = Pow(x, two)", "y = ReduceSum(s, last)"]),
    Pair("ReduceMean", ["y = ReduceMean(x, last)"], ["s = ReduceSum(x, last)", "y = Div(s, eight)"], constants={"eight": floats(8)}),
    Pair("ReduceMin", ["y = ReduceMin(x, last)"], ["n = Neg(x)", "s = ReduceMax(n, last)", "y = Neg(s)"]),
]
ELEMENTS = [
    Pair("Sigmoid", ["y = Sigmoid(x)"], ["n = Neg(x)", "e = Exp(n)", "a = Add(one, e)", "y = Div(one, a)"], scale=3),
    Pair("SiLU", ["s = Sigmoid(x)", "y = Mul(x, s)"], ["n = Neg(x)", "e = Exp(n)", "a = Add(e, one)", "y = Div(x, a)"], scale=3),
    Pair("Swish", ["y = Swish(x)"], ["s = Sigmoid(x)", "y = Mul(x, s)"], scale=3, opset=24),
    Pair("Softplus", ["y = Softplus(x)"], ["e = Exp(x)", "a = Add(e, one)", "y = Log(a)"], scale=3),
    Pair("Tanh", ["y = Tanh(x)"], ["d = Mul(x, two)", "e = Exp(d)", "a = Sub(e, one)", "c = Add(e, one)", "y = Div(a, c)"]),
    Pair("Tanh by Sigmoid", ["y = Tanh(x)"], ["d = Mul(x, two)", "e = Sigmoid(d)", "a = Mul(e, two)", "y = Sub(a, one)"]),
    Pair(
        "Gelu",
        ["y = Gelu(x)"],
        ["q = Div(x, root2)", "e = Erf(q)", "a = Add(e, one)", "p = Mul(x, a)", "y = Mul(p, half)"],
        scale=2,
        opset=20,
    ),
    Pair(
        "Gelu by Tanh",
        ['y = Gelu<approximate="tanh">(x)'],
        [
            "q = Pow(x, three)", "c = Mul(q, cubic)", "i = Add(x, c)", "j = Mul(i, root)", "t = Tanh(j)", "a = Add(t, one)",
            "p = Mul(x, a)", "y = Mul(p, half)",
        ],
        constants={"cubic": floats(0.044715), "root": floats((2 / np.pi) ** 0.5)},
        scale=2,
        opset=20,
    ),
    Pair("HardSwish", ["y = HardSwish(x)"], ["a = Add(x, three)", "c = Clip(a, low, high)", "p = Mul(x, c)", "y = Div(p, six)"],
         constants={"low": np.float32(0), "high": np.float32(6)}, scale=3),
    Pair("HardSigmoid", ["y = HardSigmoid<alpha=0.5, beta=0.5>(x)"], ["p = Mul(x, half)", "a = Add(p, half)", "m = Max(a, zero)",
        "y = Min(m, one)"]),
    Pair("Mish", ["y = Mish(x)"], ["s = Softplus(x)", "t = Tanh(s)", "y = Mul(x, t)"], scale=3),
    Pair("Elu", ["y = Elu<alpha=1.0>(x)"], ["e = Exp(x)", "a = Sub(e, one)", "c = Greater(x, zero)", "y = Where(c, x, a)"]),
    Pair("Selu", ["y = Selu<alpha=2.0, gamma=0.5>(x)"], ["e = Elu<alpha=2.0>(x)", "y = Mul(e, half)"]),
    Pair("Celu", ["y = Celu<alpha=2.0>(x)"], ["q = Div(x, two)", "e = Elu<alpha=1.0>(q)", "p = Mul(e, two)", "m = Min(p, zero)",
        "r = Relu(x)", "y = Add(r, m)"]),
    Pair("LeakyRelu", ["y = LeakyRelu<alpha=0.5>(x)"], ["p = Mul(x, half)", "y = Max(x, p)"]),
    Pair("PRelu", ["y = PRelu(x, g)"], ["r = Relu(x)", "n = Neg(x)", "q = Relu(n)", "p = Mul(q, g)", "y = Sub(r, p)"]),
    Pair("ThresholdedRelu", ["y = ThresholdedRelu<alpha=0.5>(x)"], ["c = Greater(x, half)", "y = Where(c, x, zero)"]),
    Pair("Softsign", ["y = Softsign(x)"], ["a = Abs(x)", "d = Add(a, one)", "y = Div(x, d)"]),
    Pair("Relu", ["y = Relu(x)"], ["y = Max(x, zero)"]),
    Pair("Abs", ["y = Abs(x)"], ["n = Neg(x)", "y = Max(x, n)"]),
    Pair("Clip", ["y = Clip(x, low, high)"], ["m = Max(x, low)", "y = Min(m, high)"],
        constants={"low": np.float32(-0.5), "high": np.float32(1)}),
    Pair("Sqrt", ["a = Abs(x)", "y = Sqrt(a)"], ["a = Abs(x)", "y = Pow(a, half)"]),
    Pair("Pow", ["y = Pow(x, three)"], ["s = Mul(x, x)", "y = Mul(s, x)"]),
    Pair("Reciprocal", ["a = Abs(x)", "p = Add(a, half)", "y = Reciprocal(p)"], ["a = Abs(x)", "p = Add(a, half)", "y = Div(one, p)"]),
    Pair("Sum", ["y = Sum(x, g, b)"], ["a = Add(x, g)", "y = Add(a, b)"]),
    Pair("Mean", ["y = Mean(x, g, b)"], ["a = Add(x, g)", "s = Add(a, b)", "y = Div(s, three)"]),
    Pair("Mod", ["y = Mod<fmod=1>(x, half)"], ["q = Div(x, half)", "a = Abs(q)", "f = Floor(a)", "s = Sign(q)", "t = Mul(f, s)",
        "p = Mul(t, half)", "y = Sub(x, p)"]),
]  # fmt: skip
