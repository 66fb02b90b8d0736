"""Layers with constant weights in floats: aligned integers, exact sums of products, one rounding. See ``float32_dot.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from zkvm.ml import float32, float32_dot
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.float32_dot import ACTIVATION_BITS, Aligned
from zkvm.ml.ir import Operation
from zkvm.ml.operations.linear import Geometry, blocked, blocking, commas

MAX_SUMS = 8
"""At once: each takes two registers."""
PRODUCT_COST = 6


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """Constants of a layer: integers (groups, channels, taps), exponents (groups, channels), shifts (groups, columns) if there are any,
    and the words of a bias (groups, channels) if there is one."""

    integers: IntArray
    exponents: IntArray
    shifts: IntArray | None
    bias: IntArray | None


@dataclass(eq=False)
class FloatLinear(Operation):
    """y[channel, position] = bias[channel] + sum over taps of x[position, tap] * weight[channel, tap], for each sample and each group.

    Attributes:
        weights: see there.
        geometry: of one group of one sample.
        samples: how many there are one after the other.
        rows: whether every position has numbers of its own, which are aligned by themselves; else a group of a sample is.
        relu: whether negative results become 0.
    """

    weights: LayerWeights
    geometry: Geometry
    samples: int = 1
    rows: bool = False
    relu: bool = False

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return self.samples * self.weights.integers.size * prod(self.geometry.positions)

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 7 * self.macs + 25 * self.inputs[0].size + (100 if self.weights.bias is not None else 60) * self.output.size

    def _aligned(self, words: IntArray) -> Aligned:
        """Blocks (samples, groups, numbers), or (1, 1, rows, numbers)."""
        groups = len(self.weights.integers)
        shape = (1, 1, self.geometry.positions[1], -1) if self.rows else (self.samples, groups, -1)
        blocks = words.reshape(shape)
        shifts = self.weights.shifts
        if shifts is not None:
            shifts = shifts.repeat(blocks.shape[-1] // shifts.shape[1], axis=1)
            shifts = shifts[0] if self.rows else shifts
        return float32_dot.align(blocks, ACTIVATION_BITS, shifts)

    def _windows(self, numbers: IntArray) -> IntArray:
        return self.geometry.windows(numbers, self.samples, len(self.weights.integers))

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        words, weights = inputs[0].reshape(-1), self.weights
        aligned = self._aligned(words)
        sums = float32_dot.products(self._windows(aligned.integers), np.swapaxes(weights.integers, 1, 2))
        units = aligned.exponents[..., None] if self.rows else aligned.exponents[..., None, None]
        result = float32.scaled(sums, units + weights.exponents[:, None, :])
        if aligned.special.any():
            windows = self._windows(words)
            signs = float32.from_i32(np.sign(weights.integers))
            for sample, group in np.ndindex(*result.shape[:2]):
                result[sample, group] = float32_dot.special_sums(windows[sample, group], signs[group].T, result[sample, group])
        if weights.bias is not None:
            result = float32.add(result, weights.bias[:, None, :])
        if self.relu:
            result = np.where(result < 0, 0, result)
        return (result if self.geometry.channel_out == 1 else np.swapaxes(result, 2, 3)).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        weights, shape = self.weights, self.geometry
        groups, channels, taps = weights.integers.shape
        at_once, together = blocking(channels, shape.positions[1], MAX_SUMS, PRODUCT_COST)
        code.line(
            f"const struct f32_linear g = {{{commas(shape.taps)}, {commas(shape.tap_steps)}, {commas(shape.positions)}, "
            f"{commas(shape.position_steps)}, {commas(shape.position_out)}, {shape.channel_out}, 0, {int(self.rows)}, {int(self.relu)}}};"
        )
        factors = code.constant(np.concatenate([blocked(part, at_once) for part in weights.integers]), label="weights")
        exponents = code.constant(weights.exponents, label="exponents")
        bias = "0" if weights.bias is None else f"{code.constant(weights.bias, label='bias')} + group * {channels}"
        columns, shifts = 1, "0"
        if weights.shifts is not None:
            columns = weights.shifts.shape[1]
            shifts = f"{code.constant(weights.shifts, label='shifts')} + group * {columns}"
        blocks = shape.positions[1] if self.rows else 1
        block = self.inputs[0].size // (self.samples * groups * blocks)
        code.line(f"static int32_t aligned[{blocks * block}], units[{blocks}];")
        code.line(f"for (int sample = 0; sample < {self.samples}; sample++)")
        code.line(f"    for (int group = 0; group < {groups}; group++) {{")
        code.line(f"        const int32_t *x = {code.pointer(self.inputs[0])} + (sample * {groups} + group) * {blocks * block};")
        code.line(f"        const int32_t *weights = {factors} + group * {channels * taps}, *exponents = {exponents} + group * {channels};")
        code.line(f"        const int32_t *bias = {bias}, *shifts = {shifts};")
        target = f"(sample * {groups} + group) * {channels * prod(shape.positions)}"
        code.line(f"        int32_t *y = {code.pointer(self.output)} + {target}, special = 0;")
        code.line(f"        for (int i = 0; i < {blocks}; i++)")
        arguments = f"{columns}, {block // columns}, 1, shifts, {ACTIVATION_BITS}, aligned + i * {block}, 1, &special"
        code.line(f"            units[i] = f32_align(x + i * {block}, {arguments});")
        code.line(f"        f32_linear(g, aligned, units, weights, exponents, bias, y, {channels}, {together}, {at_once});")
        code.line(f"        if (special) f32_linear_special(&g, x, weights, 0, bias, y, {channels}, {at_once});")
        code.line("    }")
