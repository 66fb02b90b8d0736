"""Weights of 8 bits that are private: which layers have them, that they stay the model's integers, and that nothing of them is public."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

import zkvm.ml
from tests.ml.models import Array, agreed, compiled, model_of, normal
from tests.ml.networks import Reader
from tools.emulator import emulate
from zkvm.errors import InexactError, UsageError
from zkvm.ml import package
from zkvm.ml.card import error_relative_to_range
from zkvm.ml.compiler import Compilation, Options, Precision, Privacy, float_outputs
from zkvm.ml.importer import import_model
from zkvm.ml.interface import ModelInterface
from zkvm.ml.operations.depthwise import TensorDepthwise
from zkvm.ml.operations.tensors import TensorLinear
from zkvm.ml.operators.layers import Layer
from zkvm.ml.operators.secret_layers import limit_of, own_steps, quantized_secretly
from zkvm.ml.package import SALT_BYTES, CompiledModel, weights_digest
from zkvm.ml.samples import Sample
from zkvm.ml.small_weights import WHOLE
from zkvm.ml.value import Value
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

PRIVATE = Options(privacy=Privacy(private_weights=True, saturate=True))


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name=f"{operator}_{output}", **attributes)


NODES = [
    node("Conv", "x w1 b1", "h1", pads=[1, 1, 1, 1]), node("Relu", "h1", "r1"),
    node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
    node("Conv", "p1 w2 b2", "h2", pads=[1, 1, 1, 1]), node("Add", "h2 p1", "s2"), node("Relu", "s2", "r2"),
    node("Flatten", "r2", "f"), node("Gemm", "f w3 b3", "h3"), node("Relu", "h3", "r3"), node("MatMul", "r3 w4", "y"),
]  # fmt: skip
"""Layers with and without zeros beside what they read, a pool and a sum of activations of 8 bits."""


def network(seed: int = 0) -> tuple[onnx.ModelProto, list[Sample]]:
    constants = {
        "w1": normal(12, 8, 3, 3, seed=seed + 1, scale=0.2), "b1": normal(12, seed=seed + 2, scale=0.2),
        "w2": normal(12, 12, 3, 3, seed=seed + 3, scale=0.1), "b2": normal(12, seed=seed + 4, scale=0.2),
        "w3": normal(192, 96, seed=seed + 5, scale=0.1), "b3": normal(96, seed=seed + 6, scale=0.2),
        "w4": normal(96, 10, seed=seed + 7, scale=0.1),
    }  # fmt: skip
    samples: list[Sample] = [{"x": normal(1, 8, 8, 8, seed=number)} for number in range(6)]
    return model_of(NODES, samples[0], ["y"], constants), samples


def int8(seed: int = 0, **options: Any) -> tuple[onnx.ModelProto, list[Sample]]:
    """The network as onnxruntime quantizes it."""
    model, samples = network(seed)
    return quantized_statically(model, samples, **options), samples


def quantized_statically(model: onnx.ModelProto, samples: list[Sample], **options: Any) -> onnx.ModelProto:
    chosen = {"quant_format": QuantFormat.QDQ, "per_channel": True, "weight_type": QuantType.QInt8} | options
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        quantize_static(model, str(target), Reader(samples), **chosen)
        return onnx.load(str(target))


@cache
def made(seed: int = 0) -> Compilation:
    return compiled(*int8(seed), PRIVATE)


def test_who_is_refused_for_steps_of_8_bits_is_told_of_floats() -> None:
    """Which are not tried with private weights, and give the quantized network's answers."""
    model, samples = int8()
    with pytest.raises(InexactError, match=r"never is with private weights \(--arithmetic float\)"):
        zkvm.ml.compile(model, samples, weights="private", max_error=1e-4)
    assert zkvm.ml.compile(model, samples, weights="private", max_error=1e-4, arithmetic="float").card["accuracy"]["same_top1"]


def layers(compilation: Compilation) -> list[TensorLinear | TensorDepthwise]:
    return [operation for operation in compilation.graph.operations if isinstance(operation, (TensorLinear, TensorDepthwise))]


def rows_of(largest: int, channels: int = 4, taps: int = 70) -> Array:
    """Integers of channels, up to this one, which they have no common divisor with."""
    random = np.random.default_rng(abs(largest))
    bound = max(abs(largest) - 1, 1)
    integers = random.integers(-bound, bound + 1, (channels, taps))
    integers[:, 0], integers[:, 1] = largest, bound
    return integers


