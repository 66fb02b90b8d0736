"""Trains the digits guest's classifier and writes its integer form as C constants.

Data: scikit-learn's copy of "Optical Recognition of Handwritten Digits" (UCI, E. Alpaydin and C. Kaynak, 1998), 1,797 images of
8 x 8 pixels in 0..16. A network 64-32-10 with ReLU is trained in floating point on a fixed part, then quantized: int8 weights,
int32 biases, hidden activations 0..255 by one integer multiplier per neuron. The rest of the images only measure accuracy.
"""

from __future__ import annotations

import argparse
import json
import re
import warnings
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GUEST = Path(__file__).resolve().parent.parent / "guest_programs" / "digits"
PIXELS, HIDDEN, LABELS = 64, 32, 10
PIXEL_MAX = 16
ACTIVATION_MAX = 255
SHIFT = 18
SEED = 0
HELD_OUT = 360
TYPES = {"int8_t": np.int8, "int32_t": np.int32}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Digits:
    """Images (n, 64) uint8 in 0..16 and labels (n,) int64, split for training and for measuring."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    held_images: NDArray[np.uint8]
    held_labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class IntegerModel:
    """The quantized network; field names are the C names. See :func:`infer` for what the numbers mean."""

    weights1: NDArray[np.int8]  # (32, 64)
    bias1: NDArray[np.int32]  # (32,)
    multiplier1: NDArray[np.int32]  # (32,)
    weights2: NDArray[np.int8]  # (10, 32)
    bias2: NDArray[np.int32]  # (10,)


def load_digits() -> Digits:
    """The data set under its fixed split."""
    from sklearn.datasets import load_digits as load

    bunch = load()
    images, labels = bunch.data.astype(np.uint8), bunch.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(labels))
    held, train = order[:HELD_OUT], order[HELD_OUT:]
    return Digits(images[train], labels[train], images[held], labels[held])


def train(digits: Digits) -> list[Floats]:
    """Weights (64, 32), bias (32,), weights (32, 10), bias (10,) of the network on pixels scaled to 0..1."""
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((HIDDEN,), random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stops by the number of epochs, as intended
        network.fit(digits.train_images / PIXEL_MAX, digits.train_labels)
    return [network.coefs_[0], network.intercepts_[0], network.coefs_[1], network.intercepts_[1]]


def infer_float(layers: list[Floats], images: NDArray[np.uint8]) -> Floats:
    """Logits (n, 10) of the network before quantization."""
    hidden = np.maximum(images / PIXEL_MAX @ layers[0] + layers[1], 0)
    return np.asarray(hidden @ layers[2] + layers[3], dtype=np.float64)


def quantize(layers: list[Floats], images: NDArray[np.uint8]) -> IntegerModel:
    """Integer form of ``layers``; ``images`` give the range of the hidden activations.

    Symmetric quantization: one scale per hidden neuron, one for the whole output layer, so that logits stay comparable.
    """
    weights1, bias1, weights2, bias2 = layers
    weight_scale1 = np.abs(weights1).max(axis=0) / 127
    input_scale = weight_scale1 / PIXEL_MAX
    hidden_scale = np.maximum(images / PIXEL_MAX @ weights1 + bias1, 0).max() / ACTIVATION_MAX
    weight_scale2 = np.abs(weights2).max() / 127
    model = IntegerModel(
        weights1=np.rint(weights1 / weight_scale1).T.astype(np.int8),
        bias1=np.rint(bias1 / input_scale).astype(np.int32),
        multiplier1=np.rint(input_scale / hidden_scale * 2**SHIFT).astype(np.int32),
        weights2=np.rint(weights2 / weight_scale2).T.astype(np.int8),
        bias2=np.rint(bias2 / (weight_scale2 * hidden_scale)).astype(np.int32),
    )
    check_bounds(model)
    return model


def check_bounds(model: IntegerModel) -> None:
    """Raises ``ValueError`` if any allowed image could overflow 32 bits anywhere in the guest's arithmetic."""
    sum1 = np.abs(model.weights1.astype(np.int64)).sum(axis=1) * PIXEL_MAX + np.abs(model.bias1.astype(np.int64))
    scaled = sum1 * model.multiplier1 + 2 ** (SHIFT - 1)
    sum2 = np.abs(model.weights2.astype(np.int64)).sum(axis=1) * ACTIVATION_MAX + np.abs(model.bias2.astype(np.int64))
    if model.multiplier1.min() < 0 or max(scaled.max(), sum2.max()) >= 2**31:
        raise ValueError("a 32-bit accumulator can overflow: choose a smaller SHIFT")


