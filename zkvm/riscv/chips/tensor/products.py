"""Sums of products: a tile is up to 16 positions by 16 channels of a result, a row of products is one tap of a tile.

**Sound.**

* The rows of one tile's taps are a path on which x and w grow by one vector a row, from what the tile sends to what it takes back, ``taps``
  further: every tap is there once, with the operands of that tap. The tile's number is in the path and in the key of the sums.
* The second halves of 8 positions and of 8 channels are the tile's to have or not: both flags are on the path. A row that could choose them
  could leave its tap out of half a tile.
* Padding contributes nothing: w is 0 without ``real`` or ``two_channels``, x of the second half is 0 without ``two_blocks``, by constraint.
* Elements are int16, as whoever made them proves. There are at most 2^32 taps, so sums are below 2^62 < p / 2: equal mod p, equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import SUMS, TAP_PATH, VECTOR
from zkvm.riscv.chips.tensor.lanes import TensorChip, calls_of, lane_columns, lanes, put, vector
from zkvm.riscv.chips.tensor.uses import TILE_BLOCKS, TILE_HALVES, operands
from zkvm.riscv.isa.tensors import LANES, LAYERS, ROW_BYTES, WIDE_BLOCKS, WIDE_CHANNELS
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.air.expression import Expr

CHANNEL_POWER = LANES
"""Power of beta from one channel to the next: those between are the positions."""
TILE_CHANNELS = LANES * TILE_HALVES
PATH = ("tensor", "tile", "x_tensor", "x", "x_stride", "w_tensor", "w", "w_stride", "two_blocks", "two_channels")


def positions_of(row: Row, stem: str) -> list[tuple[int, Expr]]:
    """A vector of positions as a polynomial in beta."""
    return list(enumerate(vector(row, stem)))


class ProductsChip(TensorChip):
    """256 products a row."""

    name = "tensor_products"
    columns = Columns(
        real=bit("the row is a tap"),
        tensor=cell("id of the call"),
        tile=cell("number of the tile"),
        x_tensor=cell("tensor of the first operand"),
        x=cell("its vector for the first 8 positions"),
        x_stride=cell("vectors to that of the second 8 positions"),
        w_tensor=cell("tensor of the second operand"),
        w=cell("its vector for the first 8 channels"),
        w_stride=cell("vectors to that of the second 8 channels"),
        two_blocks=bit("the tile has a second block of 8 positions"),
        two_channels=bit("the tile has channels beyond the first 8"),
        **lane_columns("a", "first operand, first 8 positions"),
        **lane_columns("b", "first operand, second 8 positions"),
        **lane_columns("c", "second operand, first 8 channels"),
        **lane_columns("d", "second operand, second 8 channels"),
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Flags, and what is 0 without them."""
        for name in ("real", "two_blocks", "two_channels"):
            air.assert_bool(f"{name} is boolean", row[name])
        for name in ("two_blocks", "two_channels", *lanes("c")):
            air.when(1 - row.real).assert_zero(f"{name} is 0 on padding", row[name])
        for flag, stem in (("two_blocks", "b"), ("two_channels", "d")):
            for name in lanes(stem):
                air.when(1 - row[flag]).assert_zero(f"{name} is 0 without {flag}", row[name])

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, four vectors, the products of both halves."""
        moved = {"x": row.x + row.real, "w": row.w + row.real}
        buses.pair("path", TAP_PATH, receive=tuple(row[name] for name in PATH), send=tuple(moved.get(name, row[name]) for name in PATH))
        for stem, operand, count in (
            ("a", (row.x_tensor, row.x), row.real),
            ("b", (row.x_tensor, row.x + row.x_stride), row.two_blocks),
            ("c", (row.w_tensor, row.w), row.real),
            ("d", (row.w_tensor, row.w + row.w_stride), row.two_channels),
        ):
            buses.lookup(f"vector {stem}", VECTOR, (*operand, *vector(row, stem)), count)
        channels = [(CHANNEL_POWER * k, value) for k, value in enumerate([*vector(row, "c"), *vector(row, "d")])]
        for half, stem in enumerate("ab"):
            buses.contribute(f"half {half}", SUMS, (row.tensor, row.tile, half), positions_of(row, stem), channels)

    def rows_of(self, call: TensorCall) -> int:
        """One a tap of a tile that is proven alone."""
        down, right = call.fours
        return (tile_count(call) - TILE_BLOCKS * TILE_HALVES * down * right) * call.descriptor.taps

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Every tap of every such tile, with its vectors."""
        start = 0
        for call in calls_of(execution, *LAYERS):
            count = self.rows_of(call)
            self._fill_call(execution, call, {name: column[start : start + count] for name, column in trace.items()})
            start += count

    def _fill_call(self, execution: Execution, call: TensorCall, trace: Trace) -> None:
        if not len(trace["real"]):
            return
        d, tiles = call.descriptor, alone(call)
        handles = operands(execution, call.ecall)
        taps = np.tile(np.arange(d.taps, dtype=np.int64), len(tiles.tile))
        columns = {"real": np.ones(len(taps), np.int64), "tensor": np.full(len(taps), call.id), "tile": np.repeat(tiles.tile, d.taps)}
        columns |= {name: np.repeat(getattr(tiles, name), d.taps) for name in ("two_blocks", "two_channels")}
        for name, handle, stride in (("x", handles[0], d.x_stride), ("w", handles[1], d.w_stride)):
            place = np.repeat(getattr(tiles, name), d.taps) + taps
            columns |= {f"{name}_tensor": np.full(len(taps), handle), name: place, f"{name}_stride": np.full(len(taps), stride)}
        for stems, held, first in (("ab", call.x, tiles.block), ("cd", call.w, tiles.channel // LANES)):
            for k, stem in enumerate(stems):
                there = first + k < len(held)
                vectors = held[np.minimum(first + k, len(held) - 1)] * there[:, None, None].astype(np.int16)
                put(trace, stem, vectors.reshape(-1, LANES))
        for name, column in columns.items():
            trace[name][:] = column


@dataclass(frozen=True, slots=True)
class Tiles:
    """The tiles of a call, (t,) int64 each.

    Attributes:
        tile: number. block: first block of positions. channel: first channel.
        two_blocks, two_channels: whether there are a second block, and channels beyond 8.
        channels: how many. x, w: first vectors of the operands.
        last: whether no more channels of the block follow.
    """

    tile: NDArray[np.int64]
    block: NDArray[np.int64]
    channel: NDArray[np.int64]
    two_blocks: NDArray[np.int64]
    two_channels: NDArray[np.int64]
    channels: NDArray[np.int64]
    x: NDArray[np.int64]
    w: NDArray[np.int64]
    last: NDArray[np.int64]


def tile_count(call: TensorCall) -> int:
    """How many tiles a call has: none, unless it makes sums."""
    d = call.descriptor
    return 0 if d.operation not in LAYERS else -(-d.blocks // TILE_BLOCKS) * -(-d.channels // TILE_CHANNELS)


def tiles_of(call: TensorCall) -> Tiles:
    """Its tiles, in the order of their path: all channels of two blocks, then the next two."""
    d = call.descriptor
    across = -(-d.channels // TILE_CHANNELS)
    block = np.repeat(TILE_BLOCKS * np.arange(-(-d.blocks // TILE_BLOCKS), dtype=np.int64), across)
    group = np.tile(np.arange(across, dtype=np.int64), len(block) // across)
    channels = np.minimum(TILE_CHANNELS, d.channels - TILE_CHANNELS * group)
    return Tiles(
        tile=np.arange(len(block), dtype=np.int64),
        block=block,
        channel=TILE_CHANNELS * group,
        two_blocks=(block + 1 < d.blocks).astype(np.int64),
        two_channels=(channels > LANES).astype(np.int64),
        channels=channels,
        x=d.x // ROW_BYTES + block * d.x_stride,
        w=d.w // ROW_BYTES + TILE_HALVES * group * d.w_stride,
        last=(group == across - 1).astype(np.int64),
    )


def alone(call: TensorCall) -> Tiles:
    """Those tiles that are not proven four at once."""
    tiles, (down, right) = tiles_of(call), call.fours
    kept = (tiles.block >= WIDE_BLOCKS * down) | (tiles.channel >= WIDE_CHANNELS * right)
    return Tiles(*(getattr(tiles, field.name)[kept] for field in fields(Tiles)))


def layers(execution: Execution) -> Iterator[tuple[TensorCall, Tiles]]:
    """Calls with tiles, and these."""
    for call in calls_of(execution, *LAYERS):
        if call.descriptor.blocks:
            yield call, tiles_of(call)
