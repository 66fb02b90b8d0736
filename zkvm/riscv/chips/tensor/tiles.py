"""Tiles: which taps meet in which sums, and which results they become.

**Sound.** The tiles of a call are a path: ``tile`` grows by one a row, from the head that the call sends to the end that it takes back.

* A tile has 16 channels, or, if it is the last of its blocks, those that are left, at most 8 of them without ``two_channels``
  (range check). Channels that are left fall by what a tile has, so the path ends only if the last tile has them all.
* Behind the last tile come the channels of the next one or two blocks; ``two_blocks`` stays the same until then, so that all tiles
  of a block agree whether it is there. Blocks that are left fall by one or two and must end at 0.
* Both results' paths begin at the first channel of the tile and end after as many as it has, or at once without a second block. So each
  (block, channel) has one row of results.
* Counts of what was cut go through these paths, one after the other, and on to the next tile: from 0 to what the call takes back.
* Padding moves nothing: every step is 0 there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import OUT_PATH, RANGE16, TAP_PATH, TILE_PATH
from zkvm.riscv.chips.tensor.channels import listed
from zkvm.riscv.chips.tensor.cuts import CUTS, SIDES, cuts_of_tiles
from zkvm.riscv.chips.tensor.lanes import TensorChip, elements
from zkvm.riscv.chips.tensor.products import TILE_CHANNELS, layers, tile_count
from zkvm.riscv.chips.tensor.uses import TILE_HALVES, operands
from zkvm.riscv.isa.tensors import LANES, ROW_BYTES
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell

CONSTANT = ("taps", "channels", "x_stride", "w_stride", "x_tensor", "w_tensor", "first_w", "low", "span", "limit")
"""What is the same for all tiles of a call, at the end of their path's tuple."""
MOVING = ("tile", "blocks_left", "channels_left", "two_blocks", "x", "w", "result", "channel", "cut_above", "cut_below")
"""What changes from tile to tile, after the call's id."""


