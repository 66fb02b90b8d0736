"""Attacks on the protocol by a prover that skips its own checks: each is refused, with the reason that the design promises.

A false trace is attacked twice: *plainly* (the quotient is then wrong at zeta: OOD) and *adaptively*, where the prover also shifts an
opened quotient value so that the constraints hold at zeta (the batched codeword is then no polynomial: FRI).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.soundness.cheating import (
    BALANCED,
    NOTE_BUS,
    SQUARES_BUS,
    WIDE,
    OffsetSquaresChip,
    WideStepChip,
    after,
    challenges_of,
    committed,
    drop_constraints,
    fingerprint,
    forge_openings,
    honest_statement,
    honest_tables,
    prove_tables,
    refusal,
    skip_own_checks,
)  # fmt: skip
from tests.toy import MAX_ROWS, AuditChip, SquaresChip, Walk
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.air.machine import START, TERMINAL, Machine
from zkvm.stark.air.table import Table
from zkvm.stark.field import extension
from zkvm.stark.field.extension import Ext, ext_add, ext_inv, ext_mul, ext_scale, from_ext, to_ext
from zkvm.stark.field.goldilocks import P, add
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover.preprocessed import commit_preprocessed
from zkvm.stark.verifier.verify import verify_proof

ONE = np.uint64(1)
MINUS_ONE = np.uint64(P - 1)
OOD = "OOD: the constraints do not equal the quotient"
FINAL = "FRI: the final polynomial"
NO_PRODUCT = "BUS: the grand product does not close"
NO_SUM = "BUS: the lookup sums do not cancel"

lies = pytest.mark.parametrize("reason", [OOD, FINAL], ids=["plain", "adaptive"])


@pytest.fixture
def cheat(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A prover without checks of its own."""
    skip_own_checks(monkeypatch)
    return monkeypatch


@cache
def honest_proof() -> Proof:
    return prove_tables(honest_tables())


def on_bus(patch: pytest.MonkeyPatch, name: str, edit: Callable[[Any, list[Ext], Table, Ext, Ext], None]) -> None:
    """Change the bus columns and terminals of one table before they are committed."""

    def change(result: Any, table: Table, params: Sequence[int]) -> Any:
        if table.chip.name == name:
            bus, terminals = result
            edit(bus, terminals, table, *challenges_of(params))
        return result

    after(patch, "bus_columns", change)


def lie(patch: pytest.MonkeyPatch, tables: dict[str, Table], reason: str, group: int | None = None) -> None:
    """Prove false tables, adaptively if the reason is FRI, and demand the refusal.

    ``group``: the only constraints that object; without them the same proof is accepted, so the attack is a real one.
    """
    if group is not None and reason == OOD:
        machine = drop_constraints(WIDE, group)
        copies = {name: replace(table, main=table.main.copy()) for name, table in tables.items()}
        proof = prove_tables(copies, honest_statement(), machine, preprocessed=committed(WIDE, BALANCED.blowup))
        verify_proof(machine, honest_statement(), proof, Policy())
    if reason == FINAL:
        forge_openings(patch)
    assert refusal(prove_tables(tables)).startswith(reason)


def test_the_honest_prover_is_accepted() -> None:
    verify_proof(WIDE, honest_statement(), honest_proof(), Policy())


# --- terminals and starts: a trace whose bus does not balance, and a running column that hides it -----------------------------------


def unbalanced(kind: str) -> tuple[dict[str, Table], str, Callable[[Ext, Ext, Ext], Ext]]:
    """Tables, the table with the lie, and what its honest terminal would have to be for the bus to close."""
    tables = honest_tables()
    if kind == "product":  # the last active row consumes a note that nobody wrote
        audit = tables["audit"]
        audit.main[:, audit.active - 1] = (1, 7, 49)
        return tables, "audit", lambda value, alpha, beta: ext_mul(value, fingerprint(NOTE_BUS, (7, 49), alpha, beta))
    tables["squares"].main[0, 5] += ONE  # an answer that nobody asked for
    return tables, "squares", lambda value, alpha, beta: ext_add(value, ext_inv(fingerprint(SQUARES_BUS, (5, 25), alpha, beta)))


kinds = pytest.mark.parametrize("kind", ["product", "sum"])


@kinds
def test_unbalanced_bus(kind: str) -> None:
    tables, _, _ = unbalanced(kind)
    assert refusal(prove_tables(tables)).startswith(NO_PRODUCT if kind == "product" else NO_SUM)


@kinds
@lies
@pytest.mark.parametrize("place", ["one row early", "one row late", "last row", "nowhere"])
def test_terminal_published_elsewhere(cheat: pytest.MonkeyPatch, kind: str, place: str, reason: str) -> None:
    tables, name, needed = unbalanced(kind)

    def edit(bus: Any, terminals: list[Ext], table: Table, alpha: Ext, beta: Ext) -> None:
        terminals[0] = needed(terminals[0], alpha, beta)
        early = to_ext(bus[:3, table.active - 1])
        if place == "one row early" and kind == "product":
            assert early == terminals[0]  # before the last active row the product is what the bus needs
        elif place != "nowhere":
            row = {"one row early": table.active - 1, "one row late": table.active + 1, "last row": table.height - 1}[place]
            bus[:3, row] = from_ext(terminals[0])

    on_bus(cheat, name, edit)
    lie(cheat, tables, reason, TERMINAL if place == "nowhere" else None)


