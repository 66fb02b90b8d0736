"""Tensor calls with windows: the executor against plain integers, and what it refuses."""

from __future__ import annotations

import random
import struct
import tracemalloc

import pytest

from tests.riscv.vm.depthwise_programs import random_depthwise
from tests.riscv.vm.tensor_programs import CONSTANTS, RODATA, VECTORS, Script, bounds, image_of_segments, meaning, outcome, program
from zkvm.errors import GuestTrap, LimitError
from zkvm.riscv.isa.calls import TENSOR
from zkvm.riscv.isa.tensors import DEPTHWISE, SCALED_DEPTHWISE, Descriptor
from zkvm.riscv.vm.assemble import Item
from zkvm.riscv.vm.executor import execute

LEAST, GREATEST = -(2**15), 2**15 - 1
FULL = bounds(LEAST, GREATEST)


@pytest.mark.parametrize("seed", range(40))
def test_random_windows(seed: int) -> None:
    rng = random.Random(seed)
    script = random_depthwise(rng, rng.randrange(1, 5), rng.randrange(1, 12), rng.randrange(1, 5))
    assert outcome(execute(program(script), script.stdin)) == meaning(script)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("windows", [1, 2, 5])
def test_extremes(channels: int, windows: int) -> None:
    """Sums as large as they can be, of every sign, in every lane."""
    script = Script()
    x = script.add_import([[LEAST] * 8, [GREATEST] * 8, [LEAST, GREATEST] * 4, [GREATEST, LEAST] * 4, [0, LEAST] * 4, [-1, 1] * 4])
    limit = min(2**31 - 1, 2**32 // (15 * windows))
    for weights in ([LEAST] * 16, [GREATEST] * 16, [LEAST, GREATEST] * 8):
        at = script.add_constants([weights[:8], weights[8:]] * windows * channels)
        listed = script.add_channels([(0, limit, limit), (7, -limit, limit)][:channels])
        script.add(Descriptor(DEPTHWISE, 2, channels, windows, 0, 0, at, 0, listed, FULL, 0, 0), x)
    assert outcome(execute(program(script), script.stdin)) == meaning(script)


@pytest.mark.parametrize("place", range(15))
def test_each_tap_of_a_window(place: int) -> None:
    """A weight alone takes the elements of its row, moved by its tap."""
    script = Script()
    numbers = [100 * vector + lane for vector in range(5) for lane in range(8)]
    x = script.add_import([numbers[k : k + 8] for k in range(0, 40, 8)])
    weights = [int(k == place) for k in range(16)]
    at = script.add_constants([weights[:8], weights[8:]])
    listed = script.add_channels([(0, 2**28, 2**28)])
    script.add(Descriptor(DEPTHWISE, 2, 1, 1, 0, 0, at, 1, listed, FULL, 0, 2), x)
    (made,) = execute(program(script), script.stdin).tensor_calls[1:]
    first = 8 * (place // 5) + place % 5
    assert made.sums.reshape(-1).tolist() == numbers[first : first + 16]
    assert outcome(execute(program(script), script.stdin)) == meaning(script)


def test_the_last_weight_is_nobodys() -> None:
    script = Script()
    x = script.add_import([[3] * 8] * 3)
    at = script.add_constants([[1] * 8, [1] * 7 + [GREATEST]])
    script.add(Descriptor(DEPTHWISE, 2, 1, 1, 0, 0, at, 0, script.add_channels([(0, 2**28, 2**28)]), FULL, 0, 0), x)
    assert set(execute(program(script), script.stdin).tensor_calls[1].sums.reshape(-1).tolist()) == {45}


@pytest.mark.parametrize("operation", [DEPTHWISE, SCALED_DEPTHWISE])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"channels": 0}, "0 channels: from 1 to 65536 can be proven"),
        ({"channels": 2**16 + 1}, "65537 channels"),
        ({"taps": 0}, "0 windows: from 1 to 65536 can be proven"),
        ({"taps": 2**16 + 1}, "65537 windows"),
        ({"blocks": 3}, "its blocks are made by twos, and 3 is odd"),
        ({"bounds": bounds(1, 1) - 2**16}, "is above the greatest"),
        ({"blocks": 4}, "it reads vectors 0 to 9 of tensor"),
        ({"taps": 2}, "it reads vectors"),
        ({"x": 8}, "an operand begins at 0x8, which is not a multiple of 16"),
        ({"x": 16}, "it reads vectors 1 to 6 of tensor"),
        ({"w_stride": 1}, "it reads vectors 1 to 6 of tensor"),
        ({"y_stride": 2**32 - 1}, "it reads vectors 4294967295 to"),
        ({"w": 2**30}, "of the constant vectors, which has"),
    ],
)
def test_what_has_no_proof_traps(operation: int, changed: dict[str, int], message: str) -> None:
    script = Script()
    x = script.add_import([[1] * 8] * 6)
    at = script.add_constants([[1] * 8] * 4 + [[1, 0, 5] + [0] * 5] * 2)
    listed = script.add_channels([(0, 2**27, 2**27)] * 2) if operation == DEPTHWISE else at + 64
    words = Descriptor(operation, 2, 2, 1, 0, 3, at, 0, listed, FULL, 2**27 * (operation == SCALED_DEPTHWISE), 0)
    honest = Script([*script.steps], script.vectors, script.channels, [], script.imported)
    honest.add(words, x)
    assert outcome(execute(program(honest), honest.stdin)) == meaning(honest)
    script.add(words._replace(**changed), x)
    with pytest.raises(GuestTrap) as caught:
        execute(program(script), script.stdin)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("blocks", "windows", "limit", "message"),
    [
        (2, 1, 2**29, "15 taps times the limit 536870912 of its multipliers is not between 1 and 2^32"),
        (0, 1, 2**29, "15 taps times the limit"),
        (0, 1, 0, "15 taps times the limit 0"),
        (2, 3, 2**27, "45 taps times the limit 134217728"),
        (2, 1, 3 * 2**15, "the limit 98304 of its channels is not 2^15 to 2^29 and a power of two"),
        (2, 1, 2**28, "have lanes behind the first 3 that are not 0"),
    ],
)
def test_channels_that_are_none_trap(blocks: int, windows: int, limit: int, message: str) -> None:
    script = Script()
    x = script.add_import([[1] * 8] * 3)
    at = script.add_constants([[1] * 8] * 8)
    script.add(Descriptor(SCALED_DEPTHWISE, blocks, 1, windows, 0, 0, at, 0, at, FULL, limit, 0), x)
    with pytest.raises(GuestTrap) as caught:
        execute(program(script), script.stdin)
    assert message in str(caught.value)


