"""Pairs of models that say the same, of layers, recurrent and quantized forms, trees and movement."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.ml.models import Array, normal
from tests.ml.spellings import Nodes, Pair, floats

PATCHES = np.array([[channel * 25 + (row + i) * 5 + column + j for channel in range(2) for i in range(3) for j in range(3)]
                    for row in range(3) for column in range(3)])  # fmt: skip
"""Which elements of a picture of 2 x 5 x 5 the nine windows of 3 x 3 hold."""
KERNEL = normal(4, 2, 3, 3, seed=5)
WEIGHTS = normal(8, 4, seed=1)
LAYERS = [
    Pair("Gemm", ["y = Gemm(x, w, c)"], ["p = MatMul(x, w)", "y = Add(p, c)"], constants={"w": WEIGHTS, "c": normal(4, seed=2)}),
    Pair(
        "Gemm with factors",
        ["y = Gemm<alpha=0.5, beta=2.0, transB=1>(x, t, c)"],
        ["w = Transpose(t)", "p = MatMul(x, w)", "q = Mul(p, half)", "d = Mul(c, two)", "y = Add(q, d)"],
        constants={"t": WEIGHTS.T.copy(), "c": normal(4, seed=2)},
    ),
    Pair("Einsum", ['y = Einsum<equation="ij,jk->ik">(x, w)'], ["y = MatMul(x, w)"], constants={"w": WEIGHTS}),
    Pair(
        "products of activations",
        ["t = Transpose(x)", "y = MatMul(x, t)"],
        ["a = Unsqueeze(x, first)", "c = Unsqueeze(x, second)", "p = Mul(a, c)", "y = ReduceSum<keepdims=0>(p, last)"],
        constants={"first": np.array([0]), "second": np.array([1])},
        rows=False,
    ),
    Pair(
        "Conv",
        ["y = Conv(x, k, c)"],
        ["f = Reshape(x, flat)", "q = Gather(f, patches)", "p = MatMul(q, m)", "a = Add(p, c)", "t = Transpose<perm=[1, 0]>(a)",
            "y = Reshape(t, image)"],
        constants={
            "k": KERNEL, "c": normal(4, seed=6), "flat": np.array([50]), "patches": PATCHES, "m": KERNEL.reshape(4, 18).T.copy(),
            "image": np.array([1, 4, 3, 3]),
        },
        shape=(1, 2, 5, 5),
    ),
    Pair(
        "AveragePool",
        ["y = AveragePool<kernel_shape=[2, 2], strides=[2, 2]>(x)"],
        ["y = Conv<group=2, strides=[2, 2]>(x, k)"],
        constants={"k": np.full((2, 1, 2, 2), 0.25, np.float32)},
        shape=(2, 2, 4, 4),
    ),
    Pair("GlobalAveragePool", ["y = GlobalAveragePool(x)"], ["y = ReduceMean(x, plane)"],
        constants={"plane": np.array([2, 3])}, shape=(2, 2, 4, 4)),
    Pair(
        "MaxPool",
        ["y = MaxPool<kernel_shape=[1, 2], strides=[1, 2]>(x)"],
        ["p = Reshape(x, pairs)", "y = ReduceMax<keepdims=0>(p, last)"],
        constants={"pairs": np.array([2, 2, 4, 2, 2])},
        shape=(2, 2, 4, 4),
    ),
    Pair("CumSum", ["y = CumSum(x, one)"], ["y = MatMul(x, u)"], constants={"one": np.array(1), "u": np.triu(np.ones((8, 8), np.float32))}),
    Pair(
        "Resize",
        ['y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , scales)'],
        ["e = Reshape(x, apart)", "t = Expand(e, twice)", "y = Reshape(t, whole)"],
        constants={
            "scales": floats(1, 1, 2, 2), "apart": np.array([2, 2, 3, 1, 3, 1]), "twice": np.array([2, 2, 3, 2, 3, 2]),
            "whole": np.array([2, 2, 6, 6]),
        },
        shape=(2, 2, 3, 3),
    ),
    Pair(
        "DepthToSpace",
        ["y = DepthToSpace<blocksize=2>(x)"],
        ["p = Reshape(x, apart)", "t = Transpose<perm=[0, 3, 4, 1, 5, 2]>(p)", "y = Reshape(t, whole)"],
        constants={"apart": np.array([2, 2, 2, 1, 3, 3]), "whole": np.array([2, 1, 6, 6])},
        shape=(2, 4, 3, 3),
    ),
    Pair(
        "Attention",
        ["y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x)"],
        [
            "p = Reshape(x, heads)", "q = Transpose<perm=[0, 2, 1, 3]>(p)", "k = Transpose<perm=[0, 2, 3, 1]>(p)", "s = MatMul(q, k)",
            "z = Mul(s, half)", "w = Softmax<axis=-1>(z)", "a = MatMul(w, q)", "t = Transpose<perm=[0, 2, 1, 3]>(a)",
            "y = Reshape(t, whole)",
        ],
        constants={"heads": np.array([2, 5, 2, 4]), "whole": np.array([2, 5, 8])},
        shape=(2, 5, 8),
        opset=23,
    ),
]  # fmt: skip


def _graph(name: str, inputs: dict[str, int], outputs: dict[str, int], nodes: list[str]) -> onnx.GraphProto:
    """A body over rows."""
    entries, results = (
        [helper.make_tensor_value_info(entry, onnx.TensorProto.FLOAT, [2, size]) for entry, size in part.items()]
        for part in (inputs, outputs)
    )
    return helper.make_graph([onnx.parser.parse_node(node) for node in nodes], name, entries, results)


GRU_CELL = [
    "xz = MatMul(t, wz)", "hz = MatMul(h, rz)", "az = Add(xz, hz)", "z = Sigmoid(az)", "xr = MatMul(t, wr)", "hr = MatMul(h, rr)",
    "ar = Add(xr, hr)", "r = Sigmoid(ar)", "rh = Mul(r, h)", "xn = MatMul(t, wn)", "hn = MatMul(rh, rn)", "an = Add(xn, hn)",
    "n = Tanh(an)",
    "d = Sub(h, n)", "zd = Mul(z, d)", "o = Add(n, zd)", "row = Identity(o)",
]  # fmt: skip
LSTM_CELL = [
    "xi = MatMul(t, wi)", "hi = MatMul(h, ri)", "ai = Add(xi, hi)", "i = Sigmoid(ai)", "xo = MatMul(t, wo)", "ho = MatMul(h, ro)",
    "ao = Add(xo, ho)", "u = Sigmoid(ao)", "xf = MatMul(t, wf)", "hf = MatMul(h, rf)", "af = Add(xf, hf)", "f = Sigmoid(af)",
    "xc = MatMul(t, wc)", "hc = MatMul(h, rc)", "ac = Add(xc, hc)", "k = Tanh(ac)", "fc = Mul(f, c)", "ik = Mul(i, k)", "co = Add(fc, ik)",
    "tc = Tanh(co)", "o = Mul(u, tc)", "row = Identity(o)",
]  # fmt: skip
STEPS, FEATURES, UNITS = 5, 3, 4


def _recurrent(operator: str, cell: list[str], gates: str, states: tuple[str, ...]) -> list[Pair]:
    """An operator, and a Scan, a Loop of its cells."""
    wide, square = normal(1, len(gates) * UNITS, FEATURES, seed=3), normal(1, len(gates) * UNITS, UNITS, seed=4)
    parts: dict[str, Any] = {"W": wide, "R": square, "whole": np.array([STEPS, 2, UNITS]), "steps": np.array(STEPS), "yes": np.array(True)}
    parts |= {f"s{state}": np.zeros((2, UNITS), np.float32) for state in states}
    for place, gate in enumerate(gates):
        rows = slice(place * UNITS, (place + 1) * UNITS)
        parts |= {f"w{gate}": wide[0, rows].T.copy(), f"r{gate}": square[0, rows].T.copy()}
    after = {"h": "o", "c": "co"}
    body = _graph(
        "cell", dict.fromkeys(states, UNITS) | {"t": FEATURES}, dict.fromkeys([after[s] for s in states], UNITS) | {"row": UNITS}, cell
    )
    names = [f"e{state}" for state in states]
    scan = helper.make_node("Scan", [*(f"s{state}" for state in states), "x"], [*names, "y"], num_scan_inputs=1, body=body)
    looped = _graph("step", dict.fromkeys(states, UNITS), dict.fromkeys([after[s] for s in states], UNITS) | {"row": UNITS}, cell)
    looped.node.insert(0, onnx.parser.parse_node("t = Gather<axis=0>(x, step)"))
    looped.node.append(onnx.parser.parse_node("go = Identity(running)"))
    looped.input.insert(0, helper.make_tensor_value_info("running", onnx.TensorProto.BOOL, []))
    looped.input.insert(0, helper.make_tensor_value_info("step", onnx.TensorProto.INT64, []))
    looped.output.insert(0, helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []))
    loop = helper.make_node("Loop", ["steps", "yes", *(f"s{state}" for state in states)], [*names, "y"], body=looped)
    single: Nodes = [f"p = {operator}<hidden_size={UNITS}>(x, W, R)", "y = Reshape(p, whole)"]
    shape = (STEPS, 2, FEATURES)
    return [
        Pair(f"{operator} and Scan", single, [scan], shape, parts, rows=False),
        Pair(f"{operator} and Loop", single, [loop], shape, parts, rows=False),
    ]


RECURRENT = [*_recurrent("GRU", GRU_CELL, "zrn", ("h",)), *_recurrent("LSTM", LSTM_CELL, "iofc", ("h", "c"))]


def _bytes(*shape: int, seed: int, low: int = -127) -> Array:
    return np.random.default_rng(seed).integers(low, 128, shape).astype(np.int8)


SCALES: dict[str, Any] = {
    "xs": np.float32(0.03), "xz": np.int8(5), "ws": np.float32(0.01), "wz": np.int8(0), "ys": np.float32(0.05), "yz": np.int8(-3),
    "w": _bytes(8, 4, seed=7), "k": _bytes(4, 2, 3, 3, seed=8), "int": np.array([1], np.int32),
}  # fmt: skip
QUANTIZED = [
    Pair(
        "QLinearMatMul",
        ["q = QuantizeLinear(x, xs, xz)", "p = QLinearMatMul(q, xs, xz, w, ws, wz, ys, yz)", "y = DequantizeLinear(p, ys, yz)"],
        [
            "q = QuantizeLinear(x, xs, xz)", "a = DequantizeLinear(q, xs, xz)", "f = DequantizeLinear(w, ws, wz)", "m = MatMul(a, f)",
            "p = QuantizeLinear(m, ys, yz)", "y = DequantizeLinear(p, ys, yz)",
        ],
        constants=SCALES,
        tolerance=0.02,
    ),
    Pair(
        "QLinearConv",
        ["q = QuantizeLinear(x, xs, xz)", "p = QLinearConv(q, xs, xz, k, ws, wz, ys, yz)", "y = DequantizeLinear(p, ys, yz)"],
        [
            "q = QuantizeLinear(x, xs, xz)", "a = DequantizeLinear(q, xs, xz)", "f = DequantizeLinear(k, ws, wz)", "m = Conv(a, f)",
            "p = QuantizeLinear(m, ys, yz)", "y = DequantizeLinear(p, ys, yz)",
        ],
        constants=SCALES,
        shape=(1, 2, 5, 5),
        tolerance=0.02,
    ),
    Pair(
        "MatMulInteger",
        ["q = QuantizeLinear(x, xs, xz)", "p = MatMulInteger(q, w, xz)", "c = Cast<to=1>(p)", "y = Mul(c, xs)"],
        ["q = QuantizeLinear(x, xs, xz)", "a = DequantizeLinear(q, xs, xz)", "f = Cast<to=1>(w)", "y = MatMul(a, f)"],
        constants=SCALES,
    ),
    Pair(
        "DynamicQuantizeLinear",
        ["q, s, z = DynamicQuantizeLinear(x)", "y = DequantizeLinear(q, s, z)"],
        [
            "t = ReduceMax<keepdims=0>(x)", "u = ReduceMin<keepdims=0>(x)", "hi = Max(t, nought)", "lo = Min(u, nought)", "d = Sub(hi, lo)",
            "s = Div(d, steps)", "f = Div(lo, s)", "n = Neg(f)", "o = Round(n)", "z = Cast<to=2>(o)", "q = QuantizeLinear(x, s, z)",
            "y = DequantizeLinear(q, s, z)",
        ],
        constants={"nought": np.float32(0), "steps": np.float32(255)},
        rows=False,
        tolerance=0.005,
    ),
]  # fmt: skip


def _tree(form: str) -> onnx.NodeProto:
    """The same two trees, of eight columns."""
    if form == "3":
        return helper.make_node(
            "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
            nodes_treeids=[0, 0, 0, 0, 0, 1, 1, 1], nodes_nodeids=[0, 1, 2, 3, 4, 0, 1, 2], nodes_featureids=[0, 0, 3, 0, 0, 5, 0, 0],
            nodes_values=[0.1, 0, -0.4, 0, 0, 0.3, 0, 0], nodes_truenodeids=[1, 0, 3, 0, 0, 1, 0, 0],
                nodes_falsenodeids=[2, 0, 4, 0, 0, 2, 0, 0],
            nodes_modes=["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
            target_treeids=[0, 0, 0, 1, 1], target_nodeids=[1, 3, 4, 1, 2], target_ids=[0] * 5, target_weights=[1.0, 2.0, -1.0, 0.5, 0.25],
        )  # fmt: skip
    return helper.make_node(
        "TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, tree_roots=[0, 2],
        nodes_featureids=[0, 3, 5], nodes_modes=helper.make_tensor("modes", onnx.TensorProto.UINT8, [3], [0, 0, 0]),
        nodes_splits=helper.make_tensor("splits", onnx.TensorProto.FLOAT, [3], [0.1, -0.4, 0.3]),
        nodes_truenodeids=[0, 1, 3], nodes_trueleafs=[1, 1, 1], nodes_falsenodeids=[1, 2, 4], nodes_falseleafs=[0, 1, 1],
        leaf_targetids=[0] * 5, leaf_weights=helper.make_tensor("leaves", onnx.TensorProto.FLOAT, [5], [1.0, 2.0, -1.0, 0.5, 0.25]),
    )  # fmt: skip


CLASSES = "classlabels_ints=[0, 1, 2], coefficients=[1.0, -1.0, 0.5, 2.0, 0.3, -0.7], intercepts=[0.1, 0.0, -0.2]"
CLASSICAL = [
    Pair("trees", [_tree("3")], [_tree("5")]),
    Pair(
        "Scaler",
        [f"y = ai.onnx.ml.Scaler<offset={[0.5] * 8}, scale={[2.0] * 8}>(x)"],
        ["d = Sub(x, half)", "y = Div(d, half)"],
    ),
    Pair(
        "Scaler of columns of other sizes",
        [f"y = ai.onnx.ml.Scaler<offset={[0.0] * 7 + [1e6]}, scale={[1.0] * 7 + [1e-3]}>(x)"],
        ["d = Sub(x, o)", "y = Div(d, z)"],
        constants={"o": floats(*[0] * 7, 1e6), "z": floats(*[1] * 7, 1e3)},
        draw=lambda seed: normal(6, 8, seed=seed) * floats(*[1] * 7, 1e3) + floats(*[0] * 7, 1e6),
    ),
    Pair(
        "LinearRegressor",
        ["y = ai.onnx.ml.LinearRegressor<coefficients=[1.0, 0.5, -2.0], intercepts=[0.25], targets=1>(x)"],
        ["y = Gemm(x, w, c)"],
        shape=(6, 3),
        constants={"w": floats(1, 0.5, -2).reshape(3, 1), "c": floats(0.25)},
    ),
    Pair(
        "LinearClassifier",
        [f'l, y = ai.onnx.ml.LinearClassifier<{CLASSES}, post_transform="SOFTMAX">(x)'],
        ["s = Gemm(x, w, c)", "y = Softmax<axis=-1>(s)"],
        shape=(6, 2),
        constants={"w": floats(1, -1, 0.5, 2, 0.3, -0.7).reshape(3, 2).T.copy(), "c": floats(0.1, 0, -0.2)},
    ),
    Pair(
        "Normalizer",
        ['y = ai.onnx.ml.Normalizer<norm="L2">(x)'],
        ["s = Mul(x, x)", "t = ReduceSum(s, last)", "r = Sqrt(t)", "y = Div(x, r)"],
    ),
    Pair("Binarizer", ["y = ai.onnx.ml.Binarizer<threshold=0.5>(x)"], ["c = Greater(x, half)", "y = Cast<to=1>(c)"]),
]
