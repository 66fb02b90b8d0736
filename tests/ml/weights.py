"""Models of one architecture with other weights: every operator behind a product with weights, and what takes weights itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.ml import networks
from tests.ml.models import Array, model_of, normal, positive
from tests.ml.test_operators import CASES
from zkvm.ml.samples import Sample

Family = Callable[["Draw"], tuple[onnx.ModelProto, list[Sample]]]
"""A model of one architecture for a way to draw weights, and its calibration data, which are the same for all."""
OUTPUTS = {"RNN": 2, "GRU": 2, "LSTM": 3}
SETTLED = ("Resize", "Pow")
"""Operators whose real constants decide about shapes, or about where a function has values."""


class Draw:
    """Weights of one model: drawn from a seed, of a size, zeros and equal ones among them."""

    def __init__(self, seed: int, size: float = 1.0, degenerate: str = "") -> None:
        self.random = np.random.default_rng(seed)
        self.size, self.degenerate = size, degenerate

    def like(self, array: Array) -> Array:
        """Other real numbers: positive ones stay positive, because variances and scales are."""
        if not np.issubdtype(array.dtype, np.floating):
            return array
        above = bool((array > 0).all())
        if self.degenerate == "zeros" and not above:
            return np.zeros_like(array)
        if self.degenerate == "equal":
            return np.full_like(array, 0.5)
        drawn = self.random.uniform(0.2, 2, array.shape) if above else self.random.standard_normal(array.shape)
        return np.asarray(drawn * self.size, array.dtype)


DRAWS: dict[str, Callable[[], Draw]] = {
    "other": lambda: Draw(1),
    "small": lambda: Draw(2, 1 / 300),
    "large": lambda: Draw(3, 40.0),
    "equal": lambda: Draw(4, degenerate="equal"),
    "zeros": lambda: Draw(5, degenerate="zeros"),
}


def operator(number: int) -> Family:
    """A case of the operators' tests; its real inputs are products with weights."""
    name, inputs, constants, attributes = CASES[number]

    def family(draw: Draw) -> tuple[onnx.ModelProto, list[Sample]]:
        arrays = {key: np.asarray(array) for key, array in inputs.items()}
        nodes, weights, names = [], {}, []
        for key, array in arrays.items():
            if array.dtype != np.float32:
                names.append(key)
                continue
            nodes.append(helper.make_node("Mul", [key, f"w_{key}"], [f"p_{key}"], name=f"product_{key}"))
            weights[f"w_{key}"] = draw.like(positive(*array.shape))
            names.append(f"p_{key}")
        settled = name in SETTLED
        kept = {key: np.asarray(array) if settled else draw.like(np.asarray(array)) for key, array in constants.items()}
        if name == "Clip":
            kept["low"], kept["high"] = np.minimum(kept["low"], kept["high"]), np.maximum(kept["low"], kept["high"])
        outputs = [f"y{index}" for index in range(OUTPUTS.get(name, 1))]
        nodes.append(helper.make_node(name, [*names, *constants], outputs, name="node", **attributes))
        return model_of(nodes, arrays, outputs, kept | weights), [arrays]

    return family


def network(name: str) -> Family:
    """A network of the tests with other weights; of a quantized one the scales, zero points and integers are others."""

    def family(draw: Draw) -> tuple[onnx.ModelProto, list[Sample]]:
        model, samples = networks.NETWORKS[name]()
        sizes = {entry for node in model.graph.node if node.op_type == "Resize" for entry in node.input[1:]}
        for tensor in model.graph.initializer:
            array = numpy_helper.to_array(tensor)
            changed = draw.like(array)
            if array.dtype in (np.int8, np.uint8):
                info = np.iinfo(array.dtype)
                weight = np.asarray(draw.random.integers(info.min, info.max + 1, array.shape), array.dtype)
                changed = weight if array.size > 1 or array.dtype == np.uint8 else array
            if tensor.name not in sizes:
                tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
        return model, samples

    return family


