"""Chips of elementwise products: the tables of every script satisfy the machine; a proof; steps, weights and bounds."""

from __future__ import annotations

import random

import pytest

from tests.proving import prove_and_verify
from tests.riscv.chips.test_tensors import satisfied
from tests.riscv.vm.combining_programs import WEIGHTS, random_elementwise
from tests.riscv.vm.tensor_programs import CONSTANTS, Script, bounds, meaning, outcome, program
from zkvm.riscv.isa.tensors import COMBINE, EXPORT, MULTIPLY, Descriptor

LEAST, GREATEST = -(2**15), 2**15 - 1
ALL = bounds(LEAST, GREATEST)


@pytest.mark.parametrize("seed", range(30))
def test_random_elementwise(seed: int) -> None:
    rng = random.Random(4000 + seed)
    satisfied(random_elementwise(rng, rng.randrange(1, 4), rng.randrange(1, 20)))


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("steps", range(4))
def test_weights_and_steps(weight: int, steps: int) -> None:
    satisfied(random_elementwise(random.Random(weight + steps), 1 + steps % 2, 3, weight))


@pytest.mark.parametrize("channels", [1, 2, 1000])
def test_extremes(channels: int) -> None:
    """Products as large as they can be, of every sign, with as large a multiplier as the weight allows."""
    script = Script()
    corners = [[LEAST, LEAST, GREATEST, GREATEST, LEAST, GREATEST, 0, -1], [LEAST, GREATEST, LEAST, GREATEST, 0, 0, LEAST, LEAST]]
    x = script.add_import(corners)
    for weight in (0, 1, 2**15):
        limit = min(2**31 - 1, 2**32 // (weight + 1))
        few = [(0, limit, limit), (-5, -limit, limit)]
        listed = script.add_channels((few * channels)[:channels])
        words = (1, channels, weight, 0, 0, 16, 0, listed, ALL, 0, 0, 16, 0)
        if channels <= 2:
            script.add(Descriptor(MULTIPLY, *words), x, x)
    wide = script.add_import([[k % 7 - 3] * 8 for k in range(channels)])
    words = (1, channels, 0, 0, 0, 0, 0, script.add_channels([(1, 2**20, 2**20)] * channels), ALL, 0, 0, 0, 3)
    script.add(Descriptor(MULTIPLY, *words), wide, wide)
    satisfied(script)


def test_thirty_bits_in_two_vectors() -> None:
    """x times 2^15 high + low: what a reciprocal is."""
    script = Script()
    x = script.add_import([[3, -3, 1000, -1000, 32767, -32768, 1, 0]])
    number = 2**29 + 12345
    factors = script.add_import([[number % 2**15] * 8, [number >> 15] * 8])
    listed = script.add_channels([(0, 2**16, 2**16)])
    y = script.add(Descriptor(MULTIPLY, 1, 1, 2**15, 0, 0, 0, 0, listed, ALL, 0, 0, 16, 0), x, factors)
    script.ram = [0] * 8
    script.add(Descriptor(EXPORT, 1, 8, 0, 0, 1), y)
    run = satisfied(script)
    scaled = [(value * number * 2**16 + 2**31) >> 32 for value in script.imported[0][0]]
    assert outcome(run)[1][:8] == [min(max(value, LEAST), GREATEST) for value in scaled]


def test_nothing_at_all() -> None:
    script = Script()
    x = script.add_import([])
    for operation in (COMBINE, MULTIPLY):
        script.add(Descriptor(operation, 0, 2**16, 2**32 - 1, 3, 7, 5, 2**32 - 1, 1, ALL, 9, 11, 13, 3), x, CONSTANTS)
    satisfied(script)


@pytest.mark.parametrize("seed", [1, 2])
def test_proven(seed: int) -> None:
    """Random scripts, proven and verified."""
    script = random_elementwise(random.Random(seed), 2, 3)
    execution, _ = prove_and_verify(program(script), script.stdin)
    assert outcome(execution) == meaning(script)
