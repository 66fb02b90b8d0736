"""Expressions: degrees, folding of constants, value numbering, and both ways to evaluate them against plain integer arithmetic."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from zkvm.stark.air.evaluate import evaluate_columns, evaluate_point
from zkvm.stark.air.expression import (  # fmt: skip
    BUS,
    BUS_NEXT,
    CONST,
    MAIN,
    PAIR,
    PRE,
    TRIPLE,
    Expr,
    column,
    const,
    coordinates,
    ext_product,
    ext_step,
    lift,
    param,
    straighten,
    total,
    triple,
    weighted_sum,
)
from zkvm.stark.field.extension import Ext, ext_add, ext_mul, ext_sub
from zkvm.stark.field.goldilocks import P

EDGES = [0, 1, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1]
X, Y, Z = (column(MAIN, number) for number in range(3))
MEANING = Callable[[list[int], list[int]], int]


def random_pair(rng: random.Random, depth: int) -> tuple[Expr, MEANING]:
    """An expression of three main and two preprocessed columns, and what it means for a row of integers."""
    if depth == 0:
        choice = rng.randrange(3)
        if choice == 0:
            value = rng.choice(EDGES)
            return const(value), lambda main, pre: value
        index = rng.randrange(3 if choice == 1 else 2)
        return (column(MAIN, index), lambda main, pre: main[index]) if choice == 1 else (column(PRE, index), lambda main, pre: pre[index])
    (left, f), (right, g) = random_pair(rng, depth - 1), random_pair(rng, rng.randrange(depth))
    operation = rng.randrange(4)
    if operation == 0:
        return left + right, lambda main, pre: (f(main, pre) + g(main, pre)) % P
    if operation == 1:
        return left - right, lambda main, pre: (f(main, pre) - g(main, pre)) % P
    if operation == 2:
        return left * right, lambda main, pre: f(main, pre) * g(main, pre) % P
    return -left, lambda main, pre: -f(main, pre) % P


@pytest.mark.parametrize("seed", range(20))
def test_both_evaluations_compute_what_is_meant(seed: int) -> None:
    rng = random.Random(seed)
    pairs = [random_pair(rng, 5) for _ in range(6)]
    code = straighten([expression for expression, _ in pairs])
    generator = np.random.default_rng(seed)
    main, pre = (generator.integers(0, P, (width, 20), dtype=np.uint64) for width in (3, 2))
    main[:, : len(EDGES)] = np.array(EDGES, np.uint64)
    columns = evaluate_columns(code, main, pre)
    for row in range(20):
        cells, entries = main[:, row].tolist(), pre[:, row].tolist()
        expected = [meaning(cells, entries) for _, meaning in pairs]
        assert [int(values[row]) for values in columns] == expected
        leaves: dict[int, Sequence[Ext]] = {MAIN: [(cell, 0, 0) for cell in cells], PRE: [(entry, 0, 0) for entry in entries]}
        assert evaluate_point(code, leaves, ()) == [(value, 0, 0) for value in expected]


def test_points_of_the_extension() -> None:
    """The verifier's evaluation multiplies extension values: (x + y) x - c at a point outside the base field."""
    x, y, c = (1, 2, 3), (P - 1, 5, 7), (11, 0, 0)
    code = straighten([(X + Y) * X - param(0), column(BUS, 0) - column(BUS_NEXT, 0)])
    values = evaluate_point(code, {MAIN: [x, y], BUS: [x], BUS_NEXT: [y]}, [11])
    assert values == [ext_sub(ext_mul(ext_add(x, y), x), c), ext_sub(x, y)]


