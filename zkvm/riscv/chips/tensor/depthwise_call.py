"""Calls whose channels have sums of their own: one row a call. A table of its own: programs without them do not pay for its columns.

**Sound.** As :mod:`zkvm.riscv.chips.tensor.call`, with which it shares id, order of operands and bounds; and

* Rows of windows are a path from index 0 to blocks channels, at which all windows of all channels are left. Channels and windows are from 1
  to 2^16, so an end that the rows reach mod p is the one of as many blocks as the descriptor says.
* 15 windows limit = 2^32 - x with a word x: it is from 1 to 2^32, and limit, that of every channel that a result is rescaled by, is below
  2^31: nothing wraps.
* Channels are the image's, or vectors of the second operand, which is earlier. The limit of the latter is the descriptor's.
* What was cut is counted along the path, as of layers.
* Padding: no flag, no blocks, hence the path begins where it ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import DEPTHWISE_PATH, RANGE16, ROM
from zkvm.riscv.chips.calls import call_columns, fill_calls
from zkvm.riscv.chips.common import (
    TWO_16,
    TWO_32,
    assert_flags,
    assert_neutral,
    connect_accesses,
    connect_instruction,
    high_limb,
    low16,
    low_limb,
    range_word,
    state_columns,
)
from zkvm.riscv.chips.tensor.call import call_accesses, cuts_of, limit_of, list_start
from zkvm.riscv.chips.tensor.channels import TENSOR_KEYS
from zkvm.riscv.chips.tensor.depthwise import CONSTANT
from zkvm.riscv.chips.tensor.lanes import INT16_OFFSET, QUARTER, ROW, TensorChip, calls_of, elements
from zkvm.riscv.chips.tensor.words import WORD_BYTES
from zkvm.riscv.isa.opcodes import ECALL
from zkvm.riscv.isa.tensors import DEPTHWISE, SCALED_DEPTHWISE, WINDOW_PRODUCTS, WINDOW_VECTORS, WINDOWED, Descriptor
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr

FLAGS = {"listed": DEPTHWISE, "scaled": SCALED_DEPTHWISE}
"""Flag of each operation: where its channels are."""
WORDS = {
    "blocks": (1, "blocks"), "channels": (2, "channels"), "windows": (3, "taps"), "x": (4, "x"), "x_step": (5, "x_stride"), "w": (6, "w"),
    "second": (7, "w_stride"), "channel_list": (8, "channel_list"), "bounds": (9, "bounds"), "third": (11, "y_stride"),
}  # fmt: skip
"""Columns of the descriptor's words behind the first: which one, and its name there."""
LIMIT_WORD = 10
"""Of channels in vectors."""


