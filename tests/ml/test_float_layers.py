"""Everything that sums, in floats: layers, products, pools, reductions, normalisations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.ml.floats import FLOATS, NOISE, answers, check_floats
from tests.ml.models import Array, compiled, model_of, normal, positive, single
from zkvm.errors import UsageError
from zkvm.ml.compilation import Arithmetic
from zkvm.ml.compiler import Options, Privacy
from zkvm.ml.operations.floatlinear import FloatLinear
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

Case = tuple[str, tuple[int, ...], dict[str, Array], dict[str, Any]]
LAYERS: list[Case] = [
    ("Gemm", (5, 12), {"w": normal(7, 12, seed=3), "b": normal(7, seed=4)}, {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", (1, 12), {"w": normal(12, 1, seed=3), "b": normal(1, seed=4)}, {}),
    ("MatMul", (3, 4, 12), {"w": normal(12, 9, seed=3)}, {}),
    ("MatMul", (12,), {"w": normal(12, 9, seed=3)}, {}),
    ("MatMul", (2, 3, 4), {"w": normal(2, 4, 5, seed=3)}, {}),
    ("MatMul", (3, 4), {"w": normal(2, 4, 5, seed=3)}, {}),
    ("MatMul", (4,), {"w": normal(2, 4, 5, seed=3)}, {}),
    ("Conv", (1, 3, 9, 10), {"w": normal(8, 3, 3, 2, seed=3), "b": normal(8, seed=4)}, {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
    ("Conv", (1, 3, 9, 10), {"w": normal(9, 1, 3, 2, seed=3)}, {"group": 3, "strides": [2, 3], "auto_pad": "SAME_LOWER"}),
    ("Conv", (2, 4, 9), {"w": normal(8, 2, 3, seed=3)}, {"group": 2, "pads": [1, 1]}),
    ("Conv", (2, 4, 5, 6, 7), {"w": normal(6, 2, 2, 3, 3, seed=3)}, {"group": 2, "pads": [1, 0, 1, 1, 0, 1], "strides": [2, 1, 1]}),
    ("Conv", (1, 2, 7, 4, 4), {"w": normal(3, 2, 3, 2, 2, seed=3), "b": normal(3)}, {"dilations": [2, 1, 1]}),
    ("ConvTranspose", (1, 4, 5, 6), {"w": normal(4, 3, 3, 2, seed=3)}, {"strides": [2, 1], "pads": [1, 0, 0, 1]}),
    ("ConvTranspose", (1, 4, 5), {"w": normal(4, 3, 3, seed=3), "b": normal(6)}, {"strides": [2], "group": 2, "output_padding": [1]}),
    ("ConvTranspose", (1, 2, 3, 4, 4), {"w": normal(2, 3, 2, 2, 3, seed=3)}, {"strides": [2, 1, 1]}),
    ("BatchNormalization", (1, 3, 4, 4), {"s": positive(3), "b": normal(3), "m": normal(3), "v": positive(3)}, {}),
    ("BatchNormalization", (2, 3), {"s": positive(3), "b": normal(3), "m": normal(3), "v": positive(3)}, {}),
]  # fmt: skip
ROWS: list[Case] = [
    ("LayerNormalization", (3, 20), {"s": normal(20), "b": normal(20, seed=2)}, {}),
    ("LayerNormalization", (3, 4, 5), {"s": normal(4, 5)}, {"axis": 1, "epsilon": 0.1}),
    ("InstanceNormalization", (2, 3, 4, 5), {"s": normal(3), "b": normal(3, seed=2)}, {}),
    ("Softmax", (3, 5, 4), {}, {"axis": 1}),
    ("Softmax", (2, 7), {}, {}),
    ("CumSum", (3, 5, 4), {"axis": np.array(1)}, {}),
    ("CumSum", (3, 5, 4), {"axis": np.array(-1)}, {"exclusive": 1, "reverse": 1}),
    ("GlobalAveragePool", (1, 3, 9, 4), {}, {}),
    ("GlobalMaxPool", (1, 3, 9, 4), {}, {}),
    *((name, (3, 5, 4), {"axes": np.array(axes)}, {"keepdims": keep})
      for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceSumSquare")
      for axes, keep in (([0, 2], 1), ([1], 0))),
    ("ArgMax", (3, 5, 4), {}, {"axis": 1}),
    ("ArgMin", (3, 5, 4), {}, {"axis": 2, "keepdims": 0, "select_last_index": 1}),
    ("AveragePool", (1, 3, 8, 8), {}, {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("AveragePool", (1, 3, 9, 10), {}, {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1}),
    ("AveragePool", (1, 3, 9, 10), {}, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("AveragePool", (2, 3, 6, 5, 6), {}, {"kernel_shape": [3, 2, 2], "strides": [2, 1, 2], "pads": [1, 0, 0, 1, 1, 0]}),
    ("AveragePool", (1, 3, 9), {}, {"kernel_shape": [3], "pads": [1, 1]}),
    ("MaxPool", (1, 3, 9, 10), {}, {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1}),
    ("MaxPool", (2, 3, 6, 5, 6), {}, {"kernel_shape": [3, 2, 2], "strides": [2, 1, 2], "pads": [1, 0, 0, 1, 1, 0], "dilations": [1, 2, 1]}),
    ("MaxPool", (1, 3, 9), {}, {"kernel_shape": [3]}),
]  # fmt: skip


def named(cases: list[Case]) -> list[Any]:
    return [pytest.param(case, id=f"{case[0]}-{number}") for number, case in enumerate(cases)]


@pytest.mark.parametrize("case", named([*LAYERS, *ROWS]))
def test_operator_is_that_of_onnxruntime_to_rounding(case: Case) -> None:
    """Calibrated on one sample; the others are larger and smaller by orders of magnitude."""
    name, shape, constants, attributes = case
    samples = [{"x": normal(*shape, seed=seed, scale=scale)} for seed, scale in ((0, 1.0), (1, 1e6), (2, 1e-9))]
    tolerance = NOISE
    if name in ("CumSum", "MaxPool", "ArgMax", "ArgMin", "GlobalMaxPool", "ReduceMax", "ReduceMin"):
        tolerance = 0.0
    if "Normalization" in name:
        samples = samples[:1]
    check_floats(single(name, samples[0], constants, **attributes), samples, tolerance)


@pytest.mark.parametrize("largest", [0, 1])
def test_largest_elements(largest: int) -> None:
    samples = [{"x": normal(3, 6, 2, seed=seed)} for seed in range(2)]
    check_floats(single("TopK", samples[0], {"k": np.array([3])}, 2, axis=1, largest=largest), samples, 0.0)


def test_constant_left_factor_and_products_of_activations() -> None:
    samples = [{"x": normal(5, 7, seed=seed, scale=10.0**seed), "y": normal(2, 7, 3, seed=seed + 9)} for seed in range(3)]
    nodes = [
        helper.make_node("MatMul", ["w", "x"], ["left"]),
        helper.make_node("MatMul", ["x", "y"], ["product"]),
        helper.make_node("MatMul", ["left", "y"], ["both"]),
    ]
    check_floats(model_of(nodes, samples[0], ["left", "product", "both"], {"w": normal(4, 5)}), samples)


def test_running_sums_of_integers_wrap() -> None:
    samples = [{"x": np.array([[2**30, 2**30, -5, 7]], np.int32)}, {"x": np.array([[1, -2, 3, -4]], np.int32)}]
    for attributes in ({}, {"exclusive": 1}, {"reverse": 1}):
        made = check_floats(single("CumSum", samples[0], {"axis": np.array(1)}, **attributes), samples, 0.0)
        assert all(value.kind != "float" for value in made.graph.outputs)


def exact_sums(x: Array, weights: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x times weights, and the sum of the terms' magnitudes."""
    return x.astype(np.float64) @ weights, np.abs(x.astype(np.float64)) @ np.abs(weights.astype(np.float64))


