"""Chips of runs in segments: each line refuses a forgery that nothing else refuses, and each cell matters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.forge import Forgery, RowModel
from tests.soundness.segment_forging import S0, S3, Composite, honest, idle_segment, times
from tests.soundness.single import without
from tests.soundness.test_cells import noticed
from zkvm.riscv.isa.opcodes import LAST_PC
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.vm.assemble import DATA
from zkvm.stark.air.chip import Chip
from zkvm.stark.field.goldilocks import P

OWN: dict[str, tuple[Chip, int]] = {
    name: (owner.chips[owner.chip_number(name)], number)
    for owner, names, number in ((segment_machine(), ("boundary", "hand_over"), 3), (memory_machine(), ("ram_image", "zero_init"), 0))
    for name in names
}
"""The chips that only runs in segments have, and a proof that has them."""


# --- single lines -------------------------------------------------------------------------------------------------------------------


def counts_that_cancel() -> Composite:
    """Two padding rows ask for -1, five times and minus five times."""
    forged = honest()
    for count in (5, -5):
        forged[2].write("boundary", forged[2].free_row("boundary"), real=count)
    return forged


def a_word_passed_on_by_padding() -> Composite:
    """From segment 1 to segment 3 by way of a row of segment 2 whose gap nothing checks."""
    forged = honest()
    value = forged[1].cell("boundary", forged.word(1, DATA), "after")
    forged[2].write("boundary", forged[2].free_row("boundary"), address=DATA, before=value, after=value, gap=1)
    forged[3].write("boundary", forged.word(3, DATA), gap=1)
    return forged


def a_value_changed_by_padding() -> Composite:
    """The register's value before its only write becomes the value that the segment leaves."""
    forged = honest()
    row = forged.word(3, S3)
    before, after, first = (forged[3].cell("boundary", row, name) for name in ("before", "after", "first"))
    assert before != after
    forged[3].pass_on(S3, first, after)
    forged[3].write("boundary", forged[3].free_row("boundary"), address=S3, before=after, after=before, first=first, last=first)
    forged.memory.write("ram_image", forged.memory.row("ram_image", address=S3), last=before)
    return forged


def a_padding_row_back_in_time() -> Composite:
    """The second access of the register comes before the first one."""
    forged = honest()
    first, one, two, *_ = times(forged[3], S0)
    value = forged[3].cell("boundary", forged.word(3, S0), "before")
    forged[3].follow(S0, two, one)
    forged[3].follow(S0, one, first)
    forged[3].write("boundary", forged[3].free_row("boundary"), address=S0, before=value, after=value, first=first, last=two)
    return forged


def a_second_row_in_the_segment() -> Composite:
    """The register's path is cut in two at its first access."""
    forged = honest()
    _, one, *_, last = times(forged[3], S0)
    row = forged[3].copy_row("boundary", forged.word(3, S0))
    forged[3].write("boundary", forged.word(3, S0), last=one)
    forged[3].write("boundary", row, gap=0, first=one, last=last)
    return forged


def a_segment_stepped_over() -> Composite:
    """Segment 3 takes the state over from segment 1."""
    forged = honest(())
    forged.segments += [idle_segment(LAST_PC), idle_segment(LAST_PC)]
    forged[2].erase("hand_over", 0)
    forged[3].write("hand_over", 0, real=2)
    forged.claim()
    return forged


def a_state_changed_by_padding(name: str) -> Callable[[], Composite]:
    """The segment says that it ends elsewhere, and padding takes that back."""

    def change() -> Composite:
        forged = honest()
        pc, t = (forged[3].cell("hand_over", 0, f"next_{part}") for part in ("pc", "t"))
        forged[3].add("hand_over", 0, **{f"next_{name}": 400})
        row = forged[3].free_row("hand_over")
        forged[3].write("hand_over", row, **{"pc": pc, "t": t, "next_pc": pc, "next_t": t, name: {"pc": pc, "t": t}[name] + 400})
        return forged

    return change


