"""Sums of products of large layers: a row is one tap of four tiles, two by two, which share their operands.

**Sound.** A row does what four rows of :class:`~zkvm.riscv.chips.tensor.products.ProductsChip` do, and nothing else:

* It moves the paths of four tiles' taps by one: of a tile, of the next one, whose channels are the next 16, and of two whose positions are
  the next 16. What a path asks for, it has: x and w as the tile said, both halves there. Which tiles these are is the prover's choice,
  which gains nothing: a path is the tile's, and its operands stand in it.
* It adds to the sums of each of the four what its own tap is: the same vectors that it looks up under the numbers in the path.
* Padding contributes nothing: w is 0 without ``real``, by constraint. It moves no path.

So a tap of a tile is there once, here or in a row of one tile, and how a prover spreads them is of no account.
"""

from __future__ import annotations

import numpy as np

from zkvm.riscv.chips.buses import SUMS, TAP_PATH, VECTOR
from zkvm.riscv.chips.tensor.lanes import TensorChip, calls_of, lane_columns, lanes, put, vector
from zkvm.riscv.chips.tensor.products import CHANNEL_POWER, positions_of
from zkvm.riscv.chips.tensor.uses import TILE_BLOCKS, TILE_HALVES, operands
from zkvm.riscv.isa.tensors import LANES, LAYERS, ROW_BYTES, WIDE_BLOCKS, WIDE_CHANNELS
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell

POSITIONS, CHANNELS = "abcd", "efgh"
"""Stems of the columns of the first operand's four vectors, and of the second one's."""
WIDE_TILES = 2
"""Tiles in each direction."""


class WideProductsChip(TensorChip):
    """1,024 products a row."""

    name = "tensor_wide_products"
    columns = Columns(
        real=bit("the row is a tap of four tiles"),
        tensor=cell("id of the call"),
        tile=cell("number of the first tile"),
        across=cell("tiles from it to that of the next 16 positions"),
        x_tensor=cell("tensor of the first operand"),
        x=cell("its vector for the first 8 positions"),
        x_stride=cell("vectors to that of the next 8 positions"),
        w_tensor=cell("tensor of the second operand"),
        w=cell("its vector for the first 8 channels"),
        w_stride=cell("vectors to that of the next 8 channels"),
        **{name: column for k, stem in enumerate(POSITIONS) for name, column in lane_columns(stem, f"first operand, block {k}").items()},
        **{name: column for k, stem in enumerate(CHANNELS) for name, column in lane_columns(stem, f"second operand, {8 * k} on").items()},
    )

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The flag, and what is 0 without it."""
        air.assert_bool("real is boolean", row.real)
        for stem in CHANNELS:
            for name in lanes(stem):
                air.when(1 - row.real).assert_zero(f"{name} is 0 on padding", row[name])

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """Four paths, eight vectors, the products of both halves of four tiles."""
        for k, stem in enumerate(POSITIONS):
            buses.lookup(f"vector {stem}", VECTOR, (row.x_tensor, row.x + k * row.x_stride, *vector(row, stem)), row.real)
        for k, stem in enumerate(CHANNELS):
            buses.lookup(f"vector {stem}", VECTOR, (row.w_tensor, row.w + k * row.w_stride, *vector(row, stem)), row.real)
        for down in range(WIDE_TILES):
            for right in range(WIDE_TILES):
                tile, name = row.tile + down * row.across + right, f"{down} {right}"
                x, w = row.x + TILE_BLOCKS * down * row.x_stride, row.w + TILE_HALVES * right * row.w_stride
                ends = [
                    (row.tensor, tile, row.x_tensor, x + step, row.x_stride, row.w_tensor, w + step, row.w_stride, row.real, row.real)
                    for step in (0, row.real)
                ]
                buses.pair(f"path of {name}", TAP_PATH, receive=ends[0], send=ends[1])
                stems = CHANNELS[TILE_HALVES * right : TILE_HALVES * (right + 1)]
                channels = [(CHANNEL_POWER * k, value) for k, value in enumerate(vector(row, stems[0]) + vector(row, stems[1]))]
                for half in range(TILE_BLOCKS):
                    positions = positions_of(row, POSITIONS[TILE_BLOCKS * down + half])
                    buses.contribute(f"half {half} of {name}", SUMS, (row.tensor, tile, half), positions, channels)

    def rows_of(self, call: TensorCall) -> int:
        """One a tap of four tiles."""
        down, right = call.fours
        return down * right * call.descriptor.taps

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Every tap of every four tiles, with its vectors."""
        start = 0
        for call in calls_of(execution, *LAYERS):
            count = self.rows_of(call)
            if count:
                self._fill_call(execution, call, {name: column[start : start + count] for name, column in trace.items()})
            start += count

    def _fill_call(self, execution: Execution, call: TensorCall, trace: Trace) -> None:
        d, (down, right) = call.descriptor, call.fours
        handles, across = operands(execution, call.ecall), -(-d.halves // TILE_HALVES)
        first_block = WIDE_BLOCKS * np.repeat(np.arange(down, dtype=np.int64), right * d.taps)
        first_half = WIDE_CHANNELS // LANES * np.tile(np.repeat(np.arange(right, dtype=np.int64), d.taps), down)
        taps = np.tile(np.arange(d.taps, dtype=np.int64), down * right)
        trace["real"][:] = 1
        trace["tensor"][:] = call.id
        trace["tile"][:] = first_block // TILE_BLOCKS * across + first_half // TILE_HALVES
        trace["across"][:] = across
        for name, handle, start, stride, first in (
            ("x", handles[0], d.x, d.x_stride, first_block), ("w", handles[1], d.w, d.w_stride, first_half)
        ):  # fmt: skip
            trace[f"{name}_tensor"][:] = handle
            trace[name][:] = start // ROW_BYTES + first * stride + taps
            trace[f"{name}_stride"][:] = stride
        for stems, held, first in ((POSITIONS, call.x, first_block), (CHANNELS, call.w, first_half)):
            for k, stem in enumerate(stems):
                put(trace, stem, held[first + k, taps].reshape(-1, LANES))
