"""Functions of one element that are exact on integers: rescaling, cutting, rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray, Rescale
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
        expression = self.rescaling.expression(f"({code.pointer(self.inputs[0])})[i]")
        code.line(f"UNROLL_FOUR for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


@dataclass(eq=False)
class Clamp(Operation):
    """y = x cut to the output's bounds."""

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return np.clip(inputs[0], self.output.lo, self.output.hi).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        expression = f"clamp(({code.pointer(self.inputs[0])})[i], {self.output.lo}, {self.output.hi})"
        code.line(f"UNROLL_FOUR for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


@dataclass(eq=False)
class Round(Operation):
    """The integer next to x * scale: ``Floor``, ``Ceil``, ``Round`` (half to even) or ``Truncate``; shift s, x * multiplier / 2^s.

    Exact for scales that are a power of two, which 16-bit values have.
    """

    mode: str
    multiplier: int
    shift: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        product = inputs[0].reshape(self.output.shape) * self.multiplier
        half, mask = 1 << (self.shift - 1), (1 << self.shift) - 1
        if self.mode == "Floor":
            return np.asarray(product >> self.shift)
        if self.mode == "Ceil":
            return np.asarray((product + mask) >> self.shift)
        if self.mode == "Truncate":
            return np.where(product < 0, (product + mask) >> self.shift, product >> self.shift)
        nearest = (product + half) >> self.shift
        return np.asarray(nearest - (((product & mask) == half) & (nearest & 1 == 1)), np.int64)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        half, mask = f"((int64_t)1 << {self.shift - 1})", f"(((int64_t)1 << {self.shift}) - 1)"
        body = {
            "Floor": f"product >> {self.shift}",
            "Ceil": f"(product + {mask}) >> {self.shift}",
            "Truncate": f"(product < 0 ? product + {mask} : product) >> {self.shift}",
            "Round": f"((product + {half}) >> {self.shift}) - ((product & {mask}) == {half} && (((product + {half}) >> {self.shift}) & 1))",
        }[self.mode]
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    int64_t product = (int64_t)({code.pointer(self.inputs[0])})[i] * {self.multiplier};")
        code.line(f"    ({code.pointer(self.output)})[i] = (int32_t)({body});")
        code.line("}")
