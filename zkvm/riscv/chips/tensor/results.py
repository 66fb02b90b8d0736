"""Results: the sums of one channel at 8 positions, rescaled, cut to their bounds, and served as a vector.

Per lane, with z = (sum + bias) multiplier + 2^31 and q = floor(z / 2^32):

    above, below boolean, never both
    (1 - 2 below) z - (low (1 - 2 below) + (span + 1) above) 2^32 - below = (u + (above + below) 2^15 v) 2^32 + 2^16 s + r
    (1 - above - below) (v - span + u) = 0
    x = low + (1 - above - below) u + span above

**Sound.** u, v, s, r are in [0, 2^16). The right side is below 2^63 + 2^48.

* The bound: taps limit <= 2^32 and |multiplier| <= limit, so |sum multiplier| <= 2^62, |bias multiplier| <= 2^61, and 2^31: |z| < 2^62 +
  2^61 + 2^32. All of it is proven: the first by the call's row, limit and multiplier by the channel that is looked up, int16 elements by
  whoever made them. The left side is z or -z up to 2^48, so both sides differ by less than 2^63 + 2^62 + 2^61 + 2^50 < p, and are equal.
* No flag: z - low 2^32 = u 2^32 + rest, 0 <= rest < 2^32, and u <= span because span - u = v is in range: q = low + u lies within the
  bounds, x = q.
* ``above``: z - (high + 1) 2^32 >= 0, so q > high, x = high. ``below``: low 2^32 - 1 - z >= 0, so q < low, x = low. So the flags are
  what the sum says: no prover chooses between a result that was cut and one that is its bound.
* The top limb weighs 2^15, not 2^16: with four full limbs the right side would reach every element of the field, and a prover could declare
  any lane cut. With 2^15 a negative z - (high + 1) 2^32 is above p - 2^62 - 2^61 - 2^49 > 2^63 + 2^48, beyond what the limbs can say.
* **What was cut is counted** along the path: each row adds its flags to both counts. Padding has no flag, so it adds nothing to the path of
  another row.
* Whoever sends a row's path, a tile or a row of elementwise sums or of windows, says whose sums it takes: one key has sums of one kind,
  since calls have.
* A row's place in its tile is one-hot in two groups of four; the sums leave the bus at that place and nowhere else, and padding, which
  has no place, takes nothing. The path says which channel and which index the row has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import CHANNEL, OUT_PATH, RANGE16, SUMS, VECTOR
from zkvm.riscv.chips.tensor.channels import listed
from zkvm.riscv.chips.tensor.cuts import cuts_before
from zkvm.riscv.chips.tensor.lanes import TensorChip, assert_muted, calls_of, elements, lane_columns, lanes, put, vector
from zkvm.riscv.chips.tensor.products import CHANNEL_POWER, positions_of
from zkvm.riscv.chips.tensor.uses import vector_uses
from zkvm.riscv.isa.tensors import LANES, LAYERS, RESCALING, SHIFT
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Column, Columns, Row, bit, cell, limb
from zkvm.stark.air.expression import Expr, total, weighted_sum

GROUP = 4
"""Places of a tile's channel, by fours: one flag for the four, one within them."""
HIGH, LOW = [f"high{k}" for k in range(GROUP)], [f"low{k}" for k in range(GROUP)]
ONE = 1 << SHIFT
HALF = 1 << (SHIFT - 1)
TOP_BITS = 15
"""Bits of the quotient's low part where the result is cut: v counts from there."""
LIMBS = ("u", "v", "s", "r")


def _limb_columns() -> dict[str, Column]:
    return {name: limb(16, f"of the quotient or rest, lane {name[1:]}") for stem in LIMBS for name in lanes(stem)}


