"""Instruction chips by declaration: what all of them have follows from a few names, so that its parts cannot disagree.

A chip says which operations it proves and which of its boolean columns each of them sets, which registers it reads and writes, its own
columns, and three things that make it this chip: a ``relation`` (constraints), ``checks`` (look-ups) and a ``witness`` (values). From that
follow the state and program tuples, the accesses with their times, the constraints that keep padding neutral, and the columns that are
copies of the executor's records.

**Padding.** Each access is declared once (:meth:`InstructionChip.accesses`); what connects it to the memory bus and what makes it neutral
where it is not live are read from the same list. A row that sets no flag keeps its state: see :meth:`InstructionChip.next_pc`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from zkvm.riscv.chips import common
from zkvm.riscv.chips.common import Access
from zkvm.riscv.chips.steps import StepChip, Steps, Values
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Column, Columns, Row
from zkvm.stark.air.expression import Expr, Operand, total


class InstructionChip(StepChip):
    """A chip of instructions, declared by class attributes.

    Attributes:
        operations: operation -> the boolean columns that its rows set. A column that some operation sets alone is a *flag*: at most one
            flag is set, and a row with a flag is real. The others are *modifiers*, set on real rows only. The operation's number is a sum
            over the set columns of one weight each, which follow from this table. A prover may set any modifiers beside any flag, so each
            such combination must be in the table, or ``booleans`` must exclude it: its sum might be another operation's number.
        reads: which source registers are accessed.
        writes: whether a destination register is.
        constant: the column that holds the instruction's constant or absolute target, if it has one.
        immediate: the modifier that replaces the second source register by the constant: that access is then neutral, and its value 0.
        link: of jumps, the field of the program row that holds the link value pc + 4, which they write; no source register may use it.
        own: the columns beside state and registers, flags and modifiers among them.
        neutral_last: whether the constraints of neutral padding come after the relation; the order enters the machine's digest.
        weights: derived: flag or modifier -> what it adds to the operation's number.
        flags: derived, in the order in which ``operations`` names them.
        modifiers: derived, in the order of their columns.
    """

    operations: ClassVar[Mapping[int, tuple[str, ...]]]
    reads: ClassVar[tuple[int, ...]] = (1, 2)
    writes: ClassVar[bool] = True
    constant: ClassVar[str | None] = None
    immediate: ClassVar[str | None] = None
    link: ClassVar[str | None] = None
    own: ClassVar[dict[str, Column]]
    neutral_last: ClassVar[bool] = False

    weights: ClassVar[dict[str, int]]
    flags: ClassVar[tuple[str, ...]]
    modifiers: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        """Derive columns, flags and weights.

        Raises:
            TypeError: the declaration is inconsistent.
        """
        if not hasattr(cls, "own"):
            return  # a class that several chips share
        written = common.write_columns(value=cls.link is None) if cls.writes else {}
        parts = [common.state_columns(), *map(common.read_columns, cls.reads), written, cls.own]
        names = [name for part in parts for name in part]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TypeError(f"{cls.name}: declared twice: {', '.join(twice)}")
        free = {"rs1", "rs2"} - {f"rs{number}" for number in cls.reads}
        if cls.link is not None and (cls.link not in free or not cls.writes):
            raise TypeError(f"{cls.name}: {cls.link} must be a field that no source register uses, of a chip that writes")
        cls.columns = Columns(**{name: column for part in parts for name, column in part.items()})
        cls.weights = _weights(cls.name, cls.operations)
        alone = {names[0] for names in cls.operations.values() if len(names) == 1}
        cls.flags = tuple(name for name in cls.weights if name in alone)
        cls.modifiers = tuple(name for name in cls.own if name in cls.weights and name not in alone)
        undeclared = [name for name in cls.weights if name not in cls.own or cls.own[name].bits != 1]
        if undeclared or (cls.immediate and (cls.immediate not in cls.modifiers or 2 not in cls.reads)):
            raise TypeError(f"{cls.name}: {undeclared or cls.immediate} must be declared as bits of its own")

    # --- what a chip may say --------------------------------------------------------------------------------------------------------

    def relation(self, air: AirBuilder, row: Row) -> None:
        """What makes the result right."""

    def checks(self, buses: BusBuilder, row: Row, real: Expr) -> None:
        """Look-ups beside the instruction and the times of its accesses; mute where ``real`` is 0."""

    def witness(self, steps: Steps) -> Values:
        """Columns that are no copies of a record: own ones, or such as replace a copy."""
        return {}

    def memory(self, row: Row) -> list[Access]:
        """Accesses of words in memory, between those of source and destination registers."""
        return []

    def next_pc(self, row: Row) -> Expr | None:
        """Where the state goes, if not to pc + 4. Where no flag is set, the relation must make it pc."""
        return None

    def booleans(self, air: AirBuilder, row: Row) -> None:
        """That flags exclude each other and modifiers are set on real rows only; a chip with other booleans adds them."""
        common.assert_flags(air, row, *self.flags)
        for name in self.modifiers:
            air.assert_bool(f"{name} is boolean", row[name])
        for name in self.modifiers:
            air.assert_zero(f"{name} only on a real row", row[name] * (1 - self.real(row)))

    def real(self, row: Row) -> Expr:
        """1 on used rows."""
        return total(*(row[name] for name in self.flags))

    def operation(self, row: Row) -> Operand:
        """The operation's number on used rows; its look-up is mute on others."""
        return common.selected(row, self.weights)

    # --- what follows ---------------------------------------------------------------------------------------------------------------

    def accesses(self, row: Row) -> list[Access]:
        """Every access of the row, once: connected to the memory bus, and neutral where it is not live."""
        real = self.real(row)
        result = []
        for number in self.reads:
            live = real - row[self.immediate] if number == 2 and self.immediate else real
            result.append(common.read_rs1(row, live) if number == 1 else common.read_rs2(row, live))
        result += self.memory(row)
        if self.writes:
            result.append(common.write_rd(row, real, value=row.pc + real * 4 if self.link else None))
        return result

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Booleans, neutral padding, the relation."""
        self.booleans(air, row)
        if self.neutral_last:
            self.relation(air, row)
        common.assert_neutral(air, row.t, self.accesses(row))
        if self.immediate:
            air.assert_zero("a constant reads no register", row[self.immediate] * row.v2)
        if not self.neutral_last:
            self.relation(air, row)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, the accesses, the checks."""
        real = self.real(row)
        fields: dict[str, Operand] = {f"rs{number}": row[f"rs{number}"] for number in self.reads}
        if self.writes:
            fields["rd"] = row.rd
        if self.link:
            fields[self.link] = row.pc + 4
        if self.constant:
            fields["imm"] = row[self.constant]
        common.connect_instruction(buses, row, real, self.operation(row), next_pc=self.next_pc(row), **fields)
        common.connect_accesses(buses, row.t, self.accesses(row))
        self.checks(buses, row, real)

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        """Copies of the records, flags and modifiers, the witness."""
        copied = [name for name in self.columns if name not in self.own and not (self.immediate and name == "t2")]
        steps.fill(trace, *copied)
        if self.constant:
            steps.put(trace, **{self.constant: steps.field("imm")})
        for name in self.weights:
            setting = [number for number, names in self.operations.items() if name in names]
            steps.put(trace, **{name: 1 if len(setting) == len(self.operations) else steps.is_op(*setting)})
        if self.immediate:
            constant = steps.is_op(*(number for number, names in self.operations.items() if self.immediate in names))
            steps.put(trace, t2=np.where(constant, steps.field("t"), steps.field("t2")))  # a neutral access keeps its time
        steps.put(trace, **self.witness(steps))


def _weights(chip: str, operations: Mapping[int, tuple[str, ...]]) -> dict[str, int]:
    """What each column adds to the number of an operation that sets it.

    Raises:
        TypeError: an operation's number is not the sum of its columns' weights.
    """
    weights: dict[str, int] = {}
    for number, names in operations.items():
        unknown = [name for name in names if name not in weights]
        rest = number - sum(weights.get(name, 0) for name in names)
        if len(unknown) == 1:
            weights[unknown[0]] = rest
        elif names and (unknown or rest):
            raise TypeError(f"{chip}: the columns of operation {number} do not add up to its number")
    return weights
