"""Tools to forge the machine's tables: cells by name, and everything that refuses a change.

What refuses a forged machine is what the proof system proves: a constraint that does not vanish on a row, a tuple that is asked
for but in no table, a bus that does not balance. Multiplicities are counted again after a change, because a prover would.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import MEMORY
from zkvm.riscv.header import ImageHeader, closings, preprocessed_chips
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution, Image
from zkvm.stark.air.builder import Bus, Lookup, Pair
from zkvm.stark.air.check import check_buses, check_rows
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import MAIN, Expr, lift, straighten
from zkvm.stark.air.table import Closing, Table
from zkvm.stark.field import goldilocks
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import EXEMPT_MAX
from zkvm.stark.tables import build_tables

U64 = NDArray[np.uint64]
Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Forgery:
    """The tables of a run, to be changed, and the verifier's tuples."""

    image: Image
    tables: dict[str, Table]
    closings: tuple[Closing, ...]

    def __getitem__(self, name: str) -> U64:
        """A main or preprocessed column ``chip.column`` as a view of its active rows."""
        chip, column = name.split(".")
        table = self.tables[chip]
        if column in table.chip.main:
            return table.main[table.chip.main.index(column), : table.active]
        return table.pre[table.chip.preprocessed.index(column), : table.active]

    def row(self, chip: str, **cells: int) -> int:
        """First used row whose cells have these values."""
        table = self.tables[chip]
        match = np.ones(table.used, bool)
        for name, value in cells.items():
            match &= self[f"{chip}.{name}"][: table.used] == np.uint64(value % P)
        return int(np.flatnonzero(match)[0])

    def cell(self, chip: str, row: int, name: str) -> int:
        """A cell."""
        return int(self[f"{chip}.{name}"][row])

    def write(self, chip: str, row: int, **cells: int) -> None:
        """Write cells, mod p."""
        for name, value in cells.items():
            self[f"{chip}.{name}"][row] = value % P

    def add(self, chip: str, row: int, **deltas: int) -> None:
        """Add to cells, mod p."""
        for name, delta in deltas.items():
            self.write(chip, row, **{name: self.cell(chip, row, name) + delta})

    def free_row(self, chip: str) -> int:
        """The first padding row, from now on a used one."""
        table = self.tables[chip]
        table.used += 1
        return table.used - 1

    def copy_row(self, chip: str, source: int) -> int:
        """Put a copy of a row in a padding row."""
        row = self.free_row(chip)
        main = self.tables[chip].main
        main[:, row] = main[:, source]
        return row

    def erase(self, chip: str, row: int) -> None:
        """Make a row padding."""
        self.tables[chip].main[:, row] = 0

    def consumer(self, address: int, time: int) -> tuple[str, int, Pair]:
        """Who consumes what was produced on the memory bus at ``address`` and ``time``: chip, row and pair."""
        for name, table in self.tables.items():
            for pair in table.chip.air_buses.pairs:
                if pair.receive is None or pair.receive.bus is not MEMORY:
                    continue
                active = slice(0, table.active)
                columns = evaluate_columns(straighten(list(pair.receive.values)), table.main[:, active], table.pre[:, active])
                found = np.flatnonzero((columns[0] == np.uint64(address)) & (columns[2] == np.uint64(time)))
                if len(found):
                    return name, int(found[0]), pair
        raise AssertionError("nobody consumes that")

    def pass_on(self, address: int, time: int, value: int) -> None:
        """Let whoever consumes what was produced at ``address`` and ``time`` consume ``value``: a lie that the bus does not see.

        Its value must be a column that it does not compute with: the old value of a write, or the last value of the image.
        """
        assert self.spread(address, time, value) == 0, "the consumer is a read"

    def spread(self, address: int, time: int, value: int) -> int:
        """:meth:`pass_on` through all reads, up to the next write or the end; returns the number of reads."""
        for reads in itertools.count():
            chip, row, pair = self.consumer(address, time)
            table = self.tables[chip]
            assert pair.receive is not None
            expr = pair.receive.values[1]
            assert expr.kind == MAIN
            table.main[expr.index, row] = value % P
            if pair.send is None or not (pair.send.values[1] is expr or self._keeps(chip, row, pair.send.values[1], value)):
                return reads
            time = int(evaluate_columns(straighten([pair.send.values[2]]), table.main[:, [row]], table.pre[:, [row]])[0][0])
        raise AssertionError("a path ends")

    def _keeps(self, chip: str, row: int, after: Expr, value: int) -> bool:
        """Whether the access is one of a tensor call that leaves the register as it is: then it says so in a column of its own."""
        name = list(self.tables[chip].chip.main)[after.index] if after.kind == MAIN else ""
        if chip != "tensor_call" or name not in ("next_a1", "next_a2") or any(self.cell(chip, row, flag) for flag in ("linear", "scaled")):
            return False
        self.write(chip, row, **{name: value})
        return True

    def follow(self, address: int, time: int, previous: int) -> None:
        """Let whoever consumes what was produced at ``time`` consume what was produced at ``previous``: takes an access out, or in."""
        chip, row, pair = self.consumer(address, time)
        assert pair.receive is not None
        expr = pair.receive.values[2]
        assert expr.kind == MAIN
        self.tables[chip].main[expr.index, row] = previous % P

    def program(self, pc: int, **fields: int) -> None:
        """Another instruction at ``pc``, in the image and in its table: the forged run is then one of that program."""
        program = self.image.program.copy()
        row = int(np.flatnonzero(program["pc"] == pc)[0])
        for name, value in fields.items():
            program[name][row] = value
            self[f"program.{name}"][row] = value
        self.image = replace(self.image, program=program)

    def refusals(self, recount: bool = True) -> set[str]:
        """Labels of everything that refuses the tables: 'chip: constraint', 'chip: lookup' not in its table, 'bus name'."""
        found = {f"{failure.where}: {failure.label}" for table in self.tables.values() for failure in check_rows(table)}
        if recount:
            missing = self._recount()
            if missing:
                return found | missing | self._unbalanced(served=False)
        return found | self._unbalanced(served=True)

    def _unbalanced(self, served: bool) -> set[str]:
        tables = {bus.name for table in self.tables.values() for bus in table.chip.serves}
        failures = {failure.where for failure in check_buses(list(self.tables.values()), self.closings)}
        return {where for where in failures if served or where.removeprefix("bus ") not in tables}

    def _recount(self) -> set[str]:
        """Count the multiplicities again; labels of lookups that no table answers, and that do not cancel among themselves."""
        servers = {bus: table for table in self.tables.values() for bus in table.chip.serves if bus not in table.chip.counted}
        sums: dict[tuple[str, str], U64] = {}
        for bus, table in servers.items():
            for column, _, _ in table.chip.serve_row(self.image, bus, [np.zeros(0, np.uint64)] * bus.arity):
                sums[table.chip.name, column] = np.zeros(table.active, np.uint64)
        missing = self._recount_held()
        unanswered: dict[tuple[int, ...], tuple[int, set[str]]] = {}
        for table in self.tables.values():
            for lookup in table.chip.air_buses.lookups:
                if lookup.serves or lookup.message.bus not in servers:
                    continue
                *values, counts = _tuples(table, lookup)
                live = np.flatnonzero(counts)
                server = servers[lookup.message.bus]
                covered = np.zeros(len(live), bool)
                for column, rows, mask in server.chip.serve_row(self.image, lookup.message.bus, [value[live] for value in values]):
                    total = sums[server.chip.name, column]
                    for row, count in zip(rows[mask & ~covered].tolist(), counts[live][mask & ~covered].tolist(), strict=True):
                        total[row] = (int(total[row]) + count) % P
                    covered |= mask
                for row in live[~covered].tolist():
                    key = (lookup.message.bus.id, *(int(value[row]) for value in values))
                    asked, labels = unanswered.get(key, (0, set()))
                    unanswered[key] = (asked + int(counts[row])) % P, labels | {f"{table.chip.name}: {lookup.label}"}
        missing |= {label for asked, labels in unanswered.values() if asked for label in labels}
        for (chip, column), total in sums.items():
            self[f"{chip}.{column}"][:] = total
        return missing

    def _recount_held(self) -> set[str]:
        """The same for the buses whose multiplicities the tables that serve them hold.

        A row whose constraints refuse a multiplicity keeps the one that it has: it serves if it was forged to.
        """
        tables = list(self.tables.values())
        serving = [(table, lookup) for table in tables for lookup in table.chip.air_buses.lookups if _held(table, lookup)]
        asked: dict[tuple[int, ...], int] = {}
        labels: dict[tuple[int, ...], set[str]] = {}
        for table in tables:
            for lookup in table.chip.air_buses.lookups:
                if lookup.serves or lookup.message.bus not in {own.message.bus for _, own in serving}:
                    continue
                *values, counts = _tuples(table, lookup)
                for row in np.flatnonzero(counts).tolist():
                    key = (lookup.message.bus.id, *(int(value[row]) for value in values))
                    asked[key] = (asked.get(key, 0) + int(counts[row])) % P
                    labels.setdefault(key, set()).add(f"{table.chip.name}: {lookup.label}")
        for willing in (True, False):
            for table, lookup in serving:
                column = self[f"{table.chip.name}.{_multiplicity(table, lookup)}"]
                weights = _may_serve(table, lookup)
                free = weights != 0
                if willing:
                    column[free] = 0
                *values, counts = _tuples(table, lookup)
                for row in np.flatnonzero(free if willing else ~free & (counts != 0)).tolist():
                    key = (lookup.message.bus.id, *(int(value[row]) for value in values))
                    if key in labels:
                        column[row] = asked[key] * pow(int(weights[row]), -1, P) % P if willing else column[row]
                        del labels[key]
        return {label for key, found in labels.items() if asked[key] for label in found}


