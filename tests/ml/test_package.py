"""Compiled models on disk, the privacy modes, and a proof."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import blake3
import numpy as np
import pytest
from onnx import helper

from tests.ml.models import compiled, model_of, normal, run_guest
from zkvm import api
from zkvm.errors import RejectReason, UsageError, VerificationError
from zkvm.ml import compiler
from zkvm.ml.calibrate import Method, observed_range
from zkvm.ml.compiler import Arithmetic, Compilation, Options, OutputMode, Precompiles, Privacy, add_measurements
from zkvm.ml.interface import ModelInterface, check_weights
from zkvm.ml.ir import evaluate
from zkvm.ml.memory import plan_memory
from zkvm.ml.operations.linear import Linear
from zkvm.ml.package import CompiledModel, profiled_run
from zkvm.ml.tensor import Tensor
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute
from zkvm.session.profiling import tensor_cells

SAMPLE = {"x": normal(1, 20)}
SALTS = {"input": bytes([2]) * 32, "output": bytes([3]) * 32}


def perceptron(privacy: Privacy | None = None, width: int = 8) -> Compilation:
    """In loops, so that private weights are words; those in tensor calls: ``test_private_tensors.py``."""
    nodes = [
        helper.make_node("Gemm", ["x", "w1"], ["h"], name="first"),
        helper.make_node("Tanh", ["h"], ["t"], name="tanh"),
        helper.make_node("Gemm", ["t", "w2"], ["y"], name="second"),
    ]
    constants = {"w1": normal(20, width, seed=1), "w2": normal(width, 4, seed=2)}
    model = model_of(nodes, SAMPLE, ["y"], constants)
    return compiled(model, [SAMPLE], Options(privacy=privacy or Privacy(), precompiles=Precompiles.NONE))


def digest(salt: bytes, words: np.ndarray) -> bytes:
    return blake3.blake3(salt + words.astype("<i4").tobytes()).digest()


@pytest.mark.parametrize("width", [8, 40], ids=["one-chunk", "several-chunks"])
def test_all_digests(width: int) -> None:
    made = perceptron(Privacy(True, True, OutputMode.DIGEST), width)
    integers, _ = made.model.quantize([SAMPLE["x"]])
    stdin = made.model.stdin(integers, SALTS)
    journal = execute(load_image(made.model.elf), stdin, trace=False).journal
    result = evaluate(made.graph, integers)[0].reshape(-1)
    private = made.model.private_weights
    shown = np.concatenate([np.frombuffer(np.float64(made.graph.outputs[0].scale).tobytes(), "<i4"), result])
    assert len(private) > (1024 if width == 40 else 32)
    assert journal == made.model.digest + blake3.blake3(private).digest() + digest(SALTS["input"], integers[0].reshape(-1)) + digest(
        SALTS["output"], shown
    )
    decoded = made.model.decode(journal)
    assert decoded.digests is not None
    assert list(decoded.digests) == ["weights", "input", "output"]
    assert decoded.digests["input"] == made.model.input_digest(SAMPLE, SALTS["input"])


def test_the_digest_of_a_known_input() -> None:
    """Of several inputs in order; what does not fit is refused, and other salts and numbers have other digests."""
    nodes = [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    sample = {"x": normal(1, 6), "b": normal(1, 3, seed=4)}
    made = compiled(model_of(nodes, sample, ["y"], {"w": normal(6, 3, seed=5)}), [sample], Options(privacy=Privacy(False, True)))
    integers, _ = made.model.quantize(list(sample.values()))
    said = made.model.decode(execute(load_image(made.model.elf), made.model.stdin(integers, SALTS), trace=False).journal).digests
    salt = SALTS["input"]
    assert said == {"input": made.model.input_digest(sample, salt)}
    assert made.model.input_digest(sample, bytes(32)) != said["input"] != made.model.input_digest(sample | {"b": sample["b"] + 0.5}, salt)
    for wrong in (salt[:-1], salt + b"\0"):
        with pytest.raises(UsageError, match="a salt has 32 bytes"):
            made.model.input_digest(sample, wrong)
    with pytest.raises(UsageError, match="no array called 'b'"):
        made.model.input_digest({"x": sample["x"], "c": sample["b"]}, salt)


def test_private_weights_are_not_in_the_program() -> None:
    made = perceptron(Privacy(private_weights=True))
    public = perceptron()
    layer = next(operation for operation in made.graph.operations if isinstance(operation, Linear))
    weights = layer.weights[0, :4, 0].astype("<i4").tobytes()  # of four channels, as a block of them lies in memory
    assert weights in made.model.private_weights
    assert weights in public.model.elf
    assert weights not in made.model.elf


def test_private_weights_have_one_digest_and_inputs_a_new_one_each_time() -> None:
    made = perceptron(Privacy(private_weights=True, input_digest=True))
    integers, _ = made.model.quantize([SAMPLE["x"]])
    digests = [made.model.decode(run_guest(made, integers)[0]).digests or {} for _ in range(2)]
    assert digests[0]["weights"] == digests[1]["weights"] == made.model.weights_digest
    assert digests[0]["input"] != digests[1]["input"]
    assert perceptron(Privacy(private_weights=True)).model.private_weights[:32] != made.model.private_weights[:32]


def test_top1() -> None:
    made = perceptron(Privacy(output=OutputMode.TOP1))
    integers, _ = made.model.quantize([SAMPLE["x"]])
    journal, _ = run_guest(made, integers)
    assert made.model.decode(journal).label == int(evaluate(made.graph, integers)[0].argmax())


def test_input_out_of_its_range_is_refused_by_the_guest() -> None:
    made = perceptron(Privacy(saturate=True))
    high = np.full((1, 20), made.graph.inputs[0].hi, np.int64)
    run_guest(made, [high])
    for beyond in (made.graph.inputs[0].hi + 1, made.graph.inputs[0].lo - 1):
        high[0, 7] = beyond
        execution = execute(load_image(made.model.elf), made.model.stdin([high]), trace=False)
        assert (execution.exit_code, execution.journal) == (1, made.model.digest)


def test_saturation_is_counted() -> None:
    made = perceptron()
    integers, saturated = made.model.quantize([np.full((1, 20), 1e6, np.float32)])
    assert saturated == 20
    assert (integers[0] == made.graph.inputs[0].hi).all()


def test_largest_inputs_do_not_overflow() -> None:
    """The bound of every sum holds for the inputs that make it largest, sign by sign."""
    made = perceptron(Privacy(saturate=True))
    bound = made.graph.inputs[0].hi
    for column in range(8):
        signs = np.sign(normal(20, 8, seed=1)[:, column]).astype(np.int64)
        for direction in (1, -1):
            integers = [(direction * signs * bound).reshape(1, 20)]
            journal, _ = run_guest(made, integers)
            saturated: dict[str, int] = {}
            assert journal == made.journal(evaluate(made.graph, integers, saturated), bool(saturated))


def test_saved_and_loaded(tmp_path: Path) -> None:
    made = perceptron(Privacy(private_weights=True))
    made.save(tmp_path / "model")
    loaded = CompiledModel.load(tmp_path / "model")
    integers, _ = loaded.quantize([SAMPLE["x"]])
    assert loaded.stdin(integers, SALTS) == made.model.stdin(integers, SALTS)
    assert (loaded.elf, loaded.inputs, loaded.outputs, loaded.card) == (
        made.model.elf,
        made.model.inputs,
        made.model.outputs,
        made.model.card,
    )


def test_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a compiled model"):
        CompiledModel.load(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 99}')
    with pytest.raises(UsageError, match="format 99"):
        CompiledModel.load(tmp_path)


def test_journal_of_another_length() -> None:
    model = perceptron().model
    for journal, reason in ((b"12345", "this interface"), (model.digest + b"12345", "not one of this model, which writes")):
        with pytest.raises(VerificationError, match=reason) as caught:
            model.decode(journal)
        assert caught.value.reason is RejectReason.MODEL


def test_a_guest_that_would_run_for_long_is_not_run_for_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card says so; the model is compiled all the same."""
    sample = {"x": normal(1, 4)}
    made = compiled(model_of([helper.make_node("Relu", ["x"], ["y"])], sample, ["y"]), [sample])
    monkeypatch.setattr(compiler, "MEASURED", made.graph.cost - 1)
    add_measurements(made, [sample], profiled_run)
    assert "execution" not in made.model.card
    assert made.model.card["not_executed"].startswith(f"about {made.graph.cost} instructions")


