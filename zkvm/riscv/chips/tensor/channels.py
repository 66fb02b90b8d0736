"""Channels in vectors of a tensor, one a row, and where the channels of a call are.

**Sound.** A row looks up a vector that somebody made, and serves the channel that it holds, so it needs no call and says nothing new.

* scale and step are in [0, 2^16), and scale step = 2^14: nothing wraps, so both are powers of two, up to 2^14.
* Elements are int16: |multiplier| = |x2| scale <= 2^15 scale = limit, and |bias multiplier| <= (2^31 + 2^15) step 2^15 scale < 2^61, as of
  channels of the image. The lanes behind are 0, as constants of the tuple.
* One meaning: the limit in the tuple says what scale is, and the call's row takes it from its descriptor. The key 2^30 (tensor + 1) + index
  is one vector's alone, and no channel's of the image, whose keys are below 2^28: indices are below 2^28, because tables have fewer
  rows, or addresses / 16 of constants, and ids are below 2^30 - 1, because all segments of a run together have fewer rows of
  instructions. Keys of a list that is not aligned are p / 16 and more: nobody's. At 2^32 - 1 one would have the first key of tensor
  2^30 - 1.
* Padding serves nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import CHANNEL, RANGE16, VECTOR
from zkvm.riscv.chips.tensor.lanes import assert_muted, elements
from zkvm.riscv.chips.tensor.uses import held_vectors, operands, scaled_uses
from zkvm.riscv.isa.tensors import BIAS_STEPS, CHANNEL_LANES, IN_VECTORS, LANES, ROW_BYTES, SCALE_BITS, channels_in
from zkvm.riscv.records import Execution, TensorCall
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb
from zkvm.stark.air.expression import Expr

TENSOR_KEYS = 1 << 30
"""Keys of channels that one tensor has."""


class ScaledChannelsChip(Chip):
    """Serves the channel in a vector, one a row."""

    name = "tensor_channels"
    by_call = True
    columns = Columns(
        real=bit("the row holds a channel"),
        tensor=cell("of the vector"),
        index=cell("of the vector"),
        bias_low=cell("lane 0 of the vector"),
        bias_high=cell("lane 1"),
        factor=cell("lane 2"),
        scale=limb(16, "limit / 2^15"),
        step=limb(16, "2^14 / scale"),
        bias=cell("added to the sum"),
        multiplier=cell("what 2^32 outputs of a sum of 1 would be"),
        multiplicity=cell("times the channel is read"),
    )
    counted = (CHANNEL,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """The scale, what the channel says; padding is mute."""
        air.assert_bool("real is boolean", row.real)
        air.assert_equal("scale and step are powers of two", row.scale * row.step, BIAS_STEPS * row.real)
        air.assert_equal("bias", row.bias, (row.bias_low + (1 << 16) * row.bias_high) * row.step)
        air.assert_equal("multiplier", row.multiplier, row.factor * row.scale)
        assert_muted(air, row, row.real)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The vector, the limbs, the channel."""
        lanes: list[Expr | int] = [row.bias_low, row.bias_high, row.factor, *[0] * (LANES - CHANNEL_LANES)]
        buses.lookup("vector", VECTOR, (row.tensor, row.index, *lanes), row.real)
        for name in ("scale", "step"):
            buses.lookup(f"{name} has 16 bits", RANGE16, (row[name],), row.real)
        key = (row.tensor + 1) * TENSOR_KEYS + row.index
        buses.serve("channel", CHANNEL, (key, row.bias, row.multiplier, (1 << SCALE_BITS) * row.scale), row.multiplicity)

    def rows(self, execution: Execution) -> int:
        """One a channel and limit that a layer reads."""
        return sum(len(part.index) for part in scaled_uses(execution))

    def fill(self, execution: Execution, trace: Trace) -> None:
        """The channels, and how often each is read."""
        start = 0
        for used in scaled_uses(execution):
            found, scale = channels_in(used.vectors, used.limit), used.limit >> SCALE_BITS
            columns = {
                "real": 1,
                "tensor": used.tensor,
                "index": used.index,
                "bias_low": used.vectors[:, 0],
                "bias_high": used.vectors[:, 1],
                "factor": used.vectors[:, 2],
                "scale": scale,
                "step": BIAS_STEPS // scale,
                "bias": found["bias"],
                "multiplier": found["multiplier"],
                "multiplicity": used.times,
            }
            for name, values in columns.items():
                trace[name][start : start + len(found)] = elements(np.asarray(values))
            start += len(found)


def listed(execution: Execution, call: TensorCall) -> tuple[int, NDArray[np.void]]:
    """The key of the first channel of a call, and its channels."""
    constants, d = execution.image.tensors, call.descriptor
    assert constants is not None
    first = d.channel_list // ROW_BYTES
    if d.operation not in IN_VECTORS:
        start = first - constants.first_channel
        return first, constants.channels[start : start + d.channels]
    tensor = operands(execution, call.ecall)[1]
    held, offset = held_vectors(execution, tensor)
    return (tensor + 1) * TENSOR_KEYS + first, channels_in(held[first - offset : first - offset + d.channels], d.y)
