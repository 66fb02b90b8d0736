"""Elementwise tensor calls: the executor against plain integers, and what it refuses."""

from __future__ import annotations

import random
import struct
import tracemalloc

import pytest

from tests.riscv.vm.combining_programs import random_elementwise
from tests.riscv.vm.tensor_programs import (
    CONSTANTS,
    RODATA,
    VECTORS,
    Script,
    bounds,
    image_of_segments,
    meaning,
    outcome,
    program,
)
from zkvm.errors import GuestTrap
from zkvm.riscv.isa.calls import TENSOR
from zkvm.riscv.isa.tensors import COMBINE, LINEAR, MULTIPLY, Descriptor
from zkvm.riscv.vm.assemble import Item
from zkvm.riscv.vm.executor import execute

FULL = bounds(-(2**15), 2**15 - 1)


@pytest.mark.parametrize("seed", range(40))
def test_random_elementwise(seed: int) -> None:
    rng = random.Random(seed)
    script = random_elementwise(rng, rng.randrange(1, 5), rng.randrange(1, 30))
    assert outcome(execute(program(script), script.stdin)) == meaning(script)


@pytest.mark.parametrize("operation", [COMBINE, MULTIPLY])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"channels": 0}, "0 channels: from 1 to 65536 can be proven"),
        ({"channels": 2**16 + 1}, "65537 channels"),
        ({"bounds": bounds(1, 1) - 2**16}, "is above the greatest"),
        ({"steps": 4}, "its steps are 4: from 0 to 3"),
        ({"taps": 2**32 - 1}, "is not between 1 and 2^32"),
        ({"channel_list": 0x60_0008}, "is not in .tensor.channels"),
        ({"x": 24}, "not a multiple of 16"),
        ({"x": 16 * 4}, "it reads vectors 4 to 7 of tensor"),
        ({"y_stride": 9}, "it reads vectors 0 to"),
        ({"v": 16 * 9}, "it reads vectors"),
    ],
)
def test_what_has_no_proof_traps(operation: int, changed: dict[str, int], message: str) -> None:
    script = Script()
    x = script.add_import([[1] * 8] * 6)
    script.add_constants([[2] * 8] * 6)
    start = VECTORS if operation == COMBINE else 0
    listed = script.add_channels([(0, 2**30, 2**30)] * 2)
    if operation == COMBINE and "v" in changed:
        changed = {"v": VECTORS + changed["v"]}
    words = Descriptor(operation, 2, 2, 1, 0, 2, start, 2, listed, FULL, 0, 2, start, 3)
    script.add(words._replace(**changed), x, x)
    with pytest.raises(GuestTrap) as caught:
        execute(program(script), script.stdin)
    assert message in str(caught.value)


@pytest.mark.parametrize("register", ["a1", "a2"])
def test_operands_that_come_later(register: str) -> None:
    """Also one that is not read, because there are no blocks."""
    words = Descriptor(MULTIPLY, 0, 1, 0, bounds=FULL)
    items: list[Item] = [
        ("la", "a0", RODATA),
        ("li", "a1", 0),
        ("li", "a2", 0),
        ("li", register, 100),
        ("li", "a7", TENSOR.number),
        ("ecall",),
    ]
    with pytest.raises(GuestTrap, match="no tensor that was made before this call"):
        execute(image_of_segments(items, [(RODATA, struct.pack("<14I", *words), 0)]))


def test_constants_as_both_operands() -> None:
    script = Script()
    at = script.add_constants([[k] * 8 for k in range(-2, 2)])
    listed = script.add_channels([(0, 2**31 - 1, 2**31 - 1)] * 2)
    script.add(Descriptor(MULTIPLY, 1, 2, 1, at, 0, at, 0, listed, FULL, at, 0, at + 16, 0), CONSTANTS, CONSTANTS)
    assert outcome(execute(program(script), b"")) == meaning(script)


@pytest.mark.parametrize("operation", [LINEAR, MULTIPLY])
def test_memory_that_a_call_asks_for(operation: int) -> None:
    """The peak of a run is what the call has been granted, and little else: buffers that nobody counts would pass the limit."""
    script = Script()
    blocks, channels = 256, 512
    listed = script.add_channels([(0, 2**20, 2**20)] * channels)
    x = script.add_import([[3] * 8] * channels)
    script.add(Descriptor(operation, blocks, channels, 1, 0, 0, 0, 0, listed, FULL, 0, 0, 0, 3), x, x)
    image = program(script)
    execute(image, script.stdin, trace=False)
    tracemalloc.start()
    execute(image, script.stdin, trace=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (1 + 3 * 4) * 16 * blocks * channels * 1.4