class TilesChip(TensorChip):
    """One tile a row."""

    name = "tensor_tiles"
    columns = Columns(
        real=bit("the row is a tile"),
        last=bit("no channels of its blocks are left after it"),
        tensor=cell("id of the call"),
        tile=cell("number of the tile"),
        blocks_left=cell("blocks of 8 positions, its own included"),
        channels_left=cell("channels of its blocks, its own included"),
        two_blocks=bit("it has two blocks of 8 positions"),
        x=cell("first operand's vector of the first tap, first block"),
        w=cell("second operand's vector of the first tap, first 8 channels"),
        result=cell("index of the first result"),
        channel=cell("key of its first channel"),
        taps=cell("products of a sum"),
        channels=cell("of the result"),
        x_stride=cell("first operand's vectors from block to block"),
        w_stride=cell("second operand's vectors from 8 channels to the next"),
        x_tensor=cell("tensor of the first operand"),
        w_tensor=cell("tensor of the second operand"),
        first_w=cell("w of the first channels"),
        low=cell("least result"),
        span=cell("greatest result less the least"),
        limit=cell("bound of the channels' multipliers"),
        two_channels=bit("it has channels beyond the first 8"),
        width=cell("its channels"),
        second_width=cell("its channels, if it has a second block, else 0"),
        back=cell("channels, if it is the last, else 0"),
        skip=cell("channels, if it is the last and has two blocks, else 0"),
        next_blocks_left=cell("blocks left after it"),
        next_two_blocks=bit("the next tile has two blocks"),
        **{f"cut_{side}": cell(f"results {side} the bounds, in the tiles before") for side in SIDES},
        **{f"middle_{side}": cell(f"and in the tile's first half: {side}") for side in SIDES},
        **{f"next_{side}": cell(f"and in its second half: {side}") for side in SIDES},
        next_x=cell("x of the next tile"),
        next_w=cell("w of the next tile"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Flags, widths, the step to the next tile."""
        for name in ("real", "last", "two_blocks", "two_channels", "next_two_blocks"):
            air.assert_bool(f"{name} is boolean", row[name])
        for name in ("last", "two_blocks", "two_channels", "next_two_blocks", "taps"):
            air.when(1 - row.real).assert_zero(f"padding has no {name}", row[name])
        air.when(1 - row.last).assert_equal("16 channels unless it is the last", row.width, row.real * TILE_CHANNELS)
        air.when(row.last).assert_equal("the last has the channels that are left", row.width, row.channels_left)
        air.assert_equal("results of the second block", row.second_width, row.two_blocks * row.width)
        air.assert_equal("back to all channels", row.back, row.last * row.channels)
        air.assert_equal("over the second block's results", row.skip, row.two_blocks * row.back)
        air.assert_equal("blocks that are done", row.blocks_left - row.next_blocks_left, row.last * (1 + row.two_blocks))
        air.when(1 - row.last).assert_equal("tiles of one block agree whether there are two", row.next_two_blocks, row.two_blocks)
        air.assert_equal("x of the next tile", row.next_x - row.x, row.last * (1 + row.two_blocks) * row.x_stride)
        for side in SIDES:
            for earlier, later in (("cut", "middle"), ("middle", "next")):
                before, after = row[f"{earlier}_{side}"], row[f"{later}_{side}"]
                air.when(1 - row.real).assert_equal(f"padding cuts nothing: {later}_{side}", after, before)
        w_step = row.last * (row.first_w - row.w) + (row.real - row.last) * TILE_HALVES * row.w_stride
        air.assert_equal("w of the next tile", row.next_w - row.w, w_step)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path of tiles, that of taps, those of both halves' results."""
        following = {
            "tile": row.tile + row.real,
            "blocks_left": row.next_blocks_left,
            "channels_left": row.channels_left - row.width + row.back,
            "two_blocks": row.next_two_blocks,
            "x": row.next_x,
            "w": row.next_w,
            "result": row.result + row.width + row.skip,
            "channel": row.channel + row.width - row.back,
            **{f"cut_{side}": row[f"next_{side}"] for side in SIDES},
        }
        constant = [row[name] for name in CONSTANT]
        buses.pair(
            "tiles",
            TILE_PATH,
            receive=(row.tensor, *(row[name] for name in MOVING), *constant),
            send=(row.tensor, *(following[name] for name in MOVING), *constant),
        )
        flags = (row.two_blocks, row.two_channels)
        buses.pair(
            "taps",
            TAP_PATH,
            receive=(
                row.tensor,
                row.tile,
                row.x_tensor,
                row.x + row.taps,
                row.x_stride,
                row.w_tensor,
                row.w + row.taps,
                row.w_stride,
                *flags,
            ),
            send=(row.tensor, row.tile, row.x_tensor, row.x, row.x_stride, row.w_tensor, row.w, row.w_stride, *flags),
        )
        for half, width, result in ((0, row.width, row.result), (1, row.second_width, row.result + row.channels)):
            own, rescaling = (row.tensor, row.tile, half), (row.low, row.span, row.limit)
            before, after = ([row[name] for name in CUTS[2 * stage : 2 * stage + 2]] for stage in (half, half + 1))
            buses.pair(
                f"results of half {half}",
                OUT_PATH,
                receive=(*own, width, result + width, row.channel + width, *rescaling, *after),
                send=(*own, 0, result, row.channel, *rescaling, *before),
            )
        buses.lookup("channels beyond 8 need two_channels", RANGE16, (LANES * (row.real + row.two_channels) - row.width,), row.real)

    def rows_of(self, call: TensorCall) -> int:
        """One a tile."""
        return tile_count(call)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Follow the path."""
        start = 0
        for call, tiles in layers(execution):
            columns = _columns(execution, call, tiles)
            for name, values in columns.items():
                trace[name][start : start + len(tiles.tile)] = elements(np.asarray(values))
            start += len(tiles.tile)


def _columns(execution: Execution, call: TensorCall, tiles: Any) -> dict[str, NDArray[np.int64] | int]:
    d, handles = call.descriptor, operands(execution, call.ecall)
    last, two = tiles.last, tiles.two_blocks
    first_channel, channels = listed(execution, call)
    first_w = d.w // ROW_BYTES
    return {
        "real": 1,
        "last": last,
        "tensor": call.id,
        "tile": tiles.tile,
        "blocks_left": d.blocks - tiles.block,
        "channels_left": d.channels - tiles.channel,
        "two_blocks": two,
        "x": tiles.x,
        "w": tiles.w,
        "result": tiles.block * d.channels + tiles.channel,
        "channel": first_channel + tiles.channel,
        "taps": d.taps,
        "channels": d.channels,
        "x_stride": d.x_stride,
        "w_stride": d.w_stride,
        "x_tensor": handles[0],
        "w_tensor": handles[1],
        "first_w": first_w,
        "low": d.low,
        "span": d.high - d.low,
        "limit": int(channels["limit"][0]),
        "two_channels": tiles.two_channels,
        "width": tiles.channels,
        "second_width": two * tiles.channels,
        "back": last * d.channels,
        "skip": last * two * d.channels,
        "next_blocks_left": d.blocks - tiles.block - last * (1 + two),
        "next_two_blocks": np.append(two[1:], 0),
        **dict(zip(CUTS, cuts_of_tiles(call).reshape(-1, len(CUTS)).T, strict=True)),
        "next_x": tiles.x + last * (1 + two) * d.x_stride,
        "next_w": np.where(last == 1, first_w, tiles.w + TILE_HALVES * d.w_stride),
    }
