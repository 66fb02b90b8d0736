"""Private weights in tensor calls: nothing of them is public, answers are the float model's, and receipts name the weights."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.ml.models import Array, agreed, compiled, model_of, normal, run_guest
from zkvm.errors import UsageError, VerificationError
from zkvm.ml.card import error_relative_to_range
from zkvm.ml.compiler import Compilation, Options, OutputMode, Precompiles, Privacy, float_outputs
from zkvm.ml.interface import ModelInterface
from zkvm.ml.operations.tensors import TensorLinear, private_channels
from zkvm.ml.operators.layers import Layer
from zkvm.ml.operators.secret_layers import private_limit, quantized_secretly
from zkvm.ml.package import CompiledModel, weights_digest
from zkvm.ml.samples import Sample
from zkvm.ml.value import Value
from zkvm.riscv.isa.tensors import DIGESTED, SCALED, channels_in
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

PRIVATE = Options(privacy=Privacy(private_weights=True))
SHAPE = (1, 2, 14, 14)


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name=f"{operator}_{output}", **attributes)


NODES = [
    node("Conv", "x w1 b1", "h1", pads=[1, 1, 1, 1]), node("Relu", "h1", "r1"),
    node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
    node("Conv", "p1 w2 b2", "h2"), node("AveragePool", "h2", "a2", kernel_shape=[2, 2]), node("Relu", "a2", "r2"),
    node("Flatten", "r2", "f"), node("Gemm", "f w3 b3", "h3"), node("Gemm", "f w4", "h4"),
    node("Add", "h3 h4", "s"), node("Gemm", "s w5", "y"),
]  # fmt: skip
"""Layers, pools of both kinds, a Relu by itself; and a sum of two tensors, whose scales are secret."""


def network(seed: int = 0, size: float = 1.0) -> tuple[onnx.ModelProto, list[Sample]]:
    """Weights and ranges inside follow from seed and size, and nothing else does."""

    def weights(number: int, *shape: int) -> Array:
        return normal(*shape, seed=10 * seed + number, scale=0.3) * np.float32(size)

    constants = {
        "w1": weights(1, 6, 2, 3, 3), "b1": weights(2, 6), "w2": weights(3, 8, 6, 3, 3), "b2": weights(4, 8),
        "w3": weights(5, 128, 40), "b3": weights(6, 40), "w4": weights(7, 128, 40), "w5": weights(8, 40, 24),
    }  # fmt: skip
    samples: list[Sample] = [{"x": normal(*SHAPE, seed=number)} for number in range(5)]
    return model_of(NODES, samples[0], ["y"], constants), samples


@cache
def made(seed: int = 0, size: float = 1.0) -> Compilation:
    return compiled(*network(seed, size), PRIVATE)


def test_guest_integer_model_and_float_model_agree() -> None:
    """In calls, and to 0.1 %; what is committed is what the digest of the weights says."""
    compilation, samples = made(), network()[1]
    for sample, expected in zip(samples, float_outputs(compilation.imported, samples), strict=True):
        integers, saturated = compilation.model.quantize([sample["x"]])
        assert not saturated
        (result,) = agreed(compilation, integers)
        assert error_relative_to_range(compilation.graph.outputs[0].dequantize(result), expected[0]) < 0.001
    layers = [operation for operation in compilation.graph.operations if isinstance(operation, TensorLinear)]
    assert len(layers) == 5
    assert all(layer.limit for layer in layers)
    image = load_image(compilation.model.elf)
    run = execute(image, compilation.model.stdin(compilation.model.quantize([samples[0]["x"]])[0]))
    operations = [call.descriptor.operation for call in run.tensor_calls]
    assert operations.count(SCALED) == 7, "layers, means of windows and the sum"
    assert operations.count(DIGESTED) == 1
    assert run.cycles < 3_000


def test_nothing_of_the_weights_is_public(tmp_path: Path) -> None:
    """Other weights, larger and smaller: the same bytes but for the digest, and twins have nothing against the model."""
    published = []
    for number, (seed, size) in enumerate([(0, 1.0), (1, 1.0), (2, 7.0), (3, 0.01)]):
        model = made(seed, size).model
        model.save(tmp_path / str(number))
        metadata = json.loads((tmp_path / str(number) / "model.json").read_text())
        assert metadata.pop("weights_digest") == model.weights_digest
        published.append((model.elf, model.source, metadata))
    assert published[1:] == published[:1] * 3
    assert len({made(seed, size).model.weights_digest for seed, size in [(0, 1.0), (1, 1.0), (2, 7.0)]}) == 3


def test_receipts_of_one_private_model_show_the_same_weights(tmp_path: Path) -> None:
    """And are refused for a model with others; whoever verifies has model.json alone."""
    ours, other, samples = made().model, made(1).model, network()[1]
    ours.save(tmp_path)
    public, image_id = ModelInterface.read(tmp_path), ours.image_id()
    receipts = [model.prove(sample) for model, sample in ((ours, samples[0]), (ours, samples[1]), (other, samples[0]))]
    assert other.image_id() == image_id
    shown = [public.verify(receipt, image_id).digests for receipt in receipts[:2]]
    assert shown[0] == shown[1] == {"weights": ours.weights_digest}
    with pytest.raises(VerificationError, match="MODEL: the run's private weights have the digest"):
        public.verify(receipts[2], image_id)


def test_other_private_vectors_have_another_digest(tmp_path: Path) -> None:
    """A vector is changed: the journal says so, and so does the directory."""
    model, samples = made().model, network()[1]
    integers, _ = model.quantize([samples[0]["x"]])
    changed = bytearray(model.private_weights)
    changed[len(changed) - 48 * model.private_rows[1]] ^= 1  # a weight of the first layer
    run = execute(load_image(model.elf), replace(model, private_weights=bytes(changed)).stdin(integers), trace=False)
    assert run.journal[32:64].hex() == weights_digest(bytes(changed), model.private_rows) != model.weights_digest
    with pytest.raises(VerificationError, match="the run's private weights have the digest"):
        model.decode(run.journal)
    model.save(tmp_path)
    (tmp_path / "weights.bin").write_bytes(bytes(changed))
    with pytest.raises(UsageError, match="does not hold the weights whose digest"):
        CompiledModel.load(tmp_path)


def test_without_calls_all_weights_are_words() -> None:
    model, samples = network()
    plain = compiled(model, samples, replace(PRIVATE, precompiles=Precompiles.NONE))
    assert plain.model.private_rows == (0, 0)
    assert "private_tensor" not in plain.code.source
    assert plain.graph.tensor_operations == 0


def test_inputs_and_outputs_that_are_digests_too() -> None:
    model, samples = network()
    privacy = Privacy(private_weights=True, input_digest=True, output=OutputMode.DIGEST)
    compilation = compiled(model, samples, Options(privacy=privacy))
    integers, _ = compilation.model.quantize([samples[0]["x"]])
    journal, _ = run_guest(compilation, integers)
    digests = compilation.model.decode(journal).digests or {}
    assert list(digests) == ["weights", "input", "output"]
    assert digests["weights"] == compilation.model.weights_digest


@pytest.mark.parametrize("taps", [1, 2, 3, 25, 784, 5000, 1 << 14, 100_000])
def test_private_channels_are_those_of_the_machine(taps: int) -> None:
    """Multipliers and biases count what a channel in a vector counts, whatever weights, biases and origins are; sums keep their bound."""
    random = np.random.default_rng(taps)
    limit = private_limit(taps)
    assert 1 <= taps * limit <= 1 << 32
    for size, offset, origin in ((1.0, 0.1, 0), (1e-4, 3.0, 1 << 15), (50.0, 0.0, -(1 << 15)), (1.0, 1e-9, 9)):
        weights = random.normal(size=(5, taps)) * size
        bias = random.normal(size=5) * offset
        source = Value("x", (taps,), -(1 << 15), (1 << 15) - 1, 2.0**-12, origin=origin)
        scale = float(np.abs(weights).sum(axis=1).max() * 8 + np.abs(bias).max()) / (1 << 15)
        found = quantized_secretly("layer", Layer("x", "y", weights, bias, False), source, scale, 16, limit)
        lanes = private_channels(found.bias, found.multipliers, limit)
        channels = channels_in(lanes.astype(np.int16), limit)
        assert (lanes == lanes.astype(np.int16)).all()
        assert (channels["bias"] == found.bias).all()
        assert (channels["multiplier"] == found.multipliers).all()
        errors = found.weights * (found.multipliers[:, None] / 2.0**32) * (scale / source.scale) - weights
        assert np.abs(errors).max() <= 1.01 * (found.multipliers.max() / 2.0**32) * scale / source.scale / 2


@pytest.mark.parametrize(("taps", "low", "high"), [(160, 0.0, 1.0), (160, -0.5, 0.5), (784, 0.0, 6.0)])
def test_results_between_the_close_bounds_of_a_clip(taps: int, low: float, high: float) -> None:
    """They are what they are also where sums have many terms and most of them are cut: limits were so small that no factor was large
    enough, and results lay nearer to the middle of the bounds than they should."""
    nodes = [node("Gemm", "x w", "h"), node("Clip", "h low high", "y")]
    constants = {"w": normal(taps, 32, seed=1), "low": np.array(low, np.float32), "high": np.array(high, np.float32)}
    samples: list[Sample] = [{"x": normal(4, taps, seed=seed)} for seed in range(8)]
    compilation = compiled(model_of(nodes, samples[0], ["y"], constants), samples, PRIVATE)
    assert sum(isinstance(operation, TensorLinear) for operation in compilation.graph.operations) == 1
    outputs = float_outputs(compilation.imported, samples)
    assert sum(int(((real > low) & (real < high)).sum()) for (real,) in outputs) > 20
    for sample, expected in zip(samples, outputs, strict=True):
        (result,) = agreed(compilation, compilation.model.quantize([sample["x"]])[0])
        assert error_relative_to_range(compilation.graph.outputs[0].dequantize(result), expected[0]) < 0.002


def test_results_too_small_for_their_weights_are_refused_by_name() -> None:
    """Never computed in another way: that would say something about them."""
    source = Value("x", (4,), -(1 << 15), (1 << 15) - 1, 1.0)
    layer = Layer("x", "y", np.full((1, 4), 1e9), np.zeros(1), False)
    with pytest.raises(UsageError, match="layer 7: its results are too small beside its weights, for sums of 4 terms"):
        quantized_secretly("layer 7", layer, source, 1e-9, 16, private_limit(4))
    for broken in (replace(layer, weights=np.array([[1, 2, np.inf, 3]])), replace(layer, bias=np.array([np.nan]))):
        with pytest.raises(UsageError, match="layer 7: a weight is NaN or infinite"):
            quantized_secretly("layer 7", broken, source, 1.0, 16, private_limit(4))


def test_sums_longer_than_those_of_a_call_are_refused_by_name() -> None:
    """A guest was made whose call the machine does not take."""
    taps = (1 << 17) + 8
    constants = {"w": normal(taps, 1, seed=1, scale=0.003), "v": normal(1, 9, seed=2)}
    samples: list[Sample] = [{"x": normal(1, taps, seed=seed)} for seed in range(2)]
    model = model_of([node("Gemm", "x w", "h"), node("Gemm", "h v", "y")], samples[0], ["y"], constants)
    with pytest.raises(UsageError, match=f"Gemm_h: sums of {taps} terms are too long to be private in tensor calls, which take 131072"):
        compiled(model, samples, PRIVATE)


FEW = {"bytes of a picture": ("x", []), "bits": ("bits", [node("Greater", "x level", "bits")])}
"""Inputs of few steps."""


def few(name: str, seed: int, size: float) -> tuple[Compilation, list[Sample]]:
    """A layer of 784 taps whose input has few steps, behind it one as usual."""
    origin, first = FEW[name]
    layers = [node("Cast", origin, "f", to=1), node("Gemm", "f w1 b1", "h"), node("Relu", "h", "r"), node("Gemm", "r w2", "y")]
    drawn = np.random.default_rng(seed)
    shapes = {"w1": (784, 24), "b1": (24,), "w2": (24, 5)}
    constants = {key: (size * drawn.normal(size=shape)).astype(np.float32) for key, shape in shapes.items()}
    constants |= {"level": np.array(99, np.uint8)} if first else {}
    pictures = np.random.default_rng(0).integers(0, 256, (20, 1, 784)).astype(np.uint8)
    samples: list[Sample] = [{"x": picture} for picture in pictures]
    return compiled(model_of([*first, *layers], samples[0], ["y"], constants), samples, PRIVATE), samples


@pytest.mark.parametrize("name", FEW)
def test_inputs_of_few_steps(name: str) -> None:
    """Calls divide their steps before the layer, whose factors would not reach its results otherwise: such models were refused."""
    found, samples = few(name, 1, 1.0)
    assert found.model.elf == few(name, 2, 0.01)[0].model.elf == few(name, 3, 30.0)[0].model.elf
    for sample, expected in zip(samples[:3], float_outputs(found.imported, samples[:3]), strict=True):
        integers, _ = found.model.quantize([sample["x"]])
        (result,) = agreed(found, integers)
        assert error_relative_to_range(found.graph.outputs[0].dequantize(result), expected[0]) < 0.002
    assert sum(isinstance(operation, TensorLinear) for operation in found.graph.operations) == 2


@pytest.mark.parametrize("mode", OutputMode)
@pytest.mark.parametrize("outputs", [["n"], ["y", "n"], ["n", "k", "y"]])
def test_outputs_that_are_constant(outputs: list[str], mode: OutputMode) -> None:
    """They are private words too, and were counted after these had been read: guests did not compile, or said another digest."""
    nodes = [node("Size", "x", "n"), node("Identity", "w", "k"), node("MatMul", "x w", "y")]
    nodes = [own for own in nodes if own.output[0] in outputs]
    x, w = normal(2, 6), normal(6, 3, seed=1)
    options = Options(privacy=Privacy(private_weights=True, output=mode))
    found = compiled(model_of(nodes, {"x": x}, outputs, {"w": w} if len(nodes) > 1 else {}), [{"x": x}], options).model
    output = found.run(x)
    if mode is OutputMode.FULL:
        assert output.tensors["n"] == x.size
        assert np.allclose(output.tensors.get("k", w), w, atol=1e-3)
        assert np.allclose(output.tensors.get("y", x @ w), x @ w, atol=0.01)
    elif mode is OutputMode.TOP1:
        assert output.label == x.size


def test_an_output_without_numbers() -> None:
    """The shape of a number without dimensions, in a model without a private word."""
    x = np.array(True)
    model = compiled(model_of([node("Shape", "x", "n")], {"x": x}, ["n"]), [{"x": x}], PRIVATE).model
    assert model.run({"x": x}).tensors["n"].shape == (0,)
