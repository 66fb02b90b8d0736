"""Bus columns: fractions by tape, batch inversion, running products and sums, random exempt rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.air.machine import ChipCode
from zkvm.stark.air.table import Table
from zkvm.stark.field.extension import Ext
from zkvm.stark.kernels.columns import ext_fractions, prefix_product, prefix_sum
from zkvm.stark.kernels.parallel import TASK_WORDS, run_ranges
from zkvm.stark.kernels.scratch import scratch
from zkvm.stark.prover import tapes
from zkvm.stark.prover.randomness import Randomness

U64 = NDArray[np.uint64]
_CHUNK = 1 << 12
"""Rows whose fractions are computed and inverted while they are in cache."""


def bus_columns(table: Table, code: ChipCode, params: Sequence[int], randomness: Randomness, threads: int) -> tuple[U64, list[Ext]]:
    """Fill the bus columns of a table.

    Args:
        table: the table; the random start values of its running columns stand in its last row.
        code: what is derived from its chip.
        params: alpha and the powers of beta, flattened.
        randomness: for the exempt rows.
        threads: at most this many.

    Returns:
        (3 e, n) uint64 columns, and the terminals of the running columns: their values at row n - h.
    """
    plan = code.plan
    bus = _fractions(table, code, params, threads)
    terminals: list[Ext] = [(0, 0, 0)] * len(plan.running)

    def run(first: int, last: int) -> None:
        for rank in range(first, last):
            own = _running_column(table, code, bus, rank)
            terminals[rank] = (int(own[0, table.active]), int(own[1, table.active]), int(own[2, table.active]))

    run_ranges(run, len(plan.running), TASK_WORDS, threads)
    _randomize(bus, code, table, randomness)
    return bus, terminals


def _running_column(table: Table, code: ChipCode, bus: U64, rank: int) -> U64:
    """Turn the steps of the running column of this rank into products or sums, in place: its view (3, n) of ``bus``."""
    number = code.plan.running[rank]
    own = bus[EXTENSION * number : EXTENSION * number + EXTENSION]
    first = code.plan.start(rank)
    start = table.main[first : first + EXTENSION, table.height - 1].copy()
    prefix = prefix_product if number < len(code.plan.products) else prefix_sum
    prefix(_copied(own), start, own)
    return own


def _fractions(table: Table, code: ChipCode, params: Sequence[int], threads: int) -> U64:
    """Each bus column's step on every row, numerator / denominator; the step of a running sum includes the helpers."""
    height, columns = table.height, code.plan.extension_columns
    tape = tapes.bind(code.fraction_tape, params)
    main, pre = tapes.columns_of(table.main), tapes.columns_of(table.pre)
    bus = np.empty((EXTENSION * columns, height), np.uint64)
    if not columns:
        return bus  # preprocessed columns that this machine does not use

    def work(start: int, stop: int) -> None:
        width = stop - start
        out = scratch("fractions", (2 * EXTENSION * columns, width))
        tape.run(main, pre, out, height, start=start)
        ext_fractions(out, len(code.plan.products), bus, start, scratch("norms", (2, columns * width)))

    run_ranges(work, height, TASK_WORDS, threads, _CHUNK)
    return bus


def _randomize(bus: U64, code: ChipCode, table: Table, randomness: Randomness) -> None:
    """Uniform exempt rows; a running column keeps row n - h, its terminal."""
    exempt = table.height - table.active
    noise = randomness.elements(f"bus rows {table.chip.name}", (bus.shape[0], exempt))
    running = set(code.next_columns)
    for column in range(bus.shape[0]):
        first = 1 if column in running else 0
        bus[column, table.active + first :] = noise[column, first:]


def _copied(columns: U64) -> U64:
    """A copy in scratch space: the prefix kernels do not work in place."""
    copy = scratch("prefix", columns.shape)
    copy[:] = columns
    return copy