@pytest.mark.parametrize("largest", [127, -127, 100, 77, 64, -128])
def test_the_models_own_integers_are_found(largest: int) -> None:
    """Also where a channel has none that is 127, or has -128; 64 and 63 are no twofold of others, since 128 has no place."""
    integers = rows_of(largest)
    scales = np.random.default_rng(1).uniform(1e-4, 3, (len(integers), 1)).astype(np.float32)
    weights = (integers.astype(np.float32) * scales).astype(np.float64)
    steps, found = own_steps(weights)
    assert (found == integers).all()
    assert np.allclose(steps, scales[:, 0], rtol=1e-6)


def test_integers_of_other_channels() -> None:
    """Zeros; numbers of one size; few small ones, which become the largest multiples of them; and what has no such step at all."""
    random = np.random.default_rng(2)
    weights = np.stack([np.zeros(70), np.full(70, 0.3), np.repeat([0.5, 1.0], 35), random.normal(size=70)])
    steps, found = own_steps(weights)
    assert steps[0] == 0
    assert not found[0].any()
    assert (found[1] == 127).all()
    assert (found[2] == np.repeat([63, 126], 35)).all()
    assert np.abs(found * steps[:, None] - weights).max() <= 0.5 * steps.max() * (1 + 1e-9)
    assert np.abs(found).max() <= 128


@pytest.mark.parametrize("largest", [127, 100, -128])
@pytest.mark.parametrize("origin", [0, 384, -(1 << 15)])
def test_layers_keep_them(largest: int, origin: int) -> None:
    """And factors are near: sums differ by what factors are rounded by."""
    integers = np.concatenate([rows_of(largest, taps=200), np.zeros((1, 200), np.int64)])
    weights, bias = integers * 0.013, np.linspace(-1, 1, len(integers))
    layer = Layer("x", "y", weights, bias, False, small=True)
    source = Value("x", (200,), -(1 << 15), (1 << 15) - 1, 2.0**-12, origin=origin)
    output = Value("y", (5,), -(1 << 15) + 1, (1 << 15) - 1, 2.0**-9)
    limit = limit_of(layer, source, output)
    found = quantized_secretly("layer", layer, source, output.scale, 16, limit)
    assert (found.weights == 256 * integers).all()
    factors = found.multipliers // (limit >> 15)
    assert factors[:-1].min() > 50
    x = np.random.default_rng(3).integers(source.lo, source.hi, 200)
    real = (weights @ (x * source.scale) + bias) / output.scale
    sums = (found.weights @ (x - origin) + found.bias) * found.multipliers / 2.0**32
    assert np.abs(sums - real).max() <= 2 + np.abs(real).max() / (2 * factors[:-1].min()) + np.abs(origin) * 0.01


def test_sums_of_weights_that_lean_to_one_side_are_near() -> None:
    """Where multipliers are coarse, weights that are rounded again are nearer to sums whose terms add up."""
    random = np.random.default_rng(4)
    integers = np.clip(np.round(random.normal(12, 40, (32, 1 << 14))), -127, 127)
    integers[:, 0] = 127
    weights = integers * random.uniform(0.5, 1, (32, 1)) * 1e-3
    layer = Layer("x", "y", weights, np.zeros(32), False, small=True)
    x = random.integers(0, 256, 1 << 14)
    sums = weights @ x
    source, output = Value("x", (1 << 14,), 0, 255, 1.0), Value("y", (32,), 0, 255, float(sums.max()) / 200)
    found = quantized_secretly("layer", layer, source, output.scale, 16, limit_of(layer, source, output))
    assert (found.multipliers < 100 * (limit_of(layer, source, output) >> 15)).all()
    ours = (found.weights @ x + found.bias) * found.multipliers / 2.0**32 * output.scale
    assert np.abs(ours / sums - 1).max() < 0.005


def test_layers_whose_factors_have_no_room_are_refused() -> None:
    layer = Layer("x", "y", rows_of(127) * 9.0, np.zeros(4), False, small=True)
    source, output = (Value(name, (70,), -(1 << 15) + 1, (1 << 15) - 1, scale) for name, scale in (("x", 1.0), ("y", 0.5)))
    with pytest.raises(UsageError, match="layer 3: its results are too small beside its weights"):
        quantized_secretly("layer 3", layer, source, output.scale, 16, limit_of(layer, source, output))


def scaled(integers: Array, scale: Array, *more: onnx.NodeProto, zero: Array | None = None, **attributes: Any) -> dict[str, int]:
    """What is known of a weight ``w`` that a DequantizeLinear and more nodes make."""
    named = {"i": integers, "s": np.asarray(scale, np.float32)} | ({} if zero is None else {"z": zero})
    nodes = [node("DequantizeLinear", " ".join(named), "d" if more else "w", **attributes), *more, node("MatMul", "x w", "y")]
    x = normal(2, 6)
    return import_model(model_of(nodes, {"x": x}, ["y"], named, opset=21), simplify=False).scaled