def chain(nodes: Sequence[onnx.NodeProto], constants: dict[str, Any], width: int = 6, outputs: Sequence[str] = ("y",)) -> Family:
    """Nodes on an input ``x`` of real numbers; ``constants`` maps names to arrays that say which shape and sign weights have."""

    def family(draw: Draw) -> tuple[onnx.ModelProto, list[Sample]]:
        samples = [{"x": normal(1, width, seed=seed)} for seed in range(5)]
        return model_of(nodes, samples[0], outputs, {name: draw.like(np.asarray(array)) for name, array in constants.items()}), samples

    return family


def _node(name: str, *inputs: str, to: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(name, list(inputs), [to], name=f"{name}_{to}", **attributes)


def trees(classes: int) -> Family:
    """Two trees of one structure with other features, thresholds and leaves; of several classes as a classifier."""

    def family(draw: Draw) -> tuple[onnx.ModelProto, list[Sample]]:
        samples = [{"x": normal(1, 6, seed=seed)} for seed in range(5)]
        modes = ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"] * 2
        attributes = {
            "nodes_treeids": [0] * 5 + [1] * 5,
            "nodes_nodeids": [0, 1, 2, 3, 4] * 2,
            "nodes_featureids": draw.random.integers(0, 6, 10).tolist(),
            "nodes_values": draw.like(normal(10)).tolist(),
            "nodes_modes": modes,
            "nodes_truenodeids": [1, 2, 0, 0, 0] * 2,
            "nodes_falsenodeids": [4, 3, 0, 0, 0] * 2,
        }
        part = "class" if classes > 1 else "target"
        attributes |= {
            f"{part}_treeids": [0] * 3 + [1] * 3,
            f"{part}_nodeids": [2, 3, 4] * 2,
            f"{part}_ids": draw.random.integers(0, classes, 5).tolist() + [classes - 1],
            f"{part}_weights": draw.like(normal(6)).tolist(),
        }
        kind = "TreeEnsembleClassifier" if classes > 1 else "TreeEnsembleRegressor"
        attributes |= {"classlabels_int64s": list(range(classes))} if classes > 1 else {"n_targets": 1}
        outputs = ["label", "scores"] if classes > 1 else ["y"]
        node = helper.make_node(kind, ["x"], outputs, name="trees", domain="ai.onnx.ml", **attributes)
        return model_of([node], samples[0], outputs, domains=["ai.onnx.ml"]), samples

    return family


def linear_machine(kind: str) -> Family:
    """Linear models, support vectors and scalers of ai.onnx.ml."""

    def family(draw: Draw) -> tuple[onnx.ModelProto, list[Sample]]:
        samples = [{"x": normal(1, 4, seed=seed)} for seed in range(5)]

        def numbers(count: int) -> list[float]:
            return list(draw.like(normal(count)).tolist())

        def above(count: int) -> list[float]:
            return list(draw.like(positive(count)).tolist())

        choices: dict[str, dict[str, Any]] = {
            "LinearRegressor": {"coefficients": numbers(8), "intercepts": numbers(2), "targets": 2},
            "LinearClassifier": {
                "coefficients": numbers(12), "intercepts": numbers(3), "classlabels_ints": [0, 1, 2], "post_transform": "SOFTMAX",
            },
            "SVMRegressor": {
                "n_supports": 3, "support_vectors": numbers(12), "coefficients": numbers(3), "rho": numbers(1),
                "kernel_type": "RBF", "kernel_params": [*above(1), 0.0, 3.0],
            },
            "Scaler": {"offset": numbers(4), "scale": above(4)},
            "Binarizer": {"threshold": numbers(1)[0]},
        }  # fmt: skip
        outputs = ["label", "scores"] if "Classifier" in kind else ["y"]
        node = helper.make_node(kind, ["x"], outputs, name="machine", domain="ai.onnx.ml", **choices[kind])
        return model_of([node], samples[0], outputs, domains=["ai.onnx.ml"]), samples

    return family


EMBEDDING = [
    _node("ArgMax", "x", to="i", axis=1, keepdims=0), _node("Gather", "table", "i", to="e"), _node("MatMul", "e", "w", to="y"),
]  # fmt: skip
SCALAR = [
    _node("Gemm", "x", "w", "b", to="h"), _node("Mul", "h", "gain", to="g"), _node("Div", "g", "part", to="d"),
    _node("Sigmoid", "d", to="s"), _node("Gemm", "s", "v", to="y"),
]  # fmt: skip
SIDES = [
    _node("MatMul", "x", "w", to="r"), _node("Transpose", "r", to="t", perm=[1, 0]), _node("MatMul", "u", "t", to="y"),
]  # fmt: skip
BRANCHES = [
    _node("MatMul", "x", "w", to="a"), _node("MatMul", "x", "u", to="b"), _node("Concat", "a", "b", "x", to="c", axis=1),
    _node("Relu", "c", to="r"), _node("TopK", "r", "k", to="t", axis=1), _node("Softmax", "t", to="y", axis=1),
]  # fmt: skip
BRANCHES[-2].output.append("places")
CONSTANTS = [
    _node("Sub", "x", "a", to="s"), _node("Greater", "s", "b", to="c"), _node("Where", "c", "s", "d", to="w"),
    _node("Clip", "w", "low", "high", to="l"), _node("Max", "l", "e", to="m"), _node("Div", "f", "m", to="q"),
    _node("Pad", "q", "pads", "fill", to="p"), _node("Floor", "p", to="y"),
]  # fmt: skip
POOLS = [
    _node("Mul", "x", "w", to="h"), _node("Reshape", "h", "image", to="i"),
    _node("AveragePool", "i", to="a", kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
    _node("MaxPool", "a", to="p", kernel_shape=[2, 2], pads=[1, 1, 0, 0]), _node("Relu", "p", to="r"),
    _node("Sqrt", "r", to="y"),
]  # fmt: skip
SIZE = np.array([1, 1, 2, 3])
SUMS = [_node("MatMul", "x", "w", to="a"), _node("MatMul", "x", "u", to="b"), _node("Add", "a", "b", to="y")]
REAL = [number for number, case in enumerate(CASES) if any(np.asarray(array).dtype.kind == "f" for array in case[1].values())]
"""Cases with an input that a product with weights can replace."""
FAMILIES: dict[str, Family] = {
    **{f"{number}-{CASES[number][0]}": operator(number) for number in REAL},
    **{name: network(name) for name in networks.NETWORKS},
    "embedding": chain(EMBEDDING, {"table": normal(6, 5), "w": normal(5, 3)}),
    "scalars": chain(SCALAR, {"w": normal(6, 4), "b": normal(4), "gain": normal(1), "part": positive(1), "v": normal(4, 3)}),
    "both sides": chain(SIDES, {"w": normal(6, 4), "u": normal(3, 4)}),
    "branches": chain(BRANCHES, {"w": normal(6, 4), "u": normal(6, 4), "k": np.array([5])}, outputs=("y", "places")),
    "constants": chain(
        CONSTANTS,
        {"a": normal(6), "b": normal(1), "d": normal(6), "low": np.float32(-1), "high": np.float32(1), "e": positive(1), "f": normal(6),
         "pads": np.array([0, 1, 0, 1]), "fill": np.float32(-1)},
    ),
    "pools": chain(POOLS, {"w": positive(6), "image": SIZE}),
    "sum of layers": chain(SUMS, {"w": normal(6, 4), "u": normal(6, 4)}),
    "trees": trees(1),
    "tree classifier": trees(3),
    **{name: linear_machine(name) for name in ("LinearRegressor", "LinearClassifier", "SVMRegressor", "Scaler", "Binarizer")},
}  # fmt: skip
ALIKE = {
    "Tanh", "Erf", "Softplus", "Softsign", "Elu", "Selu", "Celu", "Mish", "HardSigmoid", "HardSwish", "LeakyRelu", "Sin", "Cos", "Atan",
    "Sinh", "Asinh", "Neg", "Log", "Reciprocal", "Ceil", "Sub", "Min", "LessOrEqual", "Greater", "GreaterOrEqual", "ReduceMean",
    "ReduceMin", "Slice", "Tile", "Expand", "Trilu", "Identity", "DepthToSpace", "GatherND", "Reshape", "GlobalMaxPool",
}  # fmt: skip
"""Operators whose code differs in numbers alone from that of another one."""
KINDS = [name for name in FAMILIES if name.partition("-")[2] not in ALIKE]
