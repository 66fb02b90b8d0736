"""A row that is no instruction can not speak: proven from the constraints, for every value of every other cell.

For each chip and each setting of its bits that the constraints allow: a pair whose access is not live sends what it receives, and
lookups are mute where the row's program lookup is. The proof substitutes the bits in the constraints and does linear algebra
mod p over those that become affine.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.soundness.polynomials import Polynomial, Span, Variable, degree, plus, polynomial, substitute
from tests.tiles import TILES, MacChip, OutChip
from tests.zk.small import MACHINE
from zkvm.riscv.chips.tensor.lanes import lanes
from zkvm.riscv.chips.tensor.results import ResultsChip
from zkvm.riscv.isa.opcodes import LAST_PC, LAST_TIME
from zkvm.riscv.machine import machine, memory_machine, segment_machine
from zkvm.stark.air.builder import AirBuilder, Pair
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.columns import Row
from zkvm.stark.air.expression import MAIN, PRE, Expr, const, total
from zkvm.stark.field.goldilocks import P

CHIPS = {chip.name: chip for chip in machine().chips}
CHIPS |= {f"segment {name}": segment_machine().chips[segment_machine().chip_number(name)] for name in ("boundary", "hand_over")}
CHIPS |= {f"memory {name}": memory_machine().chips[memory_machine().chip_number(name)] for name in ("ram_image", "zero_init")}
WITH_PAIRS = [name for name, chip in CHIPS.items() if chip.air_buses.pairs]
WITH_SUMS = [chip for own in (machine(), TILES, MACHINE) for chip in own.chips if chip.air_buses.contributions]


def live(chip: Chip, pair: Pair) -> Expr:
    """Not zero where a pair may change something: its time check's count, or for pairs without one any lookup of the row."""
    asked = [lookup for lookup in chip.air_buses.lookups if not lookup.serves]
    own = [lookup.count for lookup in asked if lookup.label == f"{pair.label.removesuffix(' access')} is later"]
    if own:
        return own[0]
    return total(*(lookup.count for lookup in asked)) if asked else chip.row.real


def settings(chip: Chip) -> Iterator[tuple[dict[Variable, int], Span]]:
    """Values of the bits that the constraints allow, with what is then known to vanish."""
    constraints = [polynomial(constraint.expr) for constraint in chip.air_constraints]
    relevant = read_by_buses(chip)
    own: list[Variable] = [(MAIN, number) for number, name in enumerate(chip.main) if chip.main[name].bits == 1]
    bits = [bit for bit in own if bit in relevant]
    bits += [(PRE, number) for number, name in enumerate(chip.preprocessed) if chip.preprocessed[name].bits == 1]
    known = set(bits)
    only_bits = [poly for poly in constraints if all(variable in known for monomial in poly for variable in monomial)]
    for values in product((0, 1), repeat=len(bits)):
        setting = dict(zip(bits, values, strict=True))
        if any(substitute(poly, setting) for poly in only_bits):
            continue
        if len(chip.preprocessed) and not any(setting[bit] for bit in bits if bit[0] == PRE):
            # Padding rows of preprocessed columns are zeros: the verifier's commitment says so.
            setting |= {(PRE, number): 0 for number in range(len(chip.preprocessed))}
        span = learned([substitute(poly, setting) for poly in constraints])
        if span.consistent:
            yield setting, span


def read_by_buses(chip: Chip) -> set[Variable]:
    """Columns in what the chip puts on buses, served tuples excepted, and those that share a constraint of bits with one of them.

    Other bits stay unknown: that proves less, never more.
    """
    buses = chip.air_buses
    messages = [message for pair in buses.pairs for message in (pair.receive, pair.send) if message]
    exprs = [*(value for message in messages for value in message.values), *(lookup.count for lookup in buses.lookups)]
    exprs += [pair.flag for pair in buses.pairs if pair.flag is not None]
    exprs += [expr for own in buses.contributions for factor in own.factors for _, expr in factor]
    found = {variable for expr in exprs for monomial in polynomial(expr) for variable in monomial}
    bits = {(MAIN, number) for number, name in enumerate(chip.main) if chip.main[name].bits == 1}
    bits -= counted(chip)
    found -= counted(chip)
    groups = [{variable for monomial in polynomial(constraint.expr) for variable in monomial} for constraint in chip.air_constraints]
    for group in groups:
        if group <= bits and group & found:
            found |= group
    return found


def counted(chip: Chip) -> set[Variable]:
    """Bits of results that are only counted, too many to try all their values."""
    names = [name for stem in ("above", "below") for name in lanes(stem)] if isinstance(chip, ResultsChip) else []
    return {(MAIN, list(chip.main).index(name)) for name in names}


