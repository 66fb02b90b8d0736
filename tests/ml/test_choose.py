"""Which nodes compute in floats: all of a cheap model, none of a dear one whose answers stay, else those where the error begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.cli.running import invoke
from tests.ml.floats import Lowered, answers
from tests.ml.models import Array, agreed, model_of, normal, seen, single
from tests.ml.test_private import public_files
from tests.ml.weights import DRAWS, FAMILIES
from zkvm.errors import InexactError
from zkvm.ml import choose
from zkvm.ml.choose import Choice
from zkvm.ml.compiler import (
    Arithmetic,
    Compilation,
    Limits,
    Options,
    Privacy,
    add_measurements,
    compile_imported,
    float_outputs,
    import_file,
    integer_model,
)  # fmt: skip
from zkvm.ml.interface import SATURATED_EXIT
from zkvm.ml.ir import Kind, evaluate
from zkvm.ml.operations.convert import FromFloat, ToFloat
from zkvm.ml.quantize import Everything
from zkvm.ml.samples import Sample

SIZES = np.array([6e4, 0.3, 4e6, 0.01], np.float32)
LAYERS = [
    helper.make_node("Gemm", ["s", "w"], ["h"], name="first"),
    helper.make_node("Relu", ["h"], ["r"], name="relu"),
    helper.make_node("Gemm", ["r", "v"], ["y"], name="second"),
]


def layers(columns: int) -> dict[str, Array]:
    """Weights of layers that cost more than floats of a model that is not even tried; the first score leads."""
    last = normal(256, 256, seed=2) / np.float32(16)
    last[:, 0] = np.abs(last[:, 0]) + np.float32(0.1)
    return {"w": normal(columns, 256, seed=1) / np.float32(columns**0.5), "v": last}


def even() -> tuple[onnx.ModelProto, list[Sample]]:
    """Inputs of one size."""
    samples: list[Sample] = [{"s": normal(1, 8, seed=seed)} for seed in range(30)]
    return model_of(LAYERS, samples[0], ["y"], layers(8)), samples


def uneven() -> tuple[onnx.ModelProto, list[Sample]]:
    """An income beside a ratio, brought to one size by a standard scaler."""
    samples: list[Sample] = [{"x": (SIZES * (1 + 0.3 * normal(1, 4, seed=seed))).astype(np.float32)} for seed in range(40)]
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["c"], name="centred"),
        helper.make_node("Mul", ["c", "factor"], ["s"], name="divided"),
        *LAYERS,
    ]
    return model_of(nodes, samples[0], ["y"], layers(4) | {"mean": SIZES, "factor": 1 / (0.3 * SIZES)}), samples


def chosen(model: onnx.ModelProto, samples: Sequence[Sample], options: Options | None = None) -> Choice:
    """What the compiler chooses, for inputs in the samples' range."""
    options = options or Options()
    imported = import_file(model, options)
    return integer_model(imported, samples, replace(options, domain=seen(imported.inputs, samples)))[0]


def made(model: onnx.ModelProto, samples: Sequence[Sample], options: Options | None = None) -> Compilation:
    """The same with a guest."""
    options = options or Options()
    imported = import_file(model, options)
    return compile_imported(imported, samples, replace(options, domain=seen(imported.inputs, samples)))


def test_what_is_cheap_is_in_floats_without_a_trial() -> None:
    samples: list[Sample] = [{"x": normal(1, 6, seed=seed)} for seed in range(3)]
    choice = chosen(single("Gemm", samples[0], {"w": normal(6, 3)}), samples)
    assert choice.graph.cost <= choose.CHEAP
    assert "any name" in choice.floats
    assert [value.kind for value in (*choice.graph.inputs, *choice.graph.outputs)] == [Kind.FLOAT] * 2
    found = choice.as_json()
    assert (found["float_operations"], found["fixed_operations"], found["trials"]) == (1, 0, [])


