"""Models whose dense layers are tensor calls: the same answers, nothing is cut silently, inputs; what is chosen; a proof."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

import zkvm.ml
from tests.cli.running import invoke
from tests.ml.models import Array, agreed, check, compiled, model_of, normal, seen
from zkvm.errors import InputError, UsageError
from zkvm.ml import choose
from zkvm.ml.codegen import GeneratedCode, OutputMode, Privacy
from zkvm.ml.compilation import Precompiles
from zkvm.ml.compiler import Arithmetic, Compilation, Limits, Options, Precision, float_outputs, import_file, integer_model
from zkvm.ml.interface import SATURATED_EXIT, ModelInterface
from zkvm.ml.ir import Kind, evaluate
from zkvm.ml.layout import Layout
from zkvm.ml.operations.rearranging import TensorMove
from zkvm.ml.operations.tensors import TensorExport, TensorLinear, TensorLoad
from zkvm.ml.operators import tensors
from zkvm.ml.package import CompiledModel
from zkvm.ml.samples import Sample
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

FIXED = Options(arithmetic=Arithmetic.FIXED)


def perceptron() -> tuple[onnx.ModelProto, list[Sample]]:
    samples: list[Sample] = [{"x": np.abs(normal(1, 12, 8, seed=seed)).clip(0, 1)} for seed in range(20)]
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["h"], name="first", transB=1),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("MatMul", ["r", "w2"], ["y"], name="second"),
    ]
    constants = {"w1": normal(64, 96, seed=1), "b1": normal(64, seed=2), "w2": normal(64, 10, seed=3)}
    return model_of(nodes, samples[0], ["y"], constants), samples


def tokens(count: int, left: bool = False) -> tuple[onnx.ModelProto, list[Sample]]:
    """A perceptron for each of several tokens, which are rows, or columns."""
    shape = (48, count) if left else (2, count, 48)
    samples: list[Sample] = [{"x": normal(*shape, seed=seed)} for seed in range(6)]
    weights = {"w1": normal(48, 64, seed=1, scale=0.2), "w2": normal(64, 40, seed=3, scale=0.1)}
    if left:
        weights = {name: np.ascontiguousarray(array.T) for name, array in weights.items()}
    weights["b"] = normal(64, 1, seed=4) if left else normal(64, seed=4)
    nodes = [
        helper.make_node("MatMul", ["w1", "x"] if left else ["x", "w1"], ["h"], name="first"),
        helper.make_node("Add", ["b", "h"], ["a"], name="bias"),
        helper.make_node("Clip", ["a", "low", "high"], ["c"], name="cut"),
        helper.make_node("MatMul", ["w2", "c"] if left else ["c", "w2"], ["m"], name="second"),
        helper.make_node("Tanh", ["m"], ["y"], name="tanh"),
    ]
    return model_of(nodes, samples[0], ["y"], weights | {"low": np.float32(-2), "high": np.float32(3)}), samples


def kinds(made: Compilation) -> list[type]:
    return [type(operation) for operation in made.graph.operations if isinstance(operation, TensorLinear | TensorLoad | TensorExport)]


def test_a_perceptron() -> None:
    """Its input is imported, its hidden layer never leaves its tensor, and a cycle does many products."""
    model, samples = perceptron()
    made = check(model, samples, options=FIXED)
    assert kinds(made) == [TensorLinear, TensorLinear, TensorExport]
    assert made.graph.inputs[0].layout == Layout(96, 1)
    assert (made.graph.inputs[0].hi - made.graph.inputs[0].lo, made.graph.inputs[0].lo) == ((1 << 16) - 1, 0)
    words = made.model.quantize([samples[0]["x"]])[0]
    assert execute(load_image(made.model.elf), made.model.stdin(words), trace=False).cycles < 400
    card = made.model.card
    assert card["arithmetic"]["tensor_operations"] == 2
    assert [layer["kind"] for layer in card["layers"]] == ["tensorlinear", "tensorlinear", "tensorexport"]
    assert card["macs"] == 64 * 96 + 64 * 10


@pytest.mark.parametrize("left", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_tokens(count: int, left: bool) -> None:
    """Positions that fill no block; the activation between has no call yet, so it is in RAM."""
    model, samples = tokens(count, left)
    made = check(model, samples, options=FIXED)
    assert kinds(made) == [TensorLinear, TensorLinear, TensorExport]
    assert made.graph.inputs[0].layout == Layout.of(48, count * (1 if left else 2), left)


def test_layers_between_which_values_are_in_memory() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"], name="first"),
        helper.make_node("Tanh", ["h"], ["t"], name="tanh"),
        helper.make_node("MatMul", ["t", "w2"], ["m"], name="second"),
        helper.make_node("Add", ["m", "x"], ["s"], name="residual"),
        helper.make_node("Reshape", ["s", "flat"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "w3"], ["y"], name="last"),
    ]
    samples: list[Sample] = [{"x": normal(1, 5, 48, seed=seed)} for seed in range(12)]
    constants = {"w1": normal(48, 40, seed=1), "w2": normal(40, 48, seed=2), "w3": normal(240, 30, seed=3), "flat": np.array([1, 240])}
    made = check(model_of(nodes, samples[0], ["y"], constants), samples, options=FIXED)
    # A function of so few elements is cheaper in RAM. The input is a residual's, too.
    assert kinds(made) == [TensorLinear, TensorExport, TensorLoad, TensorLinear, TensorLinear, TensorExport]
    assert made.graph.inputs[0].layout is not None


def test_two_layouts_of_one_input() -> None:
    """Rows for one layer, one row for the other: the input is imported once, and gathered twice."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], name="rows"),
        helper.make_node("Flatten", ["x"], ["f"], name="flat", axis=0),
        helper.make_node("MatMul", ["f", "w2"], ["b"], name="row"),
    ]
    samples: list[Sample] = [{"x": normal(4, 48, seed=seed)} for seed in range(4)]
    constants = {"w1": normal(48, 40, seed=1), "w2": normal(192, 40, seed=2)}
    made = check(model_of(nodes, samples[0], ["a", "b"], constants), samples, options=FIXED)
    assert TensorLoad not in kinds(made)
    assert [type(operation) for operation in made.graph.operations].count(TensorMove) == 3
    assert made.graph.inputs[0].layout == Layout(1, 192)


