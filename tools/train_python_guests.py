"""Trains the models of the guests in Python, and writes them as arrays: guest_programs/python_dense and python_tree.

Data: scikit-learn's copies of "Optical Recognition of Handwritten Digits" (UCI, E. Alpaydin and C. Kaynak, 1998) and of "Breast Cancer
Wisconsin (Diagnostic)" (UCI, W. Wolberg, O. Mangasarian, N. Street, W. Street, 1995). What is held out only measures.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs as a plain script

from tools.train_digits import Digits, load_digits

GUESTS = ROOT / "guest_programs"
SMALL, LARGE, WHITE, PIXEL_UNIT = 8, 20, 16, 1024
HIDDEN = (120, 84)
SEED = 0
MOST_WEIGHT, MOST_ELEMENT = 127, 30000
DEPTH = 5
HELD_OUT, SHOWN = 114, 40

Floats = NDArray[np.float64]


def enlarged(images: NDArray[np.uint8]) -> Floats:
    """Images (n, 64) as (n, 400), nearest pixels, from 0 to 1."""
    nearest = np.arange(LARGE) * SMALL // LARGE
    return images[:, (nearest[:, None] * SMALL + nearest).ravel()] / WHITE


def train_dense(digits: Digits) -> tuple[list[Floats], list[Floats]]:
    """Weights and biases of the three layers."""
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(HIDDEN, random_state=SEED, max_iter=60, alpha=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stops by the number of epochs, as intended
        network.fit(enlarged(digits.train_images), digits.train_labels)
    return network.coefs_, network.intercepts_


def quantized(weights: list[Floats], biases: list[Floats], images: NDArray[np.uint8]) -> dict[str, Any]:
    """Arrays of the guest: weights in 8 bits, biases in units of the sums, scales. ``images`` give the ranges between the layers."""
    values, unit = enlarged(images), 1 / (WHITE * PIXEL_UNIT)
    arrays: dict[str, Any] = {}
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True), 1):
        values = values @ weight + bias
        step = np.abs(weight).max() / MOST_WEIGHT
        # The scale of a sum of n products is at most 1 / n.
        after = max(np.abs(values).max() / MOST_ELEMENT, step * unit * len(weight))
        arrays[f"w{number}"] = np.rint(weight / step).T.astype(np.int8)
        arrays[f"b{number}"] = np.rint(bias / (step * unit)).astype(np.int64)
        arrays[f"s{number}"] = np.array(step * unit / after)
        values, unit = np.maximum(values, 0), after
    return arrays


def tree() -> tuple[dict[str, Any], NDArray[np.float32], NDArray[np.uint8]]:
    """The tree's arrays, and the rows and diagnoses that it was not trained on."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.tree import DecisionTreeClassifier

    data = load_breast_cancer()
    rows, labels = data.data.astype(np.float32), data.target.astype(np.uint8)
    order = np.random.default_rng(SEED).permutation(len(rows))
    held, trained = order[:HELD_OUT], order[HELD_OUT:]
    nodes = DecisionTreeClassifier(max_depth=DEPTH, random_state=SEED).fit(rows[trained], labels[trained]).tree_
    leaf = nodes.children_left < 0
    classes = nodes.value[:, 0].argmax(axis=1)
    # Rows are float32: below the greatest of them that is not above the threshold they are below the threshold.
    threshold = nodes.threshold.astype(np.float32)
    threshold = np.where(threshold > nodes.threshold, np.nextafter(threshold, np.float32(-np.inf)), threshold)
    arrays: dict[str, Any] = {
        "feature": np.where(leaf, classes, nodes.feature).astype(np.uint8),
        "threshold": np.where(leaf, 0, threshold).astype(np.float32),
        "left": np.where(leaf, 0, nodes.children_left).astype(np.uint8),
        "right": np.where(leaf, 0, nodes.children_right).astype(np.uint8),
    }
    return arrays, rows[held], labels[held]


def main() -> None:
    """The command."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    digits = load_digits()
    np.savez_compressed(GUESTS / "python_dense" / "weights.npz", **quantized(*train_dense(digits), digits.train_images))
    arrays, rows, diagnoses = tree()
    np.savez_compressed(GUESTS / "python_tree" / "tree.npz", **arrays)
    patients = [{"diagnosis": int(label), "row": [float(f"{x:.9g}") for x in row]} for row, label in zip(rows, diagnoses, strict=True)]
    lines = ",\n".join("  " + json.dumps(patient) for patient in patients[:SHOWN])
    (GUESTS / "python_tree" / "held_out.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
