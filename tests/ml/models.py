"""Small ONNX models, and the comparison that every operator must pass: guest = integer model, and both close to onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from zkvm.ml.card import error_relative_to_range
from zkvm.ml.compilation import Arithmetic
from zkvm.ml.compiler import Compilation, Options, Privacy, compile_imported, float_outputs, import_file
from zkvm.ml.float32 import to_bits
from zkvm.ml.interface import SATURATED_EXIT
from zkvm.ml.ir import Kind, Value, evaluate
from zkvm.ml.onnx_model import Port
from zkvm.ml.samples import Sample
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

Array = NDArray[Any]
OPSET = 18


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Array],
    outputs: Sequence[str],
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = OPSET,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model whose inputs have the shapes and types of the arrays."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for name, array in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 3 if "ml" in domain else 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def single(
    operator: str, inputs: Mapping[str, Array], constants: Mapping[str, Any] | None = None, outputs: int = 1, **attributes: Any
) -> onnx.ModelProto:
    """A model of one node that reads all inputs, then all constants."""
    names = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(operator, [*inputs, *(constants or {})], names, name="node", **attributes)
    return model_of([node], inputs, names, constants)


def compiled(model: onnx.ModelProto, samples: Sequence[Sample], options: Options | None = None) -> Compilation:
    """The model, calibrated on the samples, for inputs in their range, in fixed point and going on where values saturate unless the options
    say more."""
    chosen = options or Options(privacy=Privacy(saturate=True))
    if chosen.arithmetic is Arithmetic.AUTO:
        chosen = replace(chosen, arithmetic=Arithmetic.FIXED)
    imported = import_file(model, chosen)
    return compile_imported(imported, samples, replace(chosen, domain=chosen.domain or seen(imported.inputs, samples)))


def seen(ports: Sequence[Port], samples: Sequence[Sample]) -> dict[str, tuple[float, float]]:
    """What the inputs are in the samples, as a domain."""
    ranges: dict[str, tuple[float, float]] = {}
    for port in ports:
        if port.dtype.kind != "b":
            values = np.stack([np.asarray(sample[port.name], np.float64).reshape(port.shape) for sample in samples])
            values[np.isinf(values)] = np.nan
            ranges[port.name] = float(np.nanmin(values)), float(np.nanmax(values))
            if len(port.shape) == 2:
                columns = values.reshape(-1, port.shape[-1]).T
                ranges |= {
                    f"{port.name}[{place}]": (float(np.nanmin(column)), float(np.nanmax(column))) for place, column in enumerate(columns)
                }
    return ranges


def run_guest(made: Compilation, integers: Sequence[NDArray[np.int64]]) -> tuple[bytes, int]:
    """Journal and cycles of the guest; it must exit with 0."""
    execution = execute(load_image(made.model.elf), made.model.stdin(integers), trace=False)
    assert execution.exit_code == 0, execution.stderr
    return execution.journal, execution.cycles


def check(model: onnx.ModelProto, samples: Sequence[Sample], tolerance: float = 0.001, options: Options | None = None) -> Compilation:
    """Compile; on every sample the guest gives the integer model's bits, and these are within ``tolerance`` of the float output's range.

    Also on inputs at the ends of their bounds, where sums are largest; there and everywhere values are within their bounds.
    """
    made = compiled(model, samples, options)
    for sample, expected in zip(samples, float_outputs(made.imported, samples), strict=True):
        integers, saturated = made.model.quantize([sample[port.name] for port in made.imported.inputs])
        assert saturated == 0
        results = agreed(made, integers)
        for value, result, real in zip(made.graph.outputs, results, expected, strict=True):
            assert result.shape == real.shape
            assert error_relative_to_range(value.dequantize(result), real) <= tolerance
    random = np.random.default_rng(0)
    for choices in ((0, 1), (0,), (1,), (0, 0.5, 1)):
        agreed(made, [_extreme(value, random, choices) for value in made.graph.inputs])
    return made


def _extreme(value: Value, random: np.random.Generator, choices: Sequence[float]) -> NDArray[np.int64]:
    """Words at given places between the bounds, or between the ends of all floats."""
    places = random.choice(choices, value.shape)
    if value.kind is Kind.FLOAT:
        return to_bits(((2 * places - 1) * np.finfo(np.float32).max).astype(np.float32))
    return np.asarray(value.lo + np.floor(places * (value.hi - value.lo)), np.int64)


def agreed(made: Compilation, integers: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """The integer model's outputs, after comparing them with the guest's and every value with its bounds.

    Where values saturate a guest that does not go on ends with a code of its own.
    """
    held: dict[int, NDArray[np.int64]] = {id(value): array for value, array in zip(made.graph.inputs, integers, strict=True)}
    for operation in made.graph.operations:
        arrays = [
            value.data.reshape(value.shape) if value.data is not None else held[id(value)].reshape(value.shape)
            for value in operation.inputs
        ]
        result = operation.evaluate(*arrays)
        assert result.shape == operation.output.shape
        assert result.min() >= operation.output.lo, operation.name
        assert result.max() <= operation.output.hi, operation.name
        held[id(operation.output)] = result
    saturated: dict[str, int] = {}
    results = evaluate(made.graph, integers, saturated)
    if saturated and made.model.saturation == "refuse":
        execution = execute(load_image(made.model.elf), made.model.stdin(integers), trace=False)
        assert execution.exit_code == SATURATED_EXIT
        assert next(iter(saturated)) in execution.stderr.decode()
        return results
    journal, _ = run_guest(made, integers)
    assert journal == made.journal(results, bool(saturated))
    return results


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Random numbers around 0, float32."""
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def positive(*shape: int, seed: int = 0) -> Array:
    """Random numbers in [0.1, 4), float32."""
    return np.random.default_rng(seed).uniform(0.1, 4, shape).astype(np.float32)
