"""Calls of elementwise products: one row a call. A table of its own, so that programs without them do not pay for its columns.

**Sound.** As :mod:`zkvm.riscv.chips.tensor.call`, with which it shares id, order of operands and bounds; and

* Rows of sums are a path from index 0 to blocks channels, at which every operand has moved by blocks strides, and no channel of a block is
  done. Channels are from 1 to 2^16, so an end that the rows reach mod p is the one of as many blocks as the descriptor says.
* MULTIPLY takes y of the first operand and the factors of the second; COMBINE takes y of the second and the factors of the constants.
* (1 + weight) limit = 2^32 - x with a word x, so it is from 1 to 2^32.
* What was cut is counted along the path, as of layers.
* Padding: no flag, no blocks, hence the path begins where it ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import COMBINE_PATH, RANGE16, ROM
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
from zkvm.riscv.chips.tensor.call import call_accesses, cuts_of, limit_of
from zkvm.riscv.chips.tensor.combining import CONSTANT
from zkvm.riscv.chips.tensor.lanes import INT16_OFFSET, QUARTER, ROW, TensorChip, calls_of, elements
from zkvm.riscv.chips.tensor.words import WORD_BYTES
from zkvm.riscv.isa.opcodes import ECALL
from zkvm.riscv.isa.tensors import COMBINE, ELEMENTWISE, MULTIPLY, W_STEPS, Y_STEPS, Descriptor
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, word
from zkvm.stark.air.expression import Expr

FLAGS = {"combines": COMBINE, "multiplies": MULTIPLY}
"""Flag of each operation."""
WORDS = {
    "blocks": "blocks", "channels": "channels", "weight": "taps", "x": "x", "x_stride": "x_stride", "w": "w", "w_stride": "w_stride",
    "channel_list": "channel_list", "bounds": "bounds", "y": "y", "y_stride": "y_stride", "v": "v",
}  # fmt: skip
"""Columns of the descriptor's words behind the first, in order, and the words. The last one, the steps, has two flags."""


