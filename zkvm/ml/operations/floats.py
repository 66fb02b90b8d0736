"""Functions of floats, element by element: what ``float_functions.py`` computes in numpy and ``float_elements.h`` in the guest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml import float32
from zkvm.ml.arithmetic import INT32_MIN, IntArray, Overflow, integer_limits, wraps
from zkvm.ml.code import CodeWriter
from zkvm.ml.float_functions import BINARY, COST, COSTS, UNARY, nearest
from zkvm.ml.ir import Operation
from zkvm.ml.operations.convert import float_bits
from zkvm.ml.operations.integers import Fit, c_number

Formula = str | float | tuple["str | Formula", ...]
"""An input, ``"a"``, ``"b"`` or ``"c"``; a number that says nothing about weights; or a function's name and its arguments: one of
:data:`UNARY` or :data:`BINARY`, or ``choose``, which is its second argument where the first one is true, else the third."""
NAMES = "abc"
SHORTEST_COST = 8
"""Instructions of one step of a loop that loads and stores."""


@dataclass(eq=False)
class FloatFormula(Operation):
    """y = formula of the inputs, each of the output's shape or a single number."""

    formula: Formula

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return (SHORTEST_COST + _cost(self.formula)) * self.output.size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        shaped = (array.reshape(self.output.shape if array.size == self.output.size else ()) for array in inputs)
        values = dict(zip(NAMES, shaped, strict=False))
        return np.ascontiguousarray(np.broadcast_to(_evaluated(self.formula, values), self.output.shape), np.int64)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        names = {
            name: f"({code.pointer(value)})[{'i' if value.size == self.output.size else 0}]"
            for name, value in zip(NAMES, self.inputs, strict=False)
        }
        declared = ", ".join(f"{name} = {element}" for name, element in names.items())
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {{")
        code.line(f"    int32_t {declared};")
        code.line(f"    ({code.pointer(self.output)})[i] = {_text(self.formula)};")
        code.line("}")


def _cost(formula: Formula) -> int:
    if not isinstance(formula, tuple):
        return 0
    own = 4 if formula[0] == "choose" else COSTS.get(str(formula[0]), COST)
    return own + sum(map(_cost, formula[1:]))


def _evaluated(formula: Formula, values: dict[str, IntArray]) -> IntArray:
    if isinstance(formula, str):
        return values[formula]
    if not isinstance(formula, tuple):
        return np.asarray(float_bits(formula))
    name, arguments = str(formula[0]), [_evaluated(part, values) for part in formula[1:]]
    if name == "choose":
        return np.where(arguments[0] != 0, arguments[1], arguments[2])
    return UNARY[name](arguments[0]) if len(arguments) == 1 else BINARY[name](*np.broadcast_arrays(*arguments))


def _text(formula: Formula) -> str:
    if isinstance(formula, str):
        return formula
    if not isinstance(formula, tuple):
        return c_number(float_bits(formula))
    name, arguments = str(formula[0]), list(map(_text, formula[1:]))
    if name == "choose":
        return f"({arguments[0]} ? {arguments[1]} : {arguments[2]})"
    return f"f32_{name}({', '.join(arguments)})"


@dataclass(eq=False)
class FloatToInteger(Operation):
    """y = x without its fraction, as a number of an integer type.

    What is NaN or beyond a word is the least word in types that a word holds, which then wraps to their width, as onnxruntime has it on
    x86; in wider types the run ends.
    """

    fit: Fit

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x = inputs[0].reshape(self.output.shape)
        whole = float32.to_i32(x)
        if wraps(self.fit.dtype):
            return self.fit.apply(self.name, whole)
        if (((whole == INT32_MIN) & (x != float_bits(float(INT32_MIN)))) | (whole < self.output.lo)).any():
            raise Overflow(self.name, f"a number cast to {self.fit.dtype} does not fit a word of 32 bits")
        return whole

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        x = f"({code.pointer(self.inputs[0])})[i]"
        word = f"f32_to_i32({x})"
        if wraps(self.fit.dtype):
            result = self.fit.c(code, self.name, word, word)
        else:
            result = f"f32_word_of({x}, {c_number(integer_limits(self.fit.dtype)[0])}, {code.text(self.name)})"
        code.line(f"for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {result};")


@dataclass(eq=False)
class FloatQuantize(Operation):
    """y = x / scale rounded to the nearest integer, of two the even one, plus the zero point, cut to the output's bounds.

    Its inputs: x, scale, and zero point.
    """

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x, scale, zero = (array.reshape(self.output.shape if array.size == self.output.size else ()) for array in inputs)
        result = nearest(float32.div(*np.broadcast_arrays(x, scale))) + zero
        return np.asarray(np.clip(result, self.output.lo, self.output.hi), np.int64)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        x, scale, zero = (f"({code.pointer(value)})[{'i' if value.size == self.output.size else 0}]" for value in self.inputs)
        result = f"f32_quantized(f32_div({x}, {scale}), {zero}, {self.output.lo}, {self.output.hi})"
        code.line(f"for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {result};")