def _tuples(table: Table, lookup: Lookup) -> list[U64]:
    """Values and count of a lookup on the active rows."""
    code = straighten([*lookup.message.values, lookup.count])
    return list(evaluate_columns(code, table.main[:, : table.active], table.pre[:, : table.active]))


def _held(table: Table, lookup: Lookup) -> bool:
    return lookup.serves and lookup.message.bus in table.chip.counted


def _multiplicity(table: Table, lookup: Lookup) -> str:
    """The column that says how often a served tuple is asked for; a flag that it is multiplied by is a bit."""
    count, main = lookup.count, table.chip.main
    parts = [count] if count.kind == MAIN else [part for part in (count.left, count.right) if part is not None and part.kind == MAIN]
    names = [list(main)[part.index] for part in parts]
    return next((name for name in names if main[name].bits != 1), names[0])


def _may_serve(table: Table, lookup: Lookup) -> U64:
    """(active,): what a multiplicity of 1 there counts; 0 where a constraint refuses it, or where the row itself says that it serves."""
    code = straighten([lookup.count, *(constraint.expr for constraint in table.chip.air_constraints)])
    main, pre = table.main[:, : table.active].copy(), table.pre[:, : table.active]
    number = table.chip.main.index(_multiplicity(table, lookup))
    if table.chip.main[_multiplicity(table, lookup)].bits == 1:
        return np.zeros(table.active, np.uint64)
    main[number] = 0
    before = np.stack(evaluate_columns(code, main, pre))
    main[number] = 1
    after = np.stack(evaluate_columns(code, main, pre))
    return np.asarray(np.where(np.any((after[1:] != 0) & (before[1:] == 0), axis=0), np.uint64(0), after[0]), np.uint64)


