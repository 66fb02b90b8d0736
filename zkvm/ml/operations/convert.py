"""Conversions between fixed point and floats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml import float32
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.float_functions import fixed
from zkvm.ml.ir import Operation


@dataclass(eq=False)
class ToFloat(Operation):
    """y = the float nearest to x, times the float nearest to ``factor``, which may say something about the weights; integers have 1."""

    factor: float = 1.0
    secret: bool = False

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        numbers = inputs[0].reshape(self.output.shape).astype(np.float32)
        return float32.to_bits(numbers if self.factor == 1.0 else numbers * np.float32(self.factor))

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        expression = f"f32_from_i32(({code.pointer(self.inputs[0])})[i])"
        if self.factor != 1.0 or (self.secret and code.private_weights):
            expression = f"f32_mul({expression}, {code.number(float_bits(self.factor), self.secret)})"
        code.line(f"for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


@dataclass(eq=False)
class FromFloat(Operation):
    """y = the integer nearest to x times the float ``factor``, ties to even, cut to the output's bounds; a NaN becomes the lower one."""

    factor: float

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return fixed(inputs[0].reshape(self.output.shape), np.asarray(float_bits(self.factor)), *self.output.limits)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        secret = self.output.secret
        low, high = (code.number(limit, self.output.cut is not None) for limit in self.output.limits)
        expression = f"f32_fixed(({code.pointer(self.inputs[0])})[i], {code.number(float_bits(self.factor), secret)}, {low}, {high})"
        code.line(f"for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


def float_bits(number: float) -> int:
    """The word of the float nearest to a number."""
    return int(float32.to_bits(np.asarray(number, np.float32)).reshape(-1)[0])
