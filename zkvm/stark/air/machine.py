"""A machine: chips joined by buses, with everything that prover and verifier derive from the definitions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from zkvm.stark.air.builder import Argument, Bus, Constraint
from zkvm.stark.air.chip import Chip, first_class
from zkvm.stark.air.expression import BUS, BUS_NEXT, MAIN, PARAM, SUB, Straight, column, leaves, straighten
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
        body: what it shares with the code of the same chip in another machine.
        groups: for each constraint, where it holds: ACTIVE, START or TERMINAL, in this order.
        straight: the code; its outputs are the constraints in this order. Runtime constants: alpha and the powers of beta, the same of
            joint buses, then the terminals of the running columns, three base values each.
        powers: of the machine: how many powers of beta follow alpha.
        first: of a second instance, the code of the first instance, whose tapes it shares; else None.
    """

    chip: Chip
    body: Body
    groups: tuple[int, ...]
    straight: Straight
    powers: int
    first: ChipCode | None = None

    @property
    def plan(self) -> BusLayout:
        """The chip's bus columns."""
        return self.body.plan

    @cached_property
    def widths(self) -> tuple[int, int, int]:
        """Committed base columns: preprocessed, main, bus."""
        return self.first.widths if self.first else (len(self.chip.preprocessed), len(self.chip.main), self.plan.base_columns)

    @cached_property
    def constraint_tape(self) -> Tape:
        """The constraints as an accumulating tape."""
        return self.first.constraint_tape if self.first else lower(self.straight, self.groups)

    @cached_property
    def fraction_tape(self) -> Tape:
        """Writes numerator and denominator of every bus column's step: six outputs a column."""
        if self.first:
            return self.first.fraction_tape
        steps = fractions(self.plan, joint_alpha(self.powers))
        return lower(straighten([part for numerator, denominator in steps for part in (*numerator, *denominator)]))

    @cached_property
    def next_columns(self) -> tuple[int, ...]:
        """Base bus columns that are also opened at the next row."""
        return tuple(EXTENSION * number + c for number in self.plan.running for c in range(EXTENSION))

    @cached_property
    def text(self) -> str:
        """A line for each node, and one for each constraint: its node, and where it holds; all after a line break."""
        if self.first:
            return self.first.text
        constraints = [f"\n{position} {group}" for position, group in zip(self.straight.outputs, self.groups, strict=True)]
        return "".join([self.body.text, node_lines(self.straight.nodes[len(self.body.straight.nodes) :]), *constraints])


@dataclass(frozen=True)
class Body:
    """What of a chip's code no machine changes: all but the terminals, whose runtime constants stand after those of the machine's buses.

    Attributes:
        plan: the chip's bus columns.
        labels: of the constraints on active rows, then of the start constraints of the running columns.
        groups: of these constraints.
        straight: the code; its outputs are these constraints, then the base columns of the running columns.
    """

    plan: BusLayout
    labels: tuple[str, ...]
    groups: tuple[int, ...]
    straight: Straight

    @cached_property
    def text(self) -> str:
        """A line for each node."""
        return node_lines(self.straight.nodes)


def node_lines(nodes: tuple[tuple[int, int, int], ...]) -> str:
    """Nodes in a machine's description, each after a line break."""
    return "".join(["\n%d %d %d" % node for node in nodes])  # noqa: UP031  takes the tuple as it is


def joint_alpha(powers: int) -> int:
    """The first runtime constant of the joint challenges, of a machine with so many powers of beta."""
    return BETA + EXTENSION * powers


def check_early(chip: Chip, plan: BusLayout) -> None:
    """What a chip puts on joint buses is fixed by its early columns: those that are committed before the joint challenges are drawn.

    Raises:
        ValueError: a tuple of a joint bus reads another column, or a random start of its running column would be another one.
    """
    early = {column(MAIN, number) for number in range(chip.early)}
    values = [
        value
        for own in plan.products[: plan.joint]
        for factor in (*own.received, *own.sent)
        for value in (*factor.message.values, *([] if factor.flag is None else [factor.flag]))
    ]
    late = [leaf for value in values for leaf in leaves(value) if leaf.kind == MAIN and leaf not in early]
    if late or chip.early < EXTENSION * plan.joint or (chip.early and not plan.joint):
        raise ValueError(f"{chip.name}: its {chip.early} early columns are not those that its joint buses read")


