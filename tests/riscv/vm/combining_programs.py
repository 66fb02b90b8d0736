"""Scripts of elementwise tensor calls."""

from __future__ import annotations

import random

from tests.riscv.vm.random_tensors import random_bounds, random_channels, random_vectors
from tests.riscv.vm.tensor_programs import CONSTANTS, Script
from zkvm.riscv.isa.tensors import COMBINE, EXPORT, MULTIPLY, Descriptor

WEIGHTS = (0, 1, 2, 2**15, 2**16 - 1, 2**31, 2**32 - 1)


def random_elementwise(rng: random.Random, blocks: int, channels: int, weight: int | None = None) -> Script:
    """Both operations on tensors or constants, with any strides and steps; then of what they have made, and results in RAM."""
    script = Script()
    weight = rng.choice(WEIGHTS) if weight is None else weight
    made = [script.add_import(random_vectors(rng, rng.randrange(1, 9) + 3 * blocks * channels)) for _ in range(2)]
    at = script.add_constants(random_vectors(rng, 9 + 3 * blocks * channels))

    def start(operand: int) -> int:
        return (at if operand == CONSTANTS else 0) + 16 * rng.randrange(3)

    for operation in (COMBINE, MULTIPLY, rng.choice((COMBINE, MULTIPLY))):
        x, w = (rng.choice((*made[:2], CONSTANTS)) for _ in range(2))
        factors, other = (w, x) if operation == MULTIPLY else (CONSTANTS, w)
        strides = [rng.choice((0, 1, channels, 2 * channels)) for _ in range(3)]
        listed = script.add_channels(random_channels(rng, channels, weight + 1))
        words = (blocks, channels, weight, start(x), strides[0], start(factors), strides[1], listed, random_bounds(rng))
        made.append(script.add(Descriptor(operation, *words, start(other), strides[2], start(factors), rng.randrange(4)), x, w))
    last, results = made[-1], blocks * channels
    listed = script.add_channels(random_channels(rng, channels, 2))
    squares = Descriptor(MULTIPLY, blocks, channels, 1, 0, channels, 0, channels, listed, random_bounds(rng), 0, channels, 0, 3)
    again = script.add(squares, made[2], last)
    script.ram = [0] * (8 * results + 8)
    script.add(Descriptor(EXPORT, results, 8, 0, 0, 1), again, ram=4)
    return script
