"""Chips of windows: the tables of every script satisfy the machine; proofs; extremes."""

from __future__ import annotations

import random

import pytest

from tests.proving import prove_and_verify
from tests.riscv.chips.test_tensors import satisfied
from tests.riscv.vm.depthwise_programs import random_depthwise
from tests.riscv.vm.tensor_programs import CONSTANTS, Script, bounds, meaning, outcome, program
from zkvm.riscv.isa.tensors import DEPTHWISE, EXPORT, SCALED_DEPTHWISE, Descriptor

LEAST, GREATEST = -(2**15), 2**15 - 1
ALL = bounds(LEAST, GREATEST)


@pytest.mark.parametrize("seed", range(30))
def test_random_windows(seed: int) -> None:
    rng = random.Random(5000 + seed)
    satisfied(random_depthwise(rng, rng.randrange(1, 6), rng.randrange(1, 20), rng.randrange(1, 4)))


@pytest.mark.parametrize("windows", [1, 2, 7, 300])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_extremes(windows: int, channels: int) -> None:
    """Products as large as they can be, of every sign, in every lane, with as large a multiplier as their number allows."""
    script = Script()
    x = script.add_import([[LEAST] * 8, [GREATEST] * 8, [LEAST, GREATEST] * 4, [GREATEST, LEAST] * 4, *[[0, LEAST] * 4] * channels * 3])
    limit = min(2**31 - 1, 2**32 // (15 * windows))
    for weights in ([LEAST] * 16, [GREATEST] * 16, [LEAST, GREATEST] * 8):
        at = script.add_constants([weights[:8], weights[8:]] * windows * channels)
        listed = script.add_channels([(0, limit, limit), (7, -limit, limit), (0, 1, limit)][:channels])
        script.add(Descriptor(DEPTHWISE, 2, channels, windows, 0, 0, at, 0, listed, ALL, 0, 1), x)
    satisfied(script)


def test_many_channels_and_windows() -> None:
    script = random_depthwise(random.Random(3), 1, 900, 2)
    satisfied(script)


def test_nothing_at_all() -> None:
    """No blocks: all words that a call does not need for it may be anything."""
    script = Script()
    x = script.add_import([])
    words = (0, 2**16, 2**16, 3, 2**32 - 1, 5, 2**32 - 1, 1, ALL)
    script.add(Descriptor(DEPTHWISE, *words, 0, 7), x, CONSTANTS)
    script.add(Descriptor(SCALED_DEPTHWISE, *words, 4000, 7)._replace(taps=3), x, CONSTANTS)
    satisfied(script)


def test_a_convolution() -> None:
    """3 x 3 taps over an image of 6 x 7 with a border of zeros, whose lines are blocks that begin with the border."""
    rng = random.Random(1)
    image = [[rng.randrange(-100, 100) for _ in range(7)] for _ in range(6)]
    kernel = [[rng.randrange(-50, 50) for _ in range(3)] for _ in range(3)]
    script = Script()
    x = script.add_import([[0] * 8, *([0, *line] for line in image), [0] * 8, [0] * 8])
    weights = sum(([*line, 0, 0] for line in kernel), []) + [0]
    at = script.add_constants([weights[:8], weights[8:]])
    listed = script.add_channels([(0, 2**28, 2**28)])
    y = script.add(Descriptor(DEPTHWISE, 6, 1, 1, 0, 0, at, 1, listed, ALL, 0, 2), x)
    script.ram = [0] * 48
    script.add(Descriptor(EXPORT, 6, 8, 0, 0, 1), y)
    sums = satisfied(script).tensor_calls[1].sums
    around = [[0] * 9, *([0, *line, 0] for line in image), [0] * 9]
    for i in range(6):
        for j in range(7):
            assert sums[i][j] == sum(around[i + r][j + k] * kernel[r][k] for r in range(3) for k in range(3))


@pytest.mark.parametrize(("seed", "scaled"), [(1, False), (2, True)])
def test_proven(seed: int, scaled: bool) -> None:
    """Random scripts, proven and verified."""
    script = random_depthwise(random.Random(seed), 2, 3, 2, scaled)
    execution, _ = prove_and_verify(program(script), script.stdin)
    assert outcome(execution) == meaning(script)
