"""Sums over windows of one channel: a row is one window of one channel for two blocks of positions, 16 results.

A window has three rows of five taps. Of each row 24 elements of the channel are read, three vectors, and lane i of the results takes
elements i to i + 4: element and lane move on together, so one look-up serves up to five taps of eight results.

**Sound.**

* Rows of one call are a path on which ``left``, the windows of the channel, falls by one with each row; ``last`` demands that one is left,
  and behind it all windows are left of the next channel. Channels of the pair of blocks fall in the same way, by one with each last
  window; ``end`` demands that one is left, and is never without ``last``. Without a flag what is left only falls, so the end of
  the path, where all are left, is out of reach. So of every result's windows each has one row.
* What a row reads is no choice: vectors of x and w are expressions of index, windows and channels left, and of the call's constants.
* ``index`` is that of the first block's result. It grows by one with a channel, and by all channels more behind a pair: those of the
  second block. So the path ends only behind the second block of a pair, and an odd number of blocks has no proof.
* A row sends and takes back the path of both results if it is the last window, and of none else: each has one row of results.
* The sums of a row are columns, u of the first block and t of the second, 15 products each by constraint. Their keys, (call, index of the
  result), are those of no other row but the windows of the same results. Elements are int16, as whoever made them proves, and 15 windows
  limit <= 2^32 by the call's row: the sums of all windows keep within what results allow for.
* Counts of what was cut go through the paths of both results, one after the other, and on to the next row; without results they stay.
* Padding contributes nothing: u and t are 0 without ``real``, by constraint. All paths stay there.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import DEPTHWISE_PATH, OUT_PATH, SUMS, VECTOR
from zkvm.riscv.chips.tensor.channels import listed
from zkvm.riscv.chips.tensor.cuts import CUTS, SIDES, cuts_of_windows
from zkvm.riscv.chips.tensor.lanes import TensorChip, calls_of, elements, lane_columns, lanes, put, vector
from zkvm.riscv.chips.tensor.products import positions_of
from zkvm.riscv.chips.tensor.uses import operands
from zkvm.riscv.isa.tensors import (
    LANES,
    PAIR_BLOCKS,
    ROW_BYTES,
    WINDOW_ROWS,
    WINDOW_TAPS,
    WINDOW_VECTORS,
    WINDOWED,
    products_of_windows,
)  # fmt: skip
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.air.expression import Expr, total

MOVING = ("index", "left", "channels_left", "cut_above", "cut_below")
"""What changes from row to row, after the call's id in the path's tuple."""
CONSTANT = (
    "x_tensor", "x_end", "x_step", "second", "third", "w_tensor", "w_end", "windows", "channels", "channel_end", "low", "span", "limit",
)  # fmt: skip
"""What is the same for all rows of a call, behind it."""
STRIPS = ("abc", "def", "ghi")
"""Of each row of a window the three vectors."""
WEIGHTS, SUMS_OF = "wv", "ut"
"""The vectors of a window's weights, and of its sums by block."""


