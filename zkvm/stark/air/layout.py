"""From a chip's interactions to its bus columns and their constraints.

Fingerprint of a tuple: ``alpha - (bus id + beta x1 + beta^2 x2 + ...)``. Two arguments share it:

* grand product: a running column ``z`` with ``z(next) * prod(received) = z * prod(sent)``, at most two factors a side; joint buses have
  columns of their own, the first ones, whose fingerprints have the challenges of all proofs together;
* LogUp: helper columns ``h = n1/d1 + n2/d2`` for all lookups but the last two, and one running column that adds the helpers
  and the last two fractions. Contributions to sums are fractions like lookups, with a polynomial in beta as numerator.

Every extension column is three base columns, and every identity three base-field constraints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from zkvm.stark.air.builder import MAX_DEGREE, Bus, BusBuilder, Constraint, Contribution, Lookup, Message, Pair
from zkvm.stark.air.expression import BUS, BUS_NEXT, CONST, MAIN, Expr, column, const, coordinates, ext_product, ext_step, param, triple

EXTENSION = 3
"""Degree of the extension field."""
ALPHA, BETA = 0, EXTENSION
"""First runtime constants: alpha, then beta, beta^2, ... up to the machine's largest power; of a machine with joint buses the same of the
joint challenges; then terminals; three base values each."""

ExtExpr: TypeAlias = tuple[Expr, Expr, Expr]
Fraction: TypeAlias = Lookup | Contribution
"""What adds a fraction to the chip's sum."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a running product: a fingerprint; where the boolean flag is 0, it is 1 instead."""

    message: Message
    flag: Expr | None


@dataclass(frozen=True, slots=True)
class ProductColumn:
    """Factors of one running product."""

    received: tuple[Factor, ...]
    sent: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class BusLayout:
    """Bus columns of a chip, in order: products, LogUp helpers, LogUp sum (if any lookups).

    Attributes:
        products: the running products, those of joint buses first.
        groups: fractions by twos, and alone those whose coefficient has the largest degree; the last group belongs to the running sum,
            each of the others to a helper.
        early: how many main columns of the chip are early.
    """

    products: tuple[ProductColumn, ...]
    groups: tuple[tuple[Fraction, ...], ...]
    early: int = 0

    def start(self, rank: int) -> int:
        """The first of the three main columns whose last cells are the start of a running column.

        Those of joint buses are early columns, the first ones; the others come after the early columns, not to be fixed with them.
        """
        return EXTENSION * rank if rank < self.joint else self.early + EXTENSION * (rank - self.joint)

    @property
    def extension_columns(self) -> int:
        """Number of bus columns over the extension."""
        return len(self.products) + len(self.groups)

    @property
    def base_columns(self) -> int:
        """Number of committed base-field bus columns."""
        return EXTENSION * self.extension_columns

    @property
    def running(self) -> tuple[int, ...]:
        """Positions of the running columns among the extension columns."""
        last = (self.extension_columns - 1,) if self.groups else ()
        return tuple(range(len(self.products))) + last

    @property
    def joint(self) -> int:
        """How many products, the first ones, are of joint buses."""
        return sum(any(factor.message.bus.joint for factor in (*own.received, *own.sent)) for own in self.products)

    @property
    def has_sum(self) -> bool:
        """Whether the last running column is a LogUp sum; the others are products."""
        return bool(self.groups)


def layout(buses: BusBuilder, early: int = 0) -> BusLayout:
    """Pack pairs into products (first fit, two degrees a side) and fractions into groups of two; ``early``: of the chip.

    ``h d1 d2 = n1 d2 + n2 d1`` has degree 3 if neither numerator has more than 2. A numerator of degree 3 has no room beside it.
    """
    products = (*_packed([pair for pair in buses.pairs if is_joint(pair)]), *_packed([pair for pair in buses.pairs if not is_joint(pair)]))
    alone = [own for own in buses.contributions if own.degree == MAX_DEGREE]
    shared: list[Fraction] = [*buses.lookups, *(own for own in buses.contributions if own.degree < MAX_DEGREE)]
    groups = (*((own,) for own in alone), *(tuple(shared[k : k + 2]) for k in range(0, len(shared), 2)))
    return BusLayout(products, groups, early)