def learned(polynomials: list[Polynomial]) -> Span:
    """What vanishing polynomials say: those that are affine, and those that are when what is known to be a number is put in."""
    span = Span()
    while polynomials:
        rest = []
        for poly in polynomials:
            if degree(poly) <= 1:
                span.add(poly)
            else:
                rest.append(poly)
        left = {variable for poly in rest for monomial in poly for variable in monomial}
        numbers = {variable: number for variable in left if (number := constant(span, variable)) is not None}
        polynomials = [substitute(poly, numbers) for poly in rest]
        if not numbers or not span.consistent:
            break
    return span


def constant(span: Span, variable: Variable) -> int | None:
    """The number that a variable is known to be."""
    rest = span.reduce({(variable,): 1})
    return None if any(rest) else rest.get((), 0)


def value(expr: Expr, setting: dict[Variable, int]) -> int:
    """A linear combination of bits as an integer in (-p/2, p/2)."""
    poly = substitute(polynomial(expr), setting)
    assert degree(poly) == 0
    number = poly.get((), 0)
    return number if number < P // 2 else number - P


def differences(pair: Pair) -> list[Polynomial]:
    """Sent less received, for each value of the tuple."""
    assert pair.receive is not None
    assert pair.send is not None
    sides = zip(pair.send.values, pair.receive.values, strict=True)
    return [plus(polynomial(sent), polynomial(received), P - 1) for sent, received in sides]


@pytest.mark.parametrize("name", WITH_PAIRS)
def test_idle_pairs_are_neutral(name: str) -> None:
    chip = CHIPS[name]
    pairs = [(differences(pair), live(chip, pair)) for pair in chip.air_buses.pairs if pair.flag is None]
    idle, busy = [0] * len(pairs), [0] * len(pairs)
    for setting, span in settings(chip):
        for number, (parts, count) in enumerate(pairs):
            if value(count, setting):
                busy[number] += 1
                continue
            idle[number] += 1
            for part in parts:
                assert not span.reduce(substitute(part, setting)), (setting, chip.air_buses.pairs[number].label)
    # Not vacuous: each pair has settings of both kinds.
    assert all(idle)
    assert all(busy)


def loud(chip: Chip, setting: dict[Variable, int], span: Span) -> list[str]:
    """Labels of the contributions of which no factor is known to be zero."""

    def vanishes(factor: tuple[tuple[int, Expr], ...]) -> bool:
        return not any(span.reduce(substitute(polynomial(expr), setting)) for _, expr in factor)

    return [own.label for own in chip.air_buses.contributions if not any(map(vanishes, own.factors))]


@pytest.mark.parametrize("chip", WITH_SUMS, ids=lambda chip: chip.name)
def test_padding_contributes_nothing(chip: Chip) -> None:
    """Where the row is not real, one factor of every coefficient is zero by constraint, whatever the other cells are."""
    real = (MAIN, chip.main.index("real"))
    found = {0: 0, 1: 0}
    for setting, span in settings(chip):
        found[setting[real]] += 1
        assert bool(loud(chip, setting, span)) == bool(setting[real])
    assert all(found.values())


def test_a_chip_that_does_not_mute_its_padding_is_noticed() -> None:
    class LoudMacChip(MacChip):
        name = "mac"

        def constraints(self, air: AirBuilder, row: Row) -> None:
            super().constraints(air, row)
            air.constraints = [own for own in air.constraints if not own.label.endswith(": c3")]

    class LoudOutChip(OutChip):
        name = "out"

        def constraints(self, air: AirBuilder, row: Row) -> None:
            super().constraints(air, row)
            air.constraints = [own for own in air.constraints if own.label not in ("one high flag", "one low flag")]

    for chip, label in ((LoudMacChip(), "products of half 0"), (LoudOutChip(), "results")):
        real = (MAIN, chip.main.index("real"))
        assert any(label in loud(chip, setting, span) for setting, span in settings(chip) if not setting[real])


@pytest.mark.parametrize("name", list(CHIPS))
def test_counts_are_boolean_and_mute_on_padding(name: str) -> None:
    chip = CHIPS[name]
    asked = [lookup for lookup in chip.air_buses.lookups if not lookup.serves]
    flags = [pair.flag for pair in chip.air_buses.pairs if pair.flag is not None]
    main = next((lookup.count for lookup in asked if lookup.label == "instruction"), None)
    for setting, _ in settings(chip) if asked or flags else ():
        counts = [value(lookup.count, setting) for lookup in asked] + [value(flag, setting) for flag in flags]
        assert set(counts) <= {0, 1}
        if main is not None and value(main, setting) == 0:
            assert not any(counts)


