"""Checks filled tables without proving: every constraint on every active row, and every bus, exactly.

The bus check compares multisets instead of drawing a challenge, so it names the tuples that do not cancel. A prover whose
tables fail here can convince a verifier with negligible probability only; tables that pass can be proven. Sums are compared in the same
way: under each key, power by power of beta.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.builder import Argument, Bus, Message
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import Expr, lift, straighten
from zkvm.stark.air.table import Closing, Table
from zkvm.stark.field import goldilocks
from zkvm.stark.field.goldilocks import P

MAX_FAILURES = 20
"""Failures collected per table or bus: a broken trace breaks everywhere."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is wrong: ``where`` is a table or a bus, ``label`` the claim that fails."""

    where: str
    label: str
    detail: str
    row: int = -1

    def __str__(self) -> str:
        return f"{self.where}: {self.label}: {self.detail}"


def check_rows(table: Table) -> list[Failure]:
    """Constraints of one table that some active row violates, with the row's values."""
    constraints = table.chip.air_constraints
    code = straighten([constraint.expr for constraint in constraints])
    main, pre = table.main[:, : table.active], table.pre[:, : table.active]
    failures: list[Failure] = []
    for constraint, values in zip(constraints, evaluate_columns(code, main, pre), strict=True):
        for row in np.flatnonzero(values)[:3].tolist():
            cells = {name: int(main[k, row]) for k, name in enumerate(table.chip.main)}
            failures.append(Failure(table.chip.name, constraint.label, f"row {row}: {cells}", row))
            if len(failures) >= MAX_FAILURES:
                return failures
    return failures


@dataclass(slots=True)
class Entries:
    """Tuples on one bus from one interaction: ``values`` (k, arity), ``counts`` (k,) field elements, ``rows`` (k,)."""

    source: str
    values: NDArray[np.uint64]
    counts: NDArray[np.uint64]
    rows: NDArray[np.int64]


def table_entries(table: Table, only: Bus | None = None) -> Iterable[tuple[Bus, Entries]]:
    """What the active rows of a table put on the buses: produced and asked for count +, consumed and served -."""
    buses = table.chip.air_buses
    messages: list[tuple[str, Message, Expr, bool]] = []
    for pair in buses.pairs:
        flag = lift(1) if pair.flag is None else pair.flag
        messages += [(f"{pair.label} (sends)", pair.send, flag, True)] if pair.send else []
        messages += [(f"{pair.label} (receives)", pair.receive, flag, False)] if pair.receive else []
    messages += [(lookup.label, lookup.message, lookup.count, not lookup.serves) for lookup in buses.lookups]
    for label, message, count, positive in messages:
        if only is not None and message.bus is not only:
            continue
        code = straighten([*message.values, count])
        columns = evaluate_columns(code, table.main[:, : table.active], table.pre[:, : table.active])
        live = np.flatnonzero(columns[-1])
        counts = columns[-1][live]
        signed = counts if positive else np.uint64(P) - counts
        values = np.stack([column[live] for column in columns[:-1]], axis=1)
        yield message.bus, Entries(f"{table.chip.name}: {label}", values, signed, live)


def check_buses(tables: Sequence[Table], closings: Sequence[Closing]) -> list[Failure]:
    """Tuples of every bus whose counts do not cancel over all tables and the verifier's own tuples. Joint buses: :func:`check_joint`."""
    by_bus: dict[Bus, list[Entries]] = {}
    for table in tables:
        for bus, entries in table_entries(table):
            if not bus.joint:
                by_bus.setdefault(bus, []).append(entries)
    return _failures(by_bus, closings) + check_contributions(tables)


def check_joint(proofs: Sequence[tuple[int, Sequence[Table]]], closings: Sequence[Closing]) -> list[Failure]:
    """Tuples of every joint bus that do not cancel over all proofs and the verifier's own tuples.

    Args:
        proofs: the number of each, and its tables.
        closings: the verifier's tuples on joint buses; their first value is the number of a proof.
    """
    by_bus: dict[Bus, list[Entries]] = {}
    for number, tables in proofs:
        for table in tables:
            for bus, entries in table_entries(table):
                if bus.joint:
                    entries.values[:, 0] = goldilocks.add(entries.values[:, 0], np.uint64(number))
                    entries.source = f"proof {number}, {entries.source}"
                    by_bus.setdefault(bus, []).append(entries)
    return _failures(by_bus, closings)


def _failures(by_bus: dict[Bus, list[Entries]], closings: Sequence[Closing]) -> list[Failure]:
    """What does not cancel of the tables' entries and the verifier's tuples."""
    for closing in closings:
        produces = closing.sent == (closing.bus.argument is Argument.PRODUCT)
        counts = np.full(len(closing.values), 1 if produces else P - 1, np.uint64)
        rows = np.arange(len(closing.values))
        by_bus.setdefault(closing.bus, []).append(Entries("verifier", closing.values, counts, rows))
    failures: list[Failure] = []
    for bus, collected in by_bus.items():
        failures += _unbalanced(bus, collected)
    return failures


