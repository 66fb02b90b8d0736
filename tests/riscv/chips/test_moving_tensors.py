"""Chips that gather, compare and look functions up: the tables of every script satisfy the machine; a proof of one; their own rows."""

from __future__ import annotations

import random

import pytest

from tests.proving import prove_and_verify
from tests.riscv.chips.memory_rows import shape
from tests.riscv.chips.test_tensors import satisfied
from tests.riscv.vm.random_tensors import random_moves, random_vectors
from tests.riscv.vm.tensor_programs import CONSTANTS, FUNCTIONS, VECTORS, Script, bounds, meaning, outcome, program
from tests.sample_moves import constant, of_second
from zkvm.riscv.chips.tensor.uses import element_uses, entry_uses, pattern_uses
from zkvm.riscv.isa.tensors import APPLY, EXPORT, GATHER, INT16_OFFSET, LINEAR, MAXIMUM, Descriptor
from zkvm.riscv.machine import machine


def test_shapes() -> None:
    """A line that is not registered any more changes them."""
    names = ("patterns", "functions")
    found = {name: shape(machine().chips[machine().chip_number(name)]) for name in names}
    assert found == {"patterns": (2, 0, 1, 6), "functions": (0, 0, 4, 10)}


@pytest.mark.parametrize("seed", range(40))
def test_random_moves(seed: int) -> None:
    rng = random.Random(2000 + seed)
    satisfied(random_moves(rng, rng.randrange(1, 40), functions=seed % 10 == 0))


def gather(script: Script, rows: list[list[int]], first: int, second: int = CONSTANTS) -> int:
    """Append a gather of these rows."""
    return script.add(Descriptor(GATHER, len(rows), channel_list=script.add_pattern(rows)), first, second)


def test_zeros_alone() -> None:
    """Of both operands, and of a tensor whose elements others read."""
    script = Script()
    x, y = (script.add_import(random_vectors(random.Random(k), 3)) for k in (1, 2))
    gather(script, [[0] * 8, of_second(*[0] * 8)], x, y)
    gather(script, [[1, 0, 24, 0, 0, 0, 0, 0]], x, x)
    run = satisfied(script)
    assert [(used.index.tolist(), used.zeros) for used in element_uses(run)] == [([0, 2], 14), ([0], 8)]


def test_one_tensor_twice_and_of_one_another() -> None:
    """Both operands are one tensor; gathers of gathers; an operand that is not read."""
    script = Script()
    x = script.add_import(random_vectors(random.Random(3), 4))
    y = gather(script, [[1, 32, 9, 9, 0, 1, 2, 3], of_second(1, 32, 0, 5, 5, 5, 6, 7)], x, x)
    z = gather(script, [of_second(16, 1, 0, 9, 8, 8, 8, 8), [32] * 8], x, y)
    gather(script, [[1, 9, 2, 10, 3, 11, 4, 12]], z, x)
    gather(script, [[0] * 8] * 3, z, z)
    satisfied(script)


def test_constants_are_gathered_compared_and_looked_up() -> None:
    script = Script()
    script.add_constants(random_vectors(random.Random(4), 5, 8))
    script.add_constants([[k - 4 for k in range(8)]] * 2)
    y = gather(
        script, [[constant(0, 0), constant(4, 7), 0, *[constant(2, k) for k in range(5)]], of_second(*[constant(6, 3)] * 8)], CONSTANTS
    )
    script.add(Descriptor(MAXIMUM, 2, 0, 3, VECTORS + 16, 1, 0, 2), CONSTANTS)
    script.add_function(list(range(8, 24)))
    script.add(Descriptor(APPLY, 2, x=VECTORS + 16 * 5, x_stride=1, channel_list=FUNCTIONS - 2 * (INT16_OFFSET - 8)), CONSTANTS)
    script.ram = [0] * 8
    script.add(Descriptor(EXPORT, 1, 8, 0, 16, 1), y)
    run = satisfied(script)
    assert pattern_uses(run).tolist() == [1, 1]
    assert entry_uses(run).tolist() == [0] * 4 + [2] * 8 + [0] * 4


@pytest.mark.parametrize("taps", [1, 2, 3, 64, 700])
@pytest.mark.parametrize(("stride", "step"), [(0, 0), (0, 1), (1, 0), (3, 2), (2, 1)])
def test_maxima_of_every_stride(taps: int, stride: int, step: int) -> None:
    rng, script = random.Random(100 * taps + stride + step), Script()
    x = script.add_import(random_vectors(rng, 2 + 2 * stride + (taps - 1) * step))
    y = script.add(Descriptor(MAXIMUM, 3, 0, taps, 16, stride, 0, step), x)
    script.add(Descriptor(MAXIMUM, 1, 0, 3, 0, 0, 0, 1), y)
    satisfied(script)


def test_extremes_and_ties_of_maxima() -> None:
    least, greatest = -(2**15), 2**15 - 1
    script = Script()
    x = script.add_import([[least] * 8, [greatest] * 8, [least, greatest] * 4, [greatest, least, 0, 0, -1, 1, -1, 1], [least] * 8])
    for start, taps in ((0, 5), (0, 1), (4, 1), (1, 4), (2, 2)):
        script.add(Descriptor(MAXIMUM, 1, 0, taps, 16 * start, 0, 0, 1), x)
    script.add(Descriptor(MAXIMUM, 2, 0, 3, 0, 4, 0, 0), x)
    satisfied(script)


def test_functions_of_extremes() -> None:
    """The first and the last entry, and one vector again and again; a layer of what was looked up."""
    script = Script()
    x = script.add_import([[-(2**15), 2**15 - 1, 0, 1, -1, -(2**15), 2**15 - 1, 2]])
    script.add_function([5] * 8)
    y = script.add(Descriptor(APPLY, 3, channel_list=script.add_function([-(k % 7) for k in range(2**16)])), x)
    at = script.add_constants([[1, 2, 3, 4, 0, 0, 0, 0]] * 3)
    listed = script.add_channels([(0, 2**30, 2**30)] * 4)
    script.add(Descriptor(LINEAR, 1, 4, 3, 0, 0, at, 0, listed, bounds(-(2**15), 2**15 - 1)), y)
    satisfied(script)


def test_nothing_at_all() -> None:
    """Beside a tensor of something, so that it is counted what is read."""
    script = Script()
    x = script.add_import([])
    script.add_import([[1] * 8])
    for words in (
        Descriptor(GATHER, 0, channel_list=7),
        Descriptor(MAXIMUM, 0, taps=2**32 - 1, x=3, x_stride=2**32 - 1, w_stride=2**32 - 1),
    ):
        script.add(words, x, x)
    script.add(Descriptor(APPLY, 0, x=3, x_stride=2**32 - 1, channel_list=1), x)
    satisfied(script)
    satisfied(Script(patterns=[[0] * 8], entries=[1] * 8, ram=[0]))


@pytest.mark.parametrize("seed", [3, 4])
def test_proven(seed: int) -> None:
    """Random scripts, proven and verified."""
    script = random_moves(random.Random(seed), 12, functions=seed == 3)
    execution, _ = prove_and_verify(program(script), script.stdin)
    assert outcome(execution) == meaning(script)
