"""Two spellings of a model must agree: an operator and its decomposition give the same numbers and the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.ml import spelled_layers, spellings
from tests.ml.models import Array
from tests.ml.spellings import Nodes, Pair
from zkvm.ml import compiler
from zkvm.ml.candidate import GraphModel
from zkvm.ml.compilation import Arithmetic
from zkvm.ml.domain import input_domain
from zkvm.ml.gate import measure
from zkvm.ml.labels import differing_rows

PAIRS = [
    *spellings.NORMALISATION, *spellings.SOFTMAX, *spellings.ELEMENTS, *spelled_layers.LAYERS, *spelled_layers.RECURRENT,
    *spelled_layers.QUANTIZED, *spelled_layers.CLASSICAL,
]  # fmt: skip
CALIBRATION, UNSEEN, DRAWN = 8, 12, 16
GATE = 0.01
FIXED = (
    "RMSNormalization", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization", "Softmax",
    "Softmax of 13 and of 11", "LogSoftmax", "ReduceLogSumExp", "ReduceLogSum", "ReduceL2", "ReduceL1", "ReduceSumSquare", "ReduceMean",
    "ReduceMin", "HardSwish", "HardSigmoid", "Selu", "Celu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Softsign", "Relu", "Abs", "Clip",
    "Sqrt", "Reciprocal", "Sum", "Mean", "Gemm", "Gemm with factors", "Einsum", "products of activations", "Conv", "AveragePool",
    "GlobalAveragePool", "MaxPool", "CumSum", "Resize", "DepthToSpace", "Attention", "QLinearMatMul", "QLinearConv", "MatMulInteger",
    "trees", "Scaler", "LinearRegressor", "LinearClassifier", "Normalizer", "Binarizer",
)  # fmt: skip
"""Pairs of which the gate takes both spellings in fixed point; of the others it takes one or none."""


def named(pairs: Sequence[Pair]) -> list[Any]:
    """Under their names."""
    return [pytest.param(pair, id=pair.name) for pair in pairs]


def accepted(pair: Pair, nodes: Nodes, arithmetic: Arithmetic) -> GraphModel:
    """The integer model of a spelling, which the gate lets pass."""
    options = compiler.Options(arithmetic=arithmetic)
    imported = compiler.import_file(pair.model(nodes), options)
    samples = pair.samples(CALIBRATION)
    choice, _ = compiler.integer_model(imported, samples, options)
    model = GraphModel(choice.graph, imported.inputs)
    measure(model, imported, samples, input_domain(imported, samples, {}), DRAWN).demand()
    return model


def answers(model: GraphModel, samples: Sequence[dict[str, Array]]) -> list[Array]:
    """Its outputs."""
    found = [model.evaluate(sample) for sample in samples]
    assert not any(answer.refused or answer.saturated or answer.outside for answer in found)
    return [answer.outputs[-1] for answer in found]


def same(first: Sequence[Array], second: Sequence[Array], tolerance: float) -> None:
    """Equal within a part of the range, with the same labels."""
    numbers = np.stack(first)
    span = float(np.ptp(numbers)) or 1.0
    assert np.abs(numbers.astype(np.float64) - np.stack(second)).max() <= tolerance * span
    for one, other in zip(first, second, strict=True):
        assert one.shape == other.shape
        if one.ndim and one.shape[-1] > 1:
            assert differing_rows(other, one.astype(np.float32)).flips == 0


@pytest.mark.parametrize("pair", named(PAIRS))
def test_spellings_agree(pair: Pair) -> None:
    unseen = pair.samples(UNSEEN, first=1000)
    models = [accepted(pair, nodes, Arithmetic.AUTO) for nodes in (pair.operator, pair.written_out)]
    same(answers(models[0], unseen), answers(models[1], unseen), pair.tolerance)
    if pair.rows:
        order = np.random.default_rng(0).permutation(pair.shape[0])
        moved = answers(models[0], [{"x": sample["x"][order]} for sample in unseen])
        same([answer[order] for answer in answers(models[0], unseen)], moved, pair.tolerance)


@pytest.mark.parametrize("pair", named([pair for pair in PAIRS if pair.name in FIXED]))
def test_spellings_agree_in_fixed_point(pair: Pair) -> None:
    unseen = pair.samples(UNSEEN, first=1000)
    models = [accepted(pair, nodes, Arithmetic.FIXED) for nodes in (pair.operator, pair.written_out)]
    same(answers(models[0], unseen), answers(models[1], unseen), max(GATE, pair.tolerance))


def test_inputs_differ() -> None:
    for pair in PAIRS:
        samples = pair.samples(2)
        assert not np.array_equal(samples[0]["x"], samples[1]["x"])
    assert {pair.name for pair in PAIRS} >= set(FIXED)
