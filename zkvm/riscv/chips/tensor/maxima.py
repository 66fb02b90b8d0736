"""Maxima: the largest of several vectors, lane by lane.

**Sound.** Rows of one call are a path; those of one result are ``taps`` of it, ``left`` falls to 1 at the last. ``first`` is the
path's to say: 1 at its head and behind every last row. Within a result the largest so far goes from row to row, under the result's name and
the number of taps left, which no other row has. y is not below x, not below the one before (the first row has none), and equal to one of
both: so it is their maximum, whichever they are. All are int16, so differences in [0, 2^16) are integers.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import MAXIMA, MAXIMUM_PATH, RANGE16, VECTOR
from zkvm.riscv.chips.tensor.lanes import TensorChip, assert_muted, calls_of, elements, lane_columns, lanes, put, vector
from zkvm.riscv.chips.tensor.uses import operands, vector_uses
from zkvm.riscv.isa.tensors import LANES, MAXIMUM, ROW_BYTES
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell


class MaximaChip(TensorChip):
    """One compared vector a row."""

    name = "tensor_maxima"
    columns = Columns(
        real=bit("the row compares a vector"),
        first=bit("it is the first of its result"),
        last=bit("it is the last of its result"),
        tensor=cell("id of the call"),
        index=cell("of the result"),
        left=cell("taps of the result, its own included"),
        operand=cell("tensor of the vector"),
        operand_index=cell("of the vector"),
        step=cell("vectors to the next of the result"),
        back=cell("vectors from the last of a result to the first of the next"),
        taps=cell("vectors of a result"),
        renewed=cell("taps, if it is the last, else 0"),
        next_operand_index=cell("of the next row's vector"),
        multiplicity=cell("times the result is read"),
        **lane_columns("x", "element"),
        **lane_columns("m", "largest before"),
        **lane_columns("y", "largest so far"),
    )
    counted = (VECTOR,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Flags, the step to the next row, the larger of both."""
        for name in ("real", "first", "last"):
            air.assert_bool(f"{name} is boolean", row[name])
        for name in ("first", "last"):
            air.when(1 - row.real).assert_zero(f"padding has no {name}", row[name])
        air.when(row.last).assert_equal("the last has no taps behind it", row.left, 1)
        air.assert_equal("taps of the next result", row.renewed, row.last * row.taps)
        moved = (row.real - row.last) * row.step + row.last * row.back
        air.assert_equal("vector of the next row", row.next_operand_index - row.operand_index, moved)
        for x, m, y in zip(lanes("x"), lanes("m"), lanes("y"), strict=True):
            air.when(row.first).assert_equal(f"{y} of the first is {x}", row[y], row[x])
            air.assert_zero(f"{y} is {m} or {x}", (1 - row.first) * (row[y] - row[m]) * (row[y] - row[x]))
        assert_muted(air, row, row.last)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, the largest so far, the vector, both comparisons, the served result."""
        fixed = (row.step, row.back, row.taps)
        buses.pair(
            "path",
            MAXIMUM_PATH,
            receive=(row.tensor, row.index, row.left, row.first, row.operand, row.operand_index, *fixed),
            send=(
                row.tensor, row.index + row.last, row.left - row.real + row.renewed, row.last,
                row.operand, row.next_operand_index, *fixed,
            ),
        )  # fmt: skip
        own = (row.tensor, row.index)
        buses.receive_if("largest before", MAXIMA, (*own, row.left, *vector(row, "m")), row.real - row.first)
        buses.send_if("largest so far", MAXIMA, (*own, row.left - 1, *vector(row, "y")), row.real - row.last)
        buses.lookup("vector", VECTOR, (row.operand, row.operand_index, *vector(row, "x")), row.real)
        for x, m, y in zip(lanes("x"), lanes("m"), lanes("y"), strict=True):
            buses.lookup(f"{y} is not below {x}", RANGE16, (row[y] - row[x],), row.real)
            buses.lookup(f"{y} is not below {m}", RANGE16, (row[y] - row[m],), row.real - row.first)
        buses.serve("result", VECTOR, (*own, *vector(row, "y")), row.multiplicity)

    def rows_of(self, call: TensorCall) -> int:
        """One a compared vector."""
        return call.descriptor.blocks * call.descriptor.taps if call.descriptor.operation == MAXIMUM else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Compare."""
        start, uses = 0, vector_uses(execution)
        for call in calls_of(execution, MAXIMUM):
            count = call.descriptor.blocks * call.descriptor.taps
            part = {name: column[start : start + count] for name, column in trace.items()}
            if count:
                self._fill_call(execution, call, part)
                part["multiplicity"][part["last"] == 1] = uses[call.id]
            start += count

    def _fill_call(self, execution: Execution, call: TensorCall, trace: Trace) -> None:
        d = call.descriptor
        index, tap = (places.reshape(-1) for places in np.indices((d.blocks, d.taps)))
        last = (tap == d.taps - 1).astype(np.int64)
        operand_index = d.x // ROW_BYTES + index * d.x_stride + tap * d.w_stride
        back = d.x_stride - (d.taps - 1) * d.w_stride
        columns = {
            "real": np.ones_like(index),
            "first": tap == 0,
            "last": last,
            "tensor": np.full_like(index, call.id),
            "index": index,
            "left": d.taps - tap,
            "operand": np.full_like(index, operands(execution, call.ecall)[0]),
            "operand_index": operand_index,
            "step": np.full_like(index, d.w_stride),
            "back": np.full_like(index, back),
            "taps": np.full_like(index, d.taps),
            "renewed": last * d.taps,
            "next_operand_index": operand_index + np.where(last == 1, back, d.w_stride),
        }
        for name, values in columns.items():
            trace[name][:] = elements(np.asarray(values))
        largest = np.maximum.accumulate(call.x, axis=1)
        before = np.concatenate([np.zeros_like(largest[:, :1]), largest[:, :-1]], axis=1)
        for stem, vectors in (("x", call.x), ("m", before), ("y", largest)):
            put(trace, stem, vectors.reshape(-1, LANES))