def is_joint(pair: Pair) -> bool:
    """Whether a pair is on a joint bus."""
    return any(message is not None and message.bus.joint for message in (pair.receive, pair.send))


def _packed(pairs: Sequence[Pair]) -> list[ProductColumn]:
    """First fit, two degrees a side."""
    bins: list[tuple[list[Factor], list[Factor]]] = []
    for pair in pairs:
        cost = 1 if pair.flag is None else 2
        for received, sent in bins:
            if _room(received, pair.receive, cost) and _room(sent, pair.send, cost):
                break
        else:
            received, sent = [], []
            bins.append((received, sent))
        _put(received, pair, pair.receive)
        _put(sent, pair, pair.send)
    return [ProductColumn(tuple(received), tuple(sent)) for received, sent in bins]


def powers_of(buses: Iterable[Bus]) -> int:
    """The largest power of beta that these buses need: for the last value of a tuple, or in a coefficient."""
    return max((max(bus.arity, bus.power) for bus in buses), default=0)


def _room(side: list[Factor], message: Message | None, cost: int) -> bool:
    return message is None or sum(1 if factor.flag is None else 2 for factor in side) + cost < MAX_DEGREE


def _put(side: list[Factor], pair: Pair, message: Message | None) -> None:
    if message is not None:
        side.append(Factor(message, pair.flag))


def start_columns(buses: BusBuilder, early: int) -> int:
    """Number of main columns that the random starts of the running columns need: three each, and none but those of joint buses early."""
    plan = layout(buses, early)
    return max(early, plan.start(len(plan.running)) if plan.running else 0)


def ext(kind: int, number: int) -> ExtExpr:
    """Extension column ``number`` as three base columns."""
    first = EXTENSION * number
    return column(kind, first), column(kind, first + 1), column(kind, first + 2)


def ext_add(a: ExtExpr, b: ExtExpr) -> ExtExpr:
    """Sum."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def ext_sub(a: ExtExpr, b: ExtExpr) -> ExtExpr:
    """Difference."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def ext_scale(a: ExtExpr, scalar: Expr) -> ExtExpr:
    """Product with a base-field expression."""
    return a[0] * scalar, a[1] * scalar, a[2] * scalar


def fingerprint(message: Message, joint: int = 0) -> ExtExpr:
    """alpha - (id + beta x1 + beta^2 x2 + ...); ``joint``: the first runtime constant of the joint challenges, for a joint bus.

    The joint alpha of a proof is less by its number times beta: the first value counts from there.
    """
    first = joint if message.bus.joint else ALPHA
    result = triple((param(first) - message.bus.id, param(first + 1), param(first + 2)))
    for power, value in enumerate(message.values, 1):
        result = _less(result, value, _power(power, first))
    return coordinates(result)


def coefficient(contribution: Contribution) -> ExtExpr:
    """The product of its factors."""
    result, *others = (_weighted(factor) for factor in contribution.factors)
    for other in others:
        result = ext_product(result, other)
    return result


def _weighted(factor: Sequence[tuple[int, Expr]]) -> ExtExpr:
    """Sum of beta^power times value: steps of a fingerprint by the powers' negatives, which are runtime constants too."""
    result = triple((const(0), const(0), const(0)))
    for power, value in factor:
        result = _less(result, value, _negative(power))
    return coordinates(result)


@cache
def _power(power: int, alpha: int = ALPHA) -> ExtExpr:
    """beta^power, of the challenges whose alpha stands there."""
    if power == 0:
        return const(1), const(0), const(0)
    first = alpha + EXTENSION * power
    return param(first), param(first + 1), param(first + 2)


@cache
def _negative(power: int) -> ExtExpr:
    return ext_sub((const(0), const(0), const(0)), _power(power))