def forgery(execution: Execution, *, journal: bytes | None = None, exit_code: int | None = None) -> Forgery:
    """The honest tables of a run; ``journal`` and ``exit_code`` are what the verifier is told."""
    image = execution.image
    tables = {table.chip.name: table for table in build_tables(machine(), execution, image, EXEMPT_MAX)}
    # Roots are no part of what is checked here.
    heights = tuple(tables[name].height if name in tables else 0 for name in preprocessed_chips())
    header = ImageHeader(image.entry, image.initial_sp, image.gaps, heights, ())
    told = closings(header, execution.journal if journal is None else journal, execution.exit_code if exit_code is None else exit_code)
    return Forgery(image, tables, told)


# --- rows apart from the rest of the machine ---------------------------------------------------------------------------------------


class RowModel:
    """What rows of one chip do, for many rows at once: constraints, tuples, and which lookups the tables answer."""

    ALPHA, BETA = 0x9E37_79B9_7F4A_7C15 % P, 0xD1B5_4A32_D192_ED03 % P

    def __init__(self, chip: Chip, servers: Sequence[Chip], image: Image) -> None:
        self.chip, self.image = chip, image
        self.servers = {bus: server for server in servers for bus in server.serves if bus not in server.counted}
        self.constraints = list(chip.air_constraints)
        self.constraint_code = straighten([constraint.expr for constraint in chip.air_constraints])
        buses = chip.air_buses
        self.pairs = list(buses.pairs)
        self.pair_codes = [
            (
                straighten(list(pair.receive.values)) if pair.receive else None,
                straighten(list(pair.send.values)) if pair.send else None,
                straighten([lift(1) if pair.flag is None else pair.flag]),
            )
            for pair in self.pairs
        ]
        self.lookups = list(buses.lookups)
        self.lookup_codes = [straighten([*lookup.message.values, lookup.count]) for lookup in self.lookups]
        self.sums = [
            (own, straighten([*own.message.values, *(expr for factor in own.factors for _, expr in factor)])) for own in buses.contributions
        ]

    def violated(self, main: U64, pre: U64) -> Flags:
        """(constraints, rows): which constraints do not vanish."""
        if not self.constraints:
            return np.zeros((0, main.shape[1]), bool)
        return np.stack([value != 0 for value in evaluate_columns(self.constraint_code, main, pre)])

    def pair_tuples(self, number: int, main: U64, pre: U64) -> tuple[U64, U64]:
        """Received and sent tuple of a pair, (arity, rows) each; zeros where there is none. A neutral pair is two zeros."""
        receive, send, flag = self.pair_codes[number]
        item = self.pairs[number].receive or self.pairs[number].send
        assert item is not None
        nothing = np.zeros((item.bus.arity, main.shape[1]), np.uint64)
        live = evaluate_columns(flag, main, pre)[0]
        received = np.stack(evaluate_columns(receive, main, pre)) * live if receive else nothing
        sent = np.stack(evaluate_columns(send, main, pre)) * live if send else nothing
        neutral = (received == sent).all(axis=0)
        return np.where(neutral, np.uint64(0), received), np.where(neutral, np.uint64(0), sent)

    def unanswered(self, number: int, main: U64, pre: U64) -> Flags:
        """(rows,): the lookup asks for a tuple that is in no table. Never for tuples that the verifier or rows of a run answer."""
        lookup = self.lookups[number]
        *values, counts = evaluate_columns(self.lookup_codes[number], main, pre)
        if lookup.serves or lookup.message.bus not in self.servers:
            return np.zeros(main.shape[1], bool)
        covered = np.zeros(main.shape[1], bool)
        for _, _, mask in self.servers[lookup.message.bus].serve_row(self.image, lookup.message.bus, values):
            covered |= mask
        return np.asarray((counts != 0) & ~covered, np.bool_)

    def external(self, number: int, main: U64, pre: U64) -> U64 | None:
        """(arity + 1, rows) tuple and count of a lookup that the row serves, or that no table of constants answers; None for others."""
        lookup = self.lookups[number]
        if not lookup.serves and lookup.message.bus in self.servers:
            return None
        *values, counts = evaluate_columns(self.lookup_codes[number], main, pre)
        result: U64 = np.stack([*values, counts]) * (counts != 0)
        return result

    def refused(self, main: U64, pre: U64) -> Flags:
        """(rows,): some constraint or some table refuses the row."""
        result: Flags = np.any(self.violated(main, pre), axis=0)
        for number in range(len(self.lookups)):
            result |= self.unanswered(number, main, pre)
        return result

    def effect(self, main: U64, pre: U64) -> U64:
        """(rows,): fingerprint of everything that the row puts on buses without a table; equal effects cancel alike."""
        total = np.zeros(main.shape[1], np.uint64)
        for number, pair in enumerate(self.pairs):
            item = pair.receive or pair.send
            assert item is not None
            received, sent = self.pair_tuples(number, main, pre)
            total = goldilocks.add(total, goldilocks.sub(self._hash(item.bus, sent), self._hash(item.bus, received)))
        for number, lookup in enumerate(self.lookups):
            values = self.external(number, main, pre)
            if values is not None:
                total = goldilocks.add(total, goldilocks.mul(values[-1], self._hash(lookup.message.bus, values[:-1])))
        for own, code in self.sums:
            columns = evaluate_columns(code, main, pre)
            key, rest = np.stack(columns[: own.message.bus.arity]), iter(columns[own.message.bus.arity :])
            coefficient = np.ones(main.shape[1], np.uint64)
            for factor in own.factors:
                parts = [goldilocks.mul(next(rest), np.uint64(pow(self.BETA, power + 1, P))) for power, _ in factor]
                coefficient = goldilocks.mul(coefficient, reduce(goldilocks.add, parts))
            total = goldilocks.add(total, goldilocks.mul(coefficient, self._hash(own.message.bus, key)))
        return total

    def _hash(self, bus: Bus, values: U64) -> U64:
        """A tuple as one field element; sums of the 65537th powers do not agree by accident."""
        mixed = np.full(values.shape[1], (self.ALPHA + bus.id) % P, np.uint64)
        power = self.BETA
        for value in values:
            mixed = goldilocks.add(mixed, goldilocks.mul(value, np.uint64(power)))
            power = power * self.BETA % P
        return goldilocks.pow_(mixed, 65537)


def model(name: str, run: Execution) -> RowModel:
    """The model of a chip in a run."""
    return RowModel(machine().chips[machine().chip_number(name)], machine().chips, run.image)