def test_which_constants_are_small_integers_with_scales() -> None:
    weights = rows_of(100, 6, 6).astype(np.int8)
    one, each = np.array(0.1), np.linspace(0.1, 0.6, 6)
    assert scaled(weights, one)["w"] == WHOLE
    assert scaled(weights, each)["w"] == 1
    assert scaled(weights, each, axis=0)["w"] == 0
    assert scaled(weights, each, node("Transpose", "d", "w", perm=[1, 0]), axis=0)["w"] == 1
    assert scaled(weights, one, node("Transpose", "d", "t", perm=[1, 0]), node("Identity", "t", "w"))["w"] == WHOLE
    assert scaled(weights, each, zero=np.zeros(6, np.int8))["w"] == 1
    assert "w" not in scaled(weights, each, zero=np.array([0, 0, 0, 1, 0, 0], np.int8))
    assert "w" not in scaled(weights.view(np.uint8), one, zero=np.array(128, np.uint8))
    assert "w" not in scaled(weights, np.linspace(0.1, 1, 18).reshape(6, 3), block_size=2)
    assert "w" not in scaled(weights, one, node("Exp", "d", "w"))


@pytest.mark.parametrize(
    ("options", "bits", "count", "small"),
    [
        ({}, 16, 4, True),
        ({"per_channel": False}, 16, 4, True),
        ({"quant_format": QuantFormat.QOperator}, 16, 3, True),
        ({"activation_type": QuantType.QUInt8}, 16, 4, True),
        ({"weight_type": QuantType.QUInt8, "activation_type": QuantType.QUInt8}, 16, 4, False),
        (None, 16, 4, False),
        (None, 8, 4, True),
        (None, 5, 4, True),
    ],
)
def test_which_layers_have_bytes(options: dict[str, Any] | None, bits: int, count: int, small: bool) -> None:
    """All calls, or none; one that a pool of integers follows is none. Channels are numbers of 16 bits."""
    model, samples = network() if options is None else int8(**options)
    compilation = compiled(model, samples, replace(PRIVATE, precision=Precision(16, bits)))
    assert [layer.small for layer in layers(compilation)] == [small] * count
    assert bool(compilation.model.private_rows[0]) == small
    assert compilation.model.private_rows[1]
    (result,) = agreed(compilation, compilation.model.quantize([samples[0]["x"]])[0])
    assert error_relative_to_range(compilation.graph.outputs[0].dequantize(result), float_outputs(compilation.imported, samples)[0][0]) < (
        0.02 if bits >= 8 else 0.2
    )


def test_the_layers_of_a_quantized_network_keep_its_integers() -> None:
    model, _ = int8()
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {layer.name: layer.weights for layer in layers(made())}
    for name, weights in zip(("w1", "w2"), list(found.values())[:2], strict=True):
        assert (weights == 256 * held[f"{name}_quantized"].reshape(12, -1).astype(np.int64)).all()
    for name, weights in zip(("w3", "w4"), list(found.values())[2:], strict=True):
        assert (weights == 256 * held[f"{name}_quantized"].T.astype(np.int64)).all()


def test_answers_are_those_of_the_quantized_network(tmp_path: Path) -> None:
    """As near as with public weights, but for steps of 8 bits: by calls, by the calls' C, by the emulator, and by the integer model."""
    model, samples = int8()
    compilation, public = made(), compiled(model, samples)
    errors = []
    for sample, expected in zip(samples, float_outputs(compilation.imported, samples), strict=True):
        ours, theirs = (
            error_relative_to_range(own.graph.outputs[0].dequantize(agreed(own, own.model.quantize([sample["x"]])[0])[0]), expected[0])
            for own in (compilation, public)
        )
        errors.append((ours, theirs))
    assert np.mean([ours for ours, _ in errors]) < np.mean([theirs for _, theirs in errors]) + 0.01
    stdin = compilation.model.stdin(compilation.model.quantize([samples[0]["x"]])[0])
    run = execute(load_image(compilation.model.elf), stdin, trace=False)
    assert run.exit_code == 0
    assert run.cycles < 25_000
    assert execute(load_image(compilation.model.elf, tensors=False), stdin, trace=False).journal == run.journal
    (tmp_path / "guest.elf").write_bytes(compilation.model.elf)
    assert emulate(tmp_path / "guest.elf", stdin).journal == run.journal
    assert (compilation.model.decode(run.journal).digests or {})["weights"] == compilation.model.weights_digest


