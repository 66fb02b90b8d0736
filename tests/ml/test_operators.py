"""Every operator family: the guest computes the integer model's bits, and these are close to onnxruntime's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.ml.models import check, model_of, normal, positive, single
from tests.ml.networks import attention
from zkvm.ml.compiler import Options, Precision

Case = tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]

LAYERS: list[Case] = [
    ("Gemm", {"x": normal(1, 20)}, {"w": normal(7, 20, seed=1), "b": normal(7, seed=2)}, {"transB": 1}),
    ("Gemm", {"x": normal(3, 20)}, {"w": normal(20, 5, seed=1)}, {"alpha": 0.5}),
    ("Gemm", {"x": normal(3, 20), "w": normal(20, 5, seed=1)}, {}, {"alpha": 0.5}),
    ("MatMul", {"x": normal(2, 3, 17)}, {"w": normal(17, 19, seed=1)}, {}),
    ("MatMul", {"x": normal(2, 3, 6), "y": normal(2, 6, 4, seed=1)}, {}, {}),
    ("MatMul", {"x": normal(3, 6), "y": normal(6, seed=1)}, {}, {}),
    (
        "Conv",
        {"x": normal(1, 3, 8, 9)},
        {"w": normal(5, 3, 3, 3, seed=1), "b": normal(5, seed=2)},
        {"pads": [1, 0, 2, 1], "strides": [2, 1]},
    ),
    ("Conv", {"x": normal(1, 4, 7, 7)}, {"w": normal(6, 2, 3, 2, seed=1)}, {"group": 2, "dilations": [2, 1]}),
    ("Conv", {"x": normal(1, 4, 7, 7)}, {"w": normal(4, 1, 3, 3, seed=1)}, {"group": 4, "auto_pad": "SAME_UPPER"}),
    ("Conv", {"x": normal(3, 2, 5, 6)}, {"w": normal(3, 2, 3, 3, seed=1), "b": normal(3, seed=2)}, {}),
    ("Conv", {"x": normal(1, 3, 12)}, {"w": normal(2, 3, 5, seed=1)}, {"auto_pad": "SAME_LOWER"}),
    ("Conv", {"x": normal(1, 1, 20, 20)}, {"w": normal(2, 1, 11, 11, seed=1)}, {}),
    (
        "ConvTranspose",
        {"x": normal(1, 3, 4, 5)},
        {"w": normal(3, 2, 3, 3, seed=1), "b": normal(2, seed=2)},
        {"strides": [2, 3], "pads": [1, 0, 1, 2]},
    ),
    (
        "ConvTranspose",
        {"x": normal(1, 4, 5, 5)},
        {"w": normal(4, 1, 3, 3, seed=1)},
        {"group": 2, "output_padding": [1, 1], "strides": [2, 2]},
    ),
    ("ConvTranspose", {"x": normal(1, 2, 6)}, {"w": normal(2, 3, 4, seed=1)}, {"dilations": [2]}),
    (
        "BatchNormalization",
        {"x": normal(1, 3, 4, 4)},
        {"s": positive(3), "b": normal(3), "m": normal(3, seed=3), "v": positive(3, seed=4)},
        {},
    ),
]
POOLS: list[Case] = [
    ("MaxPool", {"x": normal(1, 2, 7, 7)}, {}, {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
    ("MaxPool", {"x": normal(1, 2, 7, 7)}, {}, {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", {"x": normal(2, 2, 6, 6)}, {}, {"kernel_shape": [2, 2]}),
    ("MaxPool", {"x": normal(1, 2, 9)}, {}, {"kernel_shape": [3], "dilations": [2]}),
    ("AveragePool", {"x": normal(1, 2, 7, 7)}, {}, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("AveragePool", {"x": normal(1, 2, 7, 7)}, {}, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("AveragePool", {"x": normal(1, 2, 7)}, {}, {"kernel_shape": [2], "strides": [2]}),
    ("GlobalAveragePool", {"x": normal(1, 3, 5, 4)}, {}, {}),
    ("GlobalMaxPool", {"x": normal(1, 3, 5, 4)}, {}, {}),
]
FUNCTIONS: list[Case] = [
    *(
        (name, {"x": normal(40, scale=2)}, {}, {})
        for name in ("Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Softplus", "Softsign", "Abs", "Neg")
    ),
    *(
        (name, {"x": normal(40, scale=2)}, {}, {})
        for name in ("Elu", "Selu", "Celu", "Mish", "HardSigmoid", "HardSwish", "LeakyRelu", "Sin")
    ),
    *(
        (name, {"x": normal(40, scale=2)}, {}, {})
        for name in ("Cos", "Floor", "Ceil", "Round", "Sign", "Atan", "Sinh", "Asinh", "Identity")
    ),
    *((name, {"x": positive(40)}, {}, {}) for name in ("Sqrt", "Log", "Reciprocal")),
    ("ThresholdedRelu", {"x": normal(40)}, {}, {"alpha": 0.5}),
    ("PRelu", {"x": normal(1, 3, 4)}, {"s": normal(3, 1, seed=1)}, {}),
    ("Shrink", {"x": np.arange(-4, 4, dtype=np.int8)}, {}, {"lambd": 1.5, "bias": 1.0}),
    ("PRelu", {"x": np.arange(-3, 3, dtype=np.int32).reshape(2, 3)}, {"s": np.array([2, 3, -4], np.int32)}, {}),
    ("Clip", {"x": normal(40)}, {"low": np.float32(-0.5), "high": np.float32(0.75)}, {}),
    ("Pow", {"x": positive(20)}, {"e": np.float32(1.5)}, {}),
    ("Softmax", {"x": normal(3, 10, scale=3)}, {}, {"axis": 1}),
    ("Softmax", {"x": normal(3, 4, 2, scale=3)}, {}, {"axis": 1}),
    ("LogSoftmax", {"x": normal(3, 10, scale=3)}, {}, {}),
    ("Hardmax", {"x": normal(3, 10)}, {}, {}),
    ("LayerNormalization", {"x": normal(4, 16, scale=3)}, {"g": positive(16), "b": normal(16, seed=2)}, {}),
    ("InstanceNormalization", {"x": normal(1, 3, 4, 5, scale=3)}, {"g": positive(3), "b": normal(3, seed=2)}, {}),
    ("GroupNormalization", {"x": normal(1, 4, 4, 5, scale=3)}, {"g": positive(2), "b": normal(2, seed=2)}, {"num_groups": 2}),
    ("LpNormalization", {"x": normal(3, 8)}, {}, {"axis": 1}),
]
PAIRS: list[Case] = [
    *((name, {"x": normal(3, 4), "y": normal(4, seed=1, scale=3)}, {}, {}) for name in ("Add", "Sub", "Mul", "Max", "Min")),
    ("Div", {"x": normal(3, 4), "y": positive(4)}, {}, {}),
    ("Mul", {"x": normal(3, 4)}, {"c": np.float32(0.3)}, {}),
    ("Add", {"x": normal(3, 4)}, {"c": normal(3, 1, seed=1)}, {}),
    *((name, {"x": np.arange(-6, 6), "y": np.full(12, 5)}, {}, {}) for name in ("Add", "Mul", "Div", "Mod", "Max", "Less", "Equal")),
    ("Mod", {"x": np.arange(-6, 6), "y": np.full(12, -4)}, {}, {"fmod": 1}),
    ("Mod", {"x": np.arange(-6, 6), "y": np.full(12, -4)}, {}, {}),
    *((name, {"x": normal(20), "y": normal(20, seed=1)}, {}, {}) for name in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual")),
    ("Greater", {"x": normal(20)}, {"c": np.float32(0.25)}, {}),
    *((name, {"x": normal(20) > 0, "y": normal(20, seed=1) > 0}, {}, {}) for name in ("And", "Or", "Xor")),
    ("Not", {"x": normal(20) > 0}, {}, {}),
    ("Where", {"c": normal(4, 5) > 0, "x": normal(4, 5), "y": normal(5, seed=1, scale=4)}, {}, {}),
    ("Einsum", {"x": normal(2, 3, 4), "y": normal(2, 4, 5, seed=1)}, {}, {"equation": "bij,bjk->bki"}),
]
REDUCTIONS: list[Case] = [
    *(
        (name, {"x": normal(3, 4, 5)}, {"axes": np.array([1])}, {})
        for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1")
    ),
    *(
        (name, {"x": normal(3, 4, 5)}, {"axes": np.array([0, 2])}, {"keepdims": 0})
        for name in ("ReduceL2", "ReduceSumSquare", "ReduceLogSumExp")
    ),
    ("ReduceL1", {"x": normal(2, 3)}, {"axes": np.array([0, -2])}, {}),  # one axis, said twice
    *((name, {"x": normal(2, 3)}, {}, {"noop_with_empty_axes": 1}) for name in ("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare")),
    *((name, {"x": np.array(-2.5, np.float32)}, {}, {}) for name in ("ReduceMean", "ReduceL1", "ReduceSumSquare")),
    ("ReduceL1", {"x": np.array(-3)}, {}, {}),
    ("CumSum", {"x": normal(3, 5)}, {"axis": np.array(1)}, {}),
    ("ReduceProd", {"x": positive(3, 4)}, {"axes": np.array([1])}, {}),
    ("ReduceSum", {"x": np.arange(12).reshape(3, 4)}, {}, {}),
    ("ArgMax", {"x": normal(3, 7)}, {}, {"axis": 1}),
    ("ArgMin", {"x": np.array([[2, 1, 1, 3]])}, {}, {"axis": 1, "select_last_index": 1, "keepdims": 0}),
]
MOVES: list[Case] = [
    ("Transpose", {"x": normal(2, 3, 4)}, {}, {"perm": [2, 0, 1]}),
    ("Reshape", {"x": normal(2, 3, 4)}, {"shape": np.array([4, -1])}, {}),
    (
        "Slice",
        {"x": normal(6, 5)},
        {"starts": np.array([4, 1]), "ends": np.array([0, 4]), "axes": np.array([0, 1]), "steps": np.array([-2, 1])},
        {},
    ),
    ("Concat", {"x": normal(2, 3), "y": normal(2, 4, seed=1, scale=5)}, {}, {"axis": 1}),
    ("Pad", {"x": normal(2, 3)}, {"pads": np.array([1, 0, 0, 2]), "value": np.float32(0.5)}, {}),
    ("Pad", {"x": normal(3, 4)}, {"pads": np.array([1, 2, 1, 0])}, {"mode": "reflect"}),
    ("Pad", {"x": normal(3, 4)}, {"pads": np.array([1, 2, 1, 0]), "value": np.float32(0.5)}, {"mode": "edge"}),
    ("Expand", {"x": normal(3, 1)}, {"shape": np.array([2, 3, 4])}, {}),
    ("Tile", {"x": normal(2, 3)}, {"repeats": np.array([2, 2])}, {}),
    ("Gather", {"x": normal(5, 3)}, {"indices": np.array([4, 0, -1])}, {}),
    ("Gather", {"x": normal(5, 3), "indices": np.array([[4, 0], [1, -2]])}, {}, {"axis": 0}),
    ("GatherElements", {"x": normal(3, 4), "indices": np.array([[3, 0], [1, 1], [2, 3]])}, {}, {"axis": 1}),
    ("GatherND", {"x": normal(3, 4)}, {"indices": np.array([[2, 1], [0, 3]])}, {}),
    ("ScatterElements", {"x": normal(3, 3)}, {"indices": np.array([[1, 0]]), "updates": normal(1, 2, seed=1)}, {"axis": 1}),
    ("DepthToSpace", {"x": normal(1, 8, 2, 3)}, {}, {"blocksize": 2}),
    (
        "Resize",
        {"x": normal(1, 2, 3, 3)},
        {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 2], np.float32)},
        {"mode": "nearest"},
    ),
    ("Trilu", {"x": normal(4, 4)}, {}, {"upper": 0}),
    ("OneHot", {"x": np.array([0, 3, 2])}, {"depth": np.array(4), "values": np.array([-1.0, 2.0], np.float32)}, {}),
    ("Cast", {"x": normal(10, scale=5)}, {}, {"to": onnx.TensorProto.INT64}),
    ("Cast", {"x": np.arange(5)}, {}, {"to": onnx.TensorProto.FLOAT}),
    ("Cast", {"x": np.array([0.0, 1.5, -2.0], np.float32)}, {}, {"to": onnx.TensorProto.BOOL}),
]
RECURRENT: list[Case] = [
    (
        "RNN",
        {"x": normal(4, 1, 3)},
        {"w": normal(1, 5, 3, seed=1), "r": normal(1, 5, 5, seed=2), "b": normal(1, 10, seed=3)},
        {"hidden_size": 5},
    ),
    (
        "GRU",
        {"x": normal(4, 1, 3)},
        {"w": normal(1, 15, 3, seed=1), "r": normal(1, 15, 5, seed=2), "b": normal(1, 30, seed=3)},
        {"hidden_size": 5},
    ),
    (
        "GRU",
        {"x": normal(4, 1, 3)},
        {"w": normal(1, 15, 3, seed=1), "r": normal(1, 15, 5, seed=2), "b": normal(1, 30, seed=3)},
        {"hidden_size": 5, "linear_before_reset": 1, "direction": "reverse"},
    ),
    (
        "LSTM",
        {"x": normal(4, 1, 3)},
        {"w": normal(2, 20, 3, seed=1), "r": normal(2, 20, 5, seed=2), "b": normal(2, 40, seed=3)},
        {"hidden_size": 5, "direction": "bidirectional"},
    ),
]
CASES = LAYERS + POOLS + FUNCTIONS + PAIRS + REDUCTIONS + MOVES + RECURRENT
LOOSE = {"Exp": 0.002, "Sinh": 0.002, "LSTM": 0.005, "GRU": 0.005, "RNN": 0.005, "LogSoftmax": 0.002, "Div": 0.002}
"""Largest error relative to the output's range where it is not a thousandth."""


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)])
def test_operator(case: Case) -> None:
    operator, inputs, constants, attributes = case
    arrays = {name: np.asarray(array) for name, array in inputs.items()}
    outputs = {"RNN": 2, "GRU": 2, "LSTM": 3}.get(operator, 1)
    model = single(operator, arrays, constants, outputs=outputs, **attributes)
    check(model, [arrays], LOOSE.get(operator, 0.001))