class DepthwiseChip(TensorChip):
    """One window of one channel, for two blocks, a row."""

    name = "tensor_depthwise"
    columns = Columns(
        real=bit("the row is a window"),
        last=bit("it is the last window of its channel"),
        end=bit("the channel is the last of its blocks, too"),
        tensor=cell("id of the call"),
        index=cell("of the first block's result"),
        left=cell("windows of the channel, its own included"),
        channels_left=cell("channels of the blocks, its own included"),
        x_tensor=cell("tensor of x"),
        x_end=cell("vector of x behind all windows of the first channel"),
        x_step=cell("vectors of x from window to window"),
        second=cell("vectors of x from a window's first row to its second"),
        third=cell("vectors of x from its first row to its third"),
        w_tensor=cell("tensor of the weights"),
        w_end=cell("vector of weights behind all channels, and one channel's more"),
        windows=cell("of a channel"),
        channels=cell("of the result"),
        channel_end=cell("key of the channel behind the last"),
        low=cell("least result"),
        span=cell("greatest result less the least"),
        limit=cell("bound of the channels' multipliers"),
        renewed=cell("windows, if it is the last, else 0"),
        back=cell("channels, if it is the end, else 0"),
        x_left=cell("vectors of x from the window to the one behind all"),
        w_left=cell("windows of the channels that are left"),
        **{f"cut_{side}": cell(f"results {side} the bounds, in the rows before") for side in SIDES},
        **{f"middle_{side}": cell(f"and in the first block's result: {side}") for side in SIDES},
        **{f"next_{side}": cell(f"and in the second block's: {side}") for side in SIDES},
        **{
            name: column
            for row, stems in enumerate(STRIPS)
            for number, stem in enumerate(stems)
            for name, column in lane_columns(stem, f"row {row} of the window, vector {number}").items()
        },
        **lane_columns("w", "weight"),
        **lane_columns("v", "weight behind the first eight; the last is nobody's"),
        **lane_columns("u", "sum of the window, first block"),
        **lane_columns("t", "sum of the window, second block"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Flags, the step to the next row, what is left, the sums."""
        for name in ("real", "last", "end"):
            air.assert_bool(f"{name} is boolean", row[name])
        air.when(1 - row.real).assert_zero("padding is not the last", row.last)
        air.when(1 - row.last).assert_zero("only the last is the end", row.end)
        air.when(row.last).assert_equal("the last has no windows behind it", row.left, 1)
        air.when(row.end).assert_equal("the end has no channels behind it", row.channels_left, 1)
        air.assert_equal("windows of the next channel", row.renewed, row.last * row.windows)
        air.assert_equal("back to all channels", row.back, row.end * row.channels)
        air.assert_equal("windows that x is before the end", row.x_left, row.left * row.x_step)
        air.assert_equal("windows that w is before the end", row.w_left, row.channels_left * row.windows)
        for side in SIDES:
            for earlier, later in (("cut", "middle"), ("middle", "next")):
                before, after = row[f"{earlier}_{side}"], row[f"{later}_{side}"]
                air.when(1 - row.last).assert_equal(f"without results nothing is cut: {later}_{side}", after, before)
        for number, name in enumerate(name for stem in SUMS_OF for name in lanes(stem)):
            air.assert_equal(f"{name} is the sum", row[name], _products(row, number))
            air.when(1 - row.real).assert_zero(f"{name} is 0 on padding", row[name])

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, eleven vectors, the sums of both blocks, the paths of their results."""
        following = {
            "index": row.index + row.last + row.back,
            "left": row.left - row.real + row.renewed,
            "channels_left": row.channels_left - row.last + row.back,
            **{f"cut_{side}": row[f"next_{side}"] for side in SIDES},
        }
        constant = [row[name] for name in CONSTANT]
        buses.pair(
            "path",
            DEPTHWISE_PATH,
            receive=(row.tensor, *(row[name] for name in MOVING), *constant),
            send=(row.tensor, *(following[name] for name in MOVING), *constant),
        )
        x, w = row.x_end + row.index - row.x_left, row.w_end - (row.w_left + row.left) * WINDOW_VECTORS
        offsets: tuple[Expr | int, ...] = (0, row.second, row.third)
        for stems, offset in zip(STRIPS, offsets, strict=True):
            for number, stem in enumerate(stems):
                place = x + offset + number * row.channels
                buses.lookup(f"vector {stem}", VECTOR, (row.x_tensor, place, *vector(row, stem)), row.real)
        for number, stem in enumerate(WEIGHTS):
            buses.lookup(f"vector {stem}", VECTOR, (row.w_tensor, w + number, *vector(row, stem)), row.real)
        channel, rescaling = row.channel_end - row.channels_left, (row.low, row.span, row.limit)
        for block, index in enumerate((row.index, row.index + row.channels)):
            own = (row.tensor, index, 0)
            before, after = ([row[name] for name in CUTS[2 * stage : 2 * stage + 2]] for stage in (block, block + 1))
            buses.contribute(f"sums of block {block}", SUMS, own, positions_of(row, SUMS_OF[block]))
            buses.pair(
                f"result of block {block}",
                OUT_PATH,
                receive=(*own, row.last, index + row.last, channel + row.last, *rescaling, *after),
                send=(*own, 0, index, channel, *rescaling, *before),
            )

    def rows_of(self, call: TensorCall) -> int:
        """One a window of a channel for two blocks."""
        d = call.descriptor
        return d.blocks // PAIR_BLOCKS * d.channels * d.taps if d.operation in WINDOWED else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Copy what each window reads and walk the path."""
        start = 0
        for call in calls_of(execution, *WINDOWED):
            count = self.rows_of(call)
            if count:
                self._fill_call(execution, call, {name: column[start : start + count] for name, column in trace.items()})
            start += count

    def _fill_call(self, execution: Execution, call: TensorCall, trace: Trace) -> None:
        d, (x_tensor, w_tensor) = call.descriptor, operands(execution, call.ecall)
        pair, channel, window = (places.reshape(-1) for places in np.indices((d.blocks // PAIR_BLOCKS, d.channels, d.taps)))
        last = (window == d.taps - 1).astype(np.int64)
        end = last * (channel == d.channels - 1)
        first_channel, channels = listed(execution, call)
        constant = {
            **ends_of(call),
            "real": 1,
            "tensor": call.id,
            "x_tensor": x_tensor,
            "w_tensor": w_tensor,
            "channel_end": first_channel + d.channels,
            "low": d.low,
            "span": d.high - d.low,
            "limit": int(channels["limit"][0]),
        }
        left, channels_left = d.taps - window, d.channels - channel
        columns = {
            "last": last,
            "end": end,
            "index": PAIR_BLOCKS * pair * d.channels + channel,
            "left": left,
            "channels_left": channels_left,
        }
        columns |= dict(zip(CUTS, cuts_of_windows(call, columns["index"], last).T, strict=True))
        columns |= {name: np.full_like(pair, value) for name, value in constant.items()}
        columns |= {"renewed": last * d.taps, "back": end * d.channels, "x_left": left * d.x_stride, "w_left": channels_left * d.taps}
        for name, values in columns.items():
            trace[name][:] = elements(values)
        strips = call.x.reshape(len(pair), -1, LANES)
        for number, stem in enumerate("".join(STRIPS)):
            put(trace, stem, strips[:, number])
        for number, stem in enumerate(WEIGHTS):
            put(trace, stem, call.w[channel, window, number])
        sums = products_of_windows(strips.reshape(len(pair), WINDOW_ROWS, -1), call.w[channel, window].reshape(len(pair), -1))
        for number, stem in enumerate(SUMS_OF):
            put(trace, stem, sums[:, number * LANES :])


def _products(row: Row, lane: int) -> Expr:
    """The products of a window for one of the 16 results."""
    weights = [name for stem in WEIGHTS for name in lanes(stem)]
    strips = [[name for stem in stems for name in lanes(stem)] for stems in STRIPS]
    return total(
        *(
            row[strips[number][lane + tap]] * row[weights[WINDOW_TAPS * number + tap]]
            for number in range(WINDOW_ROWS)
            for tap in range(WINDOW_TAPS)
        )
    )


def ends_of(call: TensorCall) -> dict[str, int]:
    """The constants of a path that follow from its call's descriptor."""
    d = call.descriptor
    return {
        "x_end": d.x // ROW_BYTES + d.taps * d.x_stride,
        "x_step": d.x_stride,
        "second": d.w_stride,
        "third": d.y_stride,
        "w_end": d.w // ROW_BYTES + WINDOW_VECTORS * (d.channels + 1) * d.taps,
        "windows": d.taps,
        "channels": d.channels,
    }
