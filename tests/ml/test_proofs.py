"""A model of every kind, proven and verified: the receipt's journal is what the integer model computes."""

from __future__ import annotations

import pytest
from onnx import ModelProto

from tests.ml.models import compiled
from tests.ml.networks import NETWORKS
from zkvm import api
from zkvm.ml.card import error_relative_to_range
from zkvm.ml.compiler import float_outputs
from zkvm.ml.ir import evaluate
from zkvm.ml.samples import Sample

TOLERANCE = 0.03
"""Of the output's range: models quantized to 8 bits are this far from onnxruntime, the others much closer."""


def prove(model: ModelProto, samples: list[Sample]) -> None:
    made = compiled(model, samples)
    integers, _ = made.model.quantize([samples[0][port.name] for port in made.imported.inputs])
    info = api.prove(made.model.elf, made.model.stdin(integers), params="fast")
    info.receipt.verify(info.image_id)
    results = evaluate(made.graph, integers)
    assert info.receipt.journal == made.journal(results)
    for value, result, real in zip(made.graph.outputs, results, float_outputs(made.imported, samples[:1])[0], strict=True):
        assert error_relative_to_range(value.dequantize(result), real) <= TOLERANCE


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name: str) -> None:
    prove(*NETWORKS[name]())


@pytest.mark.parametrize("name", ["forest", "scaled svm", "lightgbm"])
def test_classical(name: str) -> None:
    from tests.ml import test_classical as classical  # skips without the exporters

    if name == "lightgbm":
        model = classical.boosted(name, True)
    else:
        model = classical.exported(classical.CLASSIFIERS[name], classical.IRIS, classical.SPECIES)
    prove(model, classical.samples_of(classical.IRIS, model.graph.input[0].name))
