"""What a chip says about its rows: labelled constraints and labelled interactions with buses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from zkvm.stark.air.expression import Expr, Operand, lift

MAX_DEGREE = 3
"""Largest degree of any polynomial that must vanish on the active rows, bus constraints included."""
MAX_POWER = 127
"""Largest power of beta that a machine may use, for the last value of a tuple or in a coefficient."""


class Argument(Enum):
    """How a bus is proven balanced."""

    PRODUCT = "product"
    """Grand product over tuples produced and consumed once each."""
    LOGUP = "logup"
    """Sum of fractions; tuples asked for with a boolean count and served with a multiplicity."""
    SUM = "sum"
    """Sum of fractions whose numerators are polynomials in beta; under every key they add up to zero, power by power."""


@dataclass(frozen=True, slots=True)
class Bus:
    """A bus: unique non-zero id, fixed arity, one argument.

    Attributes:
        name: for readers, and in the machine's digest.
        id: what the fingerprints of its tuples begin with.
        arity: number of values in a tuple.
        argument: how it is proven balanced.
        meaning: what a tuple holds.
        power: of a sum, the largest power of beta in a coefficient; else 0.
        joint: whether the bus balances over several proofs together, under challenges that all of them share. The first value of its
            tuples is then the number of a proof, relative to that of the proof which the row is in.
    """

    name: str
    id: int
    arity: int
    argument: Argument
    meaning: str
    power: int = 0
    joint: bool = False

    def __post_init__(self) -> None:
        for what, value, least in (("arity", self.arity, 1), ("power", self.power, 0)):
            if not least <= value <= MAX_POWER:
                raise ValueError(f"bus {self.name}: {what} {value} is not within {least} and {MAX_POWER}")
        if self.power and self.argument is not Argument.SUM:
            raise ValueError(f"bus {self.name}: only coefficients of a sum have powers of beta")
        if self.joint and self.argument is not Argument.PRODUCT:
            raise ValueError(f"bus {self.name}: only pairs balance over several proofs")


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


PowerSum: TypeAlias = Sequence[tuple[int, Operand]]
"""A sum of beta^power times an expression, as pairs of both."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """Sum interaction: adds ``coefficient`` / fingerprint.

    Attributes:
        label: name.
        message: the key.
        factors: their product is the coefficient; each is a sum of beta^power times an expression.
    """

    label: str
    message: Message
    factors: tuple[tuple[tuple[int, Expr], ...], ...]

    @property
    def degree(self) -> int:
        """Degree of the coefficient in the columns."""
        return sum(max(expr.degree for _, expr in factor) for factor in self.factors)


class AirBuilder:
    """Collects the constraints of a chip."""

    def __init__(self) -> None:
        self.constraints: list[Constraint] = []
        self._labels: set[str] = set()

    def assert_zero(self, label: str, expr: Expr) -> None:
        """The expression vanishes on every active row."""
        if expr.degree > MAX_DEGREE:
            raise ValueError(f"{label}: degree {expr.degree} exceeds {MAX_DEGREE}")
        if label in self._labels:
            raise ValueError(f"two constraints are called {label!r}")
        self._labels.add(label)
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
        self.contributions: list[Contribution] = []

    @property
    def buses(self) -> set[Bus]:
        """The buses of all interactions."""
        messages = [message for pair in self.pairs for message in (pair.receive, pair.send) if message]
        messages += [lookup.message for lookup in self.lookups]
        messages += [contribution.message for contribution in self.contributions]
        return set({id(message.bus): message.bus for message in messages}.values())

    @property
    def fingerprints(self) -> int:
        """Fingerprints of a row: one a lookup or contribution and two a pair, also where a flag leaves one of them out."""
        return len(self.lookups) + len(self.contributions) + 2 * len(self.pairs)

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

    def contribute(self, label: str, bus: Bus, key: tuple[Operand, ...], *factors: PowerSum) -> None:
        """Add a coefficient to the sum under a key. Under every key all coefficients of all rows add up to zero, power by power of beta.

        With the factors ``[(0, a0), (1, a1)]`` and ``[(0, w0), (2, w1)]`` a row adds a0 w0, a1 w0, a0 w1 and a1 w1 to four sums mod p
        at once. That these are sums of integers is for the chip to show: its terms must be too small, and too few, to wrap.

        A padding row must contribute nothing, whatever a prover writes into it: in one of the factors every expression must vanish by
        *constraint* where the row is not real. Either by ``(1 - real) * expr`` for each of them, or because they are flags whose sum is
        the boolean ``real``; a factor ``[(0, real)]`` does it too and costs a degree. Exempt rows are in no sum.

        Args:
            label: name.
            bus: of argument ``SUM``.
            key: linear in the columns.
            factors: one to three, the coefficient is their product; each a list of (power of beta, linear expression), a power once.

        Raises:
            ValueError: the bus has another argument, arity or largest power; something is not linear, or a factor is no sum of powers.
        """
        message = _message(label, bus, key, Argument.SUM)
        if not 1 <= len(factors) <= MAX_DEGREE:
            raise ValueError(f"{label}: a coefficient has one to {MAX_DEGREE} factors, not {len(factors)}")
        lifted = tuple(tuple((power, lift(value)) for power, value in factor) for factor in factors)
        for factor in lifted:
            powers = [power for power, _ in factor]
            if not powers or min(powers) < 0 or len(set(powers)) < len(powers):
                raise ValueError(f"{label}: the powers of a factor are {powers}; each is at least 0 and stands once")
            if any(expr.degree > 1 for _, expr in factor):
                raise ValueError(f"{label}: a factor must be linear in the columns")
        highest = sum(max(power for power, _ in factor) for factor in lifted)
        if highest > bus.power:
            raise ValueError(f"{label}: beta^{highest} in a coefficient, but bus {bus.name} has powers up to {bus.power}")
        self.contributions.append(Contribution(label, message, lifted))


def _message(label: str, bus: Bus, values: tuple[Operand, ...], argument: Argument) -> Message:
    if bus.argument is not argument:
        raise ValueError(f"{label}: bus {bus.name} is proven by {bus.argument.value}")
    if len(values) != bus.arity:
        raise ValueError(f"{label}: bus {bus.name} takes {bus.arity} values, not {len(values)}")
    expressions = tuple(lift(value) for value in values)
    if any(expr.degree > 1 for expr in expressions):
        raise ValueError(f"{label}: a tuple must be linear in the columns")
    return Message(bus, expressions)
