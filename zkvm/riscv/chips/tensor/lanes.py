"""What the chips of tensors share: the eight elements of a vector, the call that a row belongs to, serving made vectors.

**One entry for each (tensor, index).** A maker's rows lie on a path from its call's head to its end, which grows by exactly one index a
row; the id of a call is a quarter of its time, which no other call has. So no prover can serve a second vector under a name. Rows off
the path are padding, and padding serves nothing: ``(1 - real) multiplicity = 0``.

**An element is an int16** where it is made: in imported and loaded vectors by range check, in results because they lie within bounds
that are int16, in constants because the image says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.opcodes import FIRST_TIME, TIME_STEP
from zkvm.riscv.isa.tensors import LANES
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.columns import Column, Row, cell
from zkvm.stark.air.expression import Expr
from zkvm.stark.field.goldilocks import P

INT16_OFFSET = 1 << 15
"""Added to an int16 it is in [0, 2^16)."""
QUARTER = pow(TIME_STEP, -1, P)
ROW = pow(16, -1, P)
"""Of bytes to rows of constants. A number of bytes that is no multiple of 16 becomes p / 16 or more, where nothing is served."""
assert FIRST_TIME == TIME_STEP, "the id of a call is a quarter of its time: one more than the instructions before it"


class TensorChip(Chip):
    """A chip whose rows belong to one tensor call each."""

    by_call = True

    def rows_of(self, call: TensorCall) -> int:
        """How many rows a call has."""
        raise NotImplementedError

    def rows(self, execution: Execution) -> int:
        """Those of all calls."""
        return sum(self.rows_of(call) for call in execution.tensor_calls)


def lanes(stem: str) -> list[str]:
    """Names of the columns of a vector."""
    return [f"{stem}{k}" for k in range(LANES)]


def lane_columns(stem: str, meaning: str) -> dict[str, Column]:
    """Columns of a vector."""
    return {name: cell(f"{meaning}, lane {k}") for k, name in enumerate(lanes(stem))}


def vector(row: Row, stem: str) -> list[Expr]:
    """The elements of a vector."""
    return [row[name] for name in lanes(stem)]


def assert_muted(air: AirBuilder, row: Row, real: Expr) -> None:
    """A row that makes no vector serves none."""
    air.assert_zero("padding serves nothing", (1 - real) * row.multiplicity)


def elements(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Signed integers as field elements."""
    signed = values.astype(np.int64)
    return np.where(signed < 0, signed.view(np.uint64) - np.uint64((1 << 64) - P), signed.view(np.uint64))


def put(trace: dict[str, NDArray[np.uint64]], stem: str, vectors: NDArray[Any]) -> None:
    """Write vectors (k, 8) into the first rows of their columns."""
    for k, name in enumerate(lanes(stem)):
        trace[name][: len(vectors)] = elements(vectors[:, k])


def calls_of(execution: Execution, *operations: int) -> list[TensorCall]:
    """Calls of these operations, in order."""
    return [call for call in execution.tensor_calls if call.descriptor.operation in operations]


def joined(parts: Sequence[NDArray[Any]], kind: Any = np.int64) -> NDArray[Any]:
    """Arrays one after the other, also if there are none."""
    return np.concatenate([np.zeros((0, *parts[0].shape[1:]) if parts else 0, kind), *parts])