@pytest.mark.parametrize("name", ["TopK", "Split"])
def test_several_outputs(name: str) -> None:
    x = normal(3, 6)
    constants = {"k": np.array([4])} if name == "TopK" else {"sizes": np.array([1, 5])}
    check(single(name, {"x": x}, constants, outputs=2, axis=1), [{"x": x}])


@pytest.mark.parametrize("name", ["Gemm", "Conv", "Softmax", "Add", "Sigmoid"])
def test_eight_bits(name: str) -> None:
    operator, inputs, constants, attributes = next(case for case in CASES if case[0] == name)
    check(single(operator, inputs, constants, **attributes), [inputs], 0.03, Options(precision=Precision(8, 8)))


def test_outputs_of_eight_bit_models_have_sixteen() -> None:
    """Also when they are moved first; but not what another node reads too."""
    x = normal(1, 10)
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"], name="first"),
        helper.make_node("Gemm", ["h", "w"], ["g"], name="second"),
        helper.make_node("Reshape", ["h", "shape"], ["z"], name="also read by a layer"),
        helper.make_node("Reshape", ["g", "shape"], ["y"], name="turned"),
    ]
    model = model_of(nodes, {"x": x}, ["y", "z"], {"w": normal(10, 10, seed=1), "shape": np.array([2, 5])})
    made = check(model, [{"x": x}], 0.03, Options(precision=Precision(8, 8)))
    assert [value.hi for value in made.graph.outputs] == [32767, 127]


def test_relu_is_merged_into_the_layer() -> None:
    x = normal(1, 10)
    nodes = [helper.make_node("Gemm", ["x", "w"], ["h"], name="dense"), helper.make_node("Relu", ["h"], ["y"], name="relu")]
    made = check(model_of(nodes, {"x": x}, ["y"], {"w": normal(10, 6, seed=1)}), [{"x": x}])
    assert [operation.kind for operation in made.graph.operations] == ["linear"]


def test_attention() -> None:
    check(*attention(), 0.005)