def test_badly_scaled_columns_lose_nothing() -> None:
    """A time stamp beside ratios, with weights that make them equally important."""
    scales = np.array([1.7e9, 1.0, 1e-6, 3e4, 1e20, 1e-20], np.float32)
    weights = (normal(6, 5, seed=1) / scales[:, None]).astype(np.float32)
    samples = [{"x": normal(3, 6, seed=seed) * scales} for seed in range(3)]
    made = compiled(single("MatMul", samples[0], {"w": weights}), samples[:1], FLOATS)
    for sample in samples:
        expected, terms = exact_sums(sample["x"], weights)
        assert (np.abs(answers(made, sample)[0][0] - expected) <= terms * 2.0**-22).all()


def test_wide_layers_keep_their_precision() -> None:
    weights = normal(3000, 4, seed=1)
    samples = [{"x": normal(1, 3000, seed=seed)} for seed in range(2)]
    made = compiled(single("MatMul", samples[0], {"w": weights}), samples[:1], FLOATS)
    for sample in samples:
        expected, terms = exact_sums(sample["x"], weights)
        assert (np.abs(answers(made, sample)[0][0] - expected) <= terms * 2.0**-23).all()


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0, 1, -2, 3e38, 1e-45], np.float32)


@pytest.mark.parametrize(
    ("name", "shape", "constants", "attributes"),
    [
        ("MatMul", (6, 4), {"w": np.array([[1, 0, -1], [2, 1, 0], [0, 0, 1], [1, 1, 1]], np.float32)}, {}),
        ("Gemm", (6, 4), {"w": normal(4, 9), "b": normal(9)}, {}),
        ("Conv", (1, 2, 6, 6), {"w": normal(3, 2, 3, 3)}, {"pads": [1, 1, 1, 1]}),
        ("ReduceSum", (6, 4), {"axes": np.array([1])}, {}),
        ("ReduceMean", (6, 4), {"axes": np.array([0])}, {}),
        ("ReduceL1", (6, 4), {"axes": np.array([1])}, {}),
        ("ReduceSumSquare", (6, 4), {"axes": np.array([1])}, {}),
        ("Softmax", (6, 4), {}, {}),
        ("CumSum", (6, 4), {"axis": np.array(1)}, {}),
        ("AveragePool", (1, 2, 6, 6), {}, {"kernel_shape": [2, 2]}),
    ],
)  # fmt: skip
def test_infinities_and_nan(name: str, shape: tuple[int, ...], constants: dict[str, Array], attributes: dict[str, Any]) -> None:
    """They reach the sums that they are part of, and no others."""
    random = np.random.default_rng(0)
    for choices in (SPECIAL[:6], SPECIAL[1:6], SPECIAL[[0, 4, 5]], SPECIAL[[1, 4, 5]]):
        weights = [0.4 / (len(choices) - 2)] * (len(choices) - 2) + [0.3, 0.3]
        samples = [{"x": normal(*shape)}, *({"x": random.choice(choices, shape, p=weights)} for _ in range(2))]
        check_floats(single(name, samples[0], constants, **attributes), samples)