def test_what_is_dear_and_agrees_is_in_fixed_point() -> None:
    choice = chosen(*even())
    assert choice.floats == frozenset()
    assert [(trial.float_nodes, trial.holds) for trial in choice.trials] == [(0, True)]
    assert choice.trials[0].cost == choice.graph.cost
    found = choice.as_json()
    assert (found["float_operations"], found["fixed_operations"], found["tensor_operations"]) == (0, 3, 2), "two layers, an export"
    trial = {"float_nodes": 0, "nodes": 3, "holds": True, "sure": True, "cost": choice.graph.cost, "tensor_operations": 2}
    assert found["trials"] == [trial]


def test_where_the_error_begins_becomes_floats() -> None:
    """The scaler, and none of the layers, which are what the model costs."""
    model, samples = uneven()
    compilation = made(model, samples)
    card = compilation.model.card["arithmetic"]
    assert min(card["float_operations"], card["fixed_operations"]) > 0
    assert [trial["holds"] for trial in card["trials"]][-2:] == [False, True]
    kinds = {name: compilation.graph.tensors[name].kind for name in ("x", "c", "s", "y")}
    assert kinds == {"x": Kind.FLOAT, "c": Kind.FLOAT, "s": Kind.FLOAT, "y": Kind.REAL}
    everything = chosen(model, samples, Options(arithmetic=Arithmetic.FLOAT))
    assert compilation.graph.cost <= choose.WORTHWHILE * everything.graph.cost
    assert add_measurements(compilation, samples, None).holds
    for sample, expected in zip(samples[:2], float_outputs(compilation.imported, samples[:2]), strict=True):
        result = answers(compilation, sample)[0][0]
        assert np.abs(result - expected[0]).max() <= 0.01 * np.ptp(expected[0])
    fixed = made(model, samples, Options(arithmetic=Arithmetic.FIXED))
    with pytest.raises(InexactError, match="error begins in"):
        add_measurements(fixed, samples, None).demand()


def test_everything_is_in_floats_if_nothing_else_agrees() -> None:
    choice = chosen(*even(), Options(limits=Limits(max_error=1e-7)))
    assert isinstance(choice.floats, Everything)
    assert 0 < len(choice.trials) <= choose.MAX_TRIALS
    assert not any(trial.holds for trial in choice.trials)
    assert {value.kind for value in choice.graph.tensors.values()} == {Kind.FLOAT}


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_fixed_point_does_not_agree_on_what_it_has_no_number_for(number: float) -> None:
    model, samples = even()
    samples[3] = {"s": np.where(np.arange(8) == 2, number, samples[3]["s"]).astype(np.float32)}
    choice = integer_model(import_file(model, Options()), samples, Options())[0]
    assert not any(trial.holds for trial in choice.trials)
    assert choice.graph.inputs[0].kind is Kind.FLOAT


def test_what_costs_as_much_as_floats_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "WORTHWHILE", 0.01)
    choice = chosen(*even())
    assert isinstance(choice.floats, Everything)
    assert choice.trials == ()


