"""Functions of two elements at the same place: sums, products, quotients, and exact arithmetic on integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from zkvm.ml.arithmetic import INT32_MAX, IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation, Value

LONG_ROW = 16
"""A constant is read where it lies, and not repeated, if it is the same for, or runs along, rows of this length: then a loop for each row
costs less than what it saves."""


def elementwise(code: CodeWriter, operation: Operation, expression: str) -> None:
    """target[i] = expression of a and b, the elements of the two inputs."""
    operands = [value if value.repeats is None else value.repeats for value in operation.inputs[:2]]
    loops = _loops(operation.output.shape, operands)
    if len(loops) > 1 and loops[-1][0] < LONG_ROW:
        operands, loops = list(operation.inputs[:2]), [(operation.output.size, 1, 1)]
    left, right = (code.pointer(value) for value in operands)
    names = ["i"] if len(loops) == 1 else [f"i{depth}" for depth in range(len(loops))]
    for name, (count, *_) in zip(names[:-1], loops, strict=False):
        code.line(f"for (int {name} = 0; {name} < {count}; {name}++)")
    code.line(f"UNROLL_FOUR for (int {names[-1]} = 0; {names[-1]} < {loops[-1][0]}; {names[-1]}++) {{")
    if len(loops) > 1:
        code.line(f"    int i = {_place(names, [prod(loop[0] for loop in loops[depth + 1 :]) for depth in range(len(loops))])};")
    first, second = (_place(names, [loop[side] for loop in loops]) for side in (1, 2))
    code.line(f"    int32_t a = ({left})[{first}], b = ({right})[{second}];")
    code.line(f"    ({code.pointer(operation.output)})[i] = {expression};")
    code.line("}")


def _place(names: list[str], steps: list[int]) -> str:
    """C expression of a position."""
    return " + ".join(name if step == 1 else f"{name} * {step}" for name, step in zip(names, steps, strict=True) if step) or "0"


def _loops(shape: tuple[int, ...], operands: list[Value]) -> list[tuple[int, int, int]]:
    """The fewest nested loops, outermost first, over all elements: count, and what each operand's position grows by."""
    steps = []
    for value in operands:
        own = shape if value.size == prod(shape) else value.shape
        places = np.broadcast_to(np.arange(value.size, dtype=np.int64).reshape(own), shape)
        steps.append([step // places.itemsize for step in places.strides])
    loops: list[tuple[int, int, int]] = []
    for count, *step in zip(shape, *steps, strict=True):
        if count == 1:
            continue
        if loops and all(loops[-1][side + 1] == step[side] * count for side in range(2)):
            loops[-1] = (loops[-1][0] * count, step[0], step[1])
        else:
            loops.append((count, step[0], step[1]))
    return loops or [(1, 1, 1)]


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
        return self.rescaling.apply(inputs[0] * inputs[1]).reshape(self.output.shape)

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
