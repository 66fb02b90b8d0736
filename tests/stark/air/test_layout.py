"""Packing of interactions into bus columns, and the bus constraints against the definition of the two arguments."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.soundness.cheating import WIDE, WideStepChip
from tests.tiles import TILES
from tests.toy import AuditChip, SquaresChip
from zkvm.riscv.machine import machine
from zkvm.stark.air.builder import MAX_DEGREE, Argument, Bus, BusBuilder, Contribution, Lookup, Message
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.evaluate import evaluate_point
from zkvm.stark.air.expression import BUS, BUS_NEXT, MAIN, PRE, Expr, Operand, column, lift, straighten
from zkvm.stark.air.layout import EXTENSION, BusLayout, bus_constraints, coefficient, fingerprint, fractions, layout, start_cells
from zkvm.stark.air.machine import ACTIVE, START, TERMINAL, chip_code
from zkvm.stark.field.extension import ONE, ZERO, Ext, ext_add, ext_from_base, ext_inv, ext_mul, ext_pow, ext_scale, ext_sub
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.shape import params_of, shared_params

PAIRS = Bus("pairs", 1, 2, Argument.PRODUCT, "(a, b)")
SUMS = Bus("sums", 3, 2, Argument.SUM, "(a, b)", power=127)
LOOKUPS = Bus("lookups", 2, 2, Argument.LOGUP, "(a, b)")
X, Y, F = (column(MAIN, number) for number in range(3))
ALPHA: Ext = (11, 13, 17)
BETA: Ext = (19, 23, 29)
CHIPS = [*WIDE.chips, *TILES.chips, *machine().chips]
POWERS = max(own.powers for own in (WIDE, TILES, machine()))
every_chip = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)


def packed(kinds: str) -> BusLayout:
    """Layout of n(eutral pairs), r(eceives), s(ends), l(ookups) and contributions of degree 1, 2 and 3, in this order."""
    buses = BusBuilder()
    for number, kind in enumerate(kinds):
        label = f"{kind}{number}"
        if kind == "n":
            buses.pair(label, PAIRS, receive=(X, Y), send=(Y, X))
        elif kind == "r":
            buses.receive_if(label, PAIRS, (X, Y), F)
        elif kind == "s":
            buses.send_if(label, PAIRS, (X, Y), F)
        elif kind.isdigit():
            buses.contribute(label, SUMS, (X, Y), *([(0, X), (1, Y)],) * int(kind))
        else:
            buses.lookup(label, LOOKUPS, (X, Y), F)
    return layout(buses)


@pytest.mark.parametrize(
    ("kinds", "sides", "groups"),
    [
        ("", [], []),
        ("n", [(1, 1)], []),
        ("nn", [(2, 2)], []),
        ("nnn", [(2, 2), (1, 1)], []),
        ("nr", [(1, 1), (1, 0)], []),  # a gated factor has degree 2 and fills a side
        ("rs", [(1, 1)], []),  # one on each side
        ("rr", [(1, 0), (1, 0)], []),
        ("rns", [(1, 1), (1, 1)], []),  # first fit: the send joins the receive
        ("snn", [(0, 1), (2, 2)], []),
        ("l", [], [1]),
        ("lll", [], [2, 1]),
        ("nllll", [(1, 1)], [2, 2]),
        ("1", [], [1]),
        ("3", [], [1]),
        ("22", [], [2]),
        ("2l1", [], [2, 1]),
        ("l3l", [], [1, 2]),  # no room beside degree 3, and the last two go to the running sum
        ("n3ll3", [(1, 1)], [1, 1, 2]),
    ],
)
def test_packing(kinds: str, sides: list[tuple[int, int]], groups: list[int]) -> None:
    plan = packed(kinds)
    assert [(len(own.received), len(own.sent)) for own in plan.products] == sides
    assert [len(group) for group in plan.groups] == groups
    assert plan.extension_columns == len(sides) + len(groups)
    assert plan.base_columns == EXTENSION * plan.extension_columns
    assert plan.has_sum == bool(groups)
    assert plan.running == (*range(len(sides)), *([plan.extension_columns - 1] if groups else []))


def check_nothing_is_lost(chip: Chip) -> None:
    plan, buses = layout(chip.air_buses), chip.air_buses
    received = [factor.message for own in plan.products for factor in own.received]
    sent = [factor.message for own in plan.products for factor in own.sent]
    assert sorted(map(id, received)) == sorted(id(pair.receive) for pair in buses.pairs if pair.receive)
    assert sorted(map(id, sent)) == sorted(id(pair.send) for pair in buses.pairs if pair.send)
    fractions = [own for group in plan.groups for own in group]
    assert [own for own in fractions if not isinstance(own, Contribution)] == buses.lookups
    assert sorted(id(own) for own in fractions if isinstance(own, Contribution)) == sorted(map(id, buses.contributions))


@every_chip
def test_every_interaction_has_one_place(chip: Chip) -> None:
    check_nothing_is_lost(chip)


@every_chip
def test_every_constraint_is_of_degree_three_at_most(chip: Chip) -> None:
    """By counting in the nodes themselves, not by the expressions' own account."""
    code = chip_code(chip, POWERS)
    degrees: list[int] = []
    for kind, a, b in code.straight.nodes:
        if kind in (MAIN, PRE, BUS, BUS_NEXT):
            degrees.append(1)
        elif kind in (0, 5):
            degrees.append(0)
        elif kind == 8 or 10 <= kind < 13:
            degrees.append(degrees[a] + degrees[b])
        elif kind >= 13:
            value, factor = code.straight.nodes[b][1:]
            assert degrees[factor] == 0, "a step multiplies by runtime constants"
            degrees.append(max(degrees[a], degrees[value]))
        else:
            degrees.append(max(degrees[a], degrees[b]))
    assert max(degrees[output] for output in code.straight.outputs) <= MAX_DEGREE
    for output, group in zip(code.straight.outputs, code.groups, strict=True):
        assert group == ACTIVE or degrees[output] == 1


