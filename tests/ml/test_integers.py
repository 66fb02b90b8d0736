"""Integers are what ONNX says, in all widths and both kinds of arithmetic: they wrap, or the run ends; positions never leave an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.ml.floats import Lowered, expected
from tests.ml.models import model_of, normal, single
from zkvm.errors import UsageError
from zkvm.ml.arithmetic import Overflow
from zkvm.ml.samples import Sample

WIDTHS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
Width = type[np.integer[Any]]
PAIRS = ("Add", "Sub", "Mul", "Div", "Mod", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Less", "GreaterOrEqual", "Equal")
EXTREMES = ("Max", "Min")
FIXED: frozenset[str] = frozenset()


def numbers(dtype: Width, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Of the whole range of types that a word holds, of others ones whose products fit."""
    limits = np.iinfo(dtype)
    wide = limits.bits > 32 or dtype is np.uint32
    lo, hi = (max(int(limits.min), -40000), 40000) if wide else (int(limits.min), int(limits.max))
    result = np.random.default_rng(seed).integers(lo, hi, count, endpoint=True).astype(dtype)
    result[:2] = lo, hi
    return result


def agree(model: onnx.ModelProto, sample: Sample, floats: frozenset[str] | None = None) -> None:
    for result, reference in zip(Lowered(model, [sample], floats=floats).agree(sample), expected(model, sample), strict=True):
        np.testing.assert_array_equal(result, reference)


@pytest.mark.parametrize("dtype", WIDTHS)
def test_pairs(dtype: Width) -> None:
    a, b = numbers(dtype, 24), np.roll(numbers(dtype, 24, seed=1), 4)
    if np.iinfo(dtype).min == 0 and np.iinfo(dtype).bits > 16:
        a, b = np.maximum(a, b), np.minimum(a, b)
    b[(b == 0) | (b.astype(np.float64) == -1)] = 3  # the least number over -1 has no result in C
    operators = PAIRS if np.iinfo(dtype).bits == 16 else (*PAIRS, *EXTREMES)
    nodes = [helper.make_node(operator, ["a", "b"], [operator]) for operator in operators]
    nodes.append(helper.make_node("Mod", ["a", "b"], ["Fmod"], fmod=1))
    agree(model_of(nodes, {"a": a, "b": b}, [*operators, "Fmod"]), {"a": a, "b": b}, FIXED)


@pytest.mark.parametrize("dtype", WIDTHS)
def test_functions(dtype: Width) -> None:
    a, limits = numbers(dtype, 24), np.iinfo(dtype)
    operators = ["Abs", "Sign", *(["Neg"] if limits.min < 0 else []), *(["BitwiseNot"] if limits.min < 0 or limits.bits < 32 else [])]
    nodes = [helper.make_node(operator, ["a"], [operator]) for operator in operators]
    if limits.bits != 16:
        nodes.append(helper.make_node("Clip", ["a", "lo", "hi"], ["Clip"]))
        nodes.append(helper.make_node("Clip", ["a", "hi", "lo"], ["turned"]))
    constants = {"lo": dtype(3), "hi": dtype(90)}
    agree(model_of(nodes, {"a": a}, [node.output[0] for node in nodes], constants), {"a": a})


@pytest.mark.parametrize("dtype", WIDTHS)
def test_casts(dtype: Width) -> None:
    a = numbers(dtype, 24)
    targets = ["INT8", "UINT8", "INT16", "UINT16", "INT32", "INT64", "BOOL", "FLOAT", *(["UINT32"] if np.iinfo(dtype).min == 0 else [])]
    nodes = [helper.make_node("Cast", ["a"], [target], to=getattr(onnx.TensorProto, target)) for target in targets]
    agree(model_of(nodes, {"a": a}, targets), {"a": a})


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_shifts(dtype: Width) -> None:
    a = (numbers(dtype, 30) % 7).astype(dtype)
    places = np.arange(30).astype(dtype) % dtype(np.iinfo(dtype).bits + 2 if np.iinfo(dtype).bits <= 16 else 20)
    nodes = [helper.make_node("BitShift", ["a", "b"], [name], direction=name) for name in ("LEFT", "RIGHT")]
    agree(model_of(nodes, {"a": a, "b": places}, ["LEFT", "RIGHT"]), {"a": a, "b": places})


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_shifts_of_numbers_with_a_sign(dtype: Width) -> None:
    a = np.array([-100, -1, -3, 7, -100, 90, -8, 5], dtype)
    places = np.array([1, 7, 8, 9, 32, 100, 0, 2], dtype)
    node, sample = helper.make_node("BitShift", ["a", "b"], ["y"], direction="RIGHT"), {"a": a, "b": places}
    (result,) = Lowered(model_of([node], sample, ["y"], opset=28), [sample]).agree(sample)
    assert result.tolist() == [number >> place for number, place in zip(a.tolist(), places.tolist(), strict=True)]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("floats", [None, FIXED])