def deep(rows: int = 1) -> tuple[onnx.ModelProto, list[Sample]]:
    """Layers that could give much more than they do."""
    samples: list[Sample] = [{"x": normal(rows, 768, seed=seed).clip(-1, 1)} for seed in range(6)]
    nodes = [
        helper.make_node("Gemm", ["x", "w1"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "w2"], ["y"], name="last"),
    ]
    return model_of(nodes, samples[0], ["y"], {"w1": normal(768, 64, seed=1), "w2": normal(64, 20, seed=2)}), samples


def strongest(made: Compilation, rows: int) -> list[NDArray[np.int64]]:
    """The input that makes a channel of the first layer largest, in the last row."""
    x = np.zeros((rows, 768), np.float32)
    x[-1] = np.sign(normal(768, 64, seed=1)[:, 0])
    return made.model.quantize([x])[0]


@pytest.mark.parametrize("rows", [1, 8, 3])
def test_a_hidden_tensor_whose_range_data_say_is_looked_at(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine counts what is cut; but where lanes that no row has are the prover's, all elements are compared."""
    monkeypatch.setattr(tensors, "GENEROUS", 0)
    model, samples = deep(rows)
    for saturate in (False, True):
        made = compiled(model, samples, Options(privacy=Privacy(saturate=saturate), domain={"x": (-1.0, 1.0)}))
        assert kinds(made)[:2] == [TensorLinear, TensorExport if rows == 3 else TensorLinear]
        usual, large = made.model.quantize([samples[0]["x"]])[0], strongest(made, rows)
        for words, expected in ((usual, set[str]()), (large, {"first"})):
            saturated: dict[str, int] = {}
            evaluate(made.graph, words, saturated)
            assert set(saturated) - {"last"} == expected
            agreed(made, words)
        run = execute(load_image(made.model.elf), made.model.stdin(large), trace=False)
        assert (run.exit_code, b"layer first" in run.stderr) == ((0, False) if saturate else (SATURATED_EXIT, True))


def test_a_bound_that_16_bits_have_room_for_needs_no_look() -> None:
    model, samples = deep()
    made = compiled(model, samples, Options(domain={"x": (-1.0, 1.0)}))
    assert kinds(made) == [TensorLinear, TensorLinear, TensorExport]
    first, large = made.graph.operations[0], strongest(made, 1)
    assert isinstance(first, TensorLinear)
    assert first.evaluate(large[0]).max() < first.output.hi
    agreed(made, large)


def test_a_look_at_what_nobody_reads_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "GENEROUS", 0)
    model, samples = deep()
    model.graph.node.append(helper.make_node("Gemm", ["x", "w3"], ["z"], name="unused"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(normal(768, 64, seed=3), "w3"))
    made = compiled(model, samples, Options(domain={"x": (-1.0, 1.0)}))
    assert "unused" not in {operation.name for operation in made.graph.operations}


def test_imported_inputs() -> None:
    """All int16 are in the domain, so nothing checks them; the host refuses what they do not hold."""
    model, samples = perceptron()
    made = compiled(model, samples, Options(domain={"x": (0.0, 1.0)}))
    pixels = (np.arange(96) * 2 / 255).clip(0, 1).astype(np.float32).reshape(1, 12, 8)
    assert (made.model.words({"x": pixels})[0][0] % 257 == 0).all(), "of pixels nothing is rounded"
    for wrong in (-0.1, 1.1):
        with pytest.raises(InputError, match="outside what the model was compiled for, 0 to 1"):
            made.model.words({"x": np.full((1, 12, 8), wrong, np.float32)})
    made.model.words({"x": np.ones((1, 12, 8), np.float32)})
    signed = compiled(model, samples, Options(domain={"x": (-0.7, 1.9)}))
    tensor = signed.model.inputs[0]
    for end in (-0.7, 1.9):
        assert not tensor.outside(np.array(end)).any()
    assert tensor.outside(np.array([-0.701, 1.901])).all()


def test_inputs_that_are_words() -> None:
    """8 bits leave most int16 outside. Such words end the run."""
    model, samples = perceptron()
    made = compiled(model, samples, Options(precision=Precision(8, 8), domain={"x": (0.0, 1.0)}))
    assert kinds(made) == [TensorLoad, TensorLinear, TensorLinear, TensorExport]
    words = made.model.quantize([samples[0]["x"]])[0]
    for wrong in (made.model.inputs[0].hi + 1, made.model.inputs[0].lo - 1):
        words[0].reshape(-1)[5] = wrong
        run = execute(load_image(made.model.elf), made.model.stdin(words), trace=False)
        assert (run.exit_code, b"an input is out of its range" in run.stderr) == (1, True)


def test_metadata_of_an_imported_input(tmp_path: Path) -> None:
    model, samples = perceptron()
    made = compiled(model, samples)
    made.save(tmp_path)
    loaded_again, words = CompiledModel.load(tmp_path), made.model.quantize([samples[0]["x"]])[0]
    assert loaded_again.stdin(words) == made.model.stdin(words)
    assert loaded_again.inputs == made.model.inputs
    content = json.loads((tmp_path / "model.json").read_text())
    for entry, value in (("channels", 95), ("positions", 0), ("channels", "many"), ("channels", 96.0), ("channels_first", 0)):
        changed = json.loads(json.dumps(content))
        changed["inputs"][0]["layout"][entry] = value
        (tmp_path / "model.json").write_text(json.dumps(changed))
        with pytest.raises(UsageError, match="not a compiled model"):
            ModelInterface.read(tmp_path)


def chosen(model: onnx.ModelProto, samples: Sequence[Sample], options: Options) -> choose.Choice:
    imported = import_file(model, options)
    return integer_model(imported, samples, replace(options, domain=seen(imported.inputs, samples)))[0]


def test_what_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensor calls, then loops, then mixtures; none of a cheap model, or if the user says so. With private weights nothing is tried."""
    model, samples = perceptron()
    assert chosen(model, samples, Options()).trials == ()
    monkeypatch.setattr(choose, "CHEAP", 0)
    monkeypatch.setattr(choose, "LIKELY", 0.1)
    choice = chosen(model, samples, Options())
    assert [(trial.tensor_operations, trial.holds) for trial in choice.trials] == [(2, True)]
    assert choice.as_json()["tensor_operations"] == 2
    assert choice.graph.cost < chosen(model, samples, Options(precompiles=Precompiles.NONE)).graph.cost
    strict = chosen(model, samples, Options(limits=Limits(max_error=1e-9)))
    assert [trial.tensor_operations > 0 for trial in strict.trials][:2] == [True, False]
    assert [trial.float_nodes for trial in strict.trials][:2] == [0, 0]
    assert strict.graph.tensor_operations == 0
    plain = chosen(model, samples, Options(precompiles=Precompiles.NONE))
    assert plain.graph.tensor_operations == 0
    assert not any(trial.tensor_operations for trial in plain.trials)
    private = chosen(model, samples, Options(privacy=Privacy(private_weights=True)))
    assert private.graph.tensor_operations > 0
    assert private.trials == ()


def test_what_is_not_worth_it_stays_as_it_was() -> None:
    """A small layer, and a model too small for the tables of tensors."""
    small = model_of([helper.make_node("Gemm", ["x", "w"], ["y"], name="g")], {"x": normal(1, 6)}, ["y"], {"w": normal(6, 5)})
    samples: list[Sample] = [{"x": normal(1, 6, seed=seed)} for seed in range(3)]
    codes: dict[Precompiles, GeneratedCode] = {}
    for precompiles in Precompiles:
        codes[precompiles] = compiled(small, samples, Options(arithmetic=Arithmetic.FIXED, precompiles=precompiles)).code
    assert codes[Precompiles.AUTO].source == codes[Precompiles.NONE].source
    assert "tensor" not in codes[Precompiles.NONE].source


def test_mixtures_use_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes from floats is loaded."""
    monkeypatch.setattr(choose, "CHEAP", 0)
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["s"], name="scaled"),
        helper.make_node("Gemm", ["s", "w1"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "w2"], ["y"], name="second"),
    ]
    sizes = 10.0 ** np.linspace(-5, 5, 32)
    samples: list[Sample] = [{"x": (sizes * normal(1, 32, seed=seed)).astype(np.float32)} for seed in range(40)]
    constants = {"factor": (1 / sizes).astype(np.float32), "w1": normal(32, 256, seed=1), "w2": normal(256, 64, seed=2)}
    choice = chosen(model_of(nodes, samples[0], ["y"], constants), samples, Options(limits=Limits(max_flips=1000)))
    assert choice.trials[-1].holds
    assert 0 < choice.trials[-1].float_nodes
    assert choice.graph.tensor_operations >= 3
    assert {Kind.FLOAT, Kind.REAL} == {value.kind for value in choice.graph.tensors.values()}


