"""A toy machine for the proof system's tests: squares, a counter chain and a lookup table; no RISC-V.

`step` rows walk a state from (0, 0) to (count, sum of squares), looking each square up in `squares`; `audit` rows consume every
square once more on a product bus. The verifier closes the state and knows the final sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.builder import AirBuilder, Argument, Bus, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import closing
from zkvm.stark.protocol.params import EXEMPT_MAX
from zkvm.stark.protocol.statement import Statement

STATE = Bus("toy state", 1, 2, Argument.PRODUCT, "(index, sum)")
NOTE = Bus("toy note", 2, 2, Argument.PRODUCT, "(index, square)")
SQUARES = Bus("toy squares", 3, 2, Argument.LOGUP, "(x, x^2)")
LAST = Bus("toy last", 4, 1, Argument.LOGUP, "(sum)")

MAX_ROWS = (1 << 28) - (1 << 8)
TABLE_ROWS = (1 << 15) - EXEMPT_MAX


@dataclass(frozen=True)
class Walk:
    """The toy's execution: the numbers whose squares are added."""

    numbers: NDArray[np.uint64]

    @property
    def sums(self) -> NDArray[np.uint64]:
        """Running sums, starting at 0: (count + 1,)."""
        return np.concatenate([[0], np.cumsum(self.numbers**2)]).astype(np.uint64)


class StepChip(Chip):
    """Adds one square."""

    name = "step"
    columns = Columns(
        real=bit("row is used"), index=cell("number of the step"), before=cell("sum before"), x=cell("number"), square=cell("its square"),
        last=bit("the walk ends here"),
    )  # fmt: skip

    def constraints(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("real is boolean", row.real)
        air.assert_bool("last is boolean", row.last)
        air.assert_zero("last is real", row.last * (1 - row.real))
        air.assert_zero("a padding row adds nothing", (1 - row.real) * row.square)
        air.assert_equal("square", row.x * row.x, row.square)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        buses.pair("state", STATE, receive=(row.index, row.before), send=(row.index + row.real, row.before + row.square))
        buses.send_if("note", NOTE, (row.index, row.square), row.real)
        buses.lookup("square", SQUARES, (row.x, row.square), row.real)
        buses.lookup("last sum", LAST, (row.before + row.square,), row.last)

    def rows(self, execution: Walk) -> int:
        return len(execution.numbers)

    def fill(self, execution: Walk, trace: Trace) -> None:
        count = len(execution.numbers)
        trace["real"][:count] = 1
        trace["index"][:count] = np.arange(count)
        trace["before"][:count] = execution.sums[:-1]
        trace["x"][:count] = execution.numbers
        trace["square"][:count] = execution.numbers**2
        trace["last"][count - 1] = 1


class AuditChip(Chip):
    """Consumes the notes; shorter than wide, so it needs fillers."""

    name = "audit"
    columns = Columns(real=bit("row is used"), index=cell("number of the step"), square=cell("its square"))

    def constraints(self, air: AirBuilder, row: Row) -> None:
        air.assert_bool("real is boolean", row.real)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        buses.receive_if("note", NOTE, (row.index, row.square), row.real)

    def rows(self, execution: Walk) -> int:
        return len(execution.numbers)

    def fill(self, execution: Walk, trace: Trace) -> None:
        count = len(execution.numbers)
        trace["real"][:count] = 1
        trace["index"][:count] = np.arange(count)
        trace["square"][:count] = execution.numbers**2


class SquaresChip(Chip):
    """The lookup table (x, x^2)."""

    name = "squares"
    mandatory = True
    columns = Columns(multiplicity=cell("times asked"))
    preprocessed = Columns(value=cell("x"), value_square=cell("x^2"), used=bit("entry"))

    def constraints(self, air: AirBuilder, row: Row) -> None:
        pass

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        buses.serve("entry", SQUARES, (row.value, row.value_square), row.multiplicity * row.used)

    def rows(self, execution: Walk) -> int:
        return TABLE_ROWS

    def fill(self, execution: Walk, trace: Trace) -> None:
        pass

    def preprocessed_rows(self, image: object) -> int:
        return TABLE_ROWS

    def fill_preprocessed(self, image: object, trace: Trace) -> None:
        values = np.arange(TABLE_ROWS, dtype=np.uint64)
        trace["value"][:TABLE_ROWS] = values
        trace["value_square"][:TABLE_ROWS] = values**2
        trace["used"][:TABLE_ROWS] = 1

    def serve_row(self, image, bus, values):  # type: ignore[no-untyped-def]
        x = values[0].astype(np.int64)
        inside = (values[0] < TABLE_ROWS) & (values[1] == values[0] ** 2)
        return [("multiplicity", np.where(inside, x, 0), inside)]


TOY = Machine("toy", (StepChip(), AuditChip(), SquaresChip()), MAX_ROWS)


def toy_statement(count: int, total: int, root: bytes, height: int = 1 << 15) -> Statement:
    """The walk has ``count`` steps and ends at ``total``."""
    closings = (
        closing(STATE, (0, 0), sent=True),
        closing(STATE, (count, total), sent=False),
        closing(LAST, (total,), sent=True),
    )
    fields = (("count", count.to_bytes(8, "little")), ("total", total.to_bytes(8, "little")))
    return Statement(fields, (0, 0, height), root, closings)


def toy_walk(count: int, seed: int = 1) -> Walk:
    """Random numbers below the table's size."""
    return Walk(np.random.default_rng(seed).integers(0, TABLE_ROWS, count).astype(np.uint64))
