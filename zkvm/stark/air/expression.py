"""Symbolic polynomials over the columns of one table.

An :class:`Expr` is a tree over the base field, never changed after it is made (not frozen: a machine makes thousands at start); leaves are
shared. Columns of the extension field are three base columns, so one kind of expression serves every reader: the verifier evaluates it
with extension scalars at one point, the checker with numpy columns, the prover as a tape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from zkvm.stark.field.goldilocks import P

CONST, MAIN, PRE, BUS, BUS_NEXT, PARAM, ADD, SUB, MUL, PAIR = range(10)
"""Node kinds. Leaves: a constant; a main, preprocessed or bus column at this row; a bus column at the next row; a value known
only when the proof is made (challenges, terminals). Inner nodes: sum, difference, product; a pair, which only groups operands."""

EXT_MUL, EXT_STEP = 10, 13
"""Coordinates 0, 1, 2 of an extension product (kinds 10 to 12: left and right are :func:`triple`) and of ``A - v K`` (kinds 13 to 15: left
is the triple A, right the pair of the base expression v and the triple K of runtime constants). One node per coordinate keeps every
expression a base-field polynomial; the tape computes the three together."""

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
        if self.kind == CONST and other.kind == CONST:
            return const(self.index + other.index)
        if is_zero(self):
            return other
        return self if is_zero(other) else Expr(ADD, 0, self, other, max(self.degree, other.degree))

    def __sub__(self, other: Operand) -> Expr:
        other = lift(other)
        if self.kind == CONST and other.kind == CONST:
            return const(self.index - other.index)
        return self if is_zero(other) else Expr(SUB, 0, self, other, max(self.degree, other.degree))

    def __mul__(self, other: Operand) -> Expr:
        other = lift(other)
        if self.kind == CONST and other.kind == CONST:
            return const(self.index * other.index)
        if is_zero(self) or is_zero(other):
            return const(0)
        if self.kind == CONST and self.index == 1:
            return other
        if other.kind == CONST and other.index == 1:
            return self
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


def leaves(expr: Expr) -> list[Expr]:
    """The leaves of an expression, left to right."""
    return [expr] if expr.left is None or expr.right is None else [*leaves(expr.left), *leaves(expr.right)]


def is_zero(expr: Expr) -> bool:
    """Whether the expression is the constant zero."""
    return expr.kind == CONST and expr.index == 0


def triple(a: tuple[Expr, Expr, Expr]) -> Expr:
    """Three coordinates as one operand."""
    inner = Expr(PAIR, 0, a[1], a[2], max(a[1].degree, a[2].degree))
    return Expr(PAIR, 0, a[0], inner, max(a[0].degree, inner.degree))


def ext_product(a: tuple[Expr, Expr, Expr], b: tuple[Expr, Expr, Expr]) -> tuple[Expr, Expr, Expr]:
    """Coordinates of the extension product a b."""
    left, right = triple(a), triple(b)
    first, second, third = (Expr(EXT_MUL + c, 0, left, right, left.degree + right.degree) for c in range(3))
    return first, second, third


def ext_step(a: tuple[Expr, Expr, Expr], value: Expr, factor: tuple[Expr, Expr, Expr]) -> tuple[Expr, Expr, Expr]:
    """Coordinates of ``a - value factor``, ``factor`` made of runtime constants: one step of a fingerprint.

    Raises:
        ValueError: ``factor`` depends on a column.
    """
    if any(part.degree for part in factor):
        raise ValueError("the factor of a fingerprint step must be made of runtime constants")
    left, right = triple(a), Expr(PAIR, 0, value, triple(factor), value.degree)
    first, second, third = (Expr(EXT_STEP + c, 0, left, right, max(left.degree, value.degree)) for c in range(3))
    return first, second, third


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


def straighten(expressions: list[Expr]) -> Straight:
    """Value numbering: equal subexpressions, also across the given expressions, become one node."""
    nodes: list[tuple[int, int, int]] = []
    numbers: dict[tuple[int, int, int], int] = {}
    seen: dict[int, int] = {}

    def number(expr: Expr) -> int:
        """Position of an expression that was not seen yet."""
        if expr.left is None or expr.right is None:
            key = (expr.kind, expr.index, 0)
        else:
            left, right = seen.get(id(expr.left)), seen.get(id(expr.right))
            left = number(expr.left) if left is None else left
            right = number(expr.right) if right is None else right
            key = (expr.kind, right, left) if left > right and expr.kind in (ADD, MUL) else (expr.kind, left, right)
        position = numbers.setdefault(key, len(nodes))
        if position == len(nodes):
            nodes.append(key)
        seen[id(expr)] = position
        return position

    # `expressions` keeps every node alive, so an id is never reused while `seen` is in use.
    outputs = tuple(seen[id(expr)] if id(expr) in seen else number(expr) for expr in expressions)
    return Straight(tuple(nodes), outputs)
