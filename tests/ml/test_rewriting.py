"""Rewritten models give what the original gives: old versions, control flow, quantized forms, classifiers, recurrent layers, images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.ml.models import model_of, normal
from tests.ml.rewriting import same
from zkvm.errors import UsageError
from zkvm.ml.importer import ImportedModel, import_model

MS, ML = "com.microsoft", "ai.onnx.ml"


def one(operator: str, inputs: Mapping[str, Any], constants: Mapping[str, Any] | None = None, **attributes: Any) -> ImportedModel:
    """A model of one node, compared on its inputs; ``names``, ``outputs``, ``opset`` and ``domain`` are not the node's attributes."""
    names = attributes.pop("names", [*inputs, *(constants or {})])
    outputs = [f"y{index}" for index in range(attributes.pop("outputs", 1))]
    opset, domain = attributes.pop("opset", 18), attributes.pop("domain", "")
    node = helper.make_node(operator, names, outputs, name="node", domain=domain, **attributes)
    return same(model_of([node], inputs, outputs, constants, opset=opset, domains=[domain] if domain else ()), [inputs])


def graph(nodes: Sequence[onnx.NodeProto], inputs: Mapping[str, tuple[int, list[int]]], outputs: Sequence[str], **weights: Any) -> Any:
    return helper.make_graph(
        list(nodes), "inner", [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )  # fmt: skip


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_flattened_softmax(operator: str, axis: int) -> None:
    one(operator, {"x": normal(2, 3, 4)}, axis=axis, opset=11)


@pytest.mark.parametrize("scales", [(1, 1, 2, 1.7), (1, 1, 0.6, 0.4), (1, 1, 0.6, 1.4)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_of_version_10(mode: str, scales: tuple[float, ...]) -> None:
    one("Resize", {"x": normal(1, 2, 7, 9)}, {"s": np.array(scales, np.float32)}, mode=mode, opset=10)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("form", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"])
def test_interpolation(mode: str, form: str) -> None:
    x, scales = normal(1, 2, 4, 5), np.array([1, 1, 2, 0.7], np.float32)
    one("Resize", {"x": x}, {"s": scales}, names=["x", "", "s"], mode=mode, coordinate_transformation_mode=form)


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample(mode: str, padding: str) -> None:
    one("GridSample", {"x": normal(2, 2, 5, 6), "g": normal(2, 3, 4, 2, seed=1)}, mode=mode, padding_mode=padding, opset=20)


@pytest.mark.parametrize("operator", ["AveragePool", "LpPool"])
@pytest.mark.parametrize("padding", [{"pads": [1, 0, 1, 1], "ceil_mode": 1}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}])
def test_pools(operator: str, padding: dict[str, Any]) -> None:
    counted: dict[str, Any] = {"count_include_pad": 1} if operator == "AveragePool" else {}
    one(operator, {"x": normal(1, 2, 7, 8)}, kernel_shape=[3, 2], strides=[2, 2], **padding, **counted)


@pytest.mark.parametrize("equation", ["...ii->...i", "ij->i", "ij,ij->", "bij,bjk->bik", "i,j->ij"])
def test_einsum(equation: str) -> None:
    shapes: dict[str, list[tuple[int, ...]]] = {
        "...ii->...i": [(2, 3, 3)],
        "ij->i": [(3, 4)],
        "ij,ij->": [(2, 3)] * 2,
        "bij,bjk->bik": [(2, 3, 4), (2, 4, 5)],
        "i,j->ij": [(2,), (3,)],
    }
    one("Einsum", {f"x{index}": normal(*shape, seed=index) for index, shape in enumerate(shapes[equation])}, equation=equation)


@pytest.mark.parametrize(("operator", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_options(operator: str, gates: int) -> None:
    weights = {"w": normal(2, gates * 3, 4), "r": normal(2, gates * 3, 3, seed=1), "b": normal(2, 2 * gates * 3, seed=2)}
    weights["l"] = np.array([3, 5], np.int32)
    one(operator, {"x": normal(5, 2, 4)}, weights, outputs=2, hidden_size=3, direction="bidirectional", clip=0.4)


def test_matrix_product_with_scales_by_column() -> None:
    constants = {
        "as": np.float32(0.1), "az": np.uint8(9), "w": np.random.default_rng(0).integers(0, 255, (4, 4)).astype(np.uint8),
        "bs": np.array([0.1, 0.5, 0.9, 1.3], np.float32), "bz": np.array([3, 5, 7, 9], np.uint8), "os": np.float32(3), "oz": np.uint8(100),
    }  # fmt: skip
    one("QLinearMatMul", {"x": np.arange(12, dtype=np.uint8).reshape(3, 4)}, constants)


def test_dynamic_quantization() -> None:
    one("DynamicQuantizeLinear", {"x": normal(4, 5)}, outputs=3)
    constants = {"w": np.arange(-10, 10).reshape(4, 5).astype(np.int8), "s": np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32)}
    one("DynamicQuantizeMatMul", {"x": normal(3, 4)}, constants, domain=MS)


def test_operators_of_onnxruntime() -> None:
    one("FusedConv", {"x": normal(1, 3, 6, 6)}, {"w": normal(4, 3, 3, 3)}, domain=MS, activation="LeakyRelu", activation_params=[0.2])
    one("BiasGelu", {"x": normal(2, 8)}, {"b": normal(8)}, domain=MS)
    one("LayerNormalization", {"x": normal(2, 8)}, {"g": normal(8)}, outputs=3)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("probabilities", [False, True])
def test_support_vectors(classes: int, probabilities: bool) -> None:
    per_class = [3, 2, 4][:classes]
    pairs, count = classes * (classes - 1) // 2, sum(per_class)
    extra: dict[str, Any] = {"prob_a": [-1.0] * pairs, "prob_b": [0.1] * pairs} if probabilities else {}
    made = one(
        "SVMClassifier", {"x": normal(5, 4)}, domain=ML, outputs=2, vectors_per_class=per_class, kernel_type="RBF", rho=[0.1] * pairs,
        support_vectors=normal(count * 4, seed=1).tolist(), coefficients=normal((classes - 1) * count, seed=2).tolist(),
        kernel_params=[0.3, 0.1, 3.0], classlabels_strings=["low", "mid", "high"][:classes], **extra,
    )  # fmt: skip
    assert made.labels == {"y0": ("low", "mid", "high")[:classes]}


def test_labels_that_are_not_positions() -> None:
    made = one(
        "LinearClassifier", {"x": normal(6, 4)}, domain=ML, outputs=2, coefficients=normal(12).tolist(), intercepts=[0.1, 0.2, 0.3],
        classlabels_ints=[3, 7, 9], post_transform="SOFTMAX",
    )  # fmt: skip
    assert made.labels == {}


@pytest.mark.parametrize("aggregate", [0, 1, 2, 3])
def test_trees_of_version_5(aggregate: int) -> None:
    x = np.round(normal(40, 2), 1)
    x[::5, 0] = np.nan
    node = helper.make_node(
        "TreeEnsemble", ["x"], ["y"], domain=ML, tree_roots=[0, 2], nodes_featureids=[0, 1, 1], nodes_truenodeids=[1, 0, 3],
        nodes_splits=numpy_helper.from_array(np.array([0.1, 0.0, -0.2], np.float32)), nodes_trueleafs=[0, 1, 1], nodes_falseleafs=[1, 1, 1],
        nodes_modes=numpy_helper.from_array(np.array([0, 6, 2], np.uint8)), nodes_falsenodeids=[2, 1, 4],
        nodes_missing_value_tracks_true=[1, 0, 0], membership_values=numpy_helper.from_array(np.array([0.1, 0.5, np.nan], np.float32)),
        leaf_targetids=[0] * 5, leaf_weights=numpy_helper.from_array(normal(5)), n_targets=1, aggregate_function=aggregate,
    )  # fmt: skip
    model = model_of([node], {"x": x}, ["y"], domains=[ML])
    model.opset_import[1].version = 5
    same(model, [{"x": x}])


def test_missing_values() -> None:
    x = np.array([[1, np.nan], [np.nan, 2]], np.float32)
    one("Imputer", {"x": x}, domain=ML, imputed_value_floats=[5.0, 6.0], replaced_value_float=float("nan"))


def test_branches() -> None:
    """Both, and a choice, if the condition is an input; refused if their shapes differ."""
    yes, no = (graph([helper.make_node(name, ["x"], ["b"])], {}, ["b"]) for name in ("Neg", "Exp"))
    inputs = {"x": normal(2, 3), "c": np.array([True])}
    node = helper.make_node("If", ["c"], ["y"], then_branch=yes, else_branch=no)
    same(model_of([node], inputs, ["y"]), [inputs, inputs | {"c": np.array([False])}])
    other = graph([helper.make_node("ReduceSum", ["x"], ["b"])], {}, ["b"])
    node = helper.make_node("If", ["c"], ["y"], then_branch=yes, else_branch=other)
    with pytest.raises(UsageError, match="depends on the input's numbers|branches differ in shape"):
        import_model(model_of([node], inputs, ["y"]))


def test_loops() -> None:
    nodes = [
        helper.make_node("Add", ["a", "x"], ["b"]),
        helper.make_node("Mul", ["b", "b"], ["o"]),
        helper.make_node("Identity", ["c"], ["d"]),
    ]
    kinds = {"i": (TensorProto.INT64, []), "c": (TensorProto.BOOL, []), "a": (TensorProto.FLOAT, [3])}
    node = helper.make_node("Loop", ["m", "", "z"], ["f", "s"], body=graph(nodes, kinds, ["d", "b", "o"]))
    x = normal(3)
    same(model_of([node], {"x": x}, ["f", "s"], {"m": np.array(4), "z": normal(3, seed=1)}), [{"x": x}])
    steps = graph(
        [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Neg", ["t"], ["o"])], {"s": kinds["a"], "e": kinds["a"]}, ["t", "o"]
    )
    node = helper.make_node("Scan", ["z", "x"], ["f", "o"], body=steps, num_scan_inputs=1, scan_input_directions=[1])
    x = normal(4, 3)
    same(model_of([node], {"x": x}, ["f", "o"], {"z": normal(3, seed=1)}), [{"x": x}])


def test_older_operators_within_a_loop() -> None:
    """The loop itself is among nodes that are written anew."""
    nodes = [
        helper.make_node("Split", ["a"], ["p", "q"], axis=0),
        helper.make_node("Concat", ["q", "p"], ["b"], axis=0),
        helper.make_node("Identity", ["c"], ["d"]),
    ]
    kinds = {"i": (TensorProto.INT64, []), "c": (TensorProto.BOOL, []), "a": (TensorProto.FLOAT, [4])}
    loop = helper.make_node("Loop", ["m", "", "l"], ["f"], body=graph(nodes, kinds, ["d", "b"]))
    before = helper.make_node("Split", ["x"], ["l", "r"], axis=0)
    x = normal(8)
    same(model_of([before, loop], {"x": x}, ["f", "r"], {"m": np.array(3)}, opset=13), [{"x": x}])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_reals(dtype: Any) -> None:
    x = normal(2, 3).astype(dtype)
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": x}, ["y"], {"w": normal(3, 4).astype(dtype)})
    imported = import_model(model)
    assert imported.inputs[0].dtype == dtype
    assert np.dtype(dtype).name in imported.notes[0]


def test_random_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"RandomNormalLike \(node 'node'\) is not supported: it draws"):
        one("RandomNormalLike", {"x": normal(2)})
