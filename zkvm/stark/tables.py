"""From an execution to filled tables: heights, main and preprocessed columns, multiplicities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from threading import Lock, get_ident
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import LimitError, ProvingError
from zkvm.stark.air.builder import Bus, Lookup
from zkvm.stark.air.chip import Chip, second_name
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import Straight, straighten
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.protocol.params import MAX_HEIGHT
from zkvm.stark.protocol.preprocessed import preprocess, preprocessed_height, table_height

U64 = NDArray[np.uint64]
Evaluator = Callable[[Straight, U64, U64], list[U64] | U64]
Counter = Callable[[U64, U64, NDArray[np.bool_], U64], int]
"""The twin :func:`count_values`, or its kernel."""
Merger = Callable[[U64, U64, U64], U64]
"""The twin :func:`merge_tuples`, or its kernel."""
Fill = Callable[[Chip, Any, NDArray[np.int64], U64], None]
"""The twin :func:`fill_rows`, or its kernel."""

Padding = int | Mapping[str, int]
"""How tall tables are at least: see :func:`heights_for`."""

SPLIT_MINIMUM = 1 << 12
"""A first instance shorter than this is not worth the openings of a second one."""
_ROWS = 1 << 14
"""Rows that are filled at once, of a chip that can be filled in parts."""
_CHUNK = 1 << 16
"""Rows whose lookups are counted at once: the tuples stay in cache."""
_VALUES = 1 << 16
"""Values that are counted in a histogram: all that range checks allow."""
_SLOTS = 1 << 16
"""Most tuples that a thread holds of one bus: as many as there are pairs of bytes."""


def split_heights(used: int, exempt: int) -> tuple[int, int]:
    """Heights of a chip's two instances for ``used`` rows; (height, 0) where a second table would save less than a quarter.

    The first then has half the height of a single table and is full, the second takes the rest.
    """
    whole = table_height(used, exempt)
    half = whole // 2
    if half < SPLIT_MINIMUM:
        return whole, 0
    second = table_height(used - (half - exempt), exempt)
    return (half, second) if half + second <= whole - whole // 4 else (whole, 0)


def split_tables(machine: Machine, used: Mapping[str, int], heights: Mapping[str, int], exempt: int, price: float) -> dict[str, int]:
    """Heights of both instances of the chips that get a second one.

    A second table has columns of its own, which every query opens. If it saves more rows than all columns have on average, it saves a
    larger share of the cells, and so of the time, than it adds to the columns, and so to the receipt.

    Args:
        machine: the machine.
        used: rows that each chip uses.
        heights: of its single table.
        exempt: exempt rows at the end of every table.
        price: times that average it has to save at least; 0: a quarter of its single table is enough; infinite: there is no second table.

    Returns:
        The heights by name.
    """
    least = 0.0
    if 0 < price < inf:
        widths = {code.chip.name: sum(code.widths[1:]) for code in machine.codes}
        cells = sum(widths[name] * height for name, height in heights.items())
        least = price * cells / sum(widths[name] for name, height in heights.items() if height)
    made: dict[str, int] = {}
    for chip in machine.chips if price < inf else ():
        if chip.first is not None and heights[chip.first]:
            first, second = split_heights(used[chip.first], exempt)
            if second and heights[chip.first] - first - second > least:
                made |= {chip.first: first, chip.name: second}
    return made


def planned_heights(
    machine: Machine, execution: Any, image: Any, exempt: int, pad_to: Padding = 0, *, split_price: float = 0
) -> tuple[int, ...]:
    """Height of every chip's table for this execution, 0 = absent.

    Raises:
        LimitError: see :func:`heights_for`.
    """
    rows = {chip.name: chip.rows(execution) for chip in machine.chips if chip.first is None}
    return heights_for(machine, rows, image, exempt, pad_to, split_price=split_price)


def heights_for(
    machine: Machine, rows: Mapping[str, int], image: Any, exempt: int, pad_to: Padding = 0, *, split_price: float = 0
) -> tuple[int, ...]:
    """Height of every chip's table from how many rows each chip uses.

    Args:
        machine: the machine.
        rows: used rows of each chip, by name.
        image: what the preprocessed columns follow from.
        exempt: exempt rows at the end of every table.
        pad_to: so that runs which fit have the same heights. A power of two: every table whose height the image does not fix is present
            and has at least this height, but those of calls that the run does not make; tables are then not split, since a second
            instance would tell how far a run exceeds it. Or rows by chip: heights are those of a run that uses at least so many.
        split_price: what second instances have to save, see :func:`split_tables`.

    Returns:
        The heights in the order of the chips; 0: the table is absent.

    Raises:
        LimitError: a table would exceed the largest height, or all together the bound that keeps times from wrapping.
    """
    least, room = (pad_to, {}) if isinstance(pad_to, int) else (0, pad_to)
    chips = [chip for chip in machine.chips if chip.first is None]
    used = {chip.name: max(rows[chip.name], room.get(chip.name, 0)) for chip in chips}
    heights: dict[str, int] = {}
    for chip in chips:
        if len(chip.preprocessed):
            heights[chip.name] = preprocessed_height(chip, image)
        elif least and (used[chip.name] or not chip.by_call):
            heights[chip.name] = max(least, table_height(used[chip.name], exempt))
        else:
            heights[chip.name] = table_height(used[chip.name], exempt) if used[chip.name] or chip.mandatory else 0
    if not least:
        heights |= split_tables(machine, used, heights, exempt, split_price)
    for chip in chips:
        if heights[chip.name] > MAX_HEIGHT:
            raise LimitError(f"table {chip.name} needs {used[chip.name]} rows; at most {MAX_HEIGHT - exempt} fit: prove a shorter run")
    if sum(heights.values()) >= machine.max_rows:
        raise LimitError(
            f"the tables of this run have {sum(heights.values())} rows; fewer than {machine.max_rows} can be proven: prove a shorter run"
        )
    return tuple(heights.get(chip.name, 0) for chip in machine.chips)


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


def fill_rows(chip: Chip, execution: Any, positions: NDArray[np.int64], out: U64) -> None:
    """Write the chip's rows that come from these positions: (columns, len(positions))."""
    chip.fill_range(execution, positions, dict(zip(chip.columns, out, strict=True)))