def test_infinities_in_products_of_activations() -> None:
    random = np.random.default_rng(0)
    samples = [{"x": normal(4, 5), "y": normal(5, 6)}]
    samples += [
        {"x": random.choice(SPECIAL[1:6], (4, 5), p=[0.05, 0.05, 0.3, 0.3, 0.3]), "y": normal(5, 6, seed=seed)} for seed in range(2)
    ]
    samples += [{"x": normal(4, 5), "y": random.choice(SPECIAL[:6], (5, 6), p=[0.1, 0.05, 0.05, 0.2, 0.3, 0.3])}]
    check_floats(single("MatMul", samples[0]), samples)


def test_relu_is_part_of_the_layer_before_it() -> None:
    sample = {"x": normal(3, 6)}
    constants = {"w": normal(6, 4), "b": normal(4)}
    layer = helper.make_node("Gemm", ["x", "w", "b"], ["t"])
    made = check_floats(model_of([layer, helper.make_node("Relu", ["t"], ["y"])], sample, ["y"], constants), [sample, {"x": -sample["x"]}])
    assert [operation.kind for operation in made.graph.operations] == ["floatlinear"]
    made = check_floats(model_of([layer, helper.make_node("Relu", ["t"], ["y"])], sample, ["t", "y"], constants), [sample])
    assert len(made.graph.operations) == 2