class ResultsChip(TensorChip):
    """One vector a row."""

    name = "tensor_results"
    columns = Columns(
        real=bit("the row makes a vector"),
        tensor=cell("id of the call"),
        tile=cell("number of the tile"),
        half=cell("0 or 1: which 8 positions of the tile"),
        index=cell("of the vector"),
        channel=cell("key of the channel"),
        bias=cell("of the channel"),
        multiplier=cell("of the channel"),
        low=cell("least result"),
        span=cell("greatest result less the least"),
        limit=cell("bound of the multipliers"),
        multiplicity=cell("times the vector is read"),
        cut_above=cell("results above the greatest, in the call's rows before"),
        cut_below=cell("results below the least, in these"),
        **{name: bit(f"the channel is {4 * k} to {4 * k + 3} of the tile") for k, name in enumerate(HIGH)},
        **{name: bit(f"the channel is {k} of these four") for k, name in enumerate(LOW)},
        **lane_columns("sum", "sum of products"),
        **_limb_columns(),
        **{name: bit("the result is the greatest, the sum perhaps larger") for name in lanes("above")},
        **{name: bit("the result is the least, the sum smaller") for name in lanes("below")},
        **lane_columns("x", "result"),
    )
    counted = (VECTOR,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The place, and for each lane the division."""
        air.assert_bool("real is boolean", row.real)
        for names in (HIGH, LOW):
            for name in names:
                air.assert_bool(f"{name} is boolean", row[name])
            air.assert_equal(f"one of {names[0]} to {names[-1]}", total(*(row[name] for name in names)), row.real)
        for k in range(LANES):
            self._lane(air, row, k)
        assert_muted(air, row, row.real)

    def _lane(self, air: AirBuilder, row: Row, k: int) -> None:
        u, v, s, r, above, below = (row[f"{stem}{k}"] for stem in (*LIMBS, "above", "below"))
        air.assert_bool(f"above{k} is boolean", above)
        air.assert_bool(f"below{k} is boolean", below)
        air.assert_zero(f"lane {k} is not cut twice", above * below)
        for name in (f"above{k}", f"below{k}"):
            air.when(1 - row.real).assert_zero(f"padding is not {name}", row[name])
        scaled = (row[f"sum{k}"] + row.bias) * row.multiplier + HALF * row.real
        edge = (row.low - 2 * row.low * below + (row.span + 1) * above) * ONE
        limbs = (u + (above + below) * (1 << TOP_BITS) * v) * ONE + s * (1 << 16) + r
        air.assert_equal(f"lane {k} is divided", scaled - 2 * below * scaled - edge - below, limbs)
        air.when(1 - above - below).assert_equal(f"lane {k} is at most the greatest", v, row.span - u)
        air.assert_equal(f"lane {k} is cut", row[f"x{k}"], row.low + (1 - above - below) * u + row.span * above)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The path, the channel, the limbs, the sums, the served vector."""
        place: Expr = weighted_sum([row[name] for name in HIGH], [GROUP * k for k in range(GROUP)])
        place = place + weighted_sum([row[name] for name in LOW], list(range(GROUP)))
        own, rescaling = (row.tensor, row.tile, row.half), (row.low, row.span, row.limit)
        counts = [row[f"cut_{side}"] + total(*(row[name] for name in lanes(side))) for side in ("above", "below")]
        buses.pair(
            "path",
            OUT_PATH,
            receive=(*own, place, row.index, row.channel, *rescaling, row.cut_above, row.cut_below),
            send=(*own, place + row.real, row.index + row.real, row.channel + row.real, *rescaling, *counts),
        )
        buses.lookup("channel", CHANNEL, (row.channel, row.bias, row.multiplier, row.limit), row.real)
        for stem in LIMBS:
            for name in lanes(stem):
                buses.lookup(f"{name} has 16 bits", RANGE16, (row[name],), row.real)
        high = [(GROUP * CHANNEL_POWER * k, -row[name]) for k, name in enumerate(HIGH)]
        low = [(CHANNEL_POWER * k, row[name]) for k, name in enumerate(LOW)]
        buses.contribute("sums", SUMS, own, high, low, positions_of(row, "sum"))
        buses.serve("vector", VECTOR, (row.tensor, row.index, *vector(row, "x")), row.multiplicity)

    def rows_of(self, call: TensorCall) -> int:
        """One a vector."""
        return len(call.vectors) if call.descriptor.operation in RESCALING else 0

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Divide the sums of every call."""
        start, uses = 0, vector_uses(execution)
        for call in calls_of(execution, *RESCALING):
            if not len(call.vectors):
                continue
            part = {name: column[start : start + len(call.vectors)] for name, column in trace.items()}
            self._fill_call(execution, call, part)
            part["multiplicity"][:] = uses[call.id]
            start += len(call.vectors)

    def _fill_call(self, execution: Execution, call: TensorCall, trace: Trace) -> None:
        d = call.descriptor
        index = np.arange(len(call.vectors), dtype=np.int64)
        block, channel = index // d.channels, index % d.channels
        across = -(-d.channels // (GROUP * GROUP))
        own_tile = d.operation not in LAYERS
        place = channel * (not own_tile) % (GROUP * GROUP)
        first, channels = listed(execution, call)
        found = channels[channel]
        columns = {
            "real": np.ones_like(index),
            "tensor": np.full_like(index, call.id),
            "tile": index if own_tile else block // 2 * across + channel // (GROUP * GROUP),
            "half": index * 0 if own_tile else block % 2,
            "index": index,
            "channel": first + channel,
            "bias": found["bias"],
            "multiplier": found["multiplier"],
            "low": np.full_like(index, d.low),
            "span": np.full_like(index, d.high - d.low),
            "limit": found["limit"],
        }
        columns["cut_above"], columns["cut_below"] = cuts_before(call).T
        columns |= {name: (place // GROUP == k).astype(np.int64) for k, name in enumerate(HIGH)}
        columns |= {name: (place % GROUP == k).astype(np.int64) for k, name in enumerate(LOW)}
        for name, values in columns.items():
            trace[name][:] = elements(values)
        put(trace, "sum", call.sums)
        put(trace, "x", call.vectors)
        for stem, vectors in divided(call.sums, found["bias"], found["multiplier"], d.low, d.high).items():
            put(trace, stem, vectors)


def divided(
    sums: NDArray[np.int64], bias: NDArray[np.int64], multiplier: NDArray[np.int32], low: int, high: int
) -> dict[str, NDArray[np.int64]]:
    """Flags and limbs of rescaled sums, (k, 8) each: what the bounds above keep within 64 bits."""
    scaled = (sums + bias[:, None]) * multiplier[:, None].astype(np.int64) + HALF
    quotient = scaled >> SHIFT
    above, below = quotient > high, quotient < low
    rest = np.where(below, low * ONE - 1 - scaled, scaled - np.where(above, high + 1, low) * ONE)
    cut = above | below
    top = rest >> SHIFT
    return {
        "above": above.astype(np.int64),
        "below": below.astype(np.int64),
        "u": np.where(cut, top & ((1 << TOP_BITS) - 1), top),
        "v": np.where(cut, top >> TOP_BITS, high - low - top),
        "s": rest >> 16 & 0xFFFF,
        "r": rest & 0xFFFF,
    }
