"""Values that data did not foresee: the run ends with a code of its own and names the layer, or goes on and says so in the journal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.cli.running import invoke
from tests.ml.models import agreed, compiled, model_of, normal, run_guest
from zkvm.ml.arithmetic import Overflow
from zkvm.ml.compiler import Compilation, Options, OutputMode, Privacy
from zkvm.ml.interface import SATURATED_EXIT, ModelInterface
from zkvm.ml.ir import evaluate
from zkvm.ml.samples import Sample
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

REFUSE, FLAG = Options(), Options(privacy=Privacy(saturate=True))
WIDE = {"x": (-1.0, 1.0)}


def layers() -> tuple[onnx.ModelProto, list[Sample]]:
    """Three layers, of which the second grows with an exponential: data from a corner of the domain say little of it."""
    nodes = [
        helper.make_node("Gemm", ["x", "w1"], ["h"], name="first"),
        helper.make_node("Exp", ["h"], ["e"], name="exponential"),
        helper.make_node("Gemm", ["e", "w2"], ["y"], name="last"),
    ]
    samples: list[Sample] = [{"x": normal(1, 24, seed=seed, scale=0.02)} for seed in range(3)]
    constants = {"w1": normal(24, 6, seed=1), "w2": np.abs(normal(6, 3, seed=2))}
    return model_of(nodes, samples[0], ["y"], constants), samples


def largest(made: Compilation) -> list[np.ndarray]:
    """The input that makes a channel of the first layer largest, which neither samples nor drawn inputs come near."""
    signs = np.sign(normal(24, 6, seed=1)[:, 0]).reshape(1, 24)
    return made.model.quantize([signs.astype(np.float32)])[0]


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_the_guest_ends_and_names_the_layer(private: bool) -> None:
    model, samples = layers()
    made = compiled(model, samples, Options(privacy=Privacy(private_weights=private), domain=WIDE))
    integers = largest(made)
    saturated: dict[str, int] = {}
    evaluate(made.graph, integers, saturated)
    assert saturated
    run = execute(load_image(made.model.elf), made.model.stdin(integers), trace=False)
    assert run.exit_code == SATURATED_EXIT
    assert f"layer {next(iter(saturated))}" in run.stderr.decode()
    assert run.journal == made.model.digest + bytes.fromhex(made.model.weights_digest), "nothing but digests"
    agreed(made, made.model.quantize([samples[0]["x"]])[0])


@pytest.mark.parametrize("privacy", [Privacy(), Privacy(True, True), Privacy(output=OutputMode.TOP1), Privacy(output=OutputMode.DIGEST)])
def test_the_flag_is_in_the_journal(privacy: Privacy) -> None:
    model, samples = layers()
    made = compiled(model, samples, Options(privacy=replace(privacy, saturate=True), domain=WIDE))
    usual = made.model.quantize([samples[0]["x"]])[0]
    for integers, expected in ((usual, False), (largest(made), True), (usual, False)):
        assert made.model.decode(run_guest(made, integers)[0]).saturated is expected


def test_only_models_that_go_on_have_a_flag() -> None:
    model, samples = layers()
    refusing, going = compiled(model, samples, REFUSE), compiled(model, samples, FLAG)
    assert refusing.model.digest != going.model.digest, "a journal of one is none of the other"
    journal, _ = run_guest(refusing, refusing.model.quantize([samples[0]["x"]])[0])
    flagged, _ = run_guest(going, going.model.quantize([samples[0]["x"]])[0])
    assert len(flagged) == len(journal) + 4
    assert flagged[32:36] == bytes(4)
    assert flagged[36:] == journal[32:]
    assert refusing.model.decode(journal).saturated is None


def test_the_host_says_so_before_it_proves(tmp_path: Path) -> None:
    """And takes no input outside of the domain, unless the model is for cut ones."""
    model, samples = layers()
    np.save(tmp_path / "large.npy", np.sign(normal(24, 6, seed=1)[:, 0]))
    np.save(tmp_path / "outside.npy", 2.5 * np.sign(normal(24, 6, seed=1)[:, 0]))
    for name, options in (("refuse", REFUSE), ("flag", FLAG)):
        compiled(model, samples, replace(options, domain=WIDE)).save(tmp_path / name)
        assert ModelInterface.read(tmp_path / name).saturation == name
    receipt = tmp_path / "receipt"
    refused = invoke("run", tmp_path / "refuse", "--input", tmp_path / "large.npy", "--out", receipt, "--dev")
    assert refused.code == 1
    assert "layer exponential" in refused.err
    assert not receipt.exists()
    outside = invoke("run", tmp_path / "refuse", "--input", tmp_path / "outside.npy", "--execute-only")
    assert outside.code == 3
    assert "(23 more are too)" in outside.err
    going = invoke("run", tmp_path / "flag", "--input", tmp_path / "outside.npy", "--execute-only", "--json").json
    assert going["saturated"] is True
    assert going["saturated_inputs"] == 24


def test_cuts_of_the_model_itself_are_none() -> None:
    """Relu, Clip, and a sigmoid at its ends."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"], name="dense"),
        helper.make_node("Clip", ["h", "low", "high"], ["c"], name="cut"),
        helper.make_node("Gemm", ["c", "v"], ["g"], name="second"),
        helper.make_node("Relu", ["g"], ["r"], name="relu"),
        helper.make_node("Sigmoid", ["r"], ["y"], name="sigmoid"),
    ]
    samples: list[Sample] = [{"x": normal(1, 6, seed=seed)} for seed in range(20)]
    constants = {"w": 40 * normal(6, 5, seed=1), "v": 9 * normal(5, 4, seed=2), "low": np.float32(-2), "high": np.float32(3)}
    made = compiled(model_of(nodes, samples[0], ["y"], constants), samples, REFUSE)
    for value in (samples[0]["x"], 3 * np.ones((1, 6)), -3 * np.ones((1, 6)), np.zeros((1, 6))):
        saturated: dict[str, int] = {}
        integers = made.model.quantize([np.clip(value, -2, 2).astype(np.float32)])[0]
        evaluate(made.graph, integers, saturated)
        assert not saturated
        agreed(made, integers)