def test_card() -> None:
    card = perceptron().model.card
    assert (card["parameters"], card["macs"]) == (192, 192)
    assert card["operators"] == {"Gemm": 2, "Tanh": 1}
    assert set(card["weight_digests"]) == {"w1", "w2"}
    assert 0 <= card["approximation_errors"]["tanh"] < 2


@pytest.mark.parametrize("layer", ["dense", "convolution", "pointwise"])
def test_cycles_of_a_multiplication(layer: str) -> None:
    """The card says what each layer costs, by the profiler; inner loops stay within 3.5 cycles per multiply-accumulate."""
    shapes = {
        "dense": ((1, 400), (400, 120)),
        "convolution": ((1, 6, 14, 14), (16, 6, 5, 5)),
        "pointwise": ((1, 64, 10, 10), (32, 64, 1, 1)),
    }
    inputs, weights = (normal(*shape, seed=seed) for seed, shape in enumerate(shapes[layer]))
    operator = "MatMul" if layer == "dense" else "Conv"
    sample = {"x": inputs}
    model = model_of([helper.make_node(operator, ["x", "w"], ["y"], name=layer)], sample, ["y"], {"w": weights})
    made = compiled(model, [sample], Options(privacy=Privacy(saturate=True), precompiles=Precompiles.NONE))
    add_measurements(made, [sample], profiled_run)
    execution = made.model.card["execution"]
    (entry,) = execution["layers"]
    assert entry["name"] == layer
    assert 0.9 * execution["cycles"] < entry["cycles"] < execution["cycles"]
    assert 2 < entry["cycles_per_mac"] <= 3.5
    assert 0.9 * execution["charged_cells"] < entry["cells"] < execution["charged_cells"] < execution["cells"]
    assert entry["cells_per_mac"] == pytest.approx(entry["cells"] / made.graph.macs, abs=0.001)


