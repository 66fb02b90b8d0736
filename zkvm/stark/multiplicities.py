"""How often each tuple is looked up: the multiplicities of the tables that serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, get_ident
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import ProvingError
from zkvm.stark.air.builder import Bus, Lookup
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import Straight, straighten
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table

U64 = NDArray[np.uint64]
Evaluator = Callable[[Straight, U64, U64], list[U64] | U64]
Counter = Callable[[U64, U64, NDArray[np.bool_], U64], int]
"""The twin :func:`count_values`, or its kernel."""
Merger = Callable[[U64, U64, U64], U64]
"""The twin :func:`merge_tuples`, or its kernel."""

_CHUNK = 1 << 16
"""Rows whose lookups are counted at once: the tuples stay in cache."""
_VALUES = 1 << 16
"""Values that are counted in a histogram: all that range checks allow."""
_SLOTS = 1 << 16
"""Most tuples that a thread holds of one bus: as many as there are pairs of bytes."""


def count_values(values: U64, counts: U64, known: NDArray[np.bool_], histogram: U64) -> int:
    """Add to ``histogram`` how often each value is asked for: on the rows whose count is not zero.

    Args:
        values: (k,) uint64.
        counts: (k,) uint64.
        known: (m,) bool, which values can be asked for.
        histogram: (m,) uint64.

    Returns:
        The first row that asks for another value, in which case nothing is added; -1 if there is none.
    """
    live = np.flatnonzero(counts)
    asked = np.minimum(values[live], np.uint64(len(known))).astype(np.int64)
    strange = ~np.append(known, False)[asked]
    if strange.any():
        return int(live[np.argmax(strange)])
    histogram += np.bincount(asked, minlength=len(known)).astype(np.uint64)
    return -1


def merge_tuples(values: U64, counts: U64, slots: U64) -> U64:
    """Count the tuples that are asked for: on the rows whose count is not zero.

    A kernel adds them to ``slots``, of which each holds one tuple; a tuple that needs the slot of another drives that one out, and it is
    returned. This twin leaves the slots as they are and returns every tuple that is asked for, with a count of 1.

    Args:
        values: (a, rows) uint64, a tuple a row.
        counts: (rows,) uint64.
        slots: (2^s, a + 1) uint64, tuples with how often each was asked for.

    Returns:
        (k, a + 1) uint64: the tuples that are not counted in the slots, with how often each was asked for; equal ones may occur twice.
    """
    asked = values[:, counts != 0]
    return np.concatenate([asked, np.ones((1, asked.shape[1]), np.uint64)]).T


def _asked_for(chip: Chip) -> list[Bus]:
    """The buses whose multiplicities are counted from the look-ups."""
    return [bus for bus in chip.serves if bus not in chip.counted]


def counting_bytes(machine: Machine) -> int:
    """What a thread takes at most while look-ups are counted: what it holds, the tuples of one chunk of rows, and those that move out."""
    arities = {bus: bus.arity for chip in machine.chips for bus in _asked_for(chip)}
    held = sum(_VALUES if arity == 1 else _SLOTS * (arity + 1) for arity in arities.values())
    asked = [sum(arities.get(lookup.message.bus, -1) + 1 for lookup in chip.air_buses.lookups) for chip in machine.chips]
    moved = max(arities.values(), default=0) + 1
    return 8 * (held + _CHUNK * (max(asked, default=0) + moved))


class _Server:
    """A bus and the table that serves it, while its multiplicities are counted.

    Every thread counts for itself what is served once, at the end: single values below ``_VALUES`` in a histogram, of other tuples
    some in slots.
    """

    def __init__(self, table: Table, bus: Bus, image: Any, count: Counter, merge: Merger, slots: int) -> None:
        self.table, self.bus, self.image, self.count, self.merge, self.lock = table, bus, image, count, merge, Lock()
        self.shape = (_VALUES,) if bus.arity == 1 else (slots, bus.arity + 1)
        self.counted: dict[int, U64] = {}
        self.known = np.zeros(_VALUES if bus.arity == 1 else 0, bool)
        for column, _, mask in table.chip.serve_row(image, bus, [np.arange(len(self.known), dtype=np.uint64)] * bus.arity):
            table.main[table.chip.main.index(column)] = 0
            self.known |= mask

    def ask(self, values: U64, counts: U64) -> bool:
        """Count the tuples (a, rows) of one lookup; whether none of them is known to be missing in the table."""
        own = self.counted.get(get_ident())
        if own is None:
            own = self.counted[get_ident()] = np.zeros(self.shape, np.uint64)
        if self.bus.arity > 1:
            moved = self.merge(values, counts, own)
            return self._serve(list(moved.T[:-1]), moved[:, -1])
        if self.count(values[0], counts, self.known, own) < 0:
            return True
        live = values[:, counts != 0]
        return self._serve(list(live), np.ones(live.shape[1], np.uint64))

    def finish(self) -> bool:
        """Serve what the threads hold; whether the table has all of it."""
        if self.bus.arity == 1:
            histogram = sum(self.counted.values(), np.zeros(_VALUES, np.uint64))
            values = np.flatnonzero(histogram)
            return self._serve([values.astype(np.uint64)], histogram[values])
        taken = (slots[np.flatnonzero(slots[:, -1])].T for slots in self.counted.values())  # one thread's at a time
        return all(self._serve(list(columns[:-1]), columns[-1]) for columns in taken)

    def _serve(self, values: list[U64], times: U64) -> bool:
        """Add how often the tuples were asked for to the multiplicities; whether the table has them all."""
        table = self.table
        covered = np.zeros(len(times), bool)
        for column, where, mask in table.chip.serve_row(self.image, self.bus, values):
            mask = mask & ~covered
            covered |= mask
            weights = times[mask].astype(np.float64)  # exact: far below 2^53
            counts = np.bincount(where[mask], weights, minlength=table.active).astype(np.uint64)
            with self.lock:
                table.main[table.chip.main.index(column), : table.active] += counts
        return bool(covered.all())


def count_multiplicities(
    tables: Sequence[Table],
    image: Any,
    evaluate: Evaluator = evaluate_columns,
    threads: int = 1,
    count: Counter = count_values,
    merge: Merger = merge_tuples,
) -> None:
    """Set every multiplicity column to the number of times its tuple is asked for.

    Raises:
        ProvingError: a tuple is in no table (names chip, lookup and row).
    """
    slots = min(_SLOTS, 1 << sum(table.used for table in tables if not table.chip.serves).bit_length())
    servers = {bus: _Server(table, bus, image, count, merge, slots) for table in tables for bus in _asked_for(table.chip)}
    work = []
    for table in tables:
        asked = tuple(lookup for lookup in table.chip.air_buses.lookups if not lookup.serves and lookup.message.bus in servers)
        code = straighten([value for lookup in asked for value in (*lookup.message.values, lookup.count)])
        work += [(table, asked, code, start) for start in range(0, table.used if asked else 0, _CHUNK)]

    def run(item: tuple[Table, tuple[Lookup, ...], Straight, int]) -> bool:
        return all(servers[lookup.message.bus].ask(values, counts) for lookup, values, counts in _lookups(*item, evaluate))

    with ThreadPoolExecutor(threads) as pool:
        found = all(list(pool.map(run, work))) and all(list(pool.map(_Server.finish, servers.values())))
    if not found:  # then some tuple is missing
        for table, asked, code, start in work:
            for lookup, values, counts in _lookups(table, asked, code, start, evaluate):
                _refuse_missing(servers[lookup.message.bus], values, counts, f"{table.chip.name}: {lookup.label}", start)


def _lookups(table: Table, asked: tuple[Lookup, ...], code: Straight, start: int, evaluate: Evaluator) -> Iterator[tuple[Lookup, U64, U64]]:
    """Each lookup with its tuples (a, rows) and counts (rows,) on a chunk of rows."""
    end = table.used + (-table.used) % 8  # whole vectors for the kernel; padding and exempt rows are still zero, hence mute
    stop = min(start + _CHUNK, end)
    columns = np.asarray(evaluate(code, table.main[:, start:stop], table.pre[:, start:stop]))
    position = 0
    for lookup in asked:
        arity = lookup.message.bus.arity
        yield lookup, columns[position : position + arity], columns[position + arity]
        position += arity + 1


def _refuse_missing(server: _Server, values: U64, counts: U64, label: str, start: int) -> None:
    """Find a tuple that is asked for and not in the table.

    Raises:
        ProvingError: there is one.
    """
    live = np.flatnonzero(counts)
    found = np.zeros(len(live), bool)
    for _, _, mask in server.table.chip.serve_row(server.image, server.bus, list(values[:, live])):
        found |= mask
    if not found.all():
        row = int(live[np.argmin(found)])
        asked = [int(value[row]) for value in values]
        raise ProvingError(f"{label}: row {row + start} asks for {asked}, which is not in bus {server.bus.name}")
