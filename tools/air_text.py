"""Polynomials and tuples of chips as text, for ``tools/describe_air.py``: with the names of their columns, and of sums in the code."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from zkvm.stark.air.builder import Message
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.expression import ADD, CONST, MAIN, MUL, PRE, SUB, Expr
from zkvm.stark.field.goldilocks import P

LARGEST_POWER = 64
SMALLEST_POWER = 8
"""From 2^8 on, a number next to a power of two is written as one."""
WORD_BITS = 32
NEAR = 1 << 16
"""From 2^32 on, this near: addresses of registers and negative words."""


def number(value: int) -> str:
    """A field element as a person would write it: signed, near a power of two, or a small fraction of one."""
    if value > P // 2:
        positive = number(P - value)
        return positive[1:] if positive.startswith("-") else f"-{positive}"
    for power in range(SMALLEST_POWER, WORD_BITS + 1):
        scaled = value * (1 << power) % P
        for sign, part in (("", scaled), ("-", P - scaled)):
            if value >> WORD_BITS and part < 1 << 8:
                return f"{sign}{part}/2^{power}"
    for power in range(SMALLEST_POWER, LARGEST_POWER):
        offset = value - (1 << power)
        if abs(offset) <= (NEAR if power >= WORD_BITS else 1):
            return f"2^{power}" if not offset else f"(2^{power} {'+' if offset > 0 else '-'} {abs(offset)})"
    return str(value)


class Names:
    """Column names of a chip, names of sums, and its polynomials as text."""

    def __init__(self, chip: Chip) -> None:
        self.main = list(chip.main)
        self.preprocessed = list(chip.preprocessed)
        self.sums: dict[str, Expr] = {}
        self._names: dict[int, str] = {}
        for name, expr in named_sums(chip):
            if name not in (*self.main, *self.preprocessed, *self.sums) and key(expr) not in self._names:
                self.sums[name], self._names[key(expr)] = expr, name

    def definition(self, name: str) -> str:
        """The sum of this name, in which others may be named."""
        return self.text(self.sums[name], name)

    def text(self, expr: Expr, defined: str = "") -> str:
        """The polynomial as a sum of products; ``defined``: the name that is not used for the whole of it."""
        parts: list[str] = []
        for sign, term in self.terms(expr, 1, defined):
            body = self.product(term)
            if body.startswith("-"):
                sign, body = -sign, body[1:]
            parts.append(f"{'-' if sign < 0 else '+'} {body}")
        if not parts:
            return "0"
        joined = " ".join(parts)
        return joined[2:] if joined.startswith("+ ") else f"-{joined[2:]}"

    def product(self, expr: Expr) -> str:
        """One term: factors joined, constants first, a fraction of a power of two last."""
        factors = sorted(_factors(expr), key=lambda factor: factor.kind != CONST)
        texts = [self.factor(factor) for factor in factors]
        if len(texts) > 1 and texts[0].lstrip("-").startswith("1/2^"):
            sign = "-" if texts[0].startswith("-") else ""
            return f"{sign}{'*'.join(texts[1:])}{texts[0].lstrip('-')[1:]}"
        if len(texts) > 1 and texts[0] == "-1":
            return f"-{'*'.join(texts[1:])}"
        return "*".join(texts)

    def factor(self, expr: Expr) -> str:
        """A constant, a column, or a sum in parentheses."""
        if expr.kind == CONST:
            return number(expr.index)
        if expr.kind == MAIN:
            return self.main[expr.index]
        if expr.kind == PRE:
            return self.preprocessed[expr.index]
        return self._names.get(key(expr)) or f"({self.text(expr)})"

    def message(self, message: Message) -> str:
        """A bus tuple."""
        return f"({', '.join(self.text(value) for value in message.values)})"

    def powers(self, factor: Sequence[tuple[int, Expr]]) -> str:
        """A factor of a coefficient."""
        parts = []
        for power, expr in factor:
            text = self.text(expr)
            inner = f"({text})" if " " in text or text.startswith("-") else text
            parts.append({0: "", 1: "beta*"}.get(power, f"beta^{power}*") + inner)
        return f"({' + '.join(parts)})"

    def terms(self, expr: Expr, sign: int, defined: str = "") -> Iterator[tuple[int, Expr]]:
        """What is added up, with its signs; a sum with a name is one term."""
        name = self._names.get(key(expr))
        if expr.kind in (ADD, SUB) and (name is None or name == defined):
            left, right = expr.children()
            yield from self.terms(left, sign)
            yield from self.terms(right, sign if expr.kind == ADD else -sign)
        elif expr.kind != CONST or expr.index:
            yield sign, expr


_NUMBERS: dict[tuple[int, ...], int] = {}
_SEEN: dict[int, tuple[Expr, int]] = {}


def key(expr: Expr) -> int:
    """The same for expressions that are built alike, which are kept, so that ids stay theirs."""
    if id(expr) not in _SEEN:
        own = (expr.kind, expr.index, *(key(child) for child in (expr.left, expr.right) if child is not None))
        _SEEN[id(expr)] = expr, _NUMBERS.setdefault(own, len(_NUMBERS))
    return _SEEN[id(expr)][1]


def named_sums(chip: Chip) -> Iterator[tuple[str, Expr]]:
    """Sums that the chip's code has a function for: of a row and nothing else, a method or one that the chip's module knows; or several."""
    members: list[tuple[str, Any]] = [*inspect.getmembers(chip, inspect.ismethod)]
    for base in type(chip).__mro__:
        members += inspect.getmembers(inspect.getmodule(base), inspect.isfunction)
    for name, function in members:
        if function.__annotations__ == {"row": "Row", "return": "Expr"}:
            with contextlib.suppress(AttributeError, KeyError):  # it is about columns that other chips have
                if (expr := function(chip.row)).kind in (ADD, SUB):
                    yield name.lstrip("_"), expr
        if function.__annotations__ == {"row": "Row", "return": "dict[str, Expr]"}:
            yield from ((name, expr) for name, expr in function(chip.row).items() if expr.kind in (ADD, SUB))


def _factors(expr: Expr) -> Iterable[Expr]:
    if expr.kind == MUL:
        for child in expr.children():
            yield from _factors(child)
    else:
        yield expr