def opened_by(chip: str, cells: dict[str, int], address: int) -> Callable[[], Composite]:
    """A row of memory's proof opens a word that belongs to nothing, and segment 1 has it."""

    def change() -> Composite:
        forged = honest()
        row = forged.memory.row(chip, **cells) if cells else forged.memory.tables[chip].used
        forged.memory.write(chip, row, last_segment=1)
        opened = 4 * forged.memory.cell(chip, row, "word") if cells else address
        forged[1].write("boundary", forged[1].free_row("boundary"), address=opened, gap=1, real=1)
        return forged

    return change


LINES: dict[str, Callable[[], Composite]] = {
    "2 boundary: real is boolean": counts_that_cancel,
    "2 boundary: padding comes from nowhere": a_word_passed_on_by_padding,
    "3 boundary: padding keeps the value": a_value_changed_by_padding,
    "3 boundary: padding keeps the time": a_padding_row_back_in_time,
    "3 boundary: an earlier segment": a_second_row_in_the_segment,
    "3 hand_over: real is boolean": a_segment_stepped_over,
    "3 hand_over: padding keeps the pc": a_state_changed_by_padding("pc"),
    "3 hand_over: padding keeps the time": a_state_changed_by_padding("t"),
    "0 ram_image: padding has no last segment": opened_by("ram_image", {}, 0),
    "0 zero_init: only a word has a last segment": opened_by("zero_init", {"close": 1}, 0),
}


@pytest.mark.parametrize("line", LINES)
def test_one_line_refuses(line: str) -> None:
    """And the machine without that line accepts."""
    forged = LINES[line]()
    assert forged.refusals() == {line}
    number, _, rest = line.partition(" ")
    name, _, label = rest.partition(": ")
    table = forged[int(number)].tables[name]
    table.chip = without(table.chip, label)
    assert forged.refusals() == set()


def test_each_line_of_the_boundary_has_a_forgery() -> None:
    for name in ("boundary", "hand_over"):
        chip, _ = OWN[name]
        lines = {constraint.label for constraint in chip.air_constraints if "filler" not in constraint.label}
        lines |= {lookup.label for lookup in chip.air_buses.lookups}
        assert {line.partition(f"{name}: ")[2] for line in LINES if f" {name}: " in line} == lines


# --- cells --------------------------------------------------------------------------------------------------------------------------


def rows_of(name: str) -> tuple[RowModel, Forgery]:
    chip, number = OWN[name]
    forged = honest()[number]
    owner = segment_machine() if number else memory_machine()
    return RowModel(chip, owner.chips, forged.image), forged


@pytest.mark.parametrize("name", OWN)
def test_every_column_is_refused_alone(name: str) -> None:
    seen = noticed(*rows_of(name))
    assert set(seen) == set(OWN[name][0].main)
    for column, where in seen.items():
        assert where.all(axis=0).any(), column


@pytest.mark.parametrize("name", OWN)
def test_early_columns_are_what_joint_buses_read(name: str) -> None:
    """Whatever changes the tuples that a row puts on a joint bus is a change of an early column."""
    rows, forged = rows_of(name)
    table = forged.tables[name]
    main, pre = table.main[:, : table.active], table.pre[:, : table.active]
    joint = [number for number, pair in enumerate(rows.pairs) if pair.receive is not None and pair.receive.bus.joint]
    assert len(joint) == 1
    for number, column in enumerate(rows.chip.main):
        changed = main.copy()
        changed[number] = (changed[number] + 1) % P
        before, after = rows.pair_tuples(joint[0], main, pre), rows.pair_tuples(joint[0], changed, pre)
        same = all((a == b).all() for a, b in zip(before, after, strict=True))
        assert same or number < rows.chip.early, column
        assert not same or number >= rows.chip.early or column.startswith("filler"), column
