"""Symbolic polynomials over the columns of one table.

An :class:`Expr` is a tree over the base field, never changed after it is made (not frozen: a machine makes thousands at start); leaves are
shared. Columns of the extension field are three base columns, so one kind of expression serves every reader: the verifier evaluates it
with extension scalars at one point, the checker with numpy columns, the prover as a tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias

from zkvm.stark.field.goldilocks import P

CONST, MAIN, PRE, BUS, BUS_NEXT, PARAM, ADD, SUB, MUL, PAIR = range(10)
"""Node kinds. Leaves: a constant; a main, preprocessed or bus column at this row; a bus column at the next row; a value known
only when the proof is made (challenges, terminals). Inner nodes: sum, difference, product; a pair, which only groups operands."""

EXT_MUL, EXT_STEP = 10, 13
"""Coordinates 0, 1, 2 of an extension product (kinds 10 to 12: left and right are :func:`triple`) and of ``A - v K`` (kinds 13 to 15: left
is the triple A, right the pair of the base expression v and the triple K of runtime constants). One node per coordinate keeps every
expression a base-field polynomial; the tape computes the three together."""

TRIPLE = 16
"""Kind of an expression that no node has: the :func:`triple` of an extension operation's own coordinates, ``index`` the kind of the first.
It becomes the nodes that the coordinates and their pairs would, but is one expression: in a fingerprint each step reads the one before."""

Operand: TypeAlias = "Expr | int"


@dataclass(slots=True, eq=False)
class Expr:
    """A node: ``kind`` with ``index`` (leaves: value or column number) or with ``left`` and ``right``."""

    kind: int
    index: int = 0
    left: Expr | None = None
    right: Expr | None = None
    degree: int = 0

    def __add__(self, other: Operand) -> Expr:
        other = lift(other)
        if self.kind == CONST or other.kind == CONST:
            if self.kind == other.kind:
                return const(self.index + other.index)
            known, rest = (self, other) if self.kind == CONST else (other, self)
            if known.index == 0:
                return rest
        return Expr(ADD, 0, self, other, _larger(self, other))

    def __sub__(self, other: Operand) -> Expr:
        other = lift(other)
        if other.kind == CONST:
            if self.kind == CONST:
                return const(self.index - other.index)
            if other.index == 0:
                return self
        return Expr(SUB, 0, self, other, _larger(self, other))

    def __mul__(self, other: Operand) -> Expr:
        other = lift(other)
        if self.kind == CONST or other.kind == CONST:
            if self.kind == other.kind:
                return const(self.index * other.index)
            known, rest = (self, other) if self.kind == CONST else (other, self)
            if known.index <= 1:
                return rest if known.index else known
        return Expr(MUL, 0, self, other, self.degree + other.degree)

    def __radd__(self, other: int) -> Expr:
        return lift(other) + self

    def __rsub__(self, other: int) -> Expr:
        return lift(other) - self

    def __rmul__(self, other: int) -> Expr:
        return lift(other) * self

    def __neg__(self) -> Expr:
        return const(0) - self

    def children(self) -> tuple[Expr, Expr]:
        """Both operands of an inner node."""
        assert self.left is not None
        assert self.right is not None
        return self.left, self.right


@cache
def const(value: int) -> Expr:
    """A constant, reduced mod p."""
    return Expr(CONST, value % P)


@cache
def column(kind: int, index: int) -> Expr:
    """Column ``index`` of kind MAIN, PRE, BUS or BUS_NEXT."""
    return Expr(kind, index, degree=1)


@cache
def param(index: int) -> Expr:
    """Runtime constant ``index``."""
    return Expr(PARAM, index)


def lift(value: Operand) -> Expr:
    """An expression from an expression or a Python int."""
    return value if isinstance(value, Expr) else const(value)


def _larger(a: Expr, b: Expr) -> int:
    """Degree of a sum."""
    return a.degree if a.degree > b.degree else b.degree


def leaves(expr: Expr) -> list[Expr]:
    """The leaves of an expression, left to right."""
    return [expr] if expr.left is None or expr.right is None else [*leaves(expr.left), *leaves(expr.right)]


def triple(a: tuple[Expr, Expr, Expr]) -> Expr:
    """Three coordinates as one operand."""
    first, second, third = a
    alike = first.kind in (EXT_MUL, EXT_STEP) and (second.kind, third.kind) == (first.kind + 1, first.kind + 2)
    if alike and first.left is second.left is third.left and first.right is second.right is third.right:
        return Expr(TRIPLE, first.kind, first.left, first.right, first.degree)
    inner = Expr(PAIR, 0, second, third, _larger(second, third))
    return Expr(PAIR, 0, first, inner, _larger(first, inner))


def coordinates(whole: Expr) -> tuple[Expr, Expr, Expr]:
    """The coordinates of a :func:`triple`."""
    left, right = whole.children()
    if whole.kind == PAIR:
        return left, *right.children()
    kind, degree = whole.index, whole.degree
    return Expr(kind, 0, left, right, degree), Expr(kind + 1, 0, left, right, degree), Expr(kind + 2, 0, left, right, degree)


@lru_cache(maxsize=1 << 10)
def constant_triple(a: tuple[Expr, Expr, Expr]) -> Expr:
    """Three coordinates made of runtime constants as one operand, which is shared: all chips have the powers of beta.

    Raises:
        ValueError: one of them depends on a column.
    """
    if any(part.degree for part in a):
        raise ValueError("the factor of a fingerprint step must be made of runtime constants")
    return triple(a)


def ext_product(a: tuple[Expr, Expr, Expr], b: tuple[Expr, Expr, Expr]) -> tuple[Expr, Expr, Expr]:
    """Coordinates of the extension product a b."""
    left, right = triple(a), triple(b)
    return coordinates(Expr(TRIPLE, EXT_MUL, left, right, left.degree + right.degree))


def ext_step(a: Expr, value: Expr, factor: tuple[Expr, Expr, Expr]) -> Expr:
    """``a - value factor``, one step of a fingerprint: ``a`` and the result are triples, ``factor`` is made of runtime constants.

    Raises:
        ValueError: ``factor`` depends on a column.
    """
    right = Expr(PAIR, 0, value, constant_triple(factor), value.degree)
    return Expr(TRIPLE, EXT_STEP, a, right, _larger(a, value))


def weighted_sum(terms: list[Expr], weights: list[int]) -> Expr:
    """Sum of terms times integer weights, for limbs and flag-selected constants."""
    total = const(0)
    for term, weight in zip(terms, weights, strict=True):
        total = total + term * weight
    return total


def total(*terms: Operand) -> Expr:
    """Sum of any number of operands."""
    result = const(0)
    for term in terms:
        result = result + term
    return result


@dataclass(frozen=True, slots=True)
class Straight:
    """Expressions as straight-line code without repeated subexpressions.

    Attributes:
        nodes: (kind, a, b); leaves carry their index in ``a``, inner nodes the positions of earlier nodes in ``a`` and ``b``.
        outputs: position of each given expression.
    """

    nodes: tuple[tuple[int, int, int], ...]
    outputs: tuple[int, ...]


def straighten(expressions: Sequence[Expr]) -> Straight:
    """Value numbering: equal subexpressions, also across the given expressions, become one node."""
    numbers: dict[tuple[int, int, int], int] = {}
    seen: dict[Expr, int] = {}
    outputs = tuple(seen[expr] if expr in seen else _number(expr, numbers, seen) for expr in expressions)
    return Straight(tuple(numbers), outputs)


def _number(expr: Expr, numbers: dict[tuple[int, int, int], int], seen: dict[Expr, int]) -> int:
    """Position of an expression that was not seen yet."""
    left, right = expr.left, expr.right
    if left is None or right is None:
        key = (expr.kind, expr.index, 0)
    else:
        a = seen[left] if left in seen else _number(left, numbers, seen)
        b = seen[right] if right in seen else _number(right, numbers, seen)
        kind = expr.kind
        if kind == TRIPLE:
            first = numbers.setdefault((expr.index, a, b), len(numbers))
            second = numbers.setdefault((expr.index + 1, a, b), len(numbers))
            third = numbers.setdefault((expr.index + 2, a, b), len(numbers))
            kind, a, b = PAIR, first, numbers.setdefault((PAIR, second, third), len(numbers))
        key = (kind, b, a) if a > b and (kind == ADD or kind == MUL) else (kind, a, b)
    position = seen[expr] = numbers.setdefault(key, len(numbers))
    return position