def test_cells_of_tensor_calls() -> None:
    """Layers that are tensor calls have no more than a few instructions each: the card says which cells their tables take."""
    inputs, weights = normal(64, 64), normal(64, 32, seed=1)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"], name="large"), helper.make_node("MatMul", ["h", "v"], ["y"], name="small")]
    model = model_of(nodes, {"x": inputs}, ["y"], {"w": weights, "v": normal(32, 4, seed=2)})
    made = compiled(model, [{"x": inputs}], Options(arithmetic=Arithmetic.FIXED))
    add_measurements(made, [{"x": inputs}], profiled_run)
    execution = made.model.card["execution"]
    large, small = (entry for entry in execution["layers"] if "cells_per_mac" in entry)
    assert (large["name"], small["name"]) == ("large", "small")
    assert large["kind"] == small["kind"] == "tensorlinear"
    assert max(large["cycles"], small["cycles"]) < 40
    own = tensor_cells(execute(load_image(made.model.elf), made.model.stdin(made.model.quantize([inputs])[0])))
    assert large["cells"] > max(own) > 4 * small["cells"]
    assert sum(own) < sum(entry["cells"] for entry in execution["layers"]) + own[0] < execution["charged_cells"]  # the input comes before


def test_memory_is_reused_but_never_shared() -> None:
    graph = perceptron().graph
    plan = plan_memory(graph)
    values = [*graph.inputs, *(operation.output for operation in graph.operations)]
    assert plan.words < sum(value.size for value in values)
    for operation in graph.operations:
        target = set(range(plan.offsets[id(operation.output)], plan.offsets[id(operation.output)] + operation.output.size))
        for source in operation.inputs:
            assert target.isdisjoint(range(plan.offsets[id(source)], plan.offsets[id(source)] + source.size))


def test_calibration_methods() -> None:
    values = np.concatenate([np.linspace(-1, 1, 100_001), [50.0]])
    assert observed_range(values, Method.MINMAX, 8) == (-1, 50)
    assert observed_range(values, Method.PERCENTILE, 8)[1] < 2
    assert observed_range(values, Method.MSE, 8)[1] < 50