def test_the_command(tmp_path: Path) -> None:
    model, samples = perceptron()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 10]))
    onnx.save(model, str(tmp_path / "model.onnx"))
    np.save(tmp_path / "data.npy", np.concatenate([sample["x"] for sample in samples]))
    command = ["compile", tmp_path / "model.onnx", "--calibration", tmp_path / "data.npy", "-o", tmp_path / "out", "--arithmetic", "fixed"]
    shown = invoke(*map(str, command))
    assert shown.code == 0, shown.err
    assert "2 of them tensor calls" in shown.out
    written = json.loads((tmp_path / "out" / "model.json").read_text())["card"]["execution"]
    layer = next(entry for entry in written["layers"] if entry["kind"] == "tensorlinear")
    products = f"{layer['cells']} cells, {layer['cells_per_mac']:.2f} per multiplication; {layer['cycles']} cycles\n"
    assert f"{layer['name']} (tensorlinear): {products}" in shown.out
    assert f"{written['cells']} committed" in shown.out
    run = invoke("run", tmp_path / "out", "--input", tmp_path / "data.npy", "--sample", "3", "--execute-only", "--json").json
    expected = float_outputs(import_file(model, Options()), samples[3:4])[0][0]
    assert np.abs(np.array(run["outputs"][0]["values"]) - expected).max() < 0.001 * np.ptp(expected)
    none = invoke(*map(str, command), "--precompiles", "none", "--json").json["card"]
    assert none["arithmetic"]["tensor_operations"] == 0
    assert none["execution"]["cycles"] > 10_000
    assert invoke(*map(str, command), "--precompiles", "all").code == 2


@pytest.mark.parametrize("mode", [OutputMode.FULL, OutputMode.TOP1])
def test_a_proof(mode: OutputMode) -> None:
    model, samples = perceptron()
    made = compiled(model, samples, Options(privacy=Privacy(output=mode)))
    assert made.graph.tensor_operations == 2
    receipt = made.model.prove(samples[0]["x"], params="fast")
    words = made.model.quantize([samples[0]["x"]])[0]
    results = evaluate(made.graph, words)
    output = made.model.decode(receipt.journal)
    expected: Array = made.graph.outputs[0].dequantize(results[0])
    if mode is OutputMode.TOP1:
        assert output.label == int(expected.argmax())
    else:
        assert (output.tensors["y"] == expected).all()
    receipt.verify(made.model.image_id())


def test_from_python() -> None:
    model, samples = perceptron()
    x = np.concatenate([sample["x"] for sample in samples])
    made = [zkvm.ml.compile(model, x, arithmetic="fixed", precompiles=precompiles) for precompiles in ("auto", "none")]
    assert [model.card["arithmetic"]["tensor_operations"] for model in made] == [2, 0]
    with pytest.raises(UsageError, match="precompiles 'all': choose one of auto, none"):
        zkvm.ml.compile(model, x, precompiles="all")