def derive(chip: Chip, joint: int = 0) -> Body:
    """The constraints of a chip and of its bus columns.

    Args:
        chip: the chip.
        joint: the first runtime constant of the joint challenges, of a chip on joint buses.

    Raises:
        ValueError: a constraint or an identity of a bus column has too high a degree (names chip and constraint), or the chip's early
            columns are not what its joint buses need.
    """
    plan = layout(chip.air_buses, chip.early)
    check_early(chip, plan)
    try:
        constraints = [*chip.air_constraints, *bus_constraints(plan, fractions(plan, joint))]
    except ValueError as error:
        raise ValueError(f"{chip.name}: {error}") from error
    groups = [ACTIVE] * len(constraints)
    for rank, (number, cells) in enumerate(start_cells(plan)):
        following = ext(BUS_NEXT, number)
        constraints += [
            Constraint(f"running column {rank} starts at its random cells [{c}]", following[c] - cells[c]) for c in range(EXTENSION)
        ]
        groups += [START] * EXTENSION
    ends = [part for number in plan.running for part in ext(BUS, number)]
    straight = straighten([*(constraint.expr for constraint in constraints), *ends])
    return Body(plan, tuple(constraint.label for constraint in constraints), tuple(groups), straight)


derived = lru_cache(maxsize=1 << 8)(derive)
""":func:`derive`, once for all machines that have the chip."""


def chip_code(chip: Chip, powers: int, joint_powers: int = 0) -> ChipCode:
    """Derive the code of one chip.

    Args:
        chip: the chip.
        powers: of the machine: how many powers of beta follow alpha among the runtime constants.
        joint_powers: the same of the joint challenges; 0: the machine has no joint bus, and they are no constants.

    Raises:
        ValueError: as :func:`derive`, or the chip's buses need further powers of beta.
    """
    joint = {bus for bus in chip.air_buses.buses if bus.joint}
    for buses, found in ((chip.air_buses.buses, powers), (joint, joint_powers)):
        if found < powers_of(buses):
            raise ValueError(f"{chip.name}: its buses need {powers_of(buses)} powers of beta, not {found}")
    body = derived(chip, joint_alpha(powers) if chip.early else 0)
    first = joint_alpha(powers) + (EXTENSION * (1 + joint_powers) if joint_powers else 0)
    nodes, outputs, count = list(body.straight.nodes), list(body.straight.outputs), len(body.groups)
    for number, end in enumerate(outputs[count:]):
        # A running column ends at its terminal. No other node is about that constant, so this one and the difference are new.
        nodes += [(PARAM, first + number, 0), (SUB, end, len(nodes))]
        outputs[count + number] = len(nodes) - 1
    groups = (*body.groups, *[TERMINAL] * (len(outputs) - count))
    return ChipCode(chip, body, groups, Straight(tuple(nodes), tuple(outputs)), powers)


@dataclass(frozen=True)
class Machine:
    """Chips in a fixed order. The order, the tuples and the constraints make the digest; parameters do not enter it.

    Attributes:
        name: enters the digest.
        chips: in the order of the tables.
        max_rows: the heights of all tables together stay below it. Constraints may rest on that: times that grow with every row do not
            wrap mod p.
        written: the digest, of a machine for which it is written down: a proof has few of the tables, and the others need not be derived.
    """

    name: str
    chips: tuple[Chip, ...]
    max_rows: int
    written: bytes | None = None
    _derived: dict[int, ChipCode] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def codes(self) -> tuple[ChipCode, ...]:
        """Derived code of every chip, in order."""
        return tuple(self.code(number) for number in range(len(self.chips)))

    def code(self, number: int) -> ChipCode:
        """Code of the chip at this position, derived at the first use; a second instance has that of the first."""
        if number not in self._derived:
            chip = self.chips[number]
            first = next((self.code(own) for own, other in enumerate(self.chips) if type(other) is first_class(chip)), None)
            code = replace(first, chip=chip, first=first) if first else chip_code(chip, self.powers, self.joint_powers)
            return self._derived.setdefault(number, code)  # of two threads that derive it, the first one's
        return self._derived[number]

    @cached_property
    def buses(self) -> tuple[Bus, ...]:
        """Every bus used, by id."""
        used: dict[int, Bus] = {}
        classes = {type(chip) for chip in self.chips}
        for chip in self.chips:
            for bus in chip.air_buses.buses if first_class(chip) not in classes else ():
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
    def joint_powers(self) -> int:
        """How many powers of the joint beta are; 0 without joint buses."""
        return powers_of(bus for bus in self.buses if bus.joint)

    @cached_property
    def digest(self) -> bytes:
        """BLAKE3 of :attr:`description`: 32 bytes that change with any bus, column or constraint."""
        return self.written or blake3(self.description.encode())

    @property
    def description(self) -> str:
        """Everything that is proven, as text: buses; of every chip its columns, the nodes of its constraints, which of them must vanish."""
        lines = [self.name]
        for own in self.buses:
            power = f" {own.power}" if own.argument is Argument.SUM else ""
            lines.append(f"bus {own.id} {own.name} {own.arity} {own.argument.value}{power}{' joint' if own.joint else ''}")
        for code in self.codes:
            pre, main, bus = code.widths
            early = f" {code.chip.early}" if code.chip.early else ""
            lines.append(f"chip {code.chip.name} {pre} {main} {bus} {code.chip.mandatory}{early}{code.text}")
        return "\n".join(lines)

    def chip_number(self, name: str) -> int:
        """Position of the chip called ``name``."""
        return [chip.name for chip in self.chips].index(name)
