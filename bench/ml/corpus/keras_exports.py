"""Keras: small seeded networks through its own ONNX export (tf2onnx below it, with TensorFlow as backend)."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from bench.ml.corpus.entry import CALIBRATION, Absent, Entry, Made, generator
from bench.ml.corpus.torch_exports import TOKENS, drawn

FAMILY = "keras_exports"


def entries() -> Iterator[Entry]:
    """All models of this family."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        import keras
        import tensorflow  # noqa: F401  # the backend, whose absence would show late
    except ImportError as error:
        yield Entry(FAMILY, "all", partial(_absent, f"{error.name} is not installed"))
        return
    for name, (shape, kind, layers) in NETWORKS.items():
        yield Entry(FAMILY, name, partial(_exported, name, shape, kind, partial(layers, keras.layers)))


def _absent(reason: str, count: int) -> Made:
    raise Absent(reason)


def _exported(name: str, shape: tuple[int, ...], kind: str, layers: Callable[[], list[Any]], count: int) -> Made:
    import keras

    keras.utils.set_random_seed(0)
    random = generator(name)
    calibration, inputs = (drawn(kind, wanted, (1, *shape), random) for wanted in (CALIBRATION, count))
    if kind.startswith("tokens"):
        calibration, inputs = calibration.astype("int32"), inputs.astype("int32")
    model = keras.Sequential([keras.Input(shape, batch_size=1, dtype=str(calibration.dtype)), *layers()])
    model(calibration[0])  # only a model that was called once can be exported
    with (
        tempfile.TemporaryDirectory() as scratch,
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        path = Path(scratch) / "model.onnx"
        model.export(str(path), format="onnx", verbose=False)
        content = path.read_bytes()
    graph = onnx.load_from_string(content).graph
    port, result = graph.input[0].name, graph.output[0].name
    return Made(content, {port: calibration}, {port: inputs}, result if kind.endswith("-classes") else "")


NETWORKS: dict[str, tuple[tuple[int, ...], str, Callable[[Any], list[Any]]]] = {
    "mlp": ((10,), "normal-classes", lambda k: [k.Dense(16, activation="relu"), k.Dense(4, activation="softmax")]),
    "mlp-swish": ((10,), "normal-classes", lambda k: [k.Dense(16, activation="swish"), k.Dense(16, activation="selu"), k.Dense(4)]),
    "mlp-softplus": ((10,), "normal", lambda k: [k.Dense(16, activation="softplus"), k.Dense(1, activation="sigmoid")]),
    "cnn": (
        (12, 12, 1), "image-classes",
        lambda k: [k.Conv2D(4, 3, activation="relu"), k.MaxPooling2D(2), k.Flatten(), k.Dense(5, activation="softmax")],
    ),
    "cnn-batch-norm": (
        (12, 12, 3), "image-classes",
        lambda k: [k.Conv2D(4, 3, padding="same"), k.BatchNormalization(), k.ReLU(), k.GlobalAveragePooling2D(), k.Dense(3)],
    ),
    "cnn-depthwise": (
        (12, 12, 3), "image-classes",
        lambda k: [k.SeparableConv2D(6, 3, activation="relu6"), k.AveragePooling2D(2), k.Flatten(), k.Dense(3)],
    ),
    "layernorm": ((10,), "normal-classes", lambda k: [k.Dense(16), k.LayerNormalization(), k.Activation("tanh"), k.Dense(4)]),
    "simple-rnn": ((7, 6), "normal-classes", lambda k: [k.SimpleRNN(8), k.Dense(3)]),
    "lstm": ((7, 6), "normal-classes", lambda k: [k.LSTM(8), k.Dense(3)]),
    "gru": ((7, 6), "normal-classes", lambda k: [k.GRU(8), k.Dense(3)]),
    "embedding": ((6,), "tokens-classes", lambda k: [k.Embedding(TOKENS, 8), k.GlobalAveragePooling1D(), k.Dense(3)]),
    "conv1d": ((16, 2), "normal-classes", lambda k: [k.Conv1D(4, 5, activation="elu"), k.GlobalMaxPooling1D(), k.Dense(3)]),
}  # fmt: skip