def test_limits_of_listed_channels() -> None:
    script = Script()
    x = script.add_import([[1] * 8] * 3)
    at = script.add_constants([[1] * 8] * 2)
    listed = script.add_channels([(0, 1, 2**32 // 15 + 1)])
    script.add(Descriptor(DEPTHWISE, 2, 1, 1, 0, 0, at, 0, listed, FULL, 0, 0), x)
    with pytest.raises(GuestTrap, match="15 taps times the limit 286331154"):
        execute(program(script), script.stdin)


@pytest.mark.parametrize("register", ["a1", "a2"])
def test_operands_that_come_later(register: str) -> None:
    """Also without blocks, of which nothing is read."""
    words = Descriptor(DEPTHWISE, 0, 1, 1, bounds=FULL)
    items: list[Item] = [("la", "a0", RODATA), ("li", "a1", 0), ("li", "a2", 0), ("li", register, 100)]
    items += [("li", "a7", TENSOR.number), ("ecall",)]
    with pytest.raises(GuestTrap, match="no tensor that was made before this call"):
        execute(image_of_segments(items, [(RODATA, struct.pack("<14I", *words), 0)]))


def test_constants_as_both_operands() -> None:
    script = Script()
    at = script.add_constants([[k] * 8 for k in range(-2, 3)])
    assert at == VECTORS
    listed = script.add_channels([(0, 2**28, 2**28)])
    script.add(Descriptor(DEPTHWISE, 2, 1, 1, at, 0, at, 1, listed, FULL, 0, 2), CONSTANTS, CONSTANTS)
    assert outcome(execute(program(script), b"")) == meaning(script)


def wide(blocks: int, windows: int, held: int) -> Script:
    """A call with 512 channels on so many vectors."""
    script, channels = Script(), 512
    listed = script.add_channels([(0, 2**20, 2**20)] * channels)
    x = script.add_import([[3] * 8] * held)
    w = script.add_import([[3] * 8] * (2 * channels * windows))
    script.add(Descriptor(DEPTHWISE, blocks, channels, windows, 0, 0, 0, 0, listed, FULL, 0, 0), x, w)
    return script


@pytest.mark.parametrize(("blocks", "windows"), [(512, 1), (256, 4), (64, 40)])
def test_memory_that_a_call_asks_for(blocks: int, windows: int) -> None:
    """The peak of a run is what the call has been granted, and little else: buffers that nobody counts would pass the limit."""
    script = wide(blocks, windows, 512 * (blocks + 1))
    image = program(script)
    execute(image, script.stdin, trace=False)
    tracemalloc.start()
    execute(image, script.stdin, trace=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    inputs = 3 * 16 * sum(map(len, script.imported))
    assert peak - inputs < (13 * 16 * blocks + 216 * blocks // 2 * windows) * 512 * 1.1


def test_more_than_a_proof_holds_is_a_limit() -> None:
    script = wide(2**20, 1, 1536)
    with pytest.raises(LimitError, match="a tensor call needs 536870912 rows of one table"):
        execute(program(script), script.stdin)
    script = wide(2**12, 4, 1536)
    with pytest.raises(LimitError, match="execution needs"):
        execute(program(script), script.stdin, max_memory=1 << 28)