def other_weights(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Other integers, scales, and zero points of activations."""
    changed, random = onnx.ModelProto(), np.random.default_rng(seed)
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.int8 and array.size > 12 * 9:
            array = random.integers(-128, 128, array.shape).astype(np.int8)
        elif array.dtype == np.int8 and not array.ndim:
            array = np.array(random.integers(-128, 128), np.int8)
        elif array.dtype == np.float32:
            array = (array * random.uniform(0.5, 2, array.shape)).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return changed


def test_nothing_of_the_weights_is_public(tmp_path: Path) -> None:
    """Other networks, and the same one with other numbers, zero points among them: the same bytes but for the digest."""
    model, samples = int8()
    published = []
    found = [made(), made(20), *(compiled(other_weights(model, seed), samples, PRIVATE) for seed in (1, 2))]
    for number, compilation in enumerate(found):
        compilation.model.save(tmp_path / str(number))
        metadata = json.loads((tmp_path / str(number) / "model.json").read_text())
        assert metadata.pop("weights_digest") == compilation.model.weights_digest
        published.append((compilation.model.elf, compilation.model.source, metadata))
    assert published[1:] == published[:1] * 3
    assert len({compilation.model.weights_digest for compilation in found}) == 4


@pytest.mark.parametrize("options", [{}, {"weight_type": QuantType.QUInt8, "activation_type": QuantType.QUInt8}])
def test_channels_of_zeros_are_compiled_and_private(options: dict[str, Any], tmp_path: Path) -> None:
    """Their scale is whatever the quantizer says, far too much for other integers: twins do not fail by it. Nothing says that they are."""
    found = []
    for dead in (None, 2):
        model, samples = network()
        for tensor in model.graph.initializer if dead is not None else ():
            array = numpy_helper.to_array(tensor).copy()
            if tensor.name.startswith("w"):
                array[(slice(None), dead) if array.ndim == 2 else dead] = 0
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        compilation = compiled(quantized_statically(model, samples, **options), samples, PRIVATE)
        agreed(compilation, compilation.model.quantize([samples[0]["x"]])[0])
        compilation.model.save(tmp_path / str(dead))
        metadata = json.loads((tmp_path / str(dead) / "model.json").read_text())
        del metadata["weights_digest"]
        found.append((compilation.model.source, metadata))
    assert found[0] == found[1]


def test_any_private_bytes_end_the_run() -> None:
    model, samples = made().model, network()[1]
    end = len(model.private_weights) - 48 * model.private_rows[1]
    start = end - 56 * model.private_rows[0]
    assert start >= SALT_BYTES
    held = np.frombuffer(model.private_weights[start:end], np.int8)  # lanes beyond the last channel are 0: else there is no proof
    drawn = np.where(held != 0, np.random.default_rng(0).integers(-128, 128, len(held)), 0).astype(np.int8).tobytes()
    changed = replace(model, private_weights=model.private_weights[:start] + drawn + model.private_weights[end:])
    run = execute(load_image(model.elf), changed.stdin(model.quantize([samples[0]["x"]])[0]), trace=False)
    assert run.exit_code == 0
    assert run.journal[32:64].hex() == weights_digest(changed.private_weights, model.private_rows) != model.weights_digest


def test_the_digest_without_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a compiled directory, which says how many rows there are; with too few bytes it is none. One of an older version is refused."""
    model = made().model
    monkeypatch.setattr(package, "_digest_by_kernels", lambda: None)
    model.save(tmp_path)
    assert CompiledModel.load(tmp_path).private_rows == model.private_rows
    with pytest.raises(UsageError, match="do not hold a salt"):
        weights_digest(bytes(100), model.private_rows)
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    with pytest.raises(UsageError, match=r"weights\.bin was cut off.* do not hold a salt"):
        CompiledModel.load(tmp_path)
    metadata = json.loads((tmp_path / "model.json").read_text())
    for rows in ([1], [1, -1], [1.0, 2], "12", None):
        (tmp_path / "model.json").write_text(json.dumps(metadata | {"private_rows": rows}))
        with pytest.raises(UsageError, match="not a compiled model"):
            ModelInterface.read(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(metadata | {"format": 5}))
    with pytest.raises(UsageError, match="format 5; this version reads 6: compile the model again"):
        CompiledModel.load(tmp_path)


def test_a_proof_says_what_the_integer_model_does() -> None:
    compilation, sample = made(), network()[1][0]
    results = agreed(compilation, compilation.model.quantize([sample["x"]])[0])
    receipt = compilation.model.prove(sample, params="fast")
    assert receipt.journal == compilation.journal(results)
    shown = compilation.model.interface().verify(receipt, compilation.model.image_id())
    assert shown.digests == {"weights": compilation.model.weights_digest}
