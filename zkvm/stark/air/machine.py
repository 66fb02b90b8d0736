"""A machine: chips joined by buses, with everything that prover and verifier derive from the definitions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from zkvm.stark.air.builder import Argument, Bus, Constraint
from zkvm.stark.air.chip import Chip, is_second_of
from zkvm.stark.air.expression import BUS, BUS_NEXT, Straight, param, straighten
from zkvm.stark.air.layout import BETA, EXTENSION, BusLayout, bus_constraints, ext, fractions, layout, powers_of, start_cells
from zkvm.stark.air.tape import Tape, lower
from zkvm.stark.crypto.hashes import blake3

ACTIVE, START, TERMINAL = range(3)
"""Where a constraint holds: on rows [0, n - h); on row n - 1 only; on row n - h only."""


@dataclass(frozen=True)
class ChipCode:
    """A chip's constraints as straight-line code.

    Attributes:
        chip: the chip.
        plan: its bus columns.
        constraints: those on active rows, then start and terminal constraints of the running columns.
        groups: for each constraint, where it holds: ACTIVE, START or TERMINAL.
        straight: the code; its outputs are the constraints in this order. Runtime constants: alpha and the powers of beta, then the
            terminals of the running columns, three base values each.
        first: of a second instance, the code of the first instance, whose tapes it shares; else None.
    """

    chip: Chip
    plan: BusLayout
    constraints: tuple[Constraint, ...]
    groups: tuple[int, ...]
    straight: Straight
    first: ChipCode | None = None

    @cached_property
    def widths(self) -> tuple[int, int, int]:
        """Committed base columns: preprocessed, main, bus."""
        return len(self.chip.preprocessed), len(self.chip.main), self.plan.base_columns

    @cached_property
    def constraint_tape(self) -> Tape:
        """The constraints as an accumulating tape."""
        return self.first.constraint_tape if self.first else lower(self.straight, self.groups)

    @cached_property
    def fraction_tape(self) -> Tape:
        """Writes numerator and denominator of every bus column's step: six outputs a column."""
        if self.first:
            return self.first.fraction_tape
        return lower(straighten([part for numerator, denominator in fractions(self.plan) for part in (*numerator, *denominator)]))

    @property
    def next_columns(self) -> tuple[int, ...]:
        """Base bus columns that are also opened at the next row."""
        return tuple(EXTENSION * number + c for number in self.plan.running for c in range(EXTENSION))


def chip_code(chip: Chip, powers: int) -> ChipCode:
    """Derive the code of one chip.

    Args:
        chip: the chip.
        powers: of the machine: how many powers of beta stand between alpha and the terminals.

    Raises:
        ValueError: a constraint or an identity of a bus column has too high a degree (names chip and constraint), or the chip's buses
            need further powers of beta.
    """
    if powers < powers_of(chip.air_buses.buses):
        raise ValueError(f"{chip.name}: its buses need {powers_of(chip.air_buses.buses)} powers of beta, not {powers}")
    plan = layout(chip.air_buses)
    try:
        constraints = [*chip.air_constraints, *bus_constraints(plan, fractions(plan))]
    except ValueError as error:
        raise ValueError(f"{chip.name}: {error}") from error
    groups = [ACTIVE] * len(constraints)
    for rank, (number, cells) in enumerate(start_cells(plan)):
        following = ext(BUS_NEXT, number)
        constraints += [
            Constraint(f"running column {rank} starts at its random cells [{c}]", following[c] - cells[c]) for c in range(EXTENSION)
        ]
        groups += [START] * EXTENSION
    for rank, number in enumerate(plan.running):
        here, first = ext(BUS, number), BETA + EXTENSION * (powers + rank)
        constraints += [
            Constraint(f"running column {rank} ends at its terminal [{c}]", here[c] - param(first + c)) for c in range(EXTENSION)
        ]
        groups += [TERMINAL] * EXTENSION
    return ChipCode(chip, plan, tuple(constraints), tuple(groups), straighten([constraint.expr for constraint in constraints]))


@dataclass(frozen=True)
class Machine:
    """Chips in a fixed order. The order, the tuples and the constraints make the digest; parameters do not enter it.

    Attributes:
        name: enters the digest.
        chips: in the order of the tables.
        max_rows: the heights of all tables together stay below it. Constraints may rest on that: times that grow with every row do not
            wrap mod p.
    """

    name: str
    chips: tuple[Chip, ...]
    max_rows: int

    @cached_property
    def codes(self) -> tuple[ChipCode, ...]:
        """Derived code of every chip, in order; a second instance has that of the first."""
        codes: list[ChipCode] = []
        for chip in self.chips:
            first = next((code for code in codes if is_second_of(chip, code.chip)), None)
            codes.append(replace(first, chip=chip, first=first) if first else chip_code(chip, self.powers))
        return tuple(codes)

    @cached_property
    def buses(self) -> tuple[Bus, ...]:
        """Every bus used, by id."""
        used: dict[int, Bus] = {}
        for chip in self.chips:
            for bus in chip.air_buses.buses:
                if bus.id == 0 or used.setdefault(bus.id, bus) != bus:
                    raise ValueError(f"bus id {bus.id} is zero or used twice")
        return tuple(used[number] for number in sorted(used))

    @cached_property
    def arity(self) -> int:
        """Most values in a tuple."""
        return max((bus.arity for bus in self.buses), default=0)

    @cached_property
    def largest_power(self) -> int:
        """Largest power of beta in a coefficient of a sum; 0 without sums."""
        return max((bus.power for bus in self.buses), default=0)

    @cached_property
    def powers(self) -> int:
        """How many powers of beta are runtime constants of every chip."""
        return powers_of(self.buses)

    @cached_property
    def digest(self) -> bytes:
        """BLAKE3 of :attr:`description`: 32 bytes that change with any bus, column or constraint."""
        return blake3(self.description.encode())

    @property
    def description(self) -> str:
        """Everything that is proven, as text: buses; of every chip its columns, the nodes of its constraints, which of them must vanish."""
        lines = [self.name]
        for own in self.buses:
            power = f" {own.power}" if own.argument is Argument.SUM else ""
            lines.append(f"bus {own.id} {own.name} {own.arity} {own.argument.value}{power}")
        for code in self.codes:
            pre, main, bus = code.widths
            lines.append(f"chip {code.chip.name} {pre} {main} {bus} {code.chip.mandatory}")
            lines += [f"{kind} {a} {b}" for kind, a, b in code.straight.nodes]
            lines += [f"{position} {group}" for position, group in zip(code.straight.outputs, code.groups, strict=True)]
        return "\n".join(lines)

    def chip_number(self, name: str) -> int:
        """Position of the chip called ``name``."""
        return [chip.name for chip in self.chips].index(name)
