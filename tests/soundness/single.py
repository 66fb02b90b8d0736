"""Forgeries that one line refuses and nothing else: the machine without that line accepts them.

A line is a constraint, lookup or contribution of a chip, by its label. The weaker machine is the real one but for it, for both sides.

A file of such attacks has them in ``FORGERIES``, and in ``PROVEN`` those that are proven in every run. Of both :func:`refused`,
:func:`accepted` and :func:`accepted_slowly` make its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import pytest

from tests.forge import Forgery
from tests.soundness.cheating import skip_own_checks
from tests.soundness.proven import expected, verdict
from zkvm.riscv.machine import machine
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.columns import Row
from zkvm.stark.air.machine import Machine

Forged = tuple[Forgery, str]
"""Forged tables, and the one line that refuses them."""
Attack = Callable[[], Forged]
"""Forges some. Its name says what is told."""
Test = Callable[..., None]


@cache
def without(chip: Chip, label: str) -> Chip:
    """The chip without one constraint, lookup or contribution."""
    buses = chip.air_buses
    labels = {constraint.label for constraint in chip.air_constraints} | {lookup.label for lookup in buses.lookups}
    labels |= {contribution.label for contribution in buses.contributions}
    assert label in labels, f"{chip.name} has no line {label!r}"

    class Weak(type(chip)):  # type: ignore[misc]
        """The chip less one line."""

        def constraints(self, air: AirBuilder, row: Row) -> None:
            super().constraints(air, row)
            air.constraints = [own for own in air.constraints if own.label != label]

        def interactions(self, buses: BusBuilder, row: Row) -> None:
            super().interactions(buses, row)
            buses.lookups = [own for own in buses.lookups if own.label != label]
            buses.contributions = [own for own in buses.contributions if own.label != label]

    return Weak()


@cache
def machine_without(line: str) -> Machine:
    """The machine without the line 'chip: label'."""
    name, _, label = line.partition(": ")
    chips = tuple(without(chip, label) if chip.name == name else chip for chip in machine().chips)
    return Machine(f"rv32im without {line}", chips, machine().max_rows)


def weaken(forged: Forgery, line: str) -> Machine:
    """Give the forged tables to the machine without a line."""
    weak = machine_without(line)
    name = line.partition(": ")[0]
    forged.tables[name].chip = weak.chips[weak.chip_number(name)]
    return weak


def refused_by(forged: Forgery, line: str) -> Machine:
    """Demand that a line of a chip refuses the forged tables and that nothing else does; returns the machine without it."""
    assert forged.refusals() == {line}
    weak = weaken(forged, line)
    assert forged.refusals() == set()
    return weak


def accepted_without(forged: Forgery, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Demand that the verifier refuses what a prover without checks of his own makes of the tables, and accepts it without the line."""
    assert forged.refusals() == {line}
    with monkeypatch.context() as patch:
        skip_own_checks(patch)
        assert verdict(forged) is expected({line})
    assert verdict(forged, refused_by(forged, line)) is None


def refused(attacks: Sequence[Attack]) -> Test:
    """The test that one line refuses each of the attacks."""

    @_of_each(attacks)
    def one_line_refuses(make: Attack) -> None:
        refused_by(*make())

    return one_line_refuses


def accepted(attacks: Sequence[Attack]) -> Test:
    """The test that the verifier accepts each of the attacks without its line. Two proofs each: so every run of the tests has a few."""

    @_of_each(attacks)
    def the_verifier_accepts(make: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
        accepted_without(*make(), monkeypatch)

    return the_verifier_accepts


def accepted_slowly(attacks: Sequence[Attack], proven: Sequence[Attack]) -> Test:
    """The same of those that are not proven in every run, among the slow tests."""
    assert set(proven) < set(attacks)
    marked: Test = pytest.mark.slow(accepted([make for make in attacks if make not in proven]))
    return marked


def _of_each(attacks: Sequence[Attack]) -> Callable[[Test], Test]:
    """Marks a test of one attack: it is run for each, under its name."""
    names = [make.__name__ for make in attacks]
    assert len(set(names)) == len(names)
    return pytest.mark.parametrize("make", attacks, ids=names)