class DepthwiseCallChip(TensorChip):
    """One call a row."""

    name = "tensor_depthwise_call"
    columns = Columns(
        **state_columns(),
        **call_columns("a0", "a1", "a2"),
        t_a7=cell("previous access of a7"),
        **{name: bit(f"the operation is {number}") for name, number in FLAGS.items()},
        **{name: word(f"{name.replace('_', ' ')}, of the descriptor") for name in WORDS},
        results=cell("vectors of the result"),
        x_over=cell("vectors that x moves over all windows of a channel"),
        rows=cell("windows of all channels"),
        list_start=cell("key of the first channel"),
        cut_above=cell("results above the bounds: a1 after the call"),
        cut_below=cell("results below the bounds: a2 after the call"),
        limit=cell("bound of the multipliers"),
        products=cell("15 windows limit"),
        low=cell("least result + 2^15"),
        first_low=low_limb("id - first operand - 1"),
        second_low=low_limb("id - second operand - 1"),
        room_low=low_limb("2^32 - 15 windows limit"),
    )

    def _real(self, row: Row) -> Expr:
        return row.listed + row.scaled

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The operation, its channels, and how far the path goes."""
        real = self._real(row)
        assert_flags(air, row, *FLAGS)
        air.when(1 - real).assert_zero("padding has no blocks", row.blocks)
        air.assert_equal("vectors of the result", row.results, row.blocks * row.channels)
        air.assert_equal("x over the windows", row.x_over, row.windows * row.x_step)
        air.assert_equal("windows of all channels", row.rows, row.windows * row.channels)
        air.assert_equal("first channel", row.list_start, row.channel_list * ROW + row.scaled * (row.a2 + 1) * TENSOR_KEYS)
        air.assert_equal("15 windows limit", row.products, row.windows * row.limit * WINDOW_PRODUCTS)
        for side in ("above", "below"):
            air.when(1 - real).assert_zero(f"padding cuts nothing {side}", row[f"cut_{side}"])
        assert_neutral(air, row.t, call_accesses(row, real, (row.cut_above, row.cut_below)))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, registers, descriptor, order of operands, bounds, path."""
        real, identity = self._real(row), row.t * QUARTER
        connect_instruction(buses, row, real, ECALL)
        connect_accesses(buses, row.t, call_accesses(row, real, (row.cut_above, row.cut_below)))
        operation = row.listed * DEPTHWISE + row.scaled * SCALED_DEPTHWISE
        buses.lookup("operation", ROM, (row.a0, operation), real)
        for name, (number, _) in WORDS.items():
            buses.lookup(name.replace("_", " "), ROM, (row.a0 + WORD_BYTES * number, row[name]), real)
        buses.lookup("limit", ROM, (row.a0 + WORD_BYTES * LIMIT_WORD, row.limit), row.scaled)
        range_word(buses, "first operand is earlier", identity - row.a1 - 1, row.first_low, real)
        range_word(buses, "second operand is earlier", identity - row.a2 - 1, row.second_low, real)
        for name in ("channels", "windows"):
            buses.lookup(f"1 to 2^16 {name}", RANGE16, (row[name] - 1,), real)
        high = high_limb(row.bounds, row.low)
        for label, value in (("least result", row.low), ("greatest result", high), ("bounds are in order", high - row.low)):
            buses.lookup(label, RANGE16, (value,), real)
        range_word(buses, "2^32 - 15 windows limit", TWO_32 - row.products, row.room_low, real)
        constant = {name: row[name] for name in ("x_step", "second", "third", "windows", "channels", "limit")}
        constant |= {"x_tensor": row.a1, "w_tensor": row.a2, "low": row.low - INT16_OFFSET, "span": high - row.low}
        constant |= {"x_end": row.x * ROW + row.x_over, "w_end": row.w * ROW + (row.rows + row.windows) * WINDOW_VECTORS}
        constant["channel_end"] = row.list_start + row.channels
        tail = [constant[name] for name in CONSTANT]
        buses.pair(
            "path",
            DEPTHWISE_PATH,
            receive=(identity, row.results, row.windows, row.channels, row.cut_above, row.cut_below, *tail),
            send=(identity, 0, row.windows, row.channels, 0, 0, *tail),
        )

    def rows_of(self, call: TensorCall) -> int:
        """One a call."""
        return int(call.descriptor.operation in WINDOWED)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records and compute both ends of the path."""
        calls = calls_of(execution, *WINDOWED)
        if not calls:
            return
        records = execution.ecalls[[call.ecall for call in calls]]
        fill_calls(trace, execution, records, "a0", "a1", "a2")
        trace["t_a7"][: len(calls)] = records["t_a7"]
        limits = np.array([limit_of(execution, call) for call in calls], np.int64)
        for name, values in _columns(calls, records, limits).items():
            trace[name][: len(calls)] = elements(np.asarray(values))


def _columns(calls: list[TensorCall], records: NDArray[Any], limits: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    words = {name: np.array([getattr(call.descriptor, name) for call in calls], np.int64) for name in Descriptor._fields}
    identity = np.array([call.id for call in calls], np.int64)
    first, second = (records[name].astype(np.int64) for name in ("a1", "a2"))
    products = WINDOW_PRODUCTS * words["taps"] * limits
    return {
        **{name: words["operation"] == number for name, number in FLAGS.items()},
        **{column: words[name] for column, (_, name) in WORDS.items()},
        "results": words["blocks"] * words["channels"],
        "x_over": words["taps"] * words["x_stride"],
        "rows": words["taps"] * words["channels"],
        "list_start": np.array([list_start(call, int(handle)) for call, handle in zip(calls, second, strict=True)], np.int64),
        **dict(zip(("cut_above", "cut_below"), cuts_of(calls), strict=True)),
        "limit": limits,
        "products": products,
        "low": words["bounds"] % TWO_16,
        "first_low": low16((identity - first - 1).astype(np.uint64)),
        "second_low": low16((identity - second - 1).astype(np.uint64)),
        "room_low": low16((TWO_32 - products).astype(np.uint64)),
    }
