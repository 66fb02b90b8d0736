"""A chip: one table of the machine, defined once and read by prover, verifier, checker and documentation."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.builder import AirBuilder, Bus, BusBuilder, Constraint
from zkvm.stark.air.columns import Column, Columns, Row
from zkvm.stark.air.layout import start_columns

Trace = dict[str, NDArray[np.uint64]]
"""Named views of a table's columns. ``fill`` writes them in place."""


class Chip:
    """Base class. Rows are independent of each other; only the buses join them.

    Rules that every chip keeps, checked by tests: the all-zero row satisfies every constraint, is neutral on every pair, mute on
    every lookup and adds nothing to a sum (it is the padding); flags are boolean and so are their sums; no degree exceeds 3.
    """

    name: ClassVar[str]
    columns: ClassVar[Columns]
    preprocessed: ClassVar[Columns] = Columns()
    mandatory: ClassVar[bool] = False
    """Mandatory tables are present in every proof; an optional one is absent when it has no rows."""
    by_call: ClassVar[bool] = False
    """Whether rows come from system calls that few programs make: without such a call the table is absent also where all are padded."""
    early: ClassVar[int] = 0
    """How many main columns, the first ones, are committed before the joint challenges: all that the chip puts on joint buses is made of
    them, and so are the random starts of those buses' running columns."""
    first: ClassVar[str | None] = None
    """Of a second instance: the name of the chip whose surplus rows it takes."""
    counted: ClassVar[tuple[Bus, ...]] = ()
    """Buses that the table serves with multiplicities that ``fill`` writes: the execution tells them, and several tables may serve one."""

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Register what must vanish on every row."""
        raise NotImplementedError

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """Register what the row consumes, produces, asks for and serves."""
        raise NotImplementedError

    def rows(self, execution: Any) -> int:
        """Number of used rows for this execution; 0 makes an optional table absent."""
        raise NotImplementedError

    def fill(self, execution: Any, trace: Trace) -> None:
        """Write rows [0, rows) of the main columns (zeroed before). The prover counts multiplicities, but those of :attr:`counted`."""
        raise NotImplementedError

    def positions(self, execution: Any) -> NDArray[np.int64] | None:
        """Of a chip whose rows can be filled in parts: where in the execution each used row comes from, (rows,) int64; None: it cannot."""
        return None

    def fill_range(self, execution: Any, positions: NDArray[np.int64], trace: Trace) -> None:
        """Write every main column of the rows that come from these positions, consecutive ones of :meth:`positions`."""
        raise NotImplementedError

    def preprocessed_rows(self, image: Any) -> int:
        """Number of used rows of the preprocessed columns: fixed by the image, 0 without preprocessed columns."""
        return 0

    def fill_preprocessed(self, image: Any, trace: Trace) -> None:
        """Write the preprocessed columns (zeroed before)."""

    def serve_row(self, image: Any, bus: Bus, values: list[NDArray[np.uint64]]) -> list[tuple[str, NDArray[np.int64], NDArray[np.bool_]]]:
        """For a table that answers lookups: where it serves the tuples that were asked for.

        Args:
            image: what the preprocessed columns follow from.
            bus: the bus on which they were asked for.
            values: the columns of the tuples, each (k,) uint64.

        Returns:
            For each column that can serve the bus (name of the multiplicity column, row of each tuple (k,) int64, mask (k,) of the tuples
            that this column serves). A tuple that no mask covers is not in the table.
        """
        raise NotImplementedError

    @property
    def serves(self) -> tuple[Bus, ...]:
        """The buses this table answers."""
        return tuple(dict.fromkeys(lookup.message.bus for lookup in self.air_buses.lookups if lookup.serves))

    @cached_property
    def main(self) -> Columns:
        """Declared columns, then fillers.

        Each running column reads its random start from three main cells of its own; fillers are those that the declared columns lack.
        """
        missing = start_columns(self.air_buses, self.early) - len(self.columns)
        filler = {f"filler_{k}": Column("room for a random start value; 0 on active rows", 0) for k in range(missing)}
        return self.columns.extended(**filler)

    @cached_property
    def row(self) -> Row:
        """The columns as expressions."""
        return Row(self.columns, self.preprocessed)

    @cached_property
    def air_constraints(self) -> tuple[Constraint, ...]:
        """The registered constraints, fillers included."""
        air = AirBuilder()
        self.constraints(air, self.row)
        names = [name for name in self.main if name not in self.columns]
        full = Row(self.main, self.preprocessed)
        for name in names:
            air.assert_zero(f"{name} is zero", full[name])
        return tuple(air.constraints)

    @cached_property
    def air_buses(self) -> BusBuilder:
        """The registered interactions."""
        buses = BusBuilder()
        self.interactions(buses, self.row)
        return buses


def second_name(name: str) -> str:
    """The name of the second instance of the chip called ``name``."""
    return f"{name}_2"


def second_instance(chip: type[Chip]) -> Chip:
    """A chip as a table of its own, for the rows that would double the height of the first.

    It is one more optional table with the same constraints and buses, so it changes nothing that can be proven, only the padding.
    """
    members = {"name": second_name(chip.name), "first": chip.name, "second_of": chip}
    kept = {"__doc__": chip.__doc__, "__module__": chip.__module__}
    instance: Chip = type(f"{chip.__name__}2", (chip,), members | kept)()
    return instance


def inert(chip: type[Chip]) -> Chip:
    """The preprocessed columns of a chip and nothing else: for a machine that shares another one's tree and does not use this table."""

    def nothing(self: Chip, builder: Any, row: Row) -> None:
        """No constraints, no interactions."""

    def rows(self: Chip, execution: Any) -> int:
        """As many as are preprocessed."""
        return self.preprocessed_rows(execution.image)

    def fill(self: Chip, execution: Any, trace: Trace) -> None:
        """There are no main columns."""

    members = {"columns": Columns(), "constraints": nothing, "interactions": nothing, "rows": rows, "fill": fill, "counted": (), "early": 0}
    kept = {"__doc__": f"Columns of {chip.name} that are not used.", "__module__": chip.__module__}
    instance: Chip = type(f"Inert{chip.__name__}", (chip,), members | kept)()
    return instance


def first_class(chip: Chip) -> type[Chip] | None:
    """The class of which :func:`second_instance` made ``chip``: what is derived from exactly that class holds for it; None: of none."""
    return vars(type(chip)).get("second_of")