def _unbalanced(bus: Bus, entries: list[Entries]) -> list[Failure]:
    values = np.concatenate([entry.values for entry in entries])
    counts = np.concatenate([entry.counts for entry in entries])
    keys, inverse = np.unique(values, axis=0, return_inverse=True)
    failures: list[Failure] = []
    for key, surplus in _totals(inverse.reshape(-1), counts, len(keys)):
        if len(failures) >= MAX_FAILURES:
            break
        sources = _sources(entries, keys[key])
        failures.append(Failure(f"bus {bus.name}", "does not balance", f"{keys[key].tolist()} has surplus {surplus}; from {sources}"))
    return failures


def _totals(places: NDArray[np.int64], counts: NDArray[np.uint64], size: int) -> Iterator[tuple[int, int]]:
    """(place, sum of its counts mod p, between -p/2 and p/2) of each place whose sum is not 0, ascending."""
    # Sums of up to 2^32 field elements: halves of 32 bits in float-free int64 sums, put together as Python integers.
    low = np.zeros(size, np.int64)
    high = np.zeros(size, np.int64)
    np.add.at(low, places, (counts & np.uint64(0xFFFFFFFF)).astype(np.int64))
    np.add.at(high, places, (counts >> np.uint64(32)).astype(np.int64))
    for place in np.flatnonzero((low != 0) | (high != 0)).tolist():
        surplus = (int(low[place]) + (int(high[place]) << 32)) % P
        if surplus:
            yield place, surplus if surplus < P // 2 else surplus - P


def _sources(entries: list[Entries], key: NDArray[np.uint64]) -> str:
    found = []
    for entry in entries:
        match = np.flatnonzero((entry.values == key).all(axis=1))
        if len(match):
            found.append(f"{entry.source} row {int(entry.rows[match[0]])}" + (f" (+{len(match) - 1})" if len(match) > 1 else ""))
    return "; ".join(found[:6])


@dataclass(slots=True)
class Addend:
    """One contribution on k rows of a table.

    Attributes:
        source: table and label.
        keys: (k, arity) uint64.
        factors: for each factor its values (k,) uint64 by power of beta.
        rows: (k,) int64.
    """

    source: str
    keys: NDArray[np.uint64]
    factors: list[dict[int, NDArray[np.uint64]]]
    rows: NDArray[np.int64]

    def coefficients(self, power: int) -> NDArray[np.uint64]:
        """What beta^power is multiplied by: (k,)."""
        total = np.zeros(len(self.keys), np.uint64)
        for terms in product(*(factor.items() for factor in self.factors)):
            if sum(part for part, _ in terms) == power:
                total = goldilocks.add(total, reduce(goldilocks.mul, (values for _, values in terms)))
        return total


def table_addends(table: Table) -> Iterable[tuple[Bus, Addend]]:
    """What the active rows of a table add to the sums: those where no factor is zero."""
    for own in table.chip.air_buses.contributions:
        code = straighten([*own.message.values, *(expr for factor in own.factors for _, expr in factor)])
        columns = iter(evaluate_columns(code, table.main[:, : table.active], table.pre[:, : table.active]))
        keys = np.stack([next(columns) for _ in own.message.values], axis=1)
        factors = [{power: next(columns) for power, _ in factor} for factor in own.factors]
        live = np.flatnonzero(np.all([np.any(list(factor.values()), axis=0) for factor in factors], axis=0))
        used = [{power: values[live] for power, values in factor.items()} for factor in factors]
        yield own.message.bus, Addend(f"{table.chip.name}: {own.label}", keys[live], used, live)


def check_contributions(tables: Sequence[Table]) -> list[Failure]:
    """Keys whose contributions do not add up to zero, each with the lowest power of beta where they do not."""
    by_bus: dict[Bus, list[Addend]] = {}
    for table in tables:
        for bus, addend in table_addends(table):
            by_bus.setdefault(bus, []).append(addend)
    return [failure for bus, addends in by_bus.items() for failure in _unequal(bus, addends)]


def _unequal(bus: Bus, addends: list[Addend]) -> list[Failure]:
    keys, inverse = np.unique(np.concatenate([addend.keys for addend in addends]), axis=0, return_inverse=True)
    first: dict[int, tuple[int, int]] = {}
    for power in range(bus.power + 1):
        counts = np.concatenate([addend.coefficients(power) for addend in addends])
        for key, surplus in _totals(inverse.reshape(-1), counts, len(keys)):
            first.setdefault(key, (power, surplus))
    failures: list[Failure] = []
    for key, (power, surplus) in sorted(first.items())[:MAX_FAILURES]:
        entries = [_of_power(addend, power) for addend in addends]
        detail = f"{keys[key].tolist()}: beta^{power} has surplus {surplus}; from {_sources(entries, keys[key])}"
        failures.append(Failure(f"bus {bus.name}", "does not add up to zero", detail))
    return failures


def _of_power(addend: Addend, power: int) -> Entries:
    counts = addend.coefficients(power)
    live = np.flatnonzero(counts)
    return Entries(addend.source, addend.keys[live], counts[live], addend.rows[live])


def check_tables(tables: Sequence[Table], closings: Sequence[Closing]) -> list[Failure]:
    """All failures of all tables and buses; empty means the tables can be proven."""
    failures: list[Failure] = []
    for table in tables:
        failures += check_rows(table)
    return failures + check_buses(tables, closings)
