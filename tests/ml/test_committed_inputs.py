"""Digests of inputs that are tensors: proven by a call, opened by whoever knows salt and input, bound to how the input lies."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.ml.models import compiled, model_of, normal, run_guest
from zkvm.errors import UsageError, VerificationError
from zkvm.ml.codegen import Privacy
from zkvm.ml.compiler import Arithmetic, Compilation, Options
from zkvm.ml.interface import ModelInterface
from zkvm.ml.ir import evaluate
from zkvm.ml.layout import Layout
from zkvm.ml.package import CompiledModel
from zkvm.ml.samples import Sample
from zkvm.poseidon2 import tensor_digest
from zkvm.riscv.isa.tensors import DIGESTED
from zkvm.riscv.vm.digest import digest_of
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute
from zkvm.stark.crypto.hashes import blake3

COMMITTED = Options(privacy=Privacy(input_digest=True), arithmetic=Arithmetic.FIXED)
SALTS = {"input": bytes(range(32))}


@cache
def network(rows: int = 1, width: int = 96, private: bool = False) -> tuple[Compilation, list[Sample]]:
    """Two layers: rows of tokens; and a small input beside, which is words."""
    samples: list[Sample] = [{"x": normal(rows, width, seed=seed), "b": normal(rows, 40, seed=seed + 50)} for seed in range(6)]
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("MatMul", ["r", "w2"], ["m"], name="second"),
        helper.make_node("Exp", ["b"], ["e"], name="function"),
        helper.make_node("Add", ["m", "e"], ["y"], name="sum"),
    ]
    constants = {"w1": normal(width, 64, seed=1, scale=0.1), "w2": normal(64, 40, seed=2, scale=0.1)}
    options = replace(COMMITTED, privacy=Privacy(private_weights=private, input_digest=True))
    return compiled(model_of(nodes, samples[0], ["y"], constants), samples, options), samples


@pytest.mark.parametrize(("rows", "byte_rows"), [(0, 0), (1, 0), (2, 3), (7, 1)])
def test_the_digest_in_python_is_that_of_the_call(rows: int, byte_rows: int) -> None:
    random = np.random.default_rng(rows)
    vectors = random.integers(-(1 << 15), 1 << 15, (3 * rows, 8)).astype(np.int16)
    small = random.integers(-128, 128, (7 * byte_rows, 8)).astype(np.int16)
    found = digest_of(np.concatenate([small << 8, vectors]), byte_rows)
    assert tensor_digest(vectors.reshape(-1).tolist(), small.reshape(-1).tolist()) == found.reshape(-1).tolist()


@pytest.mark.parametrize(("rows", "width"), [(1, 96), (3, 50), (8, 48), (9, 47)])
@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_a_committed_tensor(rows: int, width: int, private: bool) -> None:
    """Vectors that fill rows of three, and that do not; one call proves what the journal says, and instructions hash its 16 lanes."""
    made, samples = network(rows, width, private)
    tensor = made.model.inputs[0]
    assert tensor.layout is not None
    integers, _ = made.model.quantize([samples[0]["x"], samples[0]["b"]])
    run = execute(load_image(made.model.elf), made.model.stdin(integers, SALTS))
    calls = [call for call in run.tensor_calls if call.descriptor.operation == DIGESTED]
    assert [call.descriptor.blocks for call in calls][-1] == -(-tensor.layout.vectors // 3)
    assert len(calls) == 1 + private
    decoded = made.model.decode(run.journal)
    assert np.array_equal(decoded.tensors["y"], made.graph.outputs[0].dequantize(evaluate(made.graph, integers)[0]))
    said = decoded.digests or {}
    assert said["input"] == made.model.input_digest(samples[0], SALTS["input"])
    lanes = calls[-1].vectors[-2:].astype("<i4").tobytes()
    assert said["input"] == blake3(SALTS["input"] + lanes + made.model.inputs[1].encoded(integers[1])).hex()


def test_other_inputs_and_salts_have_other_digests() -> None:
    made, samples = network()
    salt, ours = SALTS["input"], made.model.input_digest(samples[0], SALTS["input"])
    changed = samples[0]["x"].copy()
    changed[0, -1] += 0.01
    for sample, other in ((samples[0], bytes(32)), (samples[1], salt), ({**samples[0], "x": changed}, salt)):
        assert made.model.input_digest(sample, other) != ours
    with pytest.raises(UsageError, match="a salt has 32 bytes"):
        made.model.input_digest(samples[0], salt[1:])


@pytest.mark.parametrize("place", [0, 5, -1, -17])
def test_every_bit_that_is_read_is_digested(place: int) -> None:
    """Of a vector, and of what fills the last row."""
    made, samples = network(3, 50)
    assert made.model.inputs[0].layout is not None
    assert made.model.inputs[0].layout.vectors % 3
    integers, _ = made.model.quantize([samples[0]["x"], samples[0]["b"]])
    stdin = bytearray(made.model.stdin(integers, SALTS))
    end = len(stdin) - len(made.model.inputs[1].encoded(integers[1]))
    stdin[32 + place if place >= 0 else end + place] ^= 1
    journal = execute(load_image(made.model.elf), bytes(stdin), trace=False).journal
    said = made.model.decode(journal).digests or {}
    assert said["input"] != made.model.input_digest(samples[0], SALTS["input"])


def test_a_layout_gives_the_digest_its_meaning(tmp_path: Path) -> None:
    """Published as another one, the same journal would be of an input in another order: it is refused."""
    made, samples = network(8, 48)
    made.model.save(tmp_path)
    journal, _ = run_guest(made, made.model.quantize([samples[0]["x"], samples[0]["b"]])[0])
    assert ModelInterface.read(tmp_path).decode(journal).digests
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["inputs"][0]["layout"] == {"channels": 48, "positions": 8, "channels_first": False}
    content["inputs"][0]["layout"]["channels_first"] = True
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(VerificationError, match="not one of a model with this interface"):
        ModelInterface.read(tmp_path).decode(journal)


def test_without_a_digest_a_layout_means_nothing_to_verifiers() -> None:
    made, _ = network(8, 48)
    tensor = made.model.inputs[0]
    plain, other = (replace(made.model.interface(), input_mode="none", inputs=(own,)) for own in (tensor, replace(tensor, layout=None)))
    committed, moved = (replace(made.model.interface(), inputs=(own,)) for own in (tensor, replace(tensor, layout=Layout(8, 48))))
    assert plain.digest == other.digest
    assert committed.digest != moved.digest


def test_a_receipt_opens(tmp_path: Path) -> None:
    """Proven, saved, and opened by someone who has model.json, receipt, input and salt."""
    made, samples = network()
    made.model.save(tmp_path)
    model = CompiledModel.load(tmp_path)
    receipt = model.prove(samples[0], salts=SALTS)
    public = ModelInterface.read(tmp_path)
    said = public.verify(receipt, model.image_id()).digests
    assert said == {"input": public.input_digest(samples[0], SALTS["input"])}