class CombineCallChip(TensorChip):
    """One call a row."""

    name = "tensor_combine_call"
    columns = Columns(
        **state_columns(),
        **call_columns("a0", "a1", "a2"),
        t_a7=cell("previous access of a7"),
        **{name: bit(f"the operation is {number}") for name, number in FLAGS.items()},
        **{name: word(f"{name.replace('_', ' ')}, of the descriptor") for name in WORDS},
        y_step=bit("y moves with the channels"),
        w_step=bit("w and v do"),
        y_tensor=cell("tensor of y"),
        factors=cell("tensor of w and v"),
        results=cell("vectors of the result"),
        x_over=cell("vectors that x moves over all blocks"),
        y_over=cell("vectors that y does"),
        w_over=cell("vectors that w and v do"),
        y_block=cell("vectors that y moves over the channels of a block"),
        w_block=cell("vectors that w and v do"),
        cut_above=cell("results above the bounds: a1 after the call"),
        cut_below=cell("results below the bounds: a2 after the call"),
        limit=cell("bound of the multipliers"),
        products=cell("(1 + weight) limit"),
        low=cell("least result + 2^15"),
        first_low=low_limb("id - first operand - 1"),
        second_low=low_limb("id - second operand - 1"),
        room_low=low_limb("2^32 - (1 + weight) limit"),
    )

    def _real(self, row: Row) -> Expr:
        return row.combines + row.multiplies

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The operation, its operands, and how far the path goes."""
        real = self._real(row)
        assert_flags(air, row, *FLAGS)
        for name in ("y_step", "w_step"):
            air.assert_bool(f"{name} is boolean", row[name])
        air.when(1 - real).assert_zero("padding has no blocks", row.blocks)
        air.assert_equal("tensor of y", row.y_tensor, row.a2 + row.multiplies * (row.a1 - row.a2))
        air.assert_equal("tensor of the factors", row.factors, row.multiplies * row.a2)
        air.assert_equal("vectors of the result", row.results, row.blocks * row.channels)
        for name in "xyw":
            air.assert_equal(f"{name} over all blocks", row[f"{name}_over"], row.blocks * row[f"{name}_stride"])
        for name in "yw":
            air.assert_equal(f"{name} over the channels", row[f"{name}_block"], row[f"{name}_step"] * row.channels)
        air.assert_equal("products of 1 + weight and limit", row.products, (1 + row.weight) * row.limit)
        for side in ("above", "below"):
            air.when(1 - real).assert_zero(f"padding cuts nothing {side}", row[f"cut_{side}"])
        assert_neutral(air, row.t, call_accesses(row, real, (row.cut_above, row.cut_below)))

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """State, program, registers, descriptor, order of operands, bounds, path."""
        real, identity = self._real(row), row.t * QUARTER
        connect_instruction(buses, row, real, ECALL)
        connect_accesses(buses, row.t, call_accesses(row, real, (row.cut_above, row.cut_below)))
        operation = row.combines * COMBINE + row.multiplies * MULTIPLY
        said = [("operation", operation), *((name, row[name]) for name in WORDS), ("steps", row.y_step * Y_STEPS + row.w_step * W_STEPS)]
        for k, (name, value) in enumerate(said):
            buses.lookup(name.replace("_", " "), ROM, (row.a0 + WORD_BYTES * k, value), real)
        range_word(buses, "first operand is earlier", identity - row.a1 - 1, row.first_low, real)
        range_word(buses, "second operand is earlier", identity - row.a2 - 1, row.second_low, real)
        buses.lookup("1 to 2^16 channels", RANGE16, (row.channels - 1,), real)
        high = high_limb(row.bounds, row.low)
        for label, value in (("least result", row.low), ("greatest result", high), ("bounds are in order", high - row.low)):
            buses.lookup(label, RANGE16, (value,), real)
        range_word(buses, "2^32 - (1 + weight) limit", TWO_32 - row.products, row.room_low, real)
        constant = {name: row[name] for name in ("y_tensor", "factors", "channels", "y_step", "w_step", "weight", "limit")}
        constant |= {"x_tensor": row.a1, "low": row.low - INT16_OFFSET, "span": high - row.low, "x_jump": row.x_stride - row.channels}
        constant |= {f"{name}_jump": row[f"{name}_stride"] - row[f"{name}_block"] for name in "yw"}
        tail = [constant[name] for name in CONSTANT]
        starts = [row[name] * ROW for name in ("x", "y", "w", "v")]
        ends = [start + row[f"{name}_over"] for start, name in zip(starts, "xyww", strict=True)]
        channel = row.channel_list * ROW
        buses.pair(
            "path",
            COMBINE_PATH,
            receive=(identity, row.results, row.channels, *ends, channel, row.cut_above, row.cut_below, *tail),
            send=(identity, 0, row.channels, *starts, channel, 0, 0, *tail),
        )

    def rows_of(self, call: TensorCall) -> int:
        """One a call."""
        return int(call.descriptor.operation in ELEMENTWISE)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the records and compute both ends of the path."""
        calls = calls_of(execution, *ELEMENTWISE)
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
    flags = {name: words["operation"] == number for name, number in FLAGS.items()}
    identity = np.array([call.id for call in calls], np.int64)
    first, second = (records[name].astype(np.int64) for name in ("a1", "a2"))
    products = (1 + words["taps"]) * limits
    y_step, w_step = words["steps"] & Y_STEPS, words["steps"] // W_STEPS
    return {
        **flags,
        **{column: words[name] for column, name in WORDS.items()},
        "y_step": y_step,
        "w_step": w_step,
        "y_tensor": np.where(flags["multiplies"], first, second),
        "factors": flags["multiplies"] * second,
        "results": words["blocks"] * words["channels"],
        **{f"{name}_over": words["blocks"] * words[f"{name}_stride"] for name in "xyw"},
        "y_block": y_step * words["channels"],
        "w_block": w_step * words["channels"],
        **dict(zip(("cut_above", "cut_below"), cuts_of(calls), strict=True)),
        "limit": limits,
        "products": products,
        "low": words["bounds"] % TWO_16,
        "first_low": low16((identity - first - 1).astype(np.uint64)),
        "second_low": low16((identity - second - 1).astype(np.uint64)),
        "room_low": low16((TWO_32 - products).astype(np.uint64)),
    }
