"""Expressions as polynomials mod p, and linear algebra over them: to prove statements about every row, not about samples."""

from __future__ import annotations

from typing import TypeAlias

from zkvm.stark.air.expression import ADD, CONST, MAIN, PRE, SUB, Expr
from zkvm.stark.field.goldilocks import P

Variable: TypeAlias = tuple[int, int]
"""(MAIN or PRE, column)."""
Polynomial: TypeAlias = dict[tuple[Variable, ...], int]
"""Coefficient of each monomial; the empty tuple is the constant. No zero coefficients."""


def polynomial(expr: Expr) -> Polynomial:
    """The expanded expression."""
    if expr.kind == CONST:
        return {(): expr.index} if expr.index else {}
    if expr.kind in (MAIN, PRE):
        return {((expr.kind, expr.index),): 1}
    left, right = (polynomial(child) for child in expr.children())
    if expr.kind == ADD:
        return plus(left, right, 1)
    if expr.kind == SUB:
        return plus(left, right, P - 1)
    result: Polynomial = {}
    for a, x in left.items():
        result = plus(result, {tuple(sorted(a + b)): x * y % P for b, y in right.items()}, 1)
    return result


def plus(left: Polynomial, right: Polynomial, factor: int) -> Polynomial:
    """left + factor * right."""
    result = dict(left)
    for monomial, value in right.items():
        result[monomial] = (result.get(monomial, 0) + factor * value) % P
    return {monomial: value for monomial, value in result.items() if value}


def substitute(poly: Polynomial, values: dict[Variable, int]) -> Polynomial:
    """The polynomial with some variables replaced by numbers."""
    result: Polynomial = {}
    for monomial, value in poly.items():
        rest = []
        for variable in monomial:
            if variable in values:
                value = value * values[variable] % P
            else:
                rest.append(variable)
        result = plus(result, {tuple(rest): value}, 1)
    return result


def degree(poly: Polynomial) -> int:
    """Total degree; 0 for constants."""
    return max((len(monomial) for monomial in poly), default=0)


class Span:
    """Linear combinations of affine polynomials that vanish."""

    def __init__(self) -> None:
        self.rows: dict[Variable, Polynomial] = {}
        self.consistent = True

    def reduce(self, poly: Polynomial) -> Polynomial:
        """What is left of an affine polynomial when all that is known to vanish is taken away."""
        for variable, row in self.rows.items():
            factor = poly.get((variable,), 0)
            if factor:
                poly = plus(poly, row, P - factor)
        return poly

    def add(self, poly: Polynomial) -> None:
        """Learn that an affine polynomial vanishes."""
        poly = self.reduce(poly)
        leading = next((monomial for monomial in poly if monomial), None)
        if leading is None:
            self.consistent &= not poly
            return
        inverse = pow(poly[leading], -1, P)
        row = {monomial: value * inverse % P for monomial, value in poly.items()}
        for variable, other in self.rows.items():
            factor = other.get(leading, 0)
            if factor:
                self.rows[variable] = plus(other, row, P - factor)
        self.rows[leading[0]] = row