def test_sums_and_products(dtype: Width, floats: frozenset[str] | None) -> None:
    x = (numbers(dtype, 20) // 16).reshape(4, 5)
    sample = {"x": x, "s": x % dtype(9)}
    axes = {"axes": np.array([1])}
    nodes = [helper.make_node(name, ["x", "axes"], [name]) for name in ("ReduceSum", "ReduceMean", "ReduceL1", "ReduceMax", "ReduceMin")]
    nodes += [helper.make_node(name, ["s", "axes"], [name]) for name in ("ReduceSumSquare", "ReduceProd")]
    nodes.append(helper.make_node("CumSum", ["x", "one"], ["CumSum"], exclusive=1, reverse=1))
    nodes.append(helper.make_node("CumSum", ["x", "zero"], ["before"]))
    nodes.append(helper.make_node("Pow", ["s", "three"], ["Pow"]))
    nodes.append(helper.make_node("Transpose", ["x"], ["xt"]))
    nodes.append(helper.make_node("MatMul", ["s", "xt"], ["MatMul"]))
    nodes.append(helper.make_node("MatMul", ["s", "w"], ["layer"]))
    constants = axes | {"one": np.array(1), "zero": np.array(0), "three": dtype(3), "w": np.arange(15).astype(dtype).reshape(5, 3)}
    agree(model_of(nodes, sample, [node.output[0] for node in nodes if node.output[0] != "xt"], constants), sample, floats)


def test_products_of_32_bits_wrap() -> None:
    x = np.array([[2**31 - 1, 1, -(2**31)]], np.int32)
    agree(single("MatMul", {"x": x}, {"w": np.array([[2], [3], [7]], np.int32)}), {"x": x})


SMALL = np.array([1, 2])
LARGE = np.array([2**31 - 1, 2**31 - 2])


@pytest.mark.parametrize(
    ("operator", "constants", "attributes"),
    [
        ("Add", {"c": np.array(7)}, {}),
        ("Mul", {"c": np.array(7)}, {}),
        ("Pow", {"c": np.array(3)}, {}),
        ("ReduceSum", {}, {}),
        ("ReduceSumSquare", {}, {}),
        ("MatMul", {"c": LARGE.reshape(2, 1)}, {}),
        ("CumSum", {"c": np.array(0)}, {}),
        ("Cast", {}, {"to": onnx.TensorProto.UINT32}),
    ],
)
def test_what_no_word_holds_ends_the_run(operator: str, constants: dict[str, Any], attributes: dict[str, Any]) -> None:
    small, large = {"x": SMALL}, {"x": LARGE if operator != "Cast" else -LARGE}
    if operator == "MatMul":
        small = {"x": SMALL * 0}
    made = Lowered(single(operator, small, constants, **attributes), [small])
    made.agree(small)
    with pytest.raises(Overflow, match="layer node"):
        made.evaluate(large)
    execution = made.run(large)
    assert execution.exit_code == 3
    assert b"layer node" in execution.stderr
    assert len(execution.journal) == 32


@pytest.mark.parametrize("operator", ["Div", "Mod"])
def test_division_by_0_ends_the_run(operator: str) -> None:
    sample = {"x": np.array([7, -7]), "y": np.array([2, -2])}
    made = Lowered(single(operator, sample), [sample])
    made.agree(sample)
    assert made.run({"x": SMALL, "y": np.array([1, 0])}).exit_code == 3


def test_constants_that_no_word_holds() -> None:
    sample = {"x": np.array([5, -5, 2**31 - 1])}
    wide = np.array([2**40, -(2**40), 2**31])
    nodes = [helper.make_node(name, ["x", "c"], [name]) for name in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")]
    nodes += [helper.make_node("Min", ["x", "most"], ["Min"]), helper.make_node("Max", ["x", "least"], ["Max"])]
    constants = {"c": wide, "most": np.array(2**40), "least": np.array(-(2**40))}
    agree(model_of(nodes, sample, [node.output[0] for node in nodes], constants), sample)
    masked = {"b": sample["x"] < 0, "x": sample["x"]}
    with pytest.raises(UsageError, match="1099511627776"):
        Lowered(single("Where", masked, {"c": np.array(2**40)}), [masked])


@pytest.mark.parametrize("kind", ["float", "integer"])
def test_computed_positions(kind: str) -> None:
    random = np.random.default_rng(0)
    x = normal(4, 5, 3) if kind == "float" else numbers(np.int32, 60).reshape(4, 5, 3)
    sample = {
        "x": x, "g": random.integers(-3, 3, (2, 2)), "e": random.integers(-3, 3, (2, 3, 3)), "n": random.integers(-3, 3, (3, 2)),
        "b": random.integers(-3, 3, (4, 2, 1)), "u": x[:2, :3], "v": x[:3, 0],
    }  # fmt: skip
    nodes = [helper.make_node("Gather", ["x", "g"], [f"g{axis}"], axis=axis) for axis in range(3)]
    nodes += [helper.make_node("GatherElements", ["x", "e"], [f"e{axis}"], axis=axis) for axis in range(3)]
    nodes += [helper.make_node("GatherND", ["x", "n"], ["nd"]), helper.make_node("GatherND", ["x", "b"], ["bd"], batch_dims=1)]
    for change in ("none", "add", "mul", "max", "min"):
        nodes.append(helper.make_node("ScatterElements", ["x", "e", "u"], [f"s_{change}"], axis=1, reduction=change))
        nodes.append(helper.make_node("ScatterND", ["x", "n", "v"], [f"n_{change}"], reduction=change))
    agree(model_of(nodes, sample, [node.output[0] for node in nodes]), sample)


def test_changes_in_fixed_point() -> None:
    sample = {"x": normal(4, 3), "p": np.array([[1, -1, 1]]), "u": normal(1, 3, seed=1)}
    for change in ("none", "max", "add"):
        model = single("ScatterElements", sample, axis=0, reduction=change)
        made = Lowered(model, [sample], floats=FIXED)
        inputs = [np.round(sample[port.name] / value.scale) for port, value in zip(made.imported.inputs, made.graph.inputs, strict=True)]
        result = made.agree({port.name: array.astype(np.int64) for port, array in zip(made.imported.inputs, inputs, strict=True)})[0]
        np.testing.assert_allclose(result, expected(model, sample)[0], atol=0.002)


@pytest.mark.parametrize("operator", ["Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"])
@pytest.mark.parametrize("position", [4, -5])
@pytest.mark.parametrize("private", [False, True])
def test_positions_outside_end_the_run(operator: str, position: int, private: bool) -> None:
    positions = np.array([[0, 1, 2]]).reshape((3, 1) if operator.endswith("ND") else (1, 3) if "Elements" in operator else (3,))
    updates = {"u": normal(3, 3) if operator.endswith("ND") else normal(1, 3)}
    sample = {"x": normal(4, 3), "p": positions} | (updates if "Scatter" in operator else {})
    made = Lowered(single(operator, sample), [sample], private=private)
    made.agree(sample)
    outside = sample | {"p": np.where(positions == 1, position, positions)}
    with pytest.raises(Overflow, match="outside its axis"):
        made.evaluate(outside)
    execution = made.run(outside)
    assert execution.exit_code == 3
    assert b"layer node" in execution.stderr


def test_private_words_do_not_decide_where_a_table_is_read() -> None:
    """Whoever proves chooses constants of a private model."""
    sample = {"x": normal(5, 2), "i": np.array([0, 1], np.int8)}
    nodes = [helper.make_node("Max", ["i", "c"], ["p"]), helper.make_node("Cast", ["p"], ["q"], to=7)]
    nodes.append(helper.make_node("Gather", ["x", "q"], ["y"]))
    made = Lowered(model_of(nodes, sample, ["y"], {"c": np.array([3, 4], np.int8)}), [sample], private=True)
    made.agree(sample)
    made.code.private_words[made.code.private_words == 4] = 104
    assert made.run(sample).exit_code == 3