@pytest.mark.parametrize("dear", [False, True])
def test_a_private_choice_follows_from_costs_alone(dear: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks the gate, and what is published is the same for other weights."""
    monkeypatch.setattr(choose, "CHEAP", 0 if dear else choose.CHEAP)
    monkeypatch.setattr("zkvm.ml.compiler.agreement", lambda *arguments: pytest.fail("a trial would say something of the weights"))
    published = []
    for draw in ("other", "small"):
        model, samples = FAMILIES["sum of layers"](DRAWS[draw]())
        compilation = made(model, samples, Options(privacy=Privacy(private_weights=True)))
        card = compilation.model.card["arithmetic"]
        assert (card["float_operations"] == 0, card["fixed_operations"] == 0, card["trials"]) == (dear, not dear, [])
        published.append(public_files(compilation, tmp_path / draw))
        words, _ = compilation.model.quantize([samples[0][port.name] for port in compilation.imported.inputs])
        agreed(compilation, words)
    assert published[0] == published[1]


def test_what_the_user_says_is_done(tmp_path: Path) -> None:
    model, samples = even()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 256]))
    onnx.save(model, str(tmp_path / "model.onnx"))
    np.save(tmp_path / "data.npy", np.concatenate([sample["s"] for sample in samples]))
    command = ["compile", tmp_path / "model.onnx", "--calibration", tmp_path / "data.npy", "-o", tmp_path / "out", "--no-measure", "--json"]
    cards = {}
    for arithmetic in ("fixed", "float"):
        cards[arithmetic] = invoke(*map(str, command), "--arithmetic", arithmetic).json["card"]["arithmetic"]
        assert cards[arithmetic]["trials"] == []
    assert (cards["fixed"]["float_operations"], cards["float"]["fixed_operations"]) == (0, 0)
    assert cards["fixed"]["fixed_operations"] > 0 < cards["float"]["float_operations"]
    assert cards["fixed"]["estimated_instructions"] < cards["float"]["estimated_instructions"]
    assert invoke(*map(str, command), "--arithmetic", "double").code == 2


MIXED = [
    helper.make_node("Gemm", ["x", "w"], ["h"], name="first"),
    helper.make_node("Tanh", ["h"], ["t"], name="tanh"),
    helper.make_node("Gemm", ["t", "v"], ["g"], name="second"),
    helper.make_node("Exp", ["g"], ["y"], name="exponential"),
]
WEIGHTS = {"w": normal(6, 5, seed=1), "v": normal(5, 4, seed=2)}


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_conversions_of_the_guest_are_those_of_the_integer_model(private: bool) -> None:
    """Floats, fixed point in the middle, floats; and the other way round."""
    samples: list[Sample] = [{"x": normal(1, 6, seed=seed)} for seed in range(6)]
    model = model_of(MIXED, samples[0], ["y"], WEIGHTS)
    lowered = Lowered(model, samples, floats=frozenset({"h", "y"}), private=private)
    # The first looks whether the input is in the domain, from which the bounds in fixed point follow.
    conversions = [type(operation) for operation in lowered.graph.operations if isinstance(operation, ToFloat | FromFloat)]
    assert conversions == [FromFloat, FromFloat, ToFloat]
    truth = float_outputs(lowered.imported, samples)
    for sample, expected in zip(samples, truth, strict=True):
        assert np.abs(lowered.agree(sample)[0] - expected[0]).max() <= 0.002 * np.ptp(np.concatenate([real[0] for real in truth]))


def test_a_conversion_that_cuts_ends_the_run() -> None:
    """What the ranges did not foresee, an infinity, and a NaN."""
    samples: list[Sample] = [{"x": normal(1, 6, seed=seed)} for seed in range(6)]
    lowered = Lowered(model_of(MIXED, samples[0], ["y"], WEIGHTS), samples, floats=frozenset({"h", "y"}))
    for number in (1e4, -1e30, np.inf, np.nan):
        sample = {"x": np.full((1, 6), number, np.float32)}
        saturated: dict[str, int] = {}
        evaluate(lowered.graph, lowered.words(sample), saturated)
        run = lowered.run(sample)
        assert list(saturated) == ["input x", "tanh"]
        assert (run.exit_code, "layer input x" in run.stderr.decode()) == (SATURATED_EXIT, True)


def close() -> tuple[onnx.ModelProto, list[Sample]]:
    """Two hundred scores that lie so close together that a rounding decides some rows."""
    samples: list[Sample] = [{"s": normal(16, 8, seed=seed)} for seed in range(20)]
    weights = layers(8) | {"v": normal(256, 200, seed=2) / np.float32(16)}
    return model_of(LAYERS, samples[0], ["y"], weights), samples


def test_labels_that_are_likely_to_differ_are_as_bad_as_differing_ones() -> None:
    """Whether a label of the few inputs that are looked at differs is chance."""
    choice = chosen(*close())
    assert isinstance(choice.floats, Everything)
    assert not any(trial.sure for trial in choice.trials)
    assert chosen(*even()).trials[0].sure


def test_whoever_accepts_differing_labels_gets_fixed_point() -> None:
    choice = chosen(*close(), Options(limits=Limits(max_flips=100)))
    assert choice.floats == frozenset()
