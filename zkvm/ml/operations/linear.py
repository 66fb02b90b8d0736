"""Layers with constant weights: one operation for all of them, with strides for taps, positions and channels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.arithmetic import IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation

MAX_ACCUMULATORS = 18
MAX_CHANNELS_AT_ONCE = 16
MAX_POSITIONS_AT_ONCE = 4
PRODUCT_COST = 2
Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where taps and positions lie, in words: extents (planes, lines, columns), (rows, positions), and strides in x and y."""

    taps: tuple[int, int, int]
    tap_steps: tuple[int, int, int]
    positions: tuple[int, int]
    position_steps: tuple[int, int]
    position_out: tuple[int, int]
    channel_out: int
    group_step: int = 0

    def windows(self, numbers: NDArray[Number], samples: int, groups: int) -> NDArray[Number]:
        """The numbers that each result reads: (samples, groups, positions, taps)."""
        flat = np.ascontiguousarray(numbers.reshape(-1))
        steps = (groups * self.group_step, self.group_step, *self.position_steps, *self.tap_steps)
        extents = (samples, groups, *self.positions, *self.taps)
        windows = np.lib.stride_tricks.as_strided(flat, extents, tuple(step * flat.strides[0] for step in steps))
        return windows.reshape(samples, groups, prod(self.positions), prod(self.taps))


@dataclass(eq=False)
class Linear(Operation):
    """y[channel, position] = requantize(bias[channel] + sum over taps of x[position, tap] * weight[channel, tap]).

    Attributes:
        weights: (groups, channels per group, taps).
        bias: (groups, channels per group).
    """

    weights: IntArray
    bias: IntArray
    geometry: Geometry
    rescaling: Rescale

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return self.weights.size * prod(self.geometry.positions)

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`; the float64 product is exact, because sums stay below 2^31."""
        groups, channels, _ = self.weights.shape
        shape = self.geometry
        columns = shape.windows(inputs[0].astype(np.float64), 1, groups)[0]
        sums = np.matmul(columns, self.weights.transpose(0, 2, 1).astype(np.float64)).astype(np.int64)
        result = self.rescaling.apply((sums + self.bias[:, None, :]).transpose(1, 0, 2).reshape(-1, groups * channels), 1)
        result = result.reshape(*shape.positions, groups * channels)
        output = np.zeros(self.output.size, np.int64)
        steps_out = (*shape.position_out, shape.channel_out)
        target = np.lib.stride_tricks.as_strided(output, result.shape, tuple(step * output.strides[0] for step in steps_out))
        target[...] = result
        return output.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        groups, channels, taps = self.weights.shape
        shape = self.geometry
        at_once, positions_at_once = blocking(channels, shape.positions[1])
        many = len(self.rescaling.multipliers) > 1
        tail = f"0, {int(many)}, 1" if self.rescaling.secret else f"{int(many)}"
        code.line(
            f"const struct linear g = {{{commas(shape.taps)}, {commas(shape.tap_steps)}, {commas(shape.positions)}, "
            f"{commas(shape.position_steps)}, {commas(shape.position_out)}, {shape.channel_out}, "
            f"{code.rescaling(self.rescaling)}, {tail}}};"
        )
        weights = code.constant(np.concatenate([blocked(group, at_once) for group in self.weights]), label="weights")
        bias = code.constant(self.bias, label="bias")
        multiplier = code.constant(np.array(self.rescaling.multipliers, np.int64), label="multiplier")
        source, target = code.pointer(self.inputs[0]), code.pointer(self.output)
        if groups > 1:
            # A loop, not a call for each group: all calls are inlined, and a depthwise layer has hundreds of groups.
            source += f" + group * {shape.group_step}"
            target += f" + group * {channels * shape.channel_out}"
            weights += f" + group * {channels * taps}"
            bias += f" + group * {channels}"
            multiplier += f" + group * {channels}" if many else ""
            code.line(f"UNROLL_NOT for (int group = 0; group < {groups}; group++)")
        call = f"linear(g, {source}, {weights}, {bias}, {multiplier}, {target}, {channels}, {positions_at_once}, {at_once});"
        code.line(f"    {call}" if groups > 1 else call)


def blocking(channels: int, positions: int, sums: int = MAX_ACCUMULATORS, product: int = PRODUCT_COST) -> tuple[int, int]:
    """Channels and positions at once with the fewest instructions.

    Args:
        channels: of the layer.
        positions: of each channel.
        sums: how many can be computed at once.
        product: instructions of a product, beside a load per input and weight.
    """

    def cost(at_once: int, together: int) -> int:
        blocks = [min(at_once, channels - start) for start in range(0, channels, at_once)]
        return -(-positions // together) * sum(together + block + product * together * block for block in blocks)

    choices = [
        (at_once, together)
        for at_once in range(1, min(MAX_CHANNELS_AT_ONCE, channels) + 1)
        for together in range(1, min(MAX_POSITIONS_AT_ONCE, positions) + 1)
        if at_once * together <= sums
    ]
    return min(choices, key=lambda choice: (cost(*choice), choice))


def commas(numbers: tuple[int, ...]) -> str:
    """The numbers as C has them in a list."""
    return ", ".join(map(str, numbers))


def blocked(weights: IntArray, at_once: int) -> IntArray:
    """Weights in order of use: (channels, taps) -> blocks of ``at_once`` channels, each (taps, channels), the last block smaller."""
    blocks = [weights[start : start + at_once].T.reshape(-1) for start in range(0, len(weights), at_once)]
    return np.concatenate(blocks)