@every_chip
def test_starts_use_cells_of_their_own(chip: Chip) -> None:
    starts = start_cells(layout(chip.air_buses))
    cells = [(part.kind, part.index) for _, parts in starts for part in parts]
    assert len(set(cells)) == len(cells) == EXTENSION * len(layout(chip.air_buses).running)
    assert all(kind == MAIN and index < len(chip.main) for kind, index in cells)
    code = chip_code(chip, POWERS)
    assert code.groups.count(START) == code.groups.count(TERMINAL) == len(cells)


@every_chip
def test_only_running_columns_read_the_next_row(chip: Chip) -> None:
    """No claim of a chip itself joins two rows, and what the verifier opens at the next row is exactly what is read there."""
    own = straighten([constraint.expr for constraint in chip.air_constraints])
    assert {kind for kind, _, _ in own.nodes}.isdisjoint({BUS, BUS_NEXT})
    code = chip_code(chip, POWERS)
    assert {index for kind, index, _ in code.straight.nodes if kind == BUS_NEXT} == set(code.next_columns)


def random_leaves(rng: random.Random, chip: Chip) -> dict[int, Sequence[Ext]]:
    """Random base-field cells of one row."""
    plan = layout(chip.air_buses)
    widths = {MAIN: len(chip.main), PRE: len(chip.preprocessed), BUS: plan.base_columns, BUS_NEXT: plan.base_columns}
    return {kind: [(rng.randrange(P), 0, 0) for _ in range(width)] for kind, width in widths.items()}


def value_of(expression: Expr, leaves: dict[int, Sequence[Ext]]) -> int:
    return evaluate_point(straighten([expression]), leaves, PARAMS)[0][0]


PARAMS = params_of(shared_params(ALPHA, BETA, POWERS), [ONE] * 20)


def print_by_definition(message: Message, leaves: dict[int, Sequence[Ext]]) -> Ext:
    result, power = ext_sub(ALPHA, ext_from_base(message.bus.id)), BETA
    for value in message.values:
        result = ext_sub(result, ext_scale(power, value_of(value, leaves)))
        power = ext_mul(power, BETA)
    return result


@every_chip
def test_fingerprints(chip: Chip) -> None:
    leaves = random_leaves(random.Random(1), chip)
    messages = [own.message for own in chip.air_buses.lookups] + [own.message for own in chip.air_buses.contributions]
    messages.append(Message(Bus("wide", 7, 36, Argument.SUM, ""), tuple(X * k + Y for k in range(34)) + (lift(0), lift(P - 1))))
    leaves[MAIN] = [*leaves[MAIN], *random_leaves(random.Random(2), chip)[MAIN]] * 3
    for message in messages:
        assert tuple(value_of(part, leaves) for part in fingerprint(message)) == print_by_definition(message, leaves)


