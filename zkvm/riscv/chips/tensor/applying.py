"""Functions: entries for the elements of a vector, or for what they are less those of another vector.

**Sound.** Rows of one call are a path on which ``index`` grows by one.

* APPLY: x is an int16, so the entry is one of the function's 2^16. What is served is what the image holds there.
* RELATIVE: each block has a vector of its own that is taken from those of x, m. Channels of a block that are ``left`` fall to 1 at its last
  row, behind which all channels are left, and m is the next vector. ``last`` demands that one is left, and without it what is left only
  falls, so the path ends where the call says only if each block has as many rows as the call has channels.
* Without ``paired``, which the path says, m is 0, nothing is looked up for it, and it stays where it is.
* Padding moves nothing and serves nothing.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import APPLY_PATH, FUNCTION, VECTOR
from zkvm.riscv.chips.tensor.lanes import TensorChip, assert_muted, calls_of, elements, lane_columns, lanes, put, vector
from zkvm.riscv.chips.tensor.uses import operands, vector_uses
from zkvm.riscv.isa.tensors import ENTRY_BYTES, FUNCTIONS, INT16_OFFSET, RELATIVE, RELATIVE_OFFSET, ROW_BYTES
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell


class ApplyChip(TensorChip):
    """One vector a row."""

    name = "tensor_apply"
    columns = Columns(
        real=bit("the row makes a vector"),
        paired=bit("m is taken from x"),
        last=bit("it is the last channel of its block, of those with m"),
        tensor=cell("id of the call"),
        index=cell("of the vector"),
        left=cell("channels of the block, its own included, with m"),
        operand=cell("tensor that is read"),
        operand_index=cell("its vector"),
        other=cell("tensor of m"),
        other_index=cell("its vector"),
        stride=cell("vectors of x from one to the next"),
        channels=cell("of a block"),
        function=cell("address / 2 of the function's entry for 0"),
        back=cell("channels, if it is the last of its block, else 0"),
        multiplicity=cell("times the vector is read"),
        **lane_columns("x", "argument"),
        **lane_columns("m", "what is taken from it"),
        **lane_columns("y", "entry"),
    )
    counted = (VECTOR,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Flags, what moves with blocks, padding."""
        for name in ("real", "paired", "last"):
            air.assert_bool(f"{name} is boolean", row[name])
        for name in ("paired", "stride"):
            air.when(1 - row.real).assert_zero(f"padding has no {name}", row[name])
        for name in ("last", *lanes("m")):
            air.when(1 - row.paired).assert_zero(f"{name} is 0 without m", row[name])
        air.when(row.last).assert_equal("the last has no channels behind it", row.left, 1)
        air.assert_equal("back to all channels", row.back, row.last * row.channels)
        assert_muted(air, row, row.real)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, the vectors, eight entries, the served vector."""
        fixed = (row.stride, row.function, row.paired, row.other, row.channels)
        buses.pair(
            "path",
            APPLY_PATH,
            receive=(row.tensor, row.index, row.operand, row.operand_index, row.left, row.other_index, *fixed),
            send=(
                row.tensor,
                row.index + row.real,
                row.operand,
                row.operand_index + row.stride,
                row.left - row.paired + row.back,
                row.other_index + row.last,
                *fixed,
            ),
        )
        buses.lookup("vector", VECTOR, (row.operand, row.operand_index, *vector(row, "x")), row.real)
        buses.lookup("vector m", VECTOR, (row.other, row.other_index, *vector(row, "m")), row.paired)
        for x, m, y in zip(*(lanes(stem) for stem in "xmy"), strict=True):
            buses.lookup(f"entry {y}", FUNCTION, (row.function + row[x] - row[m], row[y]), row.real)
        buses.serve("result", VECTOR, (row.tensor, row.index, *vector(row, "y")), row.multiplicity)

    def rows_of(self, call: TensorCall) -> int:
        """One a vector."""
        return len(call.vectors) if call.descriptor.operation in FUNCTIONS else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy arguments and entries."""
        start, uses = 0, vector_uses(execution)
        for call in calls_of(execution, *FUNCTIONS):
            count = len(call.vectors)
            if count:
                part = {name: column[start : start + count] for name, column in trace.items()}
                self._fill_call(execution, call, part)
                part["multiplicity"][:] = uses[call.id]
            start += count

    def _fill_call(self, execution: Execution, call: TensorCall, trace: Trace) -> None:
        d, handles = call.descriptor, operands(execution, call.ecall)
        paired = d.operation == RELATIVE
        index = np.arange(len(call.vectors), dtype=np.int64)
        channels = d.channels  # 0 where it is not read
        at = index % channels if paired else index * 0
        last = paired * (at == channels - 1).astype(np.int64)
        columns = {
            "real": 1,
            "paired": paired,
            "last": last,
            "tensor": call.id,
            "index": index,
            "left": channels - at,
            "operand": handles[0],
            "operand_index": d.x // ROW_BYTES + d.x_stride * index,
            "other": handles[1],
            "other_index": d.w // ROW_BYTES + (index // channels if paired else 0),
            "stride": d.x_stride,
            "channels": channels,
            "function": d.channel_list // ENTRY_BYTES + (RELATIVE_OFFSET if paired else INT16_OFFSET),
            "back": last * channels,
        }
        for name, values in columns.items():
            trace[name][:] = elements(np.asarray(values))
        put(trace, "x", call.x)
        put(trace, "y", call.vectors)
        if paired:
            put(trace, "m", call.w)