@pytest.mark.parametrize("name", [name for name in CHIPS if name != "segment hand_over"])
def test_every_consumer_of_state_looks_its_instruction_up(name: str) -> None:
    """The state's pc and the program's pc are one expression, and the count is what makes the state pair live: then time goes on by 4,
    or it is the last state. What a segment hands over is looked up by the next one."""
    chip = CHIPS[name]
    for pair in chip.air_buses.pairs:
        item = pair.receive
        if item is None or item.bus.name != "state":
            continue
        lookup = next(lookup for lookup in chip.air_buses.lookups if lookup.message.bus.name == "program")
        assert polynomial(lookup.message.values[0]) == polynomial(item.values[0])
        assert pair.send is not None
        step = plus(polynomial(pair.send.values[1]), polynomial(item.values[1]), P - 1)
        if step != polynomial(lookup.count * 4):
            assert [steps_of(chip, pair, span, setting) for setting, span in settings(chip)] == [
                None if setting[MAIN, chip.main.index("exit")] else 4 * value(lookup.count, setting) for setting, _ in settings(chip)
            ]


def steps_of(chip: Chip, pair: Pair, span: Span, setting: dict[Variable, int]) -> int | None:
    """By how much the time of the state grows in rows with these bits; None: the state is the last, with a0 for exit code."""
    assert pair.send is not None
    assert pair.receive is not None
    pc, time = (polynomial(sent) for sent in pair.send.values)
    last = plus(pc, polynomial(chip.row.a0 + LAST_PC), P - 1)
    if not any(span.reduce(substitute(part, setting)) for part in (last, plus(time, {(): LAST_TIME}, P - 1))):
        return None
    rest = span.reduce(substitute(plus(time, polynomial(pair.receive.values[1]), P - 1), setting))
    assert set(rest) <= {()}
    return rest.get((), 0)


def test_the_zero_row_is_padding() -> None:
    """All chips: a row of zeros satisfies every constraint, is neutral on every pair, mute on every lookup and adds nothing to a sum."""
    for chip in (*machine().chips, *TILES.chips):
        zeros = {(kind, number): 0 for kind, size in ((MAIN, len(chip.main)), (PRE, len(chip.preprocessed))) for number in range(size)}
        assert not any(substitute(polynomial(constraint.expr), zeros) for constraint in chip.air_constraints)
        for pair in chip.air_buses.pairs:
            if pair.flag is None:
                assert not any(substitute(part, zeros) for part in differences(pair))
            else:
                assert not substitute(polynomial(pair.flag), zeros)
        for lookup in chip.air_buses.lookups:
            assert not substitute(polynomial(lookup.count), zeros)
        assert not loud(chip, zeros, Span())


@pytest.mark.parametrize("name", [name for name, chip in CHIPS.items() if chip.serves and not len(chip.preprocessed)])
def test_padding_of_makers_is_mute(name: str) -> None:
    """What a run makes, rows serve: only one that is on a path has a multiplicity."""
    chip = CHIPS[name]
    served = [lookup for lookup in chip.air_buses.lookups if lookup.serves]
    assert {lookup.message.bus for lookup in served} == set(chip.counted)
    real = (MAIN, chip.main.index("real"))
    seen = {0: 0, 1: 0}
    for setting, span in settings(chip):
        mute = not any(span.reduce(substitute(polynomial(lookup.count), setting)) for lookup in served)
        seen[setting[real]] += not mute
        assert mute or setting[real]
    assert seen[1]


@pytest.mark.parametrize("name", [name for name, chip in CHIPS.items() if chip.serves and len(chip.preprocessed)])
def test_padding_of_tables_is_mute(name: str) -> None:
    """A served multiplicity is a preprocessed 0/1 times the column: padding serves nothing whatever its multiplicity."""
    chip = CHIPS[name]
    for lookup in chip.air_buses.lookups:
        assert lookup.serves
        (monomial,) = polynomial(lookup.count)
        kinds = sorted(kind for kind, _ in monomial)
        assert kinds == [MAIN, PRE]
        number = next(number for kind, number in monomial if kind == PRE)
        assert chip.preprocessed[list(chip.preprocessed)[number]].bits == 1


def test_algebra() -> None:
    """The tool itself: spans know sums, products stay apart, a contradiction is noticed."""
    x, y = (MAIN, 0), (MAIN, 1)
    span = Span()
    span.add({(x,): 1, (y,): 2, (): 3})
    assert not span.reduce({(x,): 2, (y,): 4, (): 6})
    assert span.reduce({(x,): 1})
    assert span.reduce({(x,): 2, (y,): 4, (): 7})
    span.add({(y,): 1})
    assert not span.reduce({(x,): 1, (): 3})
    span.add({(x,): 1})
    assert not span.consistent
    assert polynomial((const(2) + 3) * 4) == {(): 20}
    assert substitute({(x, y): 2}, {x: P - 1}) == {(y,): P - 2}
    assert degree({(x, x, y): 1}) == 3
