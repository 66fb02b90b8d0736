"""Elementwise products: x w + weight y v of the elements of four vectors, each sum the one channel of a tile of its own.

**Sound.**

* Rows of one call are a path on which ``index`` grows by one. Channels of a block that are ``left`` fall to 1 at its last row, and are all
  channels behind it: ``last`` demands that one is left, and without it what is left only falls, so the end is out of reach. So each
  operand moves as the call says: by its step with each row, by the rest of its stride behind a block.
* The sums are the row's own columns, u = x w + weight y v by constraint. They enter the sum of a key that no other row has, (call, index),
  and the row sends and takes back the path of the one result that takes them away.
* Elements are int16, as whoever made them proves, and (1 + weight) limit <= 2^32 by the call's row: |u| <= 2^62, and its product with the
  multiplier is what results allow for.
* Counts of what was cut go through the path of that result, and on to the next row.
* Padding contributes nothing: u is 0 without ``real``, by constraint. Both paths stay there, and both counts.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import COMBINE_PATH, OUT_PATH, SUMS, VECTOR
from zkvm.riscv.chips.tensor.cuts import cuts_before
from zkvm.riscv.chips.tensor.lanes import TensorChip, calls_of, elements, lane_columns, lanes, put, vector
from zkvm.riscv.chips.tensor.products import positions_of
from zkvm.riscv.chips.tensor.uses import term_places
from zkvm.riscv.isa.tensors import ELEMENTWISE, ROW_BYTES
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell

MOVING = ("index", "left", "x", "y", "w", "v", "channel", "cut_above", "cut_below")
"""What changes from row to row, after the call's id in the path's tuple."""
CONSTANT = (
    "x_tensor", "y_tensor", "factors", "channels", "x_jump", "y_step", "y_jump", "w_step", "w_jump", "weight", "low", "span", "limit",
)  # fmt: skip
"""What is the same for all rows of a call, behind it."""
TERMS = ("x", "w", "y", "v")


class CombineChip(TensorChip):
    """One vector of sums a row."""

    name = "tensor_combine"
    columns = Columns(
        real=bit("the row has sums"),
        last=bit("it is the last channel of its block"),
        tensor=cell("id of the call"),
        index=cell("of the result"),
        left=cell("channels of the block, its own included"),
        x=cell("vector of x"),
        y=cell("vector of y"),
        w=cell("vector of w"),
        v=cell("vector of v"),
        channel=cell("address / 16 of the channel"),
        x_tensor=cell("tensor of x"),
        y_tensor=cell("tensor of y"),
        factors=cell("tensor of w and v"),
        channels=cell("of the result"),
        x_jump=cell("vectors that x moves on behind a block, beyond one a row"),
        y_step=cell("vectors that y moves on with a row"),
        y_jump=cell("vectors that it moves on behind a block besides"),
        w_step=cell("vectors that w and v move on with a row"),
        w_jump=cell("vectors that they move on behind a block besides"),
        weight=cell("of the second product"),
        low=cell("least result"),
        span=cell("greatest result less the least"),
        limit=cell("bound of the channels' multipliers"),
        back=cell("channels, if it is the last of its block, else 0"),
        cut_above=cell("results above the bounds, in the rows before"),
        cut_below=cell("results below the bounds, in these"),
        next_above=cell("and in this row: above"),
        next_below=cell("and in this row: below"),
        next_x=cell("x of the next row"),
        next_y=cell("y of the next row"),
        next_w=cell("w of the next row"),
        **lane_columns("x", "element"),
        **lane_columns("w", "its factor"),
        **lane_columns("y", "second element"),
        **lane_columns("v", "its factor"),
        **lane_columns("u", "sum of both products"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Flags, the step to the next row, the sums."""
        for name in ("real", "last"):
            air.assert_bool(f"{name} is boolean", row[name])
        air.when(1 - row.real).assert_zero("padding is not the last", row.last)
        air.when(row.last).assert_equal("the last has no channels behind it", row.left, 1)
        air.assert_equal("back to all channels", row.back, row.last * row.channels)
        air.assert_equal("x of the next row", row.next_x - row.x, row.real + row.last * row.x_jump)
        for name in "yw":
            moved = row.real * row[f"{name}_step"] + row.last * row[f"{name}_jump"]
            air.assert_equal(f"{name} of the next row", row[f"next_{name}"] - row[name], moved)
        for side in ("above", "below"):
            air.when(1 - row.real).assert_equal(f"padding cuts nothing: {side}", row[f"next_{side}"], row[f"cut_{side}"])
        for u, x, w, y, v in zip(*(lanes(stem) for stem in "uxwyv"), strict=True):
            air.assert_equal(f"{u} is the sum", row[u], row[x] * row[w] + row.weight * row[y] * row[v])
            air.when(1 - row.real).assert_zero(f"{u} is 0 on padding", row[u])

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, four vectors, the sums, the path of their result."""
        following = {
            "index": row.index + row.real,
            "left": row.left - row.real + row.back,
            "x": row.next_x,
            "y": row.next_y,
            "w": row.next_w,
            "v": row.v + row.next_w - row.w,
            "channel": row.channel + row.real - row.back,
            "cut_above": row.next_above,
            "cut_below": row.next_below,
        }
        constant = [row[name] for name in CONSTANT]
        buses.pair(
            "path",
            COMBINE_PATH,
            receive=(row.tensor, *(row[name] for name in MOVING), *constant),
            send=(row.tensor, *(following[name] for name in MOVING), *constant),
        )
        for stem, tensor in (("x", row.x_tensor), ("w", row.factors), ("y", row.y_tensor), ("v", row.factors)):
            buses.lookup(f"vector {stem}", VECTOR, (tensor, row[stem], *vector(row, stem)), row.real)
        own, rescaling = (row.tensor, row.index, 0), (row.low, row.span, row.limit)
        buses.contribute("sums", SUMS, own, positions_of(row, "u"))
        buses.pair(
            "result",
            OUT_PATH,
            receive=(*own, row.real, row.index + row.real, row.channel + row.real, *rescaling, row.next_above, row.next_below),
            send=(*own, 0, row.index, row.channel, *rescaling, row.cut_above, row.cut_below),
        )

    def rows_of(self, call: TensorCall) -> int:
        """One a vector."""
        return len(call.vectors) if call.descriptor.operation in ELEMENTWISE else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy the terms and walk the path."""
        start = 0
        for call in calls_of(execution, *ELEMENTWISE):
            count = len(call.vectors)
            if count:
                self._fill_call(execution, call, {name: column[start : start + count] for name, column in trace.items()})
            start += count

    def _fill_call(self, execution: Execution, call: TensorCall, trace: Trace) -> None:
        d = call.descriptor
        assert execution.image.tensors is not None
        index = np.arange(len(call.vectors), dtype=np.int64)
        at = index % d.channels
        last = (at == d.channels - 1).astype(np.int64)
        first_channel = d.channel_list // ROW_BYTES
        listed = execution.image.tensors.channels[first_channel - execution.image.tensors.first_channel]
        places = {stem: place.reshape(-1) for stem, (_, place) in zip(TERMS, term_places(execution, call), strict=True)}
        handles = {stem: handle for stem, (handle, _) in zip(TERMS, term_places(execution, call), strict=True)}
        jumps = jumps_of(call)
        constant = {
            "x_tensor": handles["x"],
            "y_tensor": handles["y"],
            "factors": handles["w"],
            "channels": d.channels,
            **jumps,
            "weight": d.taps,
            "low": d.low,
            "span": d.high - d.low,
            "limit": int(listed["limit"]),
        }
        columns = {"real": np.ones_like(index), "last": last, "tensor": np.full_like(index, call.id), "index": index}
        columns |= {**places, "left": d.channels - at, "channel": first_channel + at, "back": last * d.channels}
        columns |= {name: np.full_like(index, value) for name, value in constant.items()}
        columns["cut_above"], columns["cut_below"] = cuts_before(call).T
        columns["next_above"], columns["next_below"] = (cuts_before(call) + call.cuts).T
        columns["next_x"] = places["x"] + 1 + last * jumps["x_jump"]
        columns |= {f"next_{name}": places[name] + jumps[f"{name}_step"] + last * jumps[f"{name}_jump"] for name in "yw"}
        for name, values in columns.items():
            trace[name][:] = elements(values)
        for stem, vectors in zip(TERMS, call.terms, strict=True):
            put(trace, stem, vectors)
        put(trace, "u", call.sums)


def jumps_of(call: TensorCall) -> dict[str, int]:
    """By how many vectors operands move with each row, and behind a block besides."""
    d = call.descriptor
    y_step, w_step = d.steps & 1, d.steps >> 1
    return {
        "x_jump": d.x_stride - d.channels,
        "y_step": y_step,
        "y_jump": d.y_stride - y_step * d.channels,
        "w_step": w_step,
        "w_jump": d.w_stride - w_step * d.channels,
    }