def test_weights_that_are_no_numbers_are_refused() -> None:
    sample = {"x": normal(1, 3)}
    with pytest.raises(UsageError, match="node: a weight is NaN or infinite"):
        compiled(single("MatMul", sample, {"w": np.array([[1.0], [np.inf], [2.0]], np.float32)}), [sample], FLOATS)


def test_cycles_of_a_product() -> None:
    sample = {"x": normal(1, 128)}
    made = compiled(single("Gemm", sample, {"w": normal(128, 64, seed=1), "b": normal(64)}), [sample], FLOATS)
    assert answers(made, sample)[1] <= 9.5 * 128 * 64
    assert sum(operation.cost for operation in made.graph.operations) == pytest.approx(answers(made, sample)[1], rel=0.25)
    assert isinstance(made.graph.operations[0], FloatLinear)


PRIVATE = Options(arithmetic=Arithmetic.FLOAT, privacy=Privacy(private_weights=True))


@pytest.mark.parametrize("name", ["perceptron", "convolutions", "rows"])
def test_public_files_do_not_depend_on_private_weights(name: str, tmp_path: Path) -> None:
    """Whatever the weights are: zero, equal, of very different sizes. Compilation compares with twins, too."""
    sources = []
    sample = {"x": normal(2, 8) if name != "convolutions" else normal(1, 2, 6, 6)}
    for number, scale in enumerate((1.0, 0.0, 1e-20, 1e9)):

        def drawn(*shape: int, factor: float = scale, seed: int = number) -> Array:
            spread = 10.0 ** np.random.default_rng(seed).integers(-4, 4, shape) if seed > 1 else 1
            return np.asarray(normal(*shape, seed=seed) * spread * factor, np.float32)

        if name == "perceptron":
            nodes = [
                helper.make_node("Gemm", ["x", "a", "b"], ["h"]),
                helper.make_node("Relu", ["h"], ["r"]),
                helper.make_node("MatMul", ["r", "c"], ["y"]),
            ]
            constants = {"a": drawn(8, 5), "b": drawn(5), "c": drawn(5, 3)}
        elif name == "convolutions":
            nodes = [
                helper.make_node("Conv", ["x", "a", "b"], ["h"], group=2),
                helper.make_node("AveragePool", ["h"], ["p"], kernel_shape=[2, 2], pads=[1, 1, 0, 0]),
                helper.make_node("BatchNormalization", ["p", "s", "b", "b", "v"], ["n"]),
                helper.make_node("Conv", ["n", "c"], ["y"], pads=[1, 1, 1, 1]),
            ]
            constants = {"a": drawn(4, 1, 3, 3), "b": drawn(4), "s": drawn(4), "v": np.abs(drawn(4)), "c": drawn(3, 4, 2, 2)}
        else:
            nodes = [
                helper.make_node("LayerNormalization", ["x", "a", "b"], ["h"]),
                helper.make_node("MatMul", ["w", "h"], ["m"]),
                helper.make_node("Softmax", ["m"], ["y"]),
            ]
            constants = {"a": drawn(8), "b": drawn(8), "w": drawn(3, 2)}
        made = compiled(model_of(nodes, sample, ["y"], constants), [sample], PRIVATE)
        answers(made, sample)
        sources.append(made.code.source)
    assert len(set(sources)) == 1


def test_any_private_words_are_safe() -> None:
    """Exponents and shifts that no compiler writes neither end the run nor hang it."""
    sample = {"x": normal(1, 6)}
    made = compiled(single("Gemm", sample, {"w": normal(6, 4), "b": normal(4)}), [sample], PRIVATE)
    random = np.random.default_rng(0)
    words, size = made.model.quantize([sample["x"]])[0], len(made.code.private_words)
    for number in range(6):
        drawn = random.choice([-(2**31), 2**31 - 1, 0, -1], size) if number % 2 else random.integers(-(2**31), 2**31, size)
        weights = made.model.private_weights[:32] + drawn.astype("<i4").tobytes()
        run = execute(load_image(made.model.elf), replace(made.model, private_weights=weights).stdin(words), trace=False)
        assert run.exit_code == 0, run.stderr