@kinds
@lies
def test_start_is_not_the_committed_cells(cheat: pytest.MonkeyPatch, kind: str, reason: str) -> None:
    tables, name, needed = unbalanced(kind)

    def edit(bus: Any, terminals: list[Ext], table: Table, alpha: Ext, beta: Ext) -> None:
        for row in range(table.active + 1):
            bus[:3, row] = from_ext(needed(to_ext(bus[:3, row]), alpha, beta))
        terminals[0] = to_ext(bus[:3, table.active])

    on_bus(cheat, name, edit)
    lie(cheat, tables, reason, START)


@kinds
@lies
def test_running_column_jumps_in_one_active_row(cheat: pytest.MonkeyPatch, kind: str, reason: str) -> None:
    tables, name, needed = unbalanced(kind)

    def edit(bus: Any, terminals: list[Ext], table: Table, alpha: Ext, beta: Ext) -> None:
        for row in range(table.active - 9, table.active + 1):
            bus[:3, row] = from_ext(needed(to_ext(bus[:3, row]), alpha, beta))
        terminals[0] = to_ext(bus[:3, table.active])

    on_bus(cheat, name, edit)
    lie(cheat, tables, reason)


@lies
def test_helper_column_is_wrong_in_one_active_row(cheat: pytest.MonkeyPatch, reason: str) -> None:
    tables, _, needed = unbalanced("sum")
    helper, running = slice(6, 9), slice(9, 12)

    def edit(bus: Any, terminals: list[Ext], table: Table, alpha: Ext, beta: Ext) -> None:
        missing = from_ext(needed((0, 0, 0), alpha, beta))
        bus[helper, 17] = add(bus[helper, 17], missing)
        bus[running, 18 : table.active + 1] = add(bus[running, 18 : table.active + 1], missing[:, None])
        terminals[2] = to_ext(bus[running, table.active])

    on_bus(cheat, "step", edit)
    lie(cheat, tables, reason)


@pytest.mark.parametrize(
    ("name", "cells", "factor", "reason"),
    [("squares", slice(0, 3), False, NO_SUM), ("audit", slice(0, 3), True, NO_PRODUCT), ("step", slice(3, 6), True, NO_PRODUCT)],
)
def test_starts_do_not_cancel(cheat: pytest.MonkeyPatch, name: str, cells: slice, factor: bool, reason: str) -> None:
    def change(result: None, tables: list[Table]) -> None:
        own = next(table for table in tables if table.chip.name == name).main
        start = to_ext(own[cells, -1])
        own[cells, -1] = from_ext(ext_scale(start, 2) if factor else ext_add(start, extension.ONE))

    after(cheat, "randomize_tables", change)
    assert refusal(prove_tables(honest_tables())).startswith(reason)


def test_a_product_that_starts_at_zero(cheat: pytest.MonkeyPatch) -> None:
    def change(result: None, tables: list[Table]) -> None:
        next(table for table in tables if table.chip.name == "audit").main[:, -1] = 0

    after(cheat, "randomize_tables", change)
    assert refusal(prove_tables(honest_tables())).startswith("BUS: a product terminal is zero")


@lies
def test_an_exempt_row_does_the_work_of_an_active_one(cheat: pytest.MonkeyPatch, reason: str) -> None:
    """The missing row stands in the first exempt row, and the product runs on over it."""
    tables = honest_tables()
    missing = tables["audit"].main[:, 7].copy()
    tables["audit"].main[0, 7] = 0

    def place(result: None, tables: list[Table]) -> None:
        audit = next(table for table in tables if table.chip.name == "audit")
        audit.main[:, audit.active] = missing

    def edit(bus: Any, terminals: list[Ext], table: Table, alpha: Ext, beta: Ext) -> None:
        print_ = fingerprint(NOTE_BUS, (int(missing[1]), int(missing[2])), alpha, beta)
        terminals[0] = ext_mul(terminals[0], ext_inv(print_))
        bus[:3, table.active + 1] = from_ext(terminals[0])

    after(cheat, "randomize_tables", place)
    on_bus(cheat, "audit", edit)
    lie(cheat, tables, reason)


# --- rows --------------------------------------------------------------------------------------------------------------------------


@lies
def test_a_cell_breaks_a_constraint(cheat: pytest.MonkeyPatch, reason: str) -> None:
    """A filler must be zero and is on no bus: nothing but its constraint objects."""
    tables = honest_tables()
    tables["squares"].main[2, tables["squares"].active - 1] = ONE
    lie(cheat, tables, reason)