def test_proof_of_a_compiled_model() -> None:
    made = perceptron()
    integers, _ = made.model.quantize([SAMPLE["x"]])
    info = api.prove(made.model.elf, made.model.stdin(integers), params="fast")
    info.receipt.verify(info.image_id)
    outputs = made.model.decode(info.receipt.journal).tensors["y"]
    expected = made.graph.outputs[0].dequantize(evaluate(made.graph, integers)[0])
    np.testing.assert_array_equal(outputs, expected)


def test_the_interface_digest_is_that_of_its_definition() -> None:
    """By the page: compact JSON after a domain, a scale as its float64."""
    tensor = Tensor("\u00e4", (1, 2), "real", 0.5, -3, 4)
    outputs = Tensor("y", (1,), "real", None, -1, 1), Tensor("z", (1,), "integer", 1.0, 0, 1, ("no", "\u00fc"))
    interface = ModelInterface((tensor,), outputs, "private", "digest", "top1", {"not": "bound"}, "00" * 32, saturation="flag")
    text = (
        '[[["\u00e4",[1,2],"real","3fe0000000000000",-3,4,[]]],[["y",[1],"real",null,-1,1,[]],'
        '["z",[1],"integer","3ff0000000000000",0,1,["no","\u00fc"]]],"private","digest","top1","flag"]'
    )
    assert interface.digest == blake3.blake3(b"zkvm/model interface/2" + text.encode()).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "z"}, {"shape": (3, 1)}, {"kind": "integer"}, {"scale": 0.25}, {"lo": -7}, {"hi": 7},
        {"kind": "float"}, {"labels": ("a", "b")},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_an_interface_that_gives_numbers_another_meaning_is_refused(side: str, change: dict[str, Any]) -> None:
    made = perceptron()
    integers, _ = made.model.quantize([SAMPLE["x"]])
    journal, _ = run_guest(made, integers)
    assert made.model.decode(journal).tensors
    (tensor,) = getattr(made.model, side)
    members: dict[str, Any] = {side: (replace(tensor, **change),)}
    changed = replace(made.model, **members)
    with pytest.raises(VerificationError, match="MODEL: the journal is not one of a model with this interface"):
        changed.decode(journal)


@pytest.mark.parametrize(
    "change",
    [{"output_mode": "top1"}, {"input_mode": "digest"}, {"saturation": "flag"}, {"weights": "private", "weights_digest": "00" * 32}],
)
def test_another_mode_is_refused(change: dict[str, Any]) -> None:
    made = perceptron()
    integers, _ = made.model.quantize([SAMPLE["x"]])
    journal, _ = run_guest(made, integers)
    with pytest.raises(VerificationError, match="this interface"):
        replace(made.model, **change).decode(journal)


def test_substituted_weights_are_refused() -> None:
    """Same image ID, same interface, same salt, negated weights: only the digest tells, and it is compared."""
    made = perceptron(Privacy(private_weights=True))
    integers, _ = made.model.quantize([SAMPLE["x"]])
    words = np.frombuffer(made.model.private_weights[32:], "<i4")
    substituted = replace(made.model, private_weights=made.model.private_weights[:32] + (-words).tobytes())
    journal = execute(load_image(made.model.elf), substituted.stdin(integers), trace=False).journal
    assert journal[:32] == made.model.digest
    with pytest.raises(VerificationError, match="MODEL: the run's private weights have the digest"):
        made.model.decode(journal)
    with pytest.raises(VerificationError, match="private weights"):
        check_weights(journal, made.model.weights_digest)
    honest, _ = run_guest(made, integers)
    check_weights(honest, made.model.weights_digest.upper())
    assert made.model.decode(honest).digests == {"weights": made.model.weights_digest}
    for digest in ("", "00", "zz" * 32):
        with pytest.raises(UsageError, match="64 hexadecimal digits"):
            check_weights(honest, digest)
    with pytest.raises(VerificationError, match=r"\(none\)"):
        check_weights(b"", made.model.weights_digest)


def test_weights_that_are_not_the_published_ones_are_not_even_run(tmp_path: Path) -> None:
    made = perceptron(Privacy(private_weights=True))
    made.save(tmp_path)
    path = tmp_path / "weights.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(UsageError, match="does not hold the weights whose digest"):
        CompiledModel.load(tmp_path)
