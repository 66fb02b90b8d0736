"""Scripts of tensor calls with windows."""

from __future__ import annotations

import random

from tests.riscv.vm.random_tensors import random_bounds, random_channels, random_vectors
from tests.riscv.vm.tensor_programs import CONSTANTS, Script
from zkvm.riscv.isa.tensors import CHANNEL_LANES, DEPTHWISE, EXPORT, SCALED_DEPTHWISE, Descriptor


def random_depthwise(rng: random.Random, pairs: int, channels: int, windows: int, scaled: bool | None = None) -> Script:
    """Two calls, the second on what the first has made, with starts and strides; weights are constants or a tensor; results in RAM."""
    script, blocks = Script(), 2 * pairs
    script.add_constants(random_vectors(rng, rng.randrange(3)))
    script.add_channels(random_channels(rng, rng.randrange(3), 1))
    script.ram = [0] * (8 * blocks * channels + 8)
    x = -2
    for number in range(2):
        own = bool(rng.randrange(2)) if scaled is None else scaled
        window_stride, second, third, x_start, w_start = (rng.randrange(4) for _ in range(5))
        made = blocks if number == 0 else max(0, blocks - 4) // 2 * 2
        needed = (made + 1) * channels + (windows - 1) * window_stride + max(second, third)
        if number and (not made or needed > blocks * channels):
            break
        x = script.add_import(random_vectors(rng, x_start + needed)) if number == 0 else x
        w = random_vectors(rng, w_start + 2 * windows * channels)
        listed = 16 * len(w)
        w += random_vectors(rng, channels, CHANNEL_LANES) if own else []
        operand = script.add_import(w) if rng.randrange(2) else CONSTANTS
        at = script.add_constants(w) if operand == CONSTANTS else 0
        listed = at + listed if own else script.add_channels(random_channels(rng, channels, 15 * windows))
        limit = rng.choice([2**k for k in range(15, 30) if 15 * windows * 2**k <= 2**32])
        words = (
            made,
            channels,
            windows,
            16 * x_start * (number == 0),
            window_stride,
            at + 16 * w_start,
            second,
            listed,
            random_bounds(rng),
        )
        operation = SCALED_DEPTHWISE if own else DEPTHWISE
        x = script.add(Descriptor(operation, *words, limit * own, third), x, operand)
        script.add(Descriptor(EXPORT, made * channels, 8, 0, 0, 1), x, ram=4)
    return script
