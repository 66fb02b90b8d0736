"""Joint buses: columns of their own, early columns, and tuples that balance over several proofs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.toy import AuditChip
from zkvm.riscv.machine import machine, memory_machine, segment_machine
from zkvm.stark.air.builder import AirBuilder, Argument, Bus, BusBuilder
from zkvm.stark.air.check import check_buses, check_joint
from zkvm.stark.air.chip import Chip, Trace, inert
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.air.expression import BUS, BUS_NEXT, PARAM, param, straighten
from zkvm.stark.air.layout import EXTENSION, bus_constraints, ext, fractions, layout, start_cells
from zkvm.stark.air.machine import Machine, chip_code, joint_alpha
from zkvm.stark.air.table import Table, closing

ACROSS = Bus("across", 1, 2, Argument.PRODUCT, "(proof, value)", joint=True)
WITHIN = Bus("within", 2, 2, Argument.PRODUCT, "(a, b)")


class LinkChip(Chip):
    """Takes a value over from the proof before and hands the next one on."""

    name = "link"
    early = 3
    columns = Columns(real=bit("row is used"), value=cell("value"), after=cell("value after"), other=cell("not early"))

    def constraints(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("real is boolean", row.real)
        air.assert_zero("padding keeps the value", (1 - row.real) * (row.after - row.value))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        buses.pair("within", WITHIN, receive=(row.value, row.other), send=(row.value, row.other))
        buses.pair("across", ACROSS, receive=(0 - row.real, row.value), send=(0, row.after))

    def rows(self, execution: Any) -> int:
        return 1

    def fill(self, execution: Any, trace: Trace) -> None:
        raise NotImplementedError


def machine_of(chip: Chip) -> Machine:
    return Machine("links", (chip,), 1 << 20)


def link(*rows: tuple[int, int, int]) -> Table:
    """A table of (real, value, after)."""
    main = np.zeros((len(LinkChip().main), 8), np.uint64)
    main[:3, : len(rows)] = np.array(rows, np.uint64).reshape(-1, 3).T
    return Table(LinkChip(), 8, 8, len(rows), main, np.zeros((0, 8), np.uint64))


def variant(**members: Any) -> Chip:
    changed: Chip = type("Changed", (LinkChip,), members)()
    return changed


@pytest.mark.parametrize("argument", [Argument.LOGUP, Argument.SUM])
def test_only_pairs_balance_over_several_proofs(argument: Argument) -> None:
    with pytest.raises(ValueError, match="only pairs balance over several proofs"):
        Bus("across", 1, 2, argument, "", joint=True)


def test_joint_products_come_first_and_alone() -> None:
    plan = layout(LinkChip().air_buses)
    assert plan.joint == 1
    assert [[factor.message.bus for factor in own.sent] for own in plan.products] == [[ACROSS], [WITHIN]]
    for chip in (*machine().chips, AuditChip()):
        assert layout(chip.air_buses).joint == chip.early == 0


def test_starts_of_other_columns_are_not_early() -> None:
    """So they can be chosen when the early columns are fixed already."""
    for chip in (LinkChip(), *segment_machine().chips, *memory_machine().chips):
        plan = layout(chip.air_buses, chip.early)
        starts = [column.index for _, cells in start_cells(plan) for column in cells]
        assert len(set(starts)) == len(starts)
        assert max(starts, default=-1) < len(chip.main)
        assert all((index < chip.early) == (place < EXTENSION * plan.joint) for place, index in enumerate(starts))


def test_runtime_constants_of_joint_challenges_stand_before_the_terminals() -> None:
    owner = machine_of(LinkChip())
    assert (owner.powers, owner.joint_powers) == (2, 2)
    (code,) = owner.codes
    used = {index for kind, index, _ in code.straight.nodes if kind == PARAM}
    alpha, terminals = EXTENSION * (1 + owner.powers), EXTENSION * (1 + owner.powers + 1 + owner.joint_powers)
    assert used == set(range(terminals + 2 * EXTENSION))
    joint = {index for kind, index, _ in code.fraction_tape.uniform.tolist() if kind == PARAM}
    assert joint == set(range(terminals))
    assert alpha == 9


@pytest.mark.parametrize("described", [machine(), segment_machine(), memory_machine(), machine_of(LinkChip())], ids=lambda own: own.name)
def test_code_numbers_all_constraints_together(described: Machine) -> None:
    """Also those of the terminals, which are added to what other machines have too."""
    joint = joint_alpha(described.powers)
    terminals = joint + (EXTENSION * (1 + described.joint_powers) if described.joint_powers else 0)
    for code in described.codes:
        plan = layout(code.chip.air_buses, code.chip.early)
        expressions = [own.expr for own in (*code.chip.air_constraints, *bus_constraints(plan, fractions(plan, joint)))]
        for number, cells in start_cells(plan):
            expressions += [after - cell for after, cell in zip(ext(BUS_NEXT, number), cells, strict=True)]
        ends = [here for number in plan.running for here in ext(BUS, number)]
        expressions += [here - param(terminals + number) for number, here in enumerate(ends)]
        assert code.straight == straighten(expressions)
        assert code.text == "".join(
            [f"\n{kind} {a} {b}" for kind, a, b in code.straight.nodes]
            + [f"\n{position} {group}" for position, group in zip(code.straight.outputs, code.groups, strict=True)]
        )


@pytest.mark.parametrize("described", [machine(), segment_machine(), memory_machine(), machine_of(LinkChip())], ids=lambda own: own.name)
def test_what_is_shared_is_what_new_chips_give(described: Machine) -> None:
    """Whatever was derived before, in whatever order: other objects, and other expressions in them, have the same code."""
    chips = tuple(type(chip)() for chip in described.chips)
    for chip in chips[::-1]:
        if chip.early == 0:
            chip_code(chip, described.powers + 1)  # as in a machine with a longer tuple
    again = Machine(described.name, chips, described.max_rows)
    for code, kept in zip(again.codes, described.codes, strict=True):
        assert (code.body.labels, code.body.straight, code.groups) == (kept.body.labels, kept.body.straight, kept.groups)
        assert (code.straight, code.text, code.widths) == (kept.straight, kept.text, kept.widths)
    assert not {id(code.body) for code in again.codes} & {id(code.body) for code in described.codes}
    assert again.digest == described.digest


def test_a_chip_in_machines_with_other_powers() -> None:
    """Joint challenges and terminals stand elsewhere, in each machine where its buses say."""
    chip, long = LinkChip(), Bus("long", 3, 5, Argument.PRODUCT, "")
    joint = Bus("long", 3, 5, Argument.PRODUCT, "", joint=True)

    def others(bus: Bus) -> Chip:
        def interactions(self: Chip, buses: BusBuilder, row: Row) -> None:
            buses.pair("long", bus, receive=(row.value,) * 5, send=(row.value,) * 5)

        return variant(name="other", interactions=interactions, early=3 if bus.joint else 0)

    starts = []
    for companions in ((), (others(long),), (others(joint),), ()):
        code = Machine("links", (chip, *companions), 1 << 20).codes[0]
        fresh = Machine("links", (LinkChip(), *companions), 1 << 20).codes[0]
        assert (code.straight, code.groups, code.text) == (fresh.straight, fresh.groups, fresh.text)
        starts.append(max(index for kind, index, _ in code.straight.nodes if kind == PARAM) + 1 - 2 * EXTENSION)
    assert starts == [EXTENSION * count for count in (1 + 2 + 1 + 2, 1 + 5 + 1 + 2, 1 + 5 + 1 + 5, 1 + 2 + 1 + 2)]


@pytest.mark.parametrize(("powers", "joint_powers"), [(1, 2), (2, 1), (2, 0)])
def test_code_needs_the_powers_of_its_buses(powers: int, joint_powers: int) -> None:
    """Else terminals would stand where challenges do."""
    with pytest.raises(ValueError, match="link: its buses need 2 powers of beta, not [01]"):
        chip_code(LinkChip(), powers, joint_powers)


def test_machines_that_have_a_chip_share_what_is_derived_from_it() -> None:
    whole, segment = ({code.chip.name: code for code in own.codes} for own in (machine(), segment_machine()))
    assert whole["add"].body is segment["add"].body
    assert whole["add"].straight != segment["add"].straight
    assert whole["ram_image"].body is not segment["ram_image"].body


@pytest.mark.parametrize(
    "chip",
    [
        variant(early=2),  # the start of the running column needs three
        variant(early=0),
        variant(interactions=lambda self, buses, row: buses.pair("across", ACROSS, receive=(0, row.other), send=(0, row.other))),
        variant(interactions=lambda self, buses, row: buses.pair("within", WITHIN, receive=(0, row.real), send=(0, row.real))),
    ],
    ids=["too few", "none", "another column", "no joint bus"],
)
def test_early_columns_are_what_joint_buses_read(chip: Chip) -> None:
    with pytest.raises(ValueError, match="link: its . early columns are not those that its joint buses read"):
        chip_code(chip, 2, 2)


def test_the_digest_changes_with_joint_buses_and_early_columns() -> None:
    def without(buses: BusBuilder, row: Row, bus: Bus) -> None:
        buses.pair("within", WITHIN, receive=(row.value, row.other), send=(row.value, row.other))
        buses.pair("across", bus, receive=(0 - row.real, row.value), send=(0, row.after))

    local = Bus("across", 1, 2, Argument.PRODUCT, "")
    alike = variant(early=0, interactions=lambda self, buses, row: without(buses, row, local))
    digests = [machine_of(chip).digest for chip in (LinkChip(), variant(early=4), alike)]
    assert len(set(digests)) == 3
    assert "bus 1 across 2 product joint\n" in machine_of(LinkChip()).description
    assert len({own.digest for own in (machine(), segment_machine(), memory_machine())}) == 3
    assert "joint" not in machine().description


def test_tuples_balance_over_all_proofs() -> None:
    ends = [closing(ACROSS, (0, 7), sent=True), closing(ACROSS, (2, 9), sent=False)]
    proofs = [(1, [link((1, 7, 8))]), (2, [link((1, 8, 9))])]
    assert check_joint(proofs, ends) == []
    assert check_buses([table for _, tables in proofs for table in tables], []) == []
    found = check_joint([(1, [link((1, 7, 8))]), (2, [link((1, 6, 9))])], ends)
    assert {failure.where for failure in found} == {"bus across"}
    assert any("proof 1, link: across (sends) row 0" in str(failure) for failure in found)
    assert any("proof 2, link: across (receives) row 0" in str(failure) for failure in found)
    assert check_joint([(1, [link((1, 7, 8))]), (3, [link((1, 8, 9))])], ends) != []
    assert check_joint(proofs[:1], ends) != []


def test_what_is_inert_has_columns_and_says_nothing() -> None:
    for chip in machine().chips:
        if len(chip.preprocessed):
            own = inert(type(chip))
            assert (own.name, own.mandatory) == (chip.name, chip.mandatory)
            assert list(own.preprocessed) == list(chip.preprocessed)
            assert (len(own.main), own.air_constraints, own.air_buses.buses, own.serves) == (0, (), set(), ())
