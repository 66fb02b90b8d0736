"""Vectors of the private input.

**Sound.** Elements are free: they are the private input. All eight are int16 by range check, also lanes that the program does not use.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import IMPORT_PATH, RANGE16, VECTOR
from zkvm.riscv.chips.tensor.lanes import INT16_OFFSET, TensorChip, assert_muted, calls_of, joined, lane_columns, lanes, put, vector
from zkvm.riscv.chips.tensor.uses import vector_uses
from zkvm.riscv.isa.tensors import IMPORT
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell


class ImportChip(TensorChip):
    """One vector a row."""

    name = "tensor_import"
    columns = Columns(
        real=bit("the row makes a vector"),
        tensor=cell("id of the call"),
        index=cell("of the vector"),
        multiplicity=cell("times the vector is read"),
        **lane_columns("x", "element of the private input"),
    )
    counted = (VECTOR,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Padding is mute."""
        air.assert_bool("real is boolean", row.real)
        assert_muted(air, row, row.real)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, the elements' range, the served vector."""
        buses.pair("path", IMPORT_PATH, receive=(row.tensor, row.index), send=(row.tensor, row.index + row.real))
        for name in lanes("x"):
            buses.lookup(f"{name} is an int16", RANGE16, (row[name] + INT16_OFFSET,), row.real)
        buses.serve("vector", VECTOR, (row.tensor, row.index, *vector(row, "x")), row.multiplicity)

    def rows_of(self, call: TensorCall) -> int:
        """One a vector."""
        return len(call.vectors) if call.descriptor.operation == IMPORT else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records."""
        calls = calls_of(execution, IMPORT)
        if not calls:
            return
        uses = vector_uses(execution)
        columns = {
            "real": joined([np.ones(len(call.vectors), np.int64) for call in calls]),
            "tensor": joined([np.full(len(call.vectors), call.id) for call in calls]),
            "index": joined([np.arange(len(call.vectors)) for call in calls]),
            "multiplicity": joined([uses[call.id] for call in calls]),
        }
        for name, column in columns.items():
            trace[name][: len(column)] = column
        put(trace, "x", joined([call.vectors for call in calls], np.int16))
