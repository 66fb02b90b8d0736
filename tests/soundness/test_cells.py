"""Every cell counts: a column that nothing refuses to change would be an output that the prover may choose.

For every column of every chip there is a used row where a change of that cell alone breaks a constraint, asks for a tuple that is in
no table, or changes what the row puts on a bus, which then does not balance. Multiplicities are what their table serves.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.forge import Flags, Forgery, RowModel, forgery, model
from tests.sample import long_run, sample_run
from zkvm.riscv.chips.buses import PROGRAM
from zkvm.riscv.machine import machine
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import MAIN, Expr, straighten
from zkvm.stark.field import goldilocks
from zkvm.stark.field.goldilocks import P

DELTAS = (1, 1 << 16, 1 << 32, P - 1)
MOST_ROWS = 32
AT_ONCE = 8
"""Columns whose cells are changed in copies of the rows that are looked at together."""
TABLES = ("program", "rom", "range", "constant_vectors", "channels", "patterns", "functions")
"""Tables of lookups: tests/soundness/test_padding.py shows that their padding is mute whatever it holds."""
CHIPS = [chip.name for chip in machine().chips if chip.first is None]


def run_of(chip: str) -> Forgery:
    return forgery(long_run() if chip == "refresh" else sample_run())


def noticed(rows: RowModel, forged: Forgery) -> dict[str, Flags]:
    """For each main column: (deltas, rows), whether changing the cell is noticed."""
    table = forged.tables[rows.chip.name]
    count = min(table.used, MOST_ROWS)
    chosen = np.unique(np.linspace(0, table.used - 1, count).astype(np.int64))
    main, pre = table.main[:, chosen], table.pre[:, chosen]
    before = rows.effect(main, pre)
    assert not rows.refused(main, pre).any()
    names = list(rows.chip.main)
    result: dict[str, Flags] = {}
    for start in range(0, len(names), AT_ONCE):
        group = range(start, min(start + AT_ONCE, len(names)))
        copies = len(group) * len(DELTAS)
        changed = np.tile(main, copies).reshape(len(names), len(group), len(DELTAS), len(chosen))
        for place, number in enumerate(group):
            for own, delta in enumerate(DELTAS):
                changed[number, place, own] = goldilocks.add(main[number], np.uint64(delta))
        cells, same = changed.reshape(len(names), -1), np.tile(pre, copies)
        seen = rows.refused(cells, same) | (rows.effect(cells, same) != np.tile(before, copies))
        result |= zip(names[start : group.stop], seen.reshape(len(group), len(DELTAS), -1), strict=True)
    return result


@pytest.mark.parametrize("chip", CHIPS)
def test_every_column_is_refused_alone(chip: str) -> None:
    forged = run_of(chip)
    rows = model(chip, sample_run())
    seen = noticed(rows, forged)
    assert set(seen) == set(rows.chip.main)
    for name, where in seen.items():
        # On one row every change is noticed: the cell is not a choice among a few values.
        assert where.all(axis=0).any(), f"{chip}.{name}"


@pytest.mark.parametrize("chip", CHIPS)
def test_flags_are_boolean(chip: str) -> None:
    """Each column declared a bit has a constraint of its own that vanishes on 0 and 1 only; counts and flags are sums of bits."""
    rows = model(chip, sample_run())
    names = list(rows.chip.main)
    alone = {next(iter(found)): constraint for constraint in rows.chip.air_constraints if len(found := leaves(constraint.expr)) == 1}
    flags = {number for number, name in enumerate(names) if rows.chip.main[name].bits == 1}
    assert flags <= set(alone)
    values = np.array([0, 1, 2, P - 1, 1 << 32, (P + 1) // 2], np.uint64)
    for number in flags:
        main = np.zeros((len(names), len(values)), np.uint64)
        main[number] = values
        result = evaluate_columns(straighten([alone[number].expr]), main, main[:0])[0]
        assert (result != 0).tolist() == [False, False, True, True, True, True]
    counts = [lookup.count for lookup in rows.lookups if not lookup.serves] + [pair.flag for pair in rows.pairs if pair.flag is not None]
    for count in counts:
        assert count.degree == 1
        assert leaves(count) <= flags


def leaves(expr: Expr) -> set[int]:
    """Main columns of an expression."""
    if expr.left is None or expr.right is None:
        return {expr.index} if expr.kind == MAIN else set()
    return leaves(expr.left) | leaves(expr.right)


@pytest.mark.parametrize("chip", [name for name in CHIPS if name not in TABLES])
def test_a_cell_in_padding_is_refused_or_harmless(chip: str) -> None:
    """A padding row with any one cell changed is refused or puts nothing on a bus, so it is padding still.

    Or it is a row of a call: one that is ``real``, or has another flag, moves a path on, which only the call can begin and end. Rows of
    elements are on no path: one that is real asks for a vector that some call made.
    """
    rows = model(chip, sample_run())
    width = len(rows.chip.main)
    main = np.zeros((width, width * len(DELTAS)), np.uint64)
    for number in range(width):
        main[number, number * len(DELTAS) : (number + 1) * len(DELTAS)] = DELTAS
    pre = np.zeros((len(rows.chip.preprocessed), main.shape[1]), np.uint64)
    silent = rows.effect(np.zeros((width, 1), np.uint64), pre[:, :1])[0]
    harmless = rows.effect(main, pre) == silent
    on_path = np.zeros(main.shape[1], bool)
    flags = ["real"] if "real" in rows.chip.main else [name for name in rows.chip.main if rows.chip.main[name].bits == 1]
    if flags and not any(lookup.message.bus is PROGRAM for lookup in rows.lookups):
        one = np.any([main[rows.chip.main.index(name)] == 1 for name in flags], axis=0)
        for number, pair in enumerate(rows.pairs):
            if pair.label.startswith("path"):
                on_path |= one & np.any(rows.pair_tuples(number, main, pre)[1], axis=0)
        if not rows.pairs:
            on_path |= one
    assert (rows.refused(main, pre) | harmless | on_path).all()
