"""Models that are like those that once went wrong: other operators, types, shapes, spellings of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.ml.floats import check_floats
from tests.ml.models import Array, model_of, normal
from zkvm.errors import InputError
from zkvm.ml.calibrate import calibrate
from zkvm.ml.candidate import GraphModel
from zkvm.ml.codegen import generate, interface_of
from zkvm.ml.compiler import Options, Privacy, agreement, build_guest, import_file, integer_model
from zkvm.ml.domain import input_domain
from zkvm.ml.interface import SATURATED_EXIT
from zkvm.ml.ir import Kind
from zkvm.ml.package import CompiledModel
from zkvm.ml.quantize import quantize
from zkvm.ml.samples import Sample, samples_of
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

LEGAL_IDS: list[tuple[str, str, dict[str, Array], dict[str, Array], dict[str, Any], list[tuple[int, int]]]] = [
    ("Gather", "t i", {"i": np.array([0, 1])}, {"t": normal(10, 3)}, {}, [(-10, 9)] * 2),
    ("Gather", "t i", {"i": np.array([0, 1])}, {"t": normal(10, 3)}, {"axis": -1}, [(-3, 2)] * 2),
    ("GatherElements", "t i", {"i": np.array([[0, 1]])}, {"t": normal(1, 7)}, {"axis": 1}, [(-7, 6)] * 2),
    ("GatherND", "t i", {"i": np.array([[0, 1]])}, {"t": normal(10, 3)}, {}, [(-10, 9), (-3, 2)]),
    ("GatherND", "t i", {"i": np.array([[1], [0]])}, {"t": normal(2, 5)}, {"batch_dims": 1}, [(-5, 4)] * 2),
    ("ScatterElements", "t i u", {"i": np.array([[0, 1]]), "u": normal(1, 2)}, {"t": normal(1, 7)}, {"axis": 1}, [(-7, 6)] * 2),
    ("ScatterND", "t i u", {"i": np.array([[0, 1]]), "u": normal(1)}, {"t": normal(10, 3)}, {}, [(-10, 9), (-3, 2)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "names", "inputs", "constants", "attributes", "legal"), LEGAL_IDS, ids=[f"{case[0]}{case[4]}" for case in LEGAL_IDS]
)
def test_ids_have_the_range_of_what_they_choose_from(
    operator: str, names: str, inputs: Sample, constants: dict[str, Array], attributes: dict[str, Any], legal: list[tuple[int, int]]
) -> None:
    node = helper.make_node(operator, names.split(), ["y"], **attributes)
    span = input_domain(import_file(model_of([node], inputs, ["y"], constants), Options()), [inputs], {}).spans["i"]
    found = list(zip(span.low.reshape(-1).tolist(), span.high.reshape(-1).tolist(), strict=True))
    assert found == legal


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_samples_are_of_the_type_of_the_file(dtype: type[np.floating]) -> None:
    """So the float model gets what the user has, and what the guest's float32 lose of it counts as error."""
    sample = {"x": normal(2, 3).astype(dtype)}
    nodes = [helper.make_node("Mul", ["x", "s"], ["m"]), helper.make_node("Cast", ["m"], ["y"], to=6)]
    imported = import_file(model_of(nodes, sample, ["y"], {"s": np.array(100, dtype)}), Options())
    assert imported.inputs[0].dtype == dtype
    choice, _ = integer_model(imported, [sample], Options())
    assert agreement(imported, choice.graph, [sample], Options()).flips == 0
    with pytest.raises(InputError, match="too large"):
        samples_of(np.full((2, 3), 1e300), imported.inputs)


def test_what_single_precision_loses_is_seen() -> None:
    """Milliseconds since 1970 in double precision."""
    samples = [{"x": np.array([[1.7e12 + 1e3 * number, 1.0]])} for number in range(20)]
    nodes = [helper.make_node("Sub", ["x", "o"], ["d"]), helper.make_node("Mul", ["d", "s"], ["y"])]
    constants = {"o": np.array([1.7e12, 0]), "s": np.array([1e-4, 1])}
    imported = import_file(model_of(nodes, samples[0], ["y"], constants), Options())
    choice, _ = integer_model(imported, samples, Options())
    assert not agreement(imported, choice.graph, samples, Options()).holds


def test_drawn_integers_fit_words() -> None:
    """Of seconds since 1970 four times as many are no word."""
    sample = {"x": np.array([[1_700_000_000, 5]])}
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=1), helper.make_node("Mul", ["f", "s"], ["y"])]
    imported = import_file(model_of(nodes, sample, ["y"], {"s": np.float32(1e-9)}), Options())
    assert input_domain(imported, [sample], {}).spans["x"].high.max() <= np.iinfo(np.int32).max
    choice, _ = integer_model(imported, [sample], Options())
    answer = GraphModel(choice.graph, imported.inputs).evaluate({"x": np.array([[2_000_000_000, 7]])})
    assert not answer.outside
    np.testing.assert_allclose(answer.outputs[0], [[2.0, 7e-9]], rtol=1e-6)