def numerator_by_definition(own: Lookup | Contribution, leaves: dict[int, Sequence[Ext]]) -> Ext:
    if not isinstance(own, Contribution):
        return ext_from_base(value_of(own.count, leaves) * (-1 if own.serves else 1) % P)
    result = ONE
    for factor in own.factors:
        total = ZERO
        for power, expr in factor:
            total = ext_add(total, ext_scale(ext_pow(BETA, power), value_of(expr, leaves)))
        result = ext_mul(result, total)
    return result


def test_coefficients() -> None:
    """Any powers and numbers of factors, constants among the expressions: the product of the sums."""
    rng, own = random.Random(6), BusBuilder()
    for number in range(60):
        powers = [rng.sample(range(43), rng.randrange(1, 9)) for _ in range(1 + number % 3)]
        some: list[Operand] = [X, Y - F, X * 3 + 5, rng.randrange(P), 0]
        factors = [[(power, rng.choice(some)) for power in row] for row in powers]
        own.contribute(f"sum {number}", SUMS, (X, Y), *factors)
    leaves: dict[int, Sequence[Ext]] = {MAIN: [(rng.randrange(P), 0, 0) for _ in range(3)]}
    for contribution in own.contributions:
        found = tuple(value_of(part, leaves) for part in coefficient(contribution))
        assert found == numerator_by_definition(contribution, leaves)


def steps_by_definition(chip: Chip, leaves: dict[int, Sequence[Ext]]) -> list[Ext]:
    """Ratio of each product, then the sum of fractions of each group."""
    steps = []
    for own in layout(chip.air_buses).products:
        ratio = ONE
        for factors, inverse in ((own.sent, False), (own.received, True)):
            for factor in factors:
                value = print_by_definition(factor.message, leaves)
                if factor.flag is not None:  # 1 + f (F - 1)
                    value = ext_add(ONE, ext_scale(ext_sub(value, ONE), value_of(factor.flag, leaves)))
                ratio = ext_mul(ratio, ext_inv(value) if inverse else value)
        steps.append(ratio)
    for group in layout(chip.air_buses).groups:
        total = ZERO
        for entry in group:
            total = ext_add(total, ext_mul(numerator_by_definition(entry, leaves), ext_inv(print_by_definition(entry.message, leaves))))
        steps.append(total)
    return steps


@every_chip
def test_bus_constraints_fix_every_column(chip: Chip) -> None:
    """They vanish for the columns that the definition gives, and for none where one coordinate differs."""
    rng = random.Random(2)
    plan, leaves = layout(chip.air_buses), random_leaves(random.Random(3), chip)
    here = [tuple(rng.randrange(P) for _ in range(3)) for _ in range(plan.extension_columns)]
    following = list(here)
    steps = steps_by_definition(chip, leaves)
    for number, step in enumerate(steps):
        if number < len(plan.products):
            following[number] = ext_mul(here[number], step)  # type: ignore[arg-type]
        elif number < plan.extension_columns - 1:
            here[number] = step
        else:
            own = step
            for helper in range(len(plan.products), number):
                own = ext_add(own, here[helper])  # type: ignore[arg-type]
            following[number] = ext_add(here[number], own)  # type: ignore[arg-type]
    code = straighten([constraint.expr for constraint in bus_constraints(plan, fractions(plan))])

    def violated() -> list[int]:
        flat = {BUS: here, BUS_NEXT: following}
        cells = {kind: [(part, 0, 0) for own in values for part in own] for kind, values in flat.items()}
        results = evaluate_point(code, {**leaves, **cells}, PARAMS)
        return sorted({place // EXTENSION for place, value in enumerate(results) if value != ZERO})

    assert violated() == []
    for number in range(plan.extension_columns):
        target = here if len(plan.products) <= number < plan.extension_columns - 1 else following
        kept = target[number]
        target[number] = (kept[0], (kept[1] + 1) % P, kept[2])
        assert number in violated()
        target[number] = kept


def test_fractions_are_numerator_and_denominator() -> None:
    for chip in (WideStepChip(), AuditChip(), SquaresChip()):
        leaves = random_leaves(random.Random(4), chip)
        for (numerator, denominator), step in zip(fractions(layout(chip.air_buses)), steps_by_definition(chip, leaves), strict=True):
            above, below = (tuple(value_of(part, leaves) for part in own) for own in (numerator, denominator))
            assert ext_mul(above, ext_inv(below)) == step  # type: ignore[arg-type]