class AskChip(Chip):
    """Asks the squares table; the attacks need its flag to be boolean."""

    name = "ask"
    columns = Columns(flag=bit("row asks"), x=cell("number"), y=cell("claimed square"))

    def constraints(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("flag is boolean", row.flag)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        buses.lookup("claim", SQUARES_BUS, (row.x, row.y), row.flag)

    def rows(self, execution: Walk) -> int:
        return 2

    def fill(self, execution: Walk, trace: Trace) -> None:
        pass


class FreeAskChip(AskChip):
    """The same without its constraint: shows that the constraint is what refuses."""

    def constraints(self, air: AirBuilder, row: Row) -> None:
        pass


class ServeAllChip(OffsetSquaresChip):
    """A table that would serve its padding too."""

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        buses.serve("entry", SQUARES_BUS, (row.value, row.value_square), row.multiplicity)


def with_ask(ask: Chip, squares: Chip) -> Machine:
    return Machine("asking toy", (WideStepChip(), AuditChip(), squares, ask), MAX_ROWS)


def asking_statement(machine: Machine) -> Statement:
    statement = honest_statement(machine)
    return replace(statement, preprocessed_heights=(*statement.preprocessed_heights, 0))


@pytest.mark.parametrize("reason", [OOD, FINAL, None], ids=["plain", "adaptive", "unguarded"])
def test_a_false_lookup_and_its_negative(cheat: pytest.MonkeyPatch, reason: str | None) -> None:
    """(5, 26) is asked for once and p - 1 times: the sums cancel, and only the boolean flag stands against it."""
    machine = with_ask(FreeAskChip() if reason is None else AskChip(), SquaresChip())
    tables = honest_tables(machine)
    tables["ask"].main[:3, :2] = np.array([[1, P - 1], [5, 5], [26, 26]], np.uint64)
    statement = asking_statement(machine)
    if reason == FINAL:
        forge_openings(cheat)
    proof = prove_tables(tables, statement, machine)
    if reason is None:
        verify_proof(machine, statement, proof, Policy())
    else:
        assert refusal(proof, statement, machine).startswith(reason)


@pytest.mark.parametrize("multiplicity", [1, P - 1])
@pytest.mark.parametrize("guarded", [True, False])
def test_a_lookup_of_the_tables_padding(multiplicity: int, guarded: bool) -> None:
    """(0, 0) is no entry of this table but fills its padding rows, whose multiplicity counts times a preprocessed 0."""
    machine = with_ask(AskChip(), OffsetSquaresChip() if guarded else ServeAllChip())
    tables = honest_tables(machine)
    tables["ask"].main[0, 0] = ONE
    tables["squares"].main[0, tables["squares"].active - 1] = np.uint64(multiplicity)
    statement = asking_statement(machine)
    proof = prove_tables(tables, statement, machine)
    if guarded or multiplicity != 1:
        assert refusal(proof, statement, machine).startswith(NO_SUM)
    else:
        verify_proof(machine, statement, proof, Policy())


def test_negative_multiplicity() -> None:
    tables = honest_tables()
    tables["squares"].main[0, 5] = MINUS_ONE
    assert refusal(prove_tables(tables)).startswith(NO_SUM)


# --- presence and preprocessed data ------------------------------------------------------------------------------------------------


def test_an_optional_table_that_is_needed_is_left_out() -> None:
    tables = honest_tables()
    del tables["audit"]
    assert refusal(prove_tables(tables)).startswith(NO_PRODUCT)


@pytest.mark.parametrize(
    ("logs", "reason"),
    [
        ((11, 11, 0), "SHAPE: mandatory table squares is absent"),
        ((11, 11, 15, 15), "SHAPE: 4 heights for 3 chips"),
        ((11, 11, 11, 15), "SHAPE: 4 heights for 3 chips"),
        ((11, 11, 16), "SHAPE: table squares: height 2^16 is not the 32768 rows"),
        ((11, 12, 15), "BUS"),
    ],
    ids=["mandatory dropped", "preprocessed twice", "optional twice", "another preprocessed height", "another height"],
)
def test_presence_and_heights(logs: tuple[int, ...], reason: str) -> None:
    assert refusal(replace(honest_proof(), log_heights=logs)).startswith(reason)


def test_other_preprocessed_data() -> None:
    """3^2 = 10 in the prover's own copy of the table."""
    columns = {name: matrix.copy() for name, matrix in preprocess(WIDE, None).items()}
    columns["squares"][1, 3] = 10
    own = commit_preprocessed(WIDE, columns, BALANCED.blowup)
    proof = prove_tables(honest_tables(), preprocessed=own)
    assert refusal(proof).startswith("MERKLE: opened leaves do not lead to the root")
    about_own = replace(honest_statement(), preprocessed_root=own.root)
    verify_proof(WIDE, about_own, prove_tables(honest_tables(), about_own, preprocessed=own), Policy())
