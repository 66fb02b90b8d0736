"""Chips whose rows are executed steps, and how their columns are filled from the records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.common import inverses
from zkvm.riscv.records import Execution, take_records
from zkvm.stark.air.chip import Chip, Trace

Values = dict[str, Any]
"""Columns by name: unsigned or boolean arrays with an element for each row, or one value for all rows."""

FROM_PROGRAM = ("pc", "op", "rd", "rs1", "rs2", "imm")
FROM_STEP = {"t": "time", "v1": "v1", "v2": "v2", "vd": "vd", "vd_prev": "vd_prev", "t1": "t1", "t2": "t2", "td": "td"}


@dataclass(slots=True)
class Steps:
    """The executed instructions that one chip proves.

    Attributes:
        steps: (k,) STEP records.
        program: (k,) PROGRAM_ROW records, each step's own.
    """

    steps: NDArray[Any]
    program: NDArray[Any]

    def __len__(self) -> int:
        return len(self.steps)

    def field(self, name: str) -> NDArray[np.uint64]:
        """A column named as in the chips (``pc op rd rs1 rs2 imm`` and the fields of STEP) as uint64 values."""
        if name in FROM_PROGRAM:
            return self.program[name].astype(np.uint64)
        return self.steps[FROM_STEP.get(name, name)].astype(np.uint64)

    def is_op(self, *operations: int) -> NDArray[np.bool_]:
        """Which steps execute one of the operations."""
        return np.isin(self.program["op"], operations)

    def fill(self, trace: Trace, *names: str) -> None:
        """Copy columns that are fields of the records."""
        self.put(trace, **{name: self.field(name) for name in names})

    def put(self, trace: Trace, **columns: Any) -> None:
        """Write :data:`Values`."""
        for name, values in columns.items():
            trace[name][: len(self)] = values

    def inverses(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """1 / x mod p of every value, and 0 for 0."""
        return inverses(values)


class StepChip(Chip):
    """A chip of instructions other than ``ecall``: every executed step of its operations is a row.

    ``fill_steps`` computes each row from its own step, element by element, so any part of the rows can be filled by itself; and what
    it does to columns can be recorded and compiled (:mod:`zkvm.riscv.chips.recorded`).
    """

    operations: ClassVar[Iterable[int]]
    rom: ClassVar[bool | None] = None
    """Only loads from ROM, or from RAM."""

    def positions(self, execution: Execution) -> NDArray[np.int64]:
        """The rows' steps, ascending."""
        return execution.steps_of(tuple(self.operations), self.rom)

    def rows(self, execution: Execution) -> int:
        """One per step."""
        return len(self.positions(execution))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Fill the rows of all steps."""
        self.fill_range(execution, self.positions(execution), trace)

    def fill_range(self, execution: Execution, positions: NDArray[np.int64], trace: Trace) -> None:
        """Fill the rows of the steps at these positions."""
        self.fill_steps(steps_at(execution, positions), trace)

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        """Write every column of the rows of these steps."""
        raise NotImplementedError


def steps_at(execution: Execution, positions: NDArray[np.int64]) -> Steps:
    """The executed steps at these positions."""
    steps = take_records(execution.steps, positions)
    return Steps(steps, take_records(execution.image.program, steps["row"]))


def next_pcs(steps: Steps, taken: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Where branches go."""
    return np.where(taken, steps.field("imm"), steps.field("pc") + np.uint64(4))
