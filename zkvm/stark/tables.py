"""From an execution to filled tables: heights, main and preprocessed columns, and (``multiplicities.py``) how often they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import LimitError
from zkvm.stark.air.chip import Chip, second_name
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.multiplicities import Counter, Evaluator, Merger, count_multiplicities, count_values, merge_tuples
from zkvm.stark.protocol.params import MAX_HEIGHT
from zkvm.stark.protocol.preprocessed import preprocess, preprocessed_height, table_height

U64 = NDArray[np.uint64]
Fill = Callable[[Chip, Any, NDArray[np.int64], U64], None]
"""The twin :func:`fill_rows`, or its kernel."""

Padding = int | Mapping[str, int]
"""How tall tables are at least: see :func:`heights_for`."""

SPLIT_MINIMUM = 1 << 12
"""A first instance shorter than this is not worth the openings of a second one."""
_ROWS = 1 << 14
"""Rows that are filled at once, of a chip that can be filled in parts."""


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
        present = [(machine.code(number), heights.get(chip.name, 0)) for number, chip in enumerate(machine.chips) if heights.get(chip.name)]
        cells = sum(sum(code.widths[1:]) * height for code, height in present)
        least = price * cells / sum(sum(code.widths[1:]) for code, _ in present)
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
