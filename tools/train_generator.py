"""Trains the generator of ``host/picture.py``, a small GAN, and writes ``host/picture.json``.

Generator and discriminator are perceptrons; the pictures are the digits of 8 x 8 pixels that come with scikit-learn (the ``dev`` extra).
What the discriminator sees is blurred by noise that becomes less, which keeps it from winning at once. Takes a minute or two.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

WEIGHTS = Path(__file__).resolve().parent.parent / "host" / "picture.json"
LATENT, HIDDEN, PIXELS = 10, 64, 64
DISCRIMINATOR = (PIXELS, 128, 64, 1)
STEPS, BATCH, RATE, SEED = 20_000, 64, 1e-3, 1
SCALE = 256
"""Integers in the file that stand for 1."""
LEAK = 0.2
Array = NDArray[np.float64]
Layers = list[tuple[Array, Array]]


def sigmoid(x: Array) -> Array:
    """Elementwise."""
    result: Array = 1 / (1 + np.exp(-x))
    return result


def fresh(sizes: tuple[int, ...], rng: np.random.Generator) -> Layers:
    """Random weights, and biases of 0."""
    pairs = zip(sizes, sizes[1:], strict=False)
    return [(rng.normal(0, np.sqrt(1.5 / below), (below, above)), np.zeros(above)) for below, above in pairs]


def activations(layers: Layers, x: Array, leak: float) -> list[Array]:
    """What goes into each layer, and what comes out of the last one."""
    seen = [x]
    for number, (weights, bias) in enumerate(layers):
        x = seen[-1] @ weights + bias
        seen.append(np.where(x > 0, x, leak * x) if number + 1 < len(layers) else x)
    return seen


def gradients(layers: Layers, seen: list[Array], slope: Array, leak: float) -> tuple[list[Array], Array]:
    """By weights and biases in order, and by the input, from that by the output."""
    found: list[Array] = []
    for number in reversed(range(len(layers))):
        found[:0] = [seen[number].T @ slope, slope.sum(0)]
        slope = slope @ layers[number][0].T
        if number:
            slope = slope * np.where(seen[number] > 0, 1, leak)
    return found, slope


class Adam:
    """The optimizer of D. Kingma and J. Ba, with little memory, as GANs want it."""

    def __init__(self, layers: Layers) -> None:
        self.weights = [array for layer in layers for array in layer]
        self.means = [np.zeros_like(array) for array in self.weights]
        self.squares = [np.zeros_like(array) for array in self.weights]
        self.steps = 0

    def step(self, slopes: list[Array]) -> None:
        """Change the weights in place."""
        self.steps += 1
        for weights, mean, square, slope in zip(self.weights, self.means, self.squares, slopes, strict=True):
            mean += 0.5 * (slope - mean)
            square += 0.01 * (slope**2 - square)
            weights -= RATE * mean / (1 - 0.5**self.steps) / (np.sqrt(square / (1 - 0.99**self.steps)) + 1e-8)


def trained(told: Callable[[str], None]) -> Layers:
    """The generator; its last layer is followed by a sigmoid."""
    rng, pictures = np.random.default_rng(SEED), load_digits().data / 16
    generator, discriminator = fresh((LATENT, HIDDEN, PIXELS), rng), fresh(DISCRIMINATOR, rng)
    makes, judges = Adam(generator), Adam(discriminator)
    wanted = np.concatenate([np.full((BATCH, 1), 0.9), np.zeros((BATCH, 1))])
    for step in range(STEPS):
        noise = 0.02 + 0.2 * (1 - step / STEPS)
        drawn = activations(generator, rng.standard_normal((BATCH, LATENT)), 0)
        made = sigmoid(drawn[-1])
        both = np.concatenate([pictures[rng.integers(0, len(pictures), BATCH)], made])
        seen = activations(discriminator, both + noise * rng.standard_normal(both.shape), LEAK)
        judges.step(gradients(discriminator, seen, (sigmoid(seen[-1]) - wanted) / len(both), LEAK)[0])
        seen = activations(discriminator, made + noise * rng.standard_normal(made.shape), LEAK)
        _, slope = gradients(discriminator, seen, (sigmoid(seen[-1]) - 1) / BATCH, LEAK)
        makes.step(gradients(generator, drawn, slope * made * (1 - made), 0)[0])
        if step % 2000 == 0:
            told(f"step {step}: takes {np.mean(seen[-1] > 0):.0%} of the pictures for real")
    return generator


def main() -> None:
    """Train and write."""
    layers = trained(print)
    content: dict[str, Any] = {"scale": SCALE}
    for name, (weights, bias) in zip(("first", "second"), layers, strict=True):
        content[name] = np.rint(weights * SCALE).astype(int).tolist()
        content[f"{name}_bias"] = np.rint(bias * SCALE).astype(int).tolist()
    WEIGHTS.write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
