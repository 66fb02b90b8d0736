"""Chips of tensor calls: the tables of every script satisfy the machine, whatever its shapes; a proof of one; their own rows."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.proving import prove_and_verify
from tests.riscv.chips.memory_rows import shape
from tests.riscv.vm.random_tensors import random_bounds, random_channels, random_layer, random_vectors
from tests.riscv.vm.tensor_programs import CHANNELS, CONSTANTS, VECTORS, Script, bounds, meaning, outcome, program
from zkvm.riscv.chips.tensor import uses
from zkvm.riscv.header import ImageHeader, closings, preprocessed_chips
from zkvm.riscv.isa.tensors import EXPORT, LAYERS, LINEAR, LOAD, Descriptor
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import Item
from zkvm.riscv.vm.executor import execute
from zkvm.stark.air.check import check_tables
from zkvm.stark.protocol.params import EXEMPT_MAX
from zkvm.stark.prover import tapes
from zkvm.stark.tables import build_tables

ALL = bounds(-(2**15), 2**15 - 1)


def satisfied(script: Script, wide: bool = False) -> Execution:
    """Run a script; its tables satisfy every constraint, and all buses balance. ``wide``: also where whole fours of tiles are one."""
    run = execute(program(script), script.stdin)
    assert outcome(run) == meaning(script)
    if wide:
        run = replace(run, tensor_calls=tuple(replace(call, wide=True) for call in run.tensor_calls))
    tables = build_tables(machine(), run, run.image, EXEMPT_MAX, evaluate=tapes.evaluate_columns)
    heights = {table.chip.name: table.height for table in tables}
    header = ImageHeader(
        run.image.entry, run.image.initial_sp, run.image.gaps, tuple(heights.get(name, 0) for name in preprocessed_chips()), ()
    )
    assert check_tables(tables, closings(header, run.journal, run.exit_code)) == []
    return run


def test_shapes() -> None:
    """A line that is not registered any more changes them."""
    found = {chip.name: shape(chip) for chip in machine().chips if "tensor" in chip.name and chip.first is None}
    assert found == {
        "tensor_absorb": (11, 1, 29, 96),
        "tensor_absorb_bytes": (12, 1, 36, 141),
        "tensor_absorb_call": (18, 6, 27, 89),
        "tensor_call": (44, 12, 26, 115),
        "tensor_channels": (5, 0, 4, 17),
        "tensor_combine": (26, 2, 4, 83),
        "tensor_combine_call": (24, 6, 29, 95),
        "tensor_depthwise": (47, 3, 11, 161),
        "tensor_depthwise_call": (18, 6, 28, 84),
        "tensor_digest": (28, 1, 4, 63),
        "tensor_import": (2, 1, 9, 30),
        "tensor_words": (46, 9, 20, 88),
        "tensor_tiles": (23, 4, 1, 45),
        "tensor_products": (29, 1, 4, 55),
        "tensor_wide_products": (33, 4, 8, 104),
        "tensor_results": (76, 1, 34, 143),
        "tensor_elements": (10, 0, 10, 35),
        "tensor_gather": (4, 1, 10, 43),
        "tensor_maxima": (25, 3, 18, 71),
        "tensor_apply": (17, 1, 11, 60),
    }


@pytest.mark.parametrize("size", range(1, 34))
def test_layers_of_every_shape(size: int) -> None:
    """Positions and channels from 1 to 33, each with a random other size; constants or a tensor as weights; extremes."""
    rng = random.Random(1000 + size)
    satisfied(random_layer(rng, size, rng.randrange(1, 34), rng.randrange(1, 12)))
    satisfied(random_layer(rng, rng.randrange(1, 34), size, rng.randrange(1, 12)))


@pytest.mark.parametrize("positions", [8, 9, 16, 17])
@pytest.mark.parametrize("channels", [1, 8, 9, 15, 16, 17, 24, 32])
def test_edges_of_tiles(positions: int, channels: int) -> None:
    satisfied(random_layer(random.Random(100 * positions + channels), positions, channels, 3))


@pytest.mark.parametrize("positions", [32, 49, 71])
@pytest.mark.parametrize("channels", [32, 41, 65])
def test_four_tiles_at_once(positions: int, channels: int) -> None:
    """Whole fours of tiles, and those that are left beside and below them; sums, and how often vectors are read, are the same."""
    run = satisfied(random_layer(random.Random(100 * positions + channels), positions, channels, 3), wide=True)
    assert [call.fours for call in run.tensor_calls if call.fours != (0, 0)] == [(positions // 32 + (positions % 32 > 24), channels // 32)]


def test_large_layers_take_four_tiles_at_once() -> None:
    """What the executor chooses for a layer whose rows are many, and for a smaller one."""
    for taps, expected in ((4096, (2, 2)), (4095, (0, 0))):
        run = execute(program(script := random_layer(random.Random(taps), 64, 64, taps)), script.stdin)
        assert [call.fours for call in run.tensor_calls if call.descriptor.operation in LAYERS] == [expected]


def test_many_taps() -> None:
    """A table of products of some thousand rows, and limits at the bound."""
    for taps in (1, 2, 255, 256, 1500):
        satisfied(random_layer(random.Random(taps), 17, 20, taps))


def test_rescaling_at_its_bounds() -> None:
    """The largest sums, biases and multipliers of both signs, every pair of bounds: limbs and flags of each exist."""
    for taps, limit in ((2, 2**31 - 1), (4, 2**30), (64, 2**26)):
        most = min(2**48 - 1, 2**61 // limit)
        script = Script()
        x = script.add_import([[-(2**15), 2**15 - 1, 0, 1, -1, 2, -2, 3]] * taps)
        at = script.add_constants([[-(2**15), 2**15 - 1, 1, -1, 0, 2, 3, -5]] * taps)
        signs = [(sign * most, multiplier, limit) for sign in (1, 0, -1) for multiplier in (limit, -limit)]
        listed = script.add_channels([*signs, (0, 0, limit), (-1, 1, limit)])
        for edges in ((-(2**15), 2**15 - 1), (0, 0), (-(2**15), -(2**15)), (2**15 - 1, 2**15 - 1), (-1, 1)):
            script.add(Descriptor(LINEAR, 1, 8, taps, 0, taps, at, taps, listed, bounds(*edges)), x)
        satisfied(script)


def test_ties_and_edges_of_the_quotient() -> None:
    """Quotients at, below and above both bounds, by a rest of 0 or all ones."""
    script = Script()
    x = script.add_import([[4 * k for k in (-3, -2, -1, 0, 1, 2, 3, 4)], [1, 2, 3, -1, -2, -3, 0, 0]])
    at = script.add_constants([[1] + [0] * 7] * 2)
    for bias in (-2, -1, 0, 1, 2, 3):
        listed = script.add_channels([(bias, 2**30, 2**30)])
        for edges in ((-2, 2), (-3, 4), (0, 0)):
            script.add(Descriptor(LINEAR, 1, 1, 2, 0, 0, at, 0, listed, bounds(*edges)), x)
    satisfied(script)


def test_nothing_at_all() -> None:
    """Calls of no vectors and no blocks, whatever else their descriptors say, among others; and no call at all."""
    script = Script()
    nothing = script.add_import([])
    x = script.add_import(random_vectors(random.Random(1), 4))
    script.add(Descriptor(LOAD, 0, 8))
    script.add(Descriptor(LOAD, 0, 1))
    script.add(Descriptor(LINEAR, 0, 2**16, 2**32 - 1, 5, 2**32 - 1, 7, 2**32 - 1, 9, ALL), x, nothing)
    empty = script.add(Descriptor(LINEAR, 0, 1, 1), nothing, x)
    script.add(Descriptor(EXPORT, 0, 1, 0, 3, 2**32 - 1), empty)
    script.ram = [0] * 8
    script.add(Descriptor(EXPORT, 1, 8, 0, 16, 0), x)
    satisfied(script)
    run = satisfied(Script(ram=[0]))
    assert uses.vector_uses(run)[0].tolist() == []


def test_vectors_are_read_again_and_again() -> None:
    """Strides of 0: one block of positions for all, one half of channels for all, one word after the other from one vector."""
    rng, script = random.Random(5), Script()
    x = script.add_import(random_vectors(rng, 3))
    at = script.add_constants(random_vectors(rng, 3))
    listed = script.add_channels(random_channels(rng, 24, 3))
    y = script.add(Descriptor(LINEAR, 3, 24, 3, 0, 0, at, 0, listed, random_bounds(rng)), x, CONSTANTS)
    script.add(Descriptor(LINEAR, 2, 8, 1, VECTORS, 0, 0, 0, CHANNELS, random_bounds(rng)), CONSTANTS, y)
    script.ram = [0] * 64
    script.add(Descriptor(EXPORT, 5, 8, 0, 16, 0), y)
    satisfied(script)


def test_calls_far_apart_are_refreshed() -> None:
    """Words and registers whose last access is 2^16 before a call."""
    loop: list[Item] = [("li", "t0", 9000), ("addi", "t0", "t0", -1), ("bnez", "t0", -4)]
    script = Script(ram=[1, -2, 3, 4, 5, 6, 7, 8])
    x = script.add(Descriptor(LOAD, 1, 8))
    script.add(Descriptor(EXPORT, 1, 8, 0, 0, 1), x)
    run = execute(program(script, before=loop), script.stdin)
    assert len(run.refreshes)
    tables = build_tables(machine(), run, run.image, EXEMPT_MAX, evaluate=tapes.evaluate_columns)
    header = ImageHeader(run.image.entry, run.image.initial_sp, run.image.gaps, (0,) * len(preprocessed_chips()), ())
    assert check_tables(tables, closings(header, run.journal, run.exit_code)) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_proven(seed: int) -> None:
    """Random layers, proven and verified."""
    script = random_layer(random.Random(seed), 21, 19, 7)
    execution, _ = prove_and_verify(program(script), script.stdin)
    assert outcome(execution) == meaning(script)