def _less(result: Expr, value: Expr, factor: ExtExpr) -> Expr:
    """result - value factor: triples, ``factor`` made of runtime constants."""
    if value.kind == CONST:
        return triple(ext_sub(coordinates(result), ext_scale(factor, value)))
    return ext_step(result, value, factor)


def _factor(factor: Factor, joint: int) -> ExtExpr:
    value = fingerprint(factor.message, joint)
    if factor.flag is None:
        return value
    gated = ext_scale((value[0] - 1, value[1], value[2]), factor.flag)
    return gated[0] + 1, gated[1], gated[2]


def _product(factors: tuple[Factor, ...], joint: int) -> ExtExpr:
    result: ExtExpr = (const(1), const(0), const(0))
    for number, factor in enumerate(factors):
        result = ext_product(result, _factor(factor, joint)) if number else _factor(factor, joint)
    return result


def _fraction(group: tuple[Fraction, ...]) -> tuple[ExtExpr, ExtExpr]:
    """Numerator and denominator of the sum of a group's fractions."""
    prints = [fingerprint(own.message) for own in group]
    if len(group) == 1:
        (own,) = group
        return coefficient(own) if isinstance(own, Contribution) else (_signed(own), const(0), const(0)), prints[0]
    return ext_add(_crossed(group[0], prints[1]), _crossed(group[1], prints[0])), ext_product(prints[0], prints[1])


def _signed(lookup: Lookup) -> Expr:
    return lookup.count * (-1 if lookup.serves else 1)


def _crossed(own: Fraction, other: ExtExpr) -> ExtExpr:
    """The numerator of one fraction times the denominator of another."""
    return ext_product(coefficient(own), other) if isinstance(own, Contribution) else ext_scale(other, _signed(own))


def fractions(plan: BusLayout, joint: int = 0) -> list[tuple[ExtExpr, ExtExpr]]:
    """(numerator, denominator) of each bus column's step: product ratio, helper value, or last group of the sum.

    Args:
        plan: the bus columns.
        joint: the first runtime constant of the joint challenges.
    """
    steps = [(_product(column.sent, joint), _product(column.received, joint)) for column in plan.products]
    return steps + [_fraction(group) for group in plan.groups]


def bus_constraints(plan: BusLayout, steps: Sequence[tuple[ExtExpr, ExtExpr]]) -> list[Constraint]:
    """Identities of the bus columns on active rows, in the order of the columns, three base constraints each.

    Args:
        plan: the bus columns.
        steps: their :func:`fractions`.

    Raises:
        ValueError: a degree is too high.
    """
    constraints: list[Constraint] = []
    for number, (numerator, denominator) in enumerate(steps):
        here = ext(BUS, number)
        if number < len(plan.products):
            label = f"product {number} advances"
            difference = ext_sub(ext_product(ext(BUS_NEXT, number), denominator), ext_product(here, numerator))
        elif number < plan.extension_columns - 1:
            label = f"helper {number} holds its fractions"
            difference = ext_sub(ext_product(here, denominator), numerator)
        else:
            label = "sum advances"
            step = ext_sub(ext(BUS_NEXT, number), here)
            for helper in range(len(plan.products), number):
                step = ext_sub(step, ext(BUS, helper))
            difference = ext_sub(ext_product(step, denominator), numerator)
        constraints += [Constraint(f"{label} [{c}]", part) for c, part in enumerate(difference)]
    over = [constraint.label for constraint in constraints if constraint.expr.degree > MAX_DEGREE]
    if over:
        raise ValueError(f"degree above {MAX_DEGREE} in {over}")
    return constraints


def start_cells(plan: BusLayout) -> list[tuple[int, ExtExpr]]:
    """For each running column: its position and the three main cells of the last row that hold its start value."""
    starts: list[tuple[int, ExtExpr]] = []
    for rank, number in enumerate(plan.running):
        first = plan.start(rank)
        starts.append((number, (column(MAIN, first), column(MAIN, first + 1), column(MAIN, first + 2))))
    return starts