def build_tables(
    machine: Machine,
    execution: Any,
    image: Any,
    exempt: int,
    *,
    preprocessed: dict[str, U64] | None = None,
    evaluate: Evaluator = evaluate_columns,
    count: Counter = count_values,
    merge: Merger = merge_tuples,
    fill: Fill = fill_rows,
    threads: int = 1,
    pad_to: Padding = 0,
    split_price: float = 0,
) -> list[Table]:
    """Fill the present tables, in machine order.

    Args:
        machine: the machine.
        execution: what the rows come from.
        image: what the preprocessed columns follow from.
        exempt: exempt rows at the end of every table.
        preprocessed: result of :func:`preprocess`, computed if absent.
        evaluate: :func:`zkvm.stark.air.evaluate.evaluate_columns`, or the kernel whose twin it is.
        count: :func:`count_values`, or its kernel.
        merge: :func:`merge_tuples`, or its kernel.
        fill: :func:`fill_rows`, or its kernel.
        threads: how many fill.
        pad_to: see :func:`heights_for`.
        split_price: see :func:`split_tables`.

    Returns:
        The tables.

    Raises:
        LimitError: a table is too long.
        ProvingError: a row asks for a tuple that is in no table.
    """
    columns = preprocess(machine, image) if preprocessed is None else preprocessed
    heights = planned_heights(machine, execution, image, exempt, pad_to, split_price=split_price)
    present = {chip.name: (chip, height) for chip, height in zip(machine.chips, heights, strict=True) if height}

    tables = {
        name: Table(chip, height, height - exempt, 0, np.empty((len(chip.main), height), np.uint64), _preprocessed(columns, name, height))
        for name, (chip, height) in present.items()
    }
    work: list[Callable[[], None]] = []
    for name, table in tables.items():
        if table.chip.first is None:
            work += _filling(table, tables.get(second_name(name)), execution, fill)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda task: task(), work))
    count_multiplicities(list(tables.values()), image, evaluate, threads, count, merge)
    return list(tables.values())


def _preprocessed(columns: dict[str, U64], name: str, height: int) -> U64:
    return columns[name] if name in columns else np.zeros((0, height), np.uint64)


def _filling(table: Table, second: Table | None, execution: Any, fill: Fill) -> list[Callable[[], None]]:
    """The tasks that fill a table and its second instance, which takes the rows that do not fit; every one writes cells of its own."""
    chip, used = table.chip, table.chip.rows(execution)
    table.used = used if second is None else min(used, table.active)
    if second is not None:
        second.used = used - table.used
    positions = chip.positions(execution)
    if positions is None:
        return [lambda: _fill_whole(table, second, execution)]
    tasks: list[Callable[[], None]] = []
    for part in (table, second) if second else (table,):
        tasks.append(partial(_clear, part, len(chip.columns)))
        tasks += [
            partial(fill, chip, execution, positions[first:last], part.main[: len(chip.columns), first:last])
            for first in range(0, part.used, _ROWS)
            for last in (min(first + _ROWS, part.used),)
        ]
        positions = positions[part.used :]
    return tasks


def _clear(table: Table, columns: int) -> None:
    """Zeros in every cell but the first columns of used rows."""
    table.main[:, table.used :] = 0
    table.main[columns:, : table.used] = 0


def _fill_whole(table: Table, second: Table | None, execution: Any) -> None:
    """Fill a table, and its second instance, by one call of the chip."""
    names = list(table.chip.columns)
    if second is None:
        table.main[...] = 0
        table.chip.fill(execution, {name: table.main[k, : table.active] for k, name in enumerate(names)})
        return
    whole = np.zeros((len(names), table.used + second.used), np.uint64)
    table.chip.fill(execution, dict(zip(names, whole, strict=True)))
    for part, rows in ((table, whole[:, : table.used]), (second, whole[:, table.used :])):
        _clear(part, len(names))
        part.main[: len(names), : part.used] = rows


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
