"""Functions of one element that are exact on integers: rescaling, cutting, rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import INT32_MAX, IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation


@dataclass(eq=False)
class Requantize(Operation):
    """y = requantize(x)."""

    rescaling: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return self.rescaling.apply(inputs[0].reshape(self.output.shape))

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        expression = code.rescaled(self.rescaling, f"({code.pointer(self.inputs[0])})[i]")
        code.line(f"UNROLL_FOUR for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


@dataclass(eq=False)
class Clamp(Operation):
    """y = x cut to the output's bounds."""

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return np.clip(inputs[0], *self.output.limits).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        expression = code.cut(f"({code.pointer(self.inputs[0])})[i]", self.output)
        code.line(f"UNROLL_FOUR for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


@dataclass(eq=False)
class Round(Operation):
    """The integer next to x * ratio: ``Floor``, ``Ceil``, ``Round`` (half to even) or ``Truncate``; x * multiplier / 2^shift.

    Exact for scales that are a power of two, which 16-bit values have. A secret ratio: x is cut as in a secret rescaling.
    """

    mode: str
    ratio: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x, shift = inputs[0].reshape(self.output.shape), self.ratio.shift
        if self.ratio.secret:
            x = np.clip(x, -(INT32_MAX >> self.ratio.left), INT32_MAX >> self.ratio.left)
        product = x * self.ratio.multipliers[0]
        half, mask = 1 << (shift - 1), (1 << shift) - 1
        if self.mode == "Floor":
            return np.asarray(product >> shift)
        if self.mode == "Ceil":
            return np.asarray((product + mask) >> shift)
        if self.mode == "Truncate":
            return np.where(product < 0, (product + mask) >> shift, product >> shift)
        nearest = (product + half) >> shift
        return np.asarray(nearest - (((product & mask) == half) & (nearest & 1 == 1)), np.int64)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        source, target, shift = code.pointer(self.inputs[0]), code.pointer(self.output), self.ratio.shift
        if self.ratio.secret:
            multiplier, left, right = (
                code.number(number) for number in (self.ratio.multipliers[0], self.ratio.left, shift + self.ratio.left)
            )
            result = f"round_secret(({source})[i], {multiplier}, {left}, {right}, ROUND_{self.mode.upper()})"
            code.line(f"for (int i = 0; i < {self.output.size}; i++) ({target})[i] = {result};")
            return
        half, mask = f"((int64_t)1 << {shift - 1})", f"(((int64_t)1 << {shift}) - 1)"
        body = {
            "Floor": f"product >> {shift}",
            "Ceil": f"(product + {mask}) >> {shift}",
            "Truncate": f"(product + ({mask} & (product >> 63))) >> {shift}",
            "Round": f"((product + {half}) >> {shift}) - (((product & {mask}) == {half}) & (((product + {half}) >> {shift}) & 1))",
        }[self.mode]
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    int64_t product = (int64_t)({source})[i] * {self.ratio.multipliers[0]};")
        code.line(f"    ({target})[i] = (int32_t)({body});")
        code.line("}")