@pytest.mark.parametrize("options", [REFUSE, FLAG], ids=["refuse", "flag"])
@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
def test_integers_that_leave_a_word(operator: str, options: Options) -> None:
    """They cannot be cut: the run ends with the same code, and whether values may saturate changes nothing."""
    node = helper.make_node(operator, ["x", "k"], ["y"], name="sum")
    constant = np.array([2**27, -(2**30), 3] if operator == "Mul" else [2**30, -(2**30), 3], np.int64)
    sample = {"x": np.array([5, 1, 11], np.int64)}
    chosen = replace(options, domain={"x": (-(2**31), 2**31 - 1)})
    made = compiled(model_of([node], sample, ["y"], {"k": constant}), [sample], chosen)
    agreed(made, made.model.quantize([np.array([1, 1, -1], np.int64)])[0])
    integers = made.model.quantize([np.array([2**31 - 1, 2**31 - 1, 2**31 - 1], np.int64)])[0]
    with pytest.raises(Overflow, match="layer sum"):
        evaluate(made.graph, integers)
    run = execute(load_image(made.model.elf), made.model.stdin(integers), trace=False)
    assert (run.exit_code, "layer sum" in run.stderr.decode()) == (SATURATED_EXIT, True)


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_a_row_of_scores_that_is_cut_as_a_whole(private: bool) -> None:
    """What lies far below the rest of its row may be cut before a softmax; if all of a row does, nothing says which is the largest."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
        helper.make_node("MatMul", ["x", "v"], ["b"], name="second"),
        helper.make_node("Mul", ["a", "b"], ["s"], name="scores"),
        helper.make_node("Softmax", ["s"], ["y"], name="weights"),
    ]
    common, own = normal(256, 1, seed=1, scale=0.05), normal(256, 3, seed=2, scale=0.01)
    samples: list[Sample] = [{"x": normal(2, 256, seed=seed, scale=0.3).clip(-1, 1)} for seed in range(8)]
    model = model_of(nodes, samples[0], ["y"], {"w": common + own, "v": own - common})
    privacy = Privacy(private_weights=private)
    refusing = compiled(model, samples, Options(privacy=privacy, domain=WIDE))
    going = compiled(model, samples, Options(privacy=replace(privacy, saturate=True), domain=WIDE))
    integers = refusing.model.quantize([samples[0]["x"]])[0]
    agreed(refusing, integers)
    assert going.model.decode(run_guest(going, integers)[0]).saturated is False
    for row in range(2):
        low = samples[0]["x"].copy()
        low[row] = -np.sign(common[:, 0])
        integers = refusing.model.quantize([low])[0]
        saturated: dict[str, int] = {}
        evaluate(refusing.graph, integers, saturated)
        assert saturated == {"weights": 3}
        run = execute(load_image(refusing.model.elf), refusing.model.stdin(integers), trace=False)
        assert (run.exit_code, "layer weights" in run.stderr.decode()) == (SATURATED_EXIT, True)
        agreed(going, integers)
        assert going.model.decode(run_guest(going, integers)[0]).saturated is True
