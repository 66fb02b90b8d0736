"""The training script: gradients against finite differences, and the exported ONNX against the numpy network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tools.train_mnist import (
    LENET,
    LENET_DENSE,
    PERCEPTRON,
    Floats,
    Gradients,
    Parameters,
    convolve,
    dense_layers,
    dense_nodes,
    export,
    initial,
    lenet_gradients,
    lenet_nodes,
    perceptron_gradients,
    pool,
)

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((3, 1, 28, 28), np.float32)
LABELS = np.array([1, 7, 3])


def lenet_logits(p: Parameters, x: Floats) -> Floats:
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    first = pool(np.maximum(convolve(padded, p["k1"], p["c1"])[0], 0))[0]
    second = pool(np.maximum(convolve(first, p["k2"], p["c2"])[0], 0))[0]
    return dense_layers(p, second.reshape(len(x), -1), LENET_DENSE)[-1]


def perceptron_logits(p: Parameters, x: Floats) -> Floats:
    return dense_layers(p, x.reshape(len(x), -1), [("w1", "b1"), ("w2", "b2")])[-1]


def loss(logits: Floats) -> float:
    shifted = logits.astype(np.float64)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(LABELS)), LABELS]).mean())


@pytest.mark.parametrize("name", ["lenet", "perceptron"])
def test_gradients(name: str) -> None:
    """Along the gradient itself the loss changes by its squared length."""
    gradients: Gradients = lenet_gradients if name == "lenet" else perceptron_gradients
    logits = lenet_logits if name == "lenet" else perceptron_logits
    parameters = initial(np.random.default_rng(1), LENET if name == "lenet" else PERCEPTRON)
    slope = gradients(parameters, IMAGES, LABELS)
    for key in parameters:
        step = 1e-3 / max(1e-6, float(np.abs(slope[key]).max()))
        ends = [loss(logits(parameters | {key: parameters[key] + np.float32(sign * step) * slope[key]}, IMAGES)) for sign in (1, -1)]
        expected = float(np.square(slope[key].astype(np.float64)).sum())
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=0.05), key


def test_exported_network(tmp_path: Path) -> None:
    parameters = initial(np.random.default_rng(1), LENET)
    export(tmp_path / "lenet5.onnx", parameters, lenet_nodes())
    session = onnxruntime.InferenceSession(str(tmp_path / "lenet5.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"image": IMAGES})[0], lenet_logits(parameters, IMAGES), rtol=1e-3, atol=1e-4)
    assert len(dense_nodes("x", LENET_DENSE)) == 5
