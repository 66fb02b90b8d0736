"""Functions of two elements at the same place: sums, products, quotients, and exact arithmetic on integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import INT32_MAX, IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation, Value


def elementwise(code: CodeWriter, operation: Operation, expression: str) -> None:
    """target[i] = expression of a and b, the elements of the two inputs."""
    left, right = (code.pointer(value) for value in operation.inputs[:2])
    code.line(f"UNROLL_FOUR for (int i = 0; i < {operation.output.size}; i++) {{")
    code.line(f"    int32_t a = ({left})[i], b = ({right})[i];")
    code.line(f"    ({code.pointer(operation.output)})[i] = {expression};")
    code.line("}")


@dataclass(eq=False)
class Sum(Operation):
    """y = floor((a * left + b * right + 2^(shift - 1)) / 2^shift), cut to the bounds; all in 32 bits. Shift 0: no rounding."""

    left: int
    right: int
    shift: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        half = (1 << self.shift) >> 1
        total = (inputs[0] * self.left + inputs[1] * self.right + half) >> self.shift
        return np.asarray(np.clip(total, *self.output.limits), np.int64)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        left, right, half = (code.number(number) for number in (self.left, self.right, (1 << self.shift) >> 1))
        elementwise(code, self, code.cut(f"(a * {left} + b * {right} + {half}) >> {code.shift(self.shift)}", self.output))


@dataclass(eq=False)
class Product(Operation):
    """y = requantize(a * b)."""

    rescaling: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return self.rescaling.apply(inputs[0] * inputs[1])

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        elementwise(code, self, code.rescaled(self.rescaling, "(a * b)"))


@dataclass(eq=False)
class Quotient(Operation):
    """y = a * multiplier / (b * 2^shift), rounded half up, cut to the bounds; b = 0 gives the bound on a's side, and 0 / 0 is 0."""

    multiplier: int
    shift: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        a, b = inputs
        lo, hi = self.output.limits
        numerator, denominator = a * self.multiplier, b << self.shift
        numerator, denominator = np.where(denominator < 0, -numerator, numerator), np.abs(denominator)
        safe = np.where(denominator == 0, 1, denominator)
        quotient = np.clip((2 * numerator + safe) // (2 * safe), lo, hi)
        return np.where(denominator == 0, np.select([a < 0, a > 0], [lo, hi], 0), quotient)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        lo, hi = (code.number(limit) for limit in self.output.limits)
        elementwise(code, self, f"divide(a, b, {code.number(self.multiplier)}, {code.shift(self.shift)}, {lo}, {hi})")


@dataclass(eq=False)
class Whole(Operation):
    """``Add``, ``Sub``, ``Max`` or ``Min`` of integers that share a scale, cut to the output's bounds."""

    function: str

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        a, b = inputs
        functions: dict[str, Callable[[], IntArray]] = {
            "Add": lambda: a + b,
            "Sub": lambda: a - b,
            "Max": lambda: np.maximum(a, b),
            "Min": lambda: np.minimum(a, b),
        }
        return np.asarray(np.clip(functions[self.function](), self.output.lo, self.output.hi), np.int64)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        wide = {"Add": "(int64_t)a + b", "Sub": "(int64_t)a - b"}
        if self.function in wide:
            expression = wide[self.function]
            if whole_bound(self.function, self.inputs[0], self.inputs[1]) <= INT32_MAX:
                elementwise(code, self, f"bounded({expression.replace('(int64_t)', '')}, {self.output.lo}, {self.output.hi})")
            else:
                elementwise(code, self, f"bounded64({expression}, {self.output.lo}, {self.output.hi})")
            return
        expression = {"Max": "choose(a > b, a, b)", "Min": "choose(a < b, a, b)"}[self.function]
        elementwise(code, self, f"bounded({expression}, {self.output.lo}, {self.output.hi})")


def whole_bound(function: str, left: Value, right: Value) -> int:
    """Largest magnitude before the cut."""
    return left.magnitude + right.magnitude if function in ("Add", "Sub") else max(left.magnitude, right.magnitude)
