"""The tape of every chip computes its constraints: on random rows, against the verifier's evaluation and the checker's."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from tests.soundness.cheating import WIDE
from tests.tiles import TILES
from zkvm.riscv.machine import machine
from zkvm.stark.air.builder import MAX_POWER, Argument, Bus, BusBuilder
from zkvm.stark.air.evaluate import evaluate_columns, evaluate_point
from zkvm.stark.air.expression import BUS, BUS_NEXT, MAIN, PRE, column, const, param, straighten
from zkvm.stark.air.layout import coefficient
from zkvm.stark.air.machine import ChipCode
from zkvm.stark.air.operations import OP_ACC, OP_OUT
from zkvm.stark.air.tape import lower
from zkvm.stark.field.extension import Ext
from zkvm.stark.field.goldilocks import P, add, mul
from zkvm.stark.kernels.tape_runner import MAX_TERMS
from zkvm.stark.protocol.shape import params_of, shared_params
from zkvm.stark.prover import tape_twin, tapes

ROWS = 8
EDGES = [0, 1, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1, 7]
MACHINES = [WIDE, TILES, machine()]
every_code = pytest.mark.parametrize(
    ("code", "powers"),
    [pytest.param(code, described.powers, id=code.chip.name) for described in MACHINES for code in described.codes],
)


def random_rows(seed: int, width: int) -> np.ndarray:
    """Random cells, a quarter of them edge cases."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, P, (width, ROWS), dtype=np.uint64)
    edges = generator.choice(np.array(EDGES, np.uint64), (width, ROWS))
    return np.where(generator.random((width, ROWS)) < 0.25, edges, values)


@every_code
def test_tape_of_a_chip(code: ChipCode, powers: int) -> None:
    pre, main, bus = (random_rows(seed, width) for seed, width in enumerate(code.widths))
    following = np.roll(bus, -1, axis=1)
    terminals: list[Ext] = [(5, 6, 7 + rank) for rank in range(len(code.plan.running))]
    params = params_of(shared_params((11, 13, 17), (19, 23, P - 1), powers), terminals)
    found = tape_twin.run_tape(lower(code.straight), params, main, pre, bus, following, None)
    for row in range(ROWS):
        leaves: dict[int, Sequence[Ext]] = {
            kind: [(int(cell), 0, 0) for cell in matrix[:, row]]
            for kind, matrix in ((MAIN, main), (PRE, pre), (BUS, bus), (BUS_NEXT, following))
        }
        assert [(int(value), 0, 0) for value in found[:, row]] == evaluate_point(code.straight, leaves, params)


@every_code
def test_accumulating_tape_weights_each_constraint_once(code: ChipCode, powers: int) -> None:
    """Group sums are sums of challenge power times constraint, each power used by exactly one constraint."""
    tape = lower(code.straight, code.groups)
    accumulated = [
        (number, row[2])
        for step, row in enumerate(tape.code.tolist())
        if row[0] == OP_ACC
        for _, _, number, *_ in tape.code[step + 1 : step + 1 + row[1]].tolist()
    ]
    assert sorted(accumulated) == list(enumerate(code.groups))
    assert not (tape.code[:, 0] == OP_OUT).any()
    pre, main, bus = (random_rows(seed + 9, width) for seed, width in enumerate(code.widths))
    following = np.roll(bus, -1, axis=1)
    params = params_of(shared_params((11, 13, 17), (19, 23, 29), powers), [(1, 2, 3)] * len(code.plan.running))
    weights = random_rows(50, 3 * len(code.groups))[:, 0].reshape(-1, 3).copy()
    values = tape_twin.run_tape(lower(code.straight), params, main, pre, bus, following, None)
    expected = np.zeros((9, ROWS), np.uint64)
    for number, group in enumerate(code.groups):
        for c in range(3):
            expected[3 * group + c] = add(expected[3 * group + c], mul(values[number], weights[number, c]))
    assert np.array_equal(tape_twin.run_tape(tape, params, main, pre, bus, following, weights), expected)


@every_code
def test_chip_constraints_on_columns(code: ChipCode, powers: int) -> None:
    """The checker's evaluation and the kernel agree on what the chip itself says about a row."""
    chip = code.chip
    own = straighten([constraint.expr for constraint in chip.air_constraints])
    if not own.outputs:
        return
    pre, main = random_rows(1, len(chip.preprocessed)), random_rows(2, len(chip.main))
    for found, expected in zip(tapes.evaluate_columns(own, main, pre), evaluate_columns(own, main, pre), strict=True):
        assert np.array_equal(found, expected)


def test_uniform_subexpressions_are_computed_once() -> None:
    """Constants and challenges alone never reach the rows: they are entries of the pool."""
    x = column(MAIN, 0)
    scale = (param(0) + 3) * param(1)
    tape = lower(straighten([x * scale, x - scale]))
    assert len(tape.code) == 5  # load, times k, out, plus k, out
    assert (2 + 3) * 7 in tape.pool([2, 7]).tolist()
    assert tape.registers == 2
    assert lower(straighten([const(5)])).pool([]).tolist() == [5]


def test_registers_are_reused() -> None:
    """A long sum of products needs as many registers as are alive at once."""
    rng = random.Random(5)
    total = const(0)
    for _ in range(200):
        total = total + column(MAIN, rng.randrange(50)) * column(MAIN, rng.randrange(50))
    assert lower(straighten([total])).registers <= 60


def test_a_sum_has_room_for_every_power_of_beta() -> None:
    """The longest sums are fingerprints and factors of coefficients: a term for each power, and three for a start that is no constant."""
    assert MAX_POWER + 1 + 3 <= MAX_TERMS


def test_coefficients_on_tapes() -> None:
    """Factors of any length up to all powers, constants among them: the kernel and its twin give what the verifier computes."""
    rng, own = random.Random(4), BusBuilder()
    sums = Bus("sums", 1, 1, Argument.SUM, "(a)", power=MAX_POWER)
    cells = [column(MAIN, number) for number in range(8)]
    for number, count in enumerate((1, MAX_POWER + 1, 40, 3)):
        powers = rng.sample(range(MAX_POWER + 1), count)
        own.contribute(f"long {number}", sums, (0,), [(power, rng.choice(cells) * rng.randrange(P) + power) for power in powers])
    own.contribute("constants", sums, (0,), [(0, 3), (50, 0), (60, P - 1)], [(7, 5)])
    own.contribute("three", sums, (0,), *([(k, cells[k]), (40, cells[7 - k] - cells[0])] for k in range(3)))
    code = straighten([part for contribution in own.contributions for part in coefficient(contribution)])
    main, params = random_rows(8, 8), shared_params((11, 13, 17), (19, P - 23, 29), MAX_POWER)
    nothing = np.zeros((0, ROWS), np.uint64)
    found = tape_twin.run_tape(lower(code), params, main, nothing, nothing, nothing, None)
    kernel = np.zeros_like(found)
    tapes.bind(lower(code), params).run(tapes.columns_of(main), tapes.columns_of(nothing), kernel, ROWS)
    assert np.array_equal(kernel, found)
    for row in range(ROWS):
        leaves: dict[int, Sequence[Ext]] = {MAIN: [(int(cell), 0, 0) for cell in main[:, row]]}
        assert [(int(value), 0, 0) for value in found[:, row]] == evaluate_point(code, leaves, params)
