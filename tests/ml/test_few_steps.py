"""Integers of few values among real numbers, as flags and bytes behind a Cast: they cost the others no digits, and guests load."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.ml.models import agreed, compiled, model_of, normal
from zkvm.ml.card import error_relative_to_range
from zkvm.ml.compiler import Arithmetic, Options, Privacy, float_outputs
from zkvm.ml.operators import tensor_combining
from zkvm.ml.samples import Sample

FLAGS, BYTES = 2, 256
"""How many values."""
SHAPE = (1, 24, 16)
FRONT = [("MatMul", "x w", "m"), ("Cast", "n", "f")]
PART = "from to axis"
"""The second half of a Concat, by a Slice."""
NETWORKS: dict[str, list[tuple[str, str, str]]] = {
    "Mul": [*FRONT, ("Mul", "m f", "h")],
    "Sub": [*FRONT, ("Sub", "f m", "h")],
    "Concat": [*FRONT, ("Concat", "m f", "h")],
    "Clip": [*FRONT, ("Concat", "m f", "c"), ("Slice", f"c {PART}", "s"), ("Clip", "s low high", "h")],
    "Sigmoid": [*FRONT, ("Concat", "m f", "c"), ("Sigmoid", "c", "h")],
    "LayerNormalization": [*FRONT[1:], ("LayerNormalization", "f gain gain", "h")],
}
ATTRIBUTES: dict[str, dict[str, Any]] = {"Cast": {"to": onnx.TensorProto.FLOAT}, "Concat": {"axis": 1}}


@pytest.fixture(autouse=True)
def _cheap_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks this small do not pay for tables."""
    monkeypatch.setattr(tensor_combining, "ELEMENTWISE_COST", -(1 << 30))


def nodes_of(names: list[tuple[str, str, str]]) -> list[onnx.NodeProto]:
    return [
        helper.make_node(operator, inputs.split(), [output], name=f"{operator}_{output}", **ATTRIBUTES.get(operator, {}))
        for operator, inputs, output in names
    ]


def worst(model: onnx.ModelProto, samples: list[Sample], *, private: bool) -> float:
    """The largest error of its output, of a guest that agrees with the integer model."""
    made = compiled(model, samples, Options(arithmetic=Arithmetic.FIXED, privacy=Privacy(private_weights=private)))
    assert made.graph.tensor_operations
    errors = []
    for sample, expected in zip(samples, float_outputs(made.imported, samples), strict=True):
        (result,) = agreed(made, made.model.quantize([sample[port.name] for port in made.imported.inputs])[0])
        errors.append(error_relative_to_range(made.graph.outputs[0].dequantize(result), expected[0]))
    return max(errors)


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("values", [FLAGS, BYTES], ids=["flags", "bytes"])
@pytest.mark.parametrize("name", NETWORKS)
def test_few_values_beside_real_numbers(name: str, values: int, private: bool) -> None:
    """Of a Concat all had the scale 1; products of private tensors had as few values as flags; means of flags were flags; and a private
    flag that was brought to a scale of the others was no longer 1."""
    drawn = np.random.default_rng(0)
    samples: list[Sample] = [{"x": normal(*SHAPE, seed=seed), "n": drawn.integers(0, values, SHAPE).astype(np.uint8)} for seed in range(3)]
    if name == "LayerNormalization":
        samples = [{"n": sample["n"]} for sample in samples]
    rows = 2 * SHAPE[1] if name in ("Concat", "Sigmoid") else SHAPE[1]
    constants = {
        "w": normal(16, 16, seed=1), "v": normal(16, 8, seed=2), "last": normal(rows * 8, 10, seed=3), "gain": np.linspace(0.5, 1.5, 16),
        "low": np.array(0.2), "high": np.array(0.9), "from": np.array([24]), "to": np.array([48]), "axis": np.array([1]),
    }  # fmt: skip
    constants = {key: array.astype(np.float32) if array.dtype.kind == "f" else array for key, array in constants.items()}
    nodes = nodes_of([*NETWORKS[name], ("MatMul", "h v", "z"), ("Flatten", "z", "e"), ("Gemm", "e last", "y")])
    used = {key: array for key, array in constants.items() if any(key in node.input for node in nodes)}
    assert worst(model_of(nodes, samples[0], ["y"], used), samples, private=private) < 0.003


@pytest.mark.parametrize("offset", [0.0, 0.2, 0.5, 0.9, 2.0])
def test_a_factor_beyond_that_of_a_call(offset: float) -> None:
    """A layer of one tap whose results have many more steps than the flags that it reads: its multipliers were no words."""
    drawn = np.random.default_rng(0)
    samples: list[Sample] = [{"n": drawn.integers(0, 2, (1, 1, 24, 24)).astype(np.bool_)} for _ in range(3)]
    names = [
        ("Cast", "n", "f"),
        ("Conv", "f w b", "c"),
        ("Relu", "c", "r"),
        ("Conv", "r w2", "d"),
        ("Flatten", "d", "e"),
        ("Gemm", "e v", "y"),
    ]
    constants = {
        "w": np.linspace(-1, 1, 32, dtype=np.float32).reshape(32, 1, 1, 1), "b": np.full(32, offset, np.float32),
        "w2": normal(4, 32, 1, 1, seed=3, scale=0.1), "v": normal(4 * 576, 10, seed=4, scale=0.05),
    }  # fmt: skip
    assert worst(model_of(nodes_of(names), samples[0], ["y"], constants), samples, private=False) < 0.001
