"""What a chip says about its rows: labelled constraints and labelled interactions with buses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from zkvm.stark.air.expression import Expr, Operand, lift

MAX_DEGREE = 3
"""Largest degree of any polynomial that must vanish on the active rows, bus constraints included."""


class Argument(Enum):
    """How a bus is proven balanced."""

    PRODUCT = "product"
    """Grand product over tuples produced and consumed once each."""
    LOGUP = "logup"
    """Sum of fractions; tuples asked for with a boolean count and served with a multiplicity."""


@dataclass(frozen=True, slots=True)
class Bus:
    """A bus: unique non-zero id, fixed arity, one argument."""

    name: str
    id: int
    arity: int
    argument: Argument
    meaning: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """A polynomial that vanishes on every active row; the label states the claim."""

    label: str
    expr: Expr


@dataclass(frozen=True, slots=True)
class Message:
    """A tuple on a bus as expressions of one row."""

    bus: Bus
    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Product interaction: consume ``receive`` and produce ``send``.

    ``flag`` None: both are always live, and equal on padding rows (a neutral row cancels itself). Otherwise one of the
    two is None and the other counts only where the boolean ``flag`` is 1.
    """

    label: str
    receive: Message | None
    send: Message | None
    flag: Expr | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """LogUp interaction: adds ``count`` / fingerprint; asked for with a positive, served with a negative sign."""

    label: str
    message: Message
    count: Expr
    serves: bool


class AirBuilder:
    """Collects the constraints of a chip."""

    def __init__(self) -> None:
        self.constraints: list[Constraint] = []

    def assert_zero(self, label: str, expr: Expr) -> None:
        """The expression vanishes on every active row."""
        if expr.degree > MAX_DEGREE:
            raise ValueError(f"{label}: degree {expr.degree} exceeds {MAX_DEGREE}")
        if any(existing.label == label for existing in self.constraints):
            raise ValueError(f"two constraints are called {label!r}")
        self.constraints.append(Constraint(label, expr))

    def when(self, flag: Expr) -> GatedBuilder:
        """Registers constraints that hold where ``flag`` is not 0: each is multiplied by it."""
        return GatedBuilder(self, flag)

    def assert_bool(self, label: str, expr: Expr) -> None:
        """The expression is 0 or 1."""
        self.assert_zero(label, expr * (expr - 1))

    def assert_equal(self, label: str, left: Expr, right: Operand) -> None:
        """Both sides agree."""
        self.assert_zero(label, left - right)


@dataclass(frozen=True, slots=True)
class GatedBuilder:
    """Registers constraints that hold where a flag is not 0 (:meth:`AirBuilder.when`)."""

    air: AirBuilder
    flag: Expr

    def assert_zero(self, label: str, expr: Expr) -> None:
        """The expression vanishes where the flag is not 0."""
        self.air.assert_zero(label, self.flag * expr)

    def assert_equal(self, label: str, left: Expr, right: Operand) -> None:
        """Both sides agree where the flag is not 0."""
        self.assert_zero(label, left - right)


class BusBuilder:
    """Collects the interactions of a chip."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.lookups: list[Lookup] = []

    def pair(self, label: str, bus: Bus, *, receive: tuple[Operand, ...], send: tuple[Operand, ...]) -> None:
        """Consume one tuple and produce another of the same bus. Padding rows must make the two equal."""
        self.pairs.append(Pair(label, _message(label, bus, receive, Argument.PRODUCT), _message(label, bus, send, Argument.PRODUCT)))

    def receive_if(self, label: str, bus: Bus, values: tuple[Operand, ...], flag: Expr) -> None:
        """Consume a tuple where the boolean ``flag`` is 1. Costs twice the factor of a neutral pair."""
        self.pairs.append(Pair(label, _message(label, bus, values, Argument.PRODUCT), None, flag))

    def send_if(self, label: str, bus: Bus, values: tuple[Operand, ...], flag: Expr) -> None:
        """Produce a tuple where the boolean ``flag`` is 1."""
        self.pairs.append(Pair(label, None, _message(label, bus, values, Argument.PRODUCT), flag))

    def lookup(self, label: str, bus: Bus, values: tuple[Operand, ...], count: Operand) -> None:
        """Ask a table for a tuple, ``count`` times (a boolean, 0 on padding rows)."""
        self.lookups.append(Lookup(label, _message(label, bus, values, Argument.LOGUP), lift(count), False))

    def serve(self, label: str, bus: Bus, values: tuple[Operand, ...], multiplicity: Expr) -> None:
        """Answer a tuple ``multiplicity`` times (times a preprocessed 0 on padding entries)."""
        self.lookups.append(Lookup(label, _message(label, bus, values, Argument.LOGUP), multiplicity, True))


def _message(label: str, bus: Bus, values: tuple[Operand, ...], argument: Argument) -> Message:
    if bus.argument is not argument:
        raise ValueError(f"{label}: bus {bus.name} is proven by {bus.argument.value}")
    if len(values) != bus.arity:
        raise ValueError(f"{label}: bus {bus.name} takes {bus.arity} values, not {len(values)}")
    expressions = tuple(lift(value) for value in values)
    if any(expr.degree > 1 for expr in expressions):
        raise ValueError(f"{label}: a tuple must be linear in the columns")
    return Message(bus, expressions)