def unlike_columns(count: int) -> list[Sample]:
    """A time stamp, two ratios, a tiny number."""
    random = np.random.default_rng(4)
    return [
        {"x": np.array([[1.7e9 + 1e7 * random.random(), *random.random(2), 1e-3 * random.standard_normal()]], np.float32)}
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    "weights",
    [
        np.eye(4)[:, [0, 1, 1, 2, 3, 0]],
        np.array([[1, 1e-9], [1e-3, 1], [1, 0.01], [1, 100]]),
        np.array([[1e-9, 0, 0, 0], [0, 0, 2, 0], [1e-2, 0, 0.01, 0], [1, 0, 0, 0]]),
    ],
    ids=["selection", "targets", "zeros"],
)
@pytest.mark.parametrize("left", [False, True])
def test_small_columns_keep_their_digits_beside_large_ones(weights: Array, left: bool) -> None:
    """Each output is as exact as if the others were not there, and what is not read is not seen but if it is no number."""
    weights = weights.astype(np.float32)
    samples = [*unlike_columns(6), {"x": np.array([[np.inf, 1, 2, 3]], np.float32)}, {"x": np.array([[1, np.nan, 2, 3]], np.float32)}]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"])]
    if left:
        nodes = [helper.make_node("MatMul", ["w", "x"], ["p"])]
        weights, samples = weights.T.copy(), [{"x": sample["x"].T.copy()} for sample in samples]
    outputs = [f"y{place}" for place in range(weights.shape[0 if left else 1])]
    nodes.append(helper.make_node("Split", ["p"], outputs, axis=0 if left else 1, num_outputs=len(outputs)))
    check_floats(model_of(nodes, samples[0], outputs, {"w": weights}), samples)


@pytest.mark.parametrize("attributes", [{}, {"exclusive": 1}, {"reverse": 1}])
@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_no_number_spoils_only_the_sums_that_hold_it(axis: int, attributes: dict[str, Any]) -> None:
    samples = [{"x": np.array(rows, np.float32)} for rows in ([[3, 4, 1], [5, 6, 2]], [[3, np.nan, 1], [np.inf, 1, -np.inf]])]
    check_floats(model_of([helper.make_node("CumSum", ["x", "a"], ["y"], **attributes)], samples[0], ["y"], {"a": np.array(axis)}), samples)


def test_logarithm_of_softmax_beside_an_infinity() -> None:
    samples = [{"x": np.array([row], np.float32)} for row in ([1, 2, 3], [1, np.inf, 3], [-np.inf] * 3, [-np.inf, 1, 2])]
    check_floats(model_of([helper.make_node("LogSoftmax", ["x"], ["y"])], samples[0], ["y"]), samples)


def test_the_float_model_of_quantized_weights_is_what_the_file_says() -> None:
    """Optimized, the runtime quantizes the other factor too."""
    constants = {"w": np.random.default_rng(0).integers(-127, 128, (64, 5)).astype(np.int8), "s": np.float32(0.01), "z": np.int8(0)}
    nodes = [helper.make_node("DequantizeLinear", ["w", "s", "z"], ["v"]), helper.make_node("MatMul", ["x", "v"], ["y"])]
    samples = [{"x": normal(1, 64, seed=seed)} for seed in range(4)]
    imported = import_file(model_of(nodes, samples[0], ["y"], constants), Options())
    choice, _ = integer_model(imported, samples, Options())
    assert agreement(imported, choice.graph, samples, Options()).error < 1e-6


@pytest.mark.parametrize("floats", [{"s"}, {"t"}, {"s", "t"}])
def test_inputs_in_floats_beyond_the_domain_are_not_cut_silently(floats: set[str]) -> None:
    """Fixed point reads them too, or what is computed of them, and has bounds that follow from the domain."""
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Tanh", ["x"], ["t"]), helper.make_node("Add", ["x", "s"], ["a"])]
    nodes.append(helper.make_node("Add", ["a", "t"], ["y"]))
    samples = [{"x": normal(1, 6, seed=seed)} for seed in range(4)]
    imported = import_file(model_of(nodes, samples[0], ["y"]), Options())
    graph = quantize(imported, calibrate(imported, samples), Options().precision, False, frozenset(floats))
    model = GraphModel(graph, imported.inputs)
    assert graph.inputs[0].kind is Kind.FLOAT
    assert not model.evaluate(samples[0]).saturated
    for number in (1e4, -1e4, np.nan, np.inf):
        assert model.evaluate({"x": np.array([[number, 0, 0, 0, 0, 0]], np.float32)}).saturated
    interface = interface_of(["x"], ["y"], graph, Privacy())
    made = CompiledModel(**vars(interface), elf=build_guest(generate(graph, Privacy(), interface.digest).source), private_weights=b"")
    words, _ = made.quantize([np.full((1, 6), 1e4, np.float32)])
    assert execute(load_image(made.elf), made.stdin(words), trace=False).exit_code == SATURATED_EXIT
