"""The checker names what is wrong: table, claim, row and values; bus, tuple, surplus and who put it there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.soundness.cheating import WIDE, honest_statement, honest_tables
from tests.toy import AuditChip, SquaresChip, StepChip
from zkvm.stark.air import check
from zkvm.stark.air.check import MAX_FAILURES, check_buses, check_rows, check_tables, table_entries
from zkvm.stark.air.table import Table
from zkvm.stark.field.goldilocks import P

Tables = dict[str, Table]


def failures(change: Callable[[Tables], None]) -> list[str]:
    tables = honest_tables()
    change(tables)
    return [str(failure) for failure in check_tables(list(tables.values()), honest_statement().closings)]


def set_cell(table: str, column: str, row: int, value: int) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        tables[table].main[tables[table].chip.main.index(column), row] = value

    return change


def test_honest_tables_have_no_failures() -> None:
    assert failures(lambda tables: None) == []


def test_exempt_rows_are_not_checked() -> None:
    def noise(tables: Tables) -> None:
        for table in tables.values():
            table.main[:, table.active :] = np.random.default_rng(1).integers(0, P, table.main[:, table.active :].shape, dtype=np.uint64)

    assert failures(noise) == []


def test_the_last_active_row_is_checked() -> None:
    active = honest_tables()["audit"].active
    assert failures(set_cell("audit", "real", active - 1, 2))[0].startswith(f"audit: real is boolean: row {active - 1}: ")


def test_a_constraint_is_named_with_its_row_and_values() -> None:
    found = failures(set_cell("step", "square", 7, 3))
    assert found[0].startswith("step: square: row 7: {'real': 1, 'index': 7, ")
    assert "'square': 3" in found[0]
    assert any(line.startswith("bus toy squares: does not balance") for line in found)


def test_a_filler_is_named() -> None:
    assert failures(set_cell("squares", "filler_1", 3, 9)) == [
        "squares: filler_1 is zero: row 3: {'multiplicity': 0, 'filler_0': 0, 'filler_1': 9}"
    ]


def test_a_bus_names_tuple_surplus_and_sources() -> None:
    found = failures(set_cell("squares", "multiplicity", 32299, 1))
    assert found == [f"bus toy squares: does not balance: [32299, {32299**2}] has surplus -1; from squares: entry row 32299"]


def test_surplus_and_its_partner_are_both_named() -> None:
    """A changed note is missing on one side and left over on the other."""
    tables = honest_tables()
    square = int(tables["audit"].main[2, 4])
    found = failures(set_cell("audit", "square", 4, square + 1))
    assert len(found) == 2
    assert f"[4, {square}] has surplus 1; from step: note (sends) row 4" in " ".join(found)
    assert f"[4, {square + 1}] has surplus -1; from audit: note (receives) row 4" in " ".join(found)


def test_the_verifiers_own_tuples_count() -> None:
    tables = list(honest_tables().values())
    found = [str(failure) for failure in check_buses(tables, honest_statement().closings[:-1])]
    assert len(found) == 1
    assert found[0].startswith("bus toy last: does not balance")
    assert "step: last sum row 999" in found[0]
    assert all("from verifier" in str(failure) for failure in check_buses([], honest_statement().closings[:1]))


def test_a_non_boolean_count_is_counted_as_it_is() -> None:
    """p - 1 once is minus one: the checker's buses are over the field, as the proof's are."""
    found = failures(set_cell("squares", "multiplicity", 5, P - 1))
    assert "[5, 25] has surplus 1; from squares: entry row 5" in found[0]


def test_failures_are_bounded() -> None:
    def break_all(tables: Tables) -> None:
        tables["audit"].main[0, :] = 2
        tables["squares"].main[0, :100] += np.uint64(1)

    found = failures(break_all)
    assert len([line for line in found if line.startswith("audit")]) <= MAX_FAILURES
    assert len([line for line in found if line.startswith("bus toy squares")]) <= MAX_FAILURES


def test_surpluses_do_not_wrap() -> None:
    """Many counts near p: the halves are summed exactly."""
    tables = honest_tables()
    tables["squares"].main[0, :4096] = P - 1
    found = [failure for failure in check_tables(list(tables.values()), honest_statement().closings) if failure.where == "bus toy squares"]
    assert len(found) == MAX_FAILURES
    entry = check.Entries("source", np.zeros((4096, 1), np.uint64), np.full(4096, P - 1, np.uint64), np.arange(4096))
    assert "has surplus -4096;" in str(check._unbalanced(WIDE.buses[0], [entry])[0])


def test_rows_of_one_table() -> None:
    tables = honest_tables()
    set_cell("step", "last", 3, 5)(tables)
    labels = {(failure.label, failure.row) for failure in check_rows(tables["step"])}
    assert labels == {("last is boolean", 3)}
    assert check_rows(tables["audit"]) == []


@pytest.mark.parametrize("chip", [StepChip(), AuditChip(), SquaresChip()], ids=lambda chip: chip.name)
def test_entries_are_the_live_interactions_only(chip: object) -> None:
    table = honest_tables()[chip.name]  # type: ignore[attr-defined]
    for bus, entries in table_entries(table):
        assert entries.counts.all()
        assert entries.values.shape == (len(entries.rows), bus.arity)
        assert len(entries.rows) == 0 or entries.rows.max() < table.active
