"""The tape kernel and the group combination against their twins, and the tape against the expressions themselves."""

from __future__ import annotations

import random

import numpy as np
import pytest

from zkvm.stark.air.evaluate import evaluate_columns, evaluate_point
from zkvm.stark.air.expression import (
    BUS,
    BUS_NEXT,
    MAIN,
    PRE,
    Expr,
    column,
    const,
    coordinates,
    ext_product,
    ext_step,
    param,
    straighten,
    triple,
)
from zkvm.stark.air.tape import lower
from zkvm.stark.field.goldilocks import P, add
from zkvm.stark.kernels import combine
from zkvm.stark.prover import tape_twin, tapes

EDGES = [0, 1, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1]
PARAMS = [random.Random(7).randrange(P) for _ in range(4)]


def columns(seed: int, width: int, rows: int) -> np.ndarray:
    """Random canonical values with the edge cases in front."""
    values = np.random.default_rng(seed).integers(0, P, (width, rows), dtype=np.uint64)
    values[:, : len(EDGES)] = np.array(EDGES, np.uint64)
    return values


def random_expression(rng: random.Random, leaves: list[Expr], depth: int) -> Expr:
    """A random polynomial, biased to the shape of fingerprints: sums of columns times runtime constants."""
    if depth == 0:
        return rng.choice([*leaves, *leaves, const(rng.choice(EDGES)), param(rng.randrange(len(PARAMS)))])
    left, right = random_expression(rng, leaves, depth - 1), random_expression(rng, leaves, rng.randrange(depth))
    choice = rng.randrange(6)
    if choice == 3:
        return left - right * param(rng.randrange(len(PARAMS)))
    if choice == 4:
        return ext_product((left, right, rng.choice(leaves)), (rng.choice(leaves), left, right))[rng.randrange(3)]
    if choice == 5:
        constants = (param(0), param(1), param(2))
        start = (param(3) - 5, param(1), param(2)) if rng.randrange(2) else (left, right, left)
        parts = coordinates(ext_step(ext_step(triple(start), left, constants), right, constants[::-1]))
        return parts[0] + parts[2] if rng.randrange(2) else parts[1]
    return left + right if choice == 0 else left - right if choice == 1 else left * right


@pytest.mark.parametrize("seed", range(12))
def test_kernel_equals_twin(seed: int) -> None:
    rng = random.Random(seed)
    rows = rng.choice([8, 128, 264, 520])
    leaves = [column(kind, k) for kind in (MAIN, PRE, BUS, BUS_NEXT) for k in range(3)]
    code = straighten([random_expression(rng, leaves, 5) for _ in range(7)])
    main, pre, bus = (columns(seed * 10 + k, 3, rows) for k in range(3))
    sets = [tapes.columns_of(array) for array in (main, pre, bus)]
    out = np.empty((7, rows), np.uint64)
    tapes.bind(lower(code), PARAMS).run(sets[0], sets[1], out, rows, bus=sets[2], following=sets[2], shift=1)
    rolled = np.roll(bus, -1, axis=1)
    assert np.array_equal(out, tape_twin.run_tape(lower(code), PARAMS, main, pre, bus, rolled, None))
    groups = [rng.randrange(3) for _ in range(7)]
    powers = columns(seed + 500, 7, 8)[:, :3].copy()
    before = columns(seed + 600, 9, rows)
    sums = before.copy()
    tape = lower(code, groups)
    tapes.bind(tape, PARAMS, powers).run(sets[0], sets[1], sums, rows, bus=sets[2], following=sets[2], threads=2)
    assert np.array_equal(sums, add(before, tape_twin.run_tape(tape, PARAMS, main, pre, bus, rolled, powers)))


@pytest.mark.parametrize("seed", range(6))
def test_tape_equals_expressions(seed: int) -> None:
    """The kernel on rows against the verifier's evaluation, row by row."""
    rng = random.Random(seed)
    leaves = [column(kind, k) for kind in (MAIN, PRE) for k in range(4)]
    code = straighten([random_expression(rng, leaves, 4) for _ in range(9)])
    main, pre = columns(seed, 4, 16), columns(seed + 50, 4, 16)
    out = np.empty((9, 16), np.uint64)
    tapes.bind(lower(code), PARAMS).run(tapes.columns_of(main), tapes.columns_of(pre), out, 16)
    for row in range(16):
        point = {kind: [(int(value), 0, 0) for value in array[:, row]] for kind, array in ((MAIN, main), (PRE, pre))}
        assert evaluate_point(code, point, PARAMS) == [(int(value), 0, 0) for value in out[:, row]]


@pytest.mark.parametrize("seed", range(4))
def test_tape_equals_the_checker(seed: int) -> None:
    rng = random.Random(seed + 90)
    leaves = [column(kind, k) for kind in (MAIN, PRE) for k in range(4)]
    expressions = [rng.choice(leaves) * rng.choice(leaves) - rng.choice(leaves) * 5 + 2**32 for _ in range(9)]
    code = straighten(expressions)
    main, pre = columns(seed, 4, 64), columns(seed + 50, 4, 64)
    for from_tape, expected in zip(tapes.evaluate_columns(code, main, pre), evaluate_columns(code, main, pre), strict=True):
        assert np.array_equal(from_tape, expected)


def test_one_coset_of_an_extension_and_its_next_row() -> None:
    array = columns(3, 2 * 4, 64).reshape(2, 4, 64)
    code = straighten([column(BUS, 1), column(BUS_NEXT, 0)])
    chosen = tapes.columns_of(array, 2)
    out = np.empty((2, 64), np.uint64)
    tapes.bind(lower(code), ()).run(tapes.columns_of(None), tapes.columns_of(None), out, 64, bus=chosen, following=chosen)
    assert np.array_equal(out[0], array[1, 2])
    assert np.array_equal(out[1], np.roll(array[0, 2], -1))


def test_combination_equals_twin() -> None:
    sums, inverses, out = columns(1, 9, 64), columns(2, 3, 64), columns(3, 3, 64)
    expected = tape_twin.combine_groups(sums, inverses)
    result = np.zeros_like(out)
    combine.combine_groups(sums.reshape(-1), 64, inverses.reshape(-1), 64, result.reshape(-1), 64, 0, 64)
    assert np.array_equal(result, expected)