def infer(model: IntegerModel, images: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Logits (n, 10) int32: the reference that the guest must equal bit for bit."""
    sums = images.astype(np.int64) @ model.weights1.T.astype(np.int64) + model.bias1
    hidden = np.clip((sums * model.multiplier1 + 2 ** (SHIFT - 1)) >> SHIFT, 0, ACTIVATION_MAX)
    logits: NDArray[np.int64] = hidden @ model.weights2.T.astype(np.int64) + model.bias2
    return logits.astype(np.int32)


def journal(logits: NDArray[np.int32]) -> bytes:
    """What the guest commits for one image: label (the first largest logit) as uint32, then ten int32, little-endian."""
    return int(logits.argmax()).to_bytes(4, "little") + bytes(logits.astype("<i4").tobytes())


def to_header(model: IntegerModel) -> str:
    """The model as a C header."""
    parts = [
        "/* Written by tools/train_digits.py: do not edit. */",
        "#include <stdint.h>",
        "",
        *(f"#define {name} {value}" for name, value in _constants().items()),
    ]
    for item in fields(model):
        array = getattr(model, item.name)
        kind = next(name for name, dtype in TYPES.items() if array.dtype == dtype)
        shape = "".join(f"[{size}]" for size in array.shape)
        rows = [", ".join(map(str, row)) for row in array.reshape(-1, array.shape[-1]).tolist()]
        body = ",\n".join(f"    {{{row}}}" if array.ndim == 2 else f"    {row}" for row in rows)
        parts += ["", f"static const {kind} {item.name}{shape} = {{\n{body},\n}};"]
    return "\n".join(parts) + "\n"


def from_header(text: str) -> IntegerModel:
    """The model that :func:`to_header` wrote."""
    arrays = {}
    for kind, name, shape, body in re.findall(r"static const (\w+) (\w+)((?:\[\d+\])+) = \{(.*?)\};", text, re.DOTALL):
        sizes = tuple(map(int, re.findall(r"\d+", shape)))
        arrays[name] = np.array(re.findall(r"-?\d+", body), dtype=np.int64).astype(TYPES[kind]).reshape(sizes)
    return IntegerModel(**arrays)


def held_out_examples(digits: Digits) -> list[dict[str, object]]:
    """The first held-out image of every label."""
    first = [int(np.flatnonzero(digits.held_labels == label)[0]) for label in range(LABELS)]
    return [{"label": int(digits.held_labels[i]), "pixels": digits.held_images[i].tolist()} for i in first]


def accuracy(logits: NDArray[np.int32] | Floats, labels: NDArray[np.int64]) -> float:
    """Share of images whose largest logit is at their label."""
    return float((logits.argmax(axis=1) == labels).mean())


def main() -> None:
    """Command line."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    digits = load_digits()
    layers = train(digits)
    model = quantize(layers, digits.train_images)
    (GUEST / "weights.h").write_text(to_header(model))
    examples = ",\n".join("  " + json.dumps(example) for example in held_out_examples(digits))
    (GUEST / "held_out.json").write_text(f"[\n{examples}\n]\n")
    print(f"held-out images: {HELD_OUT}")
    print(f"float accuracy:   {accuracy(infer_float(layers, digits.held_images), digits.held_labels):.4f}")
    print(f"integer accuracy: {accuracy(infer(model, digits.held_images), digits.held_labels):.4f}")


def _constants() -> dict[str, int]:
    return {
        "PIXELS": PIXELS,
        "HIDDEN": HIDDEN,
        "LABELS": LABELS,
        "PIXEL_MAX": PIXEL_MAX,
        "ACTIVATION_MAX": ACTIVATION_MAX,
        "SHIFT": SHIFT,
    }


if __name__ == "__main__":
    main()