@pytest.mark.parametrize("seed", range(5))
def test_extension_nodes_are_the_extensions_arithmetic(seed: int) -> None:
    """On base-field values, the three coordinates of a product and of a step are those of the field's own functions."""
    rng = random.Random(seed)
    a, b = ((rng.randrange(P), rng.randrange(P), rng.choice(EDGES)) for _ in range(2))
    value = rng.randrange(P)
    left, right = ((column(MAIN, first), column(MAIN, first + 1), column(MAIN, first + 2)) for first in (0, 3))
    factor = (param(0), param(1), param(2))
    code = straighten([*ext_product(left, right), *coordinates(ext_step(triple(left), column(MAIN, 6), factor))])
    leaves: dict[int, Sequence[Ext]] = {MAIN: [(cell, 0, 0) for cell in (*a, *b, value)]}
    values = [first for first, _, _ in evaluate_point(code, leaves, b)]
    assert tuple(values[:3]) == ext_mul(a, b)
    assert tuple(values[3:]) == ext_sub(a, tuple(value * part % P for part in b))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "chosen", [[random.Random(3).randrange(P) for _ in range(50)], EDGES, (0, P - 1), (P - 1,)], ids=["any", "edges", "extremes", "largest"]
)
def test_extension_nodes_at_a_point_are_polynomials(chosen: Sequence[int]) -> None:
    """Each coordinate is a base-field polynomial also where its operands are extension elements: expand it by hand."""
    rng = random.Random(9)
    values: list[Ext] = [(rng.choice(chosen), rng.choice(chosen), rng.choice(chosen)) for _ in range(6)]
    left, right = ((column(MAIN, first), column(MAIN, first + 1), column(MAIN, first + 2)) for first in (0, 3))
    by_hand = [
        left[0] * right[0] + left[1] * right[2] + left[2] * right[1],
        left[0] * right[1] + left[1] * right[0] + left[1] * right[2] + left[2] * right[1] + left[2] * right[2],
        left[0] * right[2] + left[1] * right[1] + left[2] * right[0] + left[2] * right[2],
    ]
    results = evaluate_point(straighten([*ext_product(left, right), *by_hand]), {MAIN: values}, ())
    assert results[:3] == results[3:]


def test_the_triple_of_an_operations_coordinates_is_written_out_as_they_are() -> None:
    left, right, factor = (X, Y, Z), (Z, X * Y, const(3)), (param(0), param(1), param(2))
    product, step = ext_product(left, right), coordinates(ext_step(triple(left), X, factor))
    for whole in (product, step, ext_product(step, product)):
        first, second, third = whole
        pairs = Expr(PAIR, 0, first, Expr(PAIR, 0, second, third))
        assert triple(whole).kind == TRIPLE
        for before in ([], [third], [second, first]):
            assert straighten([*before, triple(whole), *whole]) == straighten([*before, pairs, *whole])
        assert straighten([*coordinates(triple(whole))]) == straighten(list(whole))
    others = [product[::-1], (*product[:2], step[2]), (*product[:2], ext_product(left, left)[2]), left, step[:1] * 3]
    assert {triple(other).kind for other in others} == {PAIR}


def test_degrees() -> None:
    assert [expression.degree for expression in (const(5), param(0), X, X + 5, X * Y, X * Y - Z, X * Y * Z, 3 * X - X * X)] == [
        0, 0, 1, 1, 2, 2, 3, 2,
    ]  # fmt: skip
    assert (X * 0).degree == 0
    assert {part.degree for part in ext_product((X, X * Y, const(1)), (X, Y, Z))} == {3}
    step = ext_step(triple((const(0), const(0), const(0))), X * Y, (param(0), param(1), param(2)))
    assert {step.degree, *(part.degree for part in coordinates(step))} == {2}


def test_constants_fold_and_reduce() -> None:
    assert const(-1).index == P - 1
    assert (const(3) * const(P - 1) + 4).index == 1
    for expression in (X * 0, 0 * X, const(7) - 7, total()):
        assert (expression.kind, expression.index) == (CONST, 0)
    for expression in (X + 0, 0 + X, X * 1, 1 * X, X - 0):
        assert expression is X
    assert lift(X) is X
    assert lift(2**64).kind == CONST
    assert lift(2**64).index == 2**64 - P


def test_weighted_sum() -> None:
    code = straighten([weighted_sum([X, Y, Z], [1, 256, P - 1])])
    assert evaluate_columns(code, np.array([[3], [2], [1]], np.uint64), np.zeros((0, 1), np.uint64))[0].tolist() == [3 + 512 - 1]
    with pytest.raises(ValueError, match="shorter"):
        weighted_sum([X, Y], [1])


def test_equal_subexpressions_become_one_node() -> None:
    first, second = (X + Y) * Z, Z * (Y + X)
    code = straighten([first, second, X + Y])
    assert code.outputs[0] == code.outputs[1]
    assert len(code.nodes) == 5
    assert len(straighten([X - Y, Y - X]).nodes) == 4  # a difference does not commute
    left, right = ext_product((X, Y, Z), (Z, Y, X)), ext_product((Z, Y, X), (X, Y, Z))
    assert straighten([left[0], right[0]]).outputs[0] != straighten([left[0], right[0]]).outputs[1]


def test_only_row_columns_have_values_on_rows() -> None:
    with pytest.raises(ValueError, match="only main and preprocessed"):
        evaluate_columns(straighten([column(BUS, 0)]), np.zeros((1, 1), np.uint64), np.zeros((0, 1), np.uint64))
