"""Integers as ONNX has them: results that wrap to their width; or, where a word cannot hold all of a type, end the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray, Overflow, integer_limits, wraps
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.operations.binary import elementwise

Dtype = np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Fit:
    """How results become numbers of an integer type.

    Attributes:
        dtype: of ONNX.
        exact: whether the bounds show that they are such numbers already.
    """

    dtype: Dtype
    exact: bool

    def apply(self, name: str, results: IntArray) -> IntArray:
        """Numbers of the type.

        Args:
            name: of the layer.
            results: exact ones; of types that wrap, or ones that differ from these by a multiple of 2^32.

        Raises:
            Overflow: one does not fit a word, and the type is wider than that, or has no sign.
        """
        lo, hi = integer_limits(self.dtype)
        if wraps(self.dtype):
            return np.asarray((results - lo) % (hi - lo + 1) + lo, np.int64)
        if ((results < lo) | (results > hi)).any():
            raise Overflow(name, f"a result of type {self.dtype} does not fit a word of 32 bits")
        return np.asarray(results, np.int64)

    def c(self, code: CodeWriter, name: str, word: str, wide: str) -> str:
        """The C expression of the number.

        Args:
            code: that it is for.
            name: of the layer.
            word: the result modulo 2^32.
            wide: the result as int64_t.
        """
        if self.exact:
            return word
        if wraps(self.dtype):
            return f"({self.dtype.name}_t)({word})"
        lo, hi = integer_limits(self.dtype)
        return f"whole_checked({wide}, {c_number(lo)}, {c_number(hi)}, {code.text(name)})"


def c_number(number: int) -> str:
    """A word as C takes it."""
    return "INT32_MIN" if number == INT32_MIN else str(number)


WORDS = {
    "Add": "(int32_t)((uint32_t)a + (uint32_t)b)",
    "Sub": "(int32_t)((uint32_t)a - (uint32_t)b)",
    "Mul": "(int32_t)((uint32_t)a * (uint32_t)b)",
    "Div": "machine_quotient(a, {divisor})",
    "Mod": "whole_modulus(a, {divisor})",
    "Fmod": "machine_remainder(a, {divisor})",
    "Max": "choose(a > b, a, b)",
    "Min": "choose(a < b, a, b)",
    "BitwiseAnd": "a & b",
    "BitwiseOr": "a | b",
    "BitwiseXor": "a ^ b",
    "ShiftLeft": "whole_left(a, b, {bits})",
    "ShiftRight": "whole_right(a, b)",
    "Pow": "whole_power(a, b, {layer})",
}
"""C expressions of results modulo 2^32."""
WIDE = {
    "Add": "(int64_t)a + b",
    "Sub": "(int64_t)a - b",
    "Mul": "(int64_t)a * b",
    "Div": "whole_quotient_wide(a, {divisor})",
    "ShiftLeft": "whole_left_wide(a, b, {bits})",
    "Pow": "whole_power_wide(a, b, {layer})",
}
"""The same as int64_t, where they may not fit a word."""
BEYOND = 1 << 40
"""What stands for everything that is far beyond a word."""


@dataclass(eq=False)
class IntegerPair(Operation):
    """y = a <function> b on integers of one type; division truncates and ``Mod`` has the divisor's sign. By 0: the run ends."""

    function: str
    fit: Fit

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        a, b = (array.reshape(self.output.shape) for array in inputs)
        if self.function in ("Div", "Mod", "Fmod") and (b == 0).any():
            raise Overflow(self.name, "a division by 0")
        if self.function == "Pow" and ((a == 0) & (b < 0)).any():
            raise Overflow(self.name, "a negative power of 0")
        functions: dict[str, Callable[[], IntArray]] = {
            "Add": lambda: a + b,
            "Sub": lambda: a - b,
            "Mul": lambda: a * b,
            "Div": lambda: truncated_quotient(a, b),
            "Mod": lambda: a % b,
            "Fmod": lambda: a - truncated_quotient(a, b) * b,
            "Max": lambda: np.maximum(a, b),
            "Min": lambda: np.minimum(a, b),
            "BitwiseAnd": lambda: a & b,
            "BitwiseOr": lambda: a | b,
            "BitwiseXor": lambda: a ^ b,
            "ShiftLeft": lambda: self._shifted(a, b),
            "ShiftRight": lambda: a >> np.where((b >= 0) & (b < 32), b, 31),
            "Pow": lambda: power_modulo(a, b) if wraps(self.fit.dtype) else power(a, b),
        }
        return self.fit.apply(self.name, functions[self.function]())

    def _shifted(self, a: IntArray, b: IntArray) -> IntArray:
        bits = 8 * self.fit.dtype.itemsize
        inside = (b >= 0) & (b < min(bits, 32))
        beyond = np.where((a != 0) & (b < bits) & (b >= 0), BEYOND, 0)
        return np.where(inside, a << np.where(inside, b, 0), beyond)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        divisor, layer = self.inputs[1], code.text(self.name)
        safe = (divisor.lo > 0 or divisor.hi < 0) and not code.private_weights
        texts = {"divisor": "b" if safe else f"whole_divisor(b, {layer})", "bits": str(8 * self.fit.dtype.itemsize), "layer": layer}
        word = WORDS[self.function].format(**texts)
        elementwise(code, self, self.fit.c(code, self.name, word, WIDE.get(self.function, WORDS[self.function]).format(**texts)))


@dataclass(eq=False)
class Narrow(Operation):
    """y = x as a number of another integer type."""

    fit: Fit

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return self.fit.apply(self.name, inputs[0].reshape(self.output.shape))

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        word = f"({code.pointer(self.inputs[0])})[i]"
        result = self.fit.c(code, self.name, word, word)
        code.line(f"for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {result};")


def truncated_quotient(a: IntArray, b: IntArray) -> IntArray:
    """a / b without its fraction."""
    return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)), np.int64)


def _negative_power(a: IntArray, b: IntArray) -> IntArray:
    """a^b for b < 0 without its fraction."""
    return np.where(a == 1, 1, np.where(a == -1, 1 - 2 * (b & 1), 0))


def power_modulo(a: IntArray, b: IntArray) -> IntArray:
    """a^b modulo 2^32, not negative; of negative b without its fraction."""
    result, square, rest = np.ones(a.shape, np.uint64), (a & 0xFFFFFFFF).astype(np.uint64), np.maximum(b, 0)
    while rest.any():
        result = np.where(rest & 1, result * square & np.uint64(0xFFFFFFFF), result)
        square, rest = square * square & np.uint64(0xFFFFFFFF), rest >> 1
    return np.where(b < 0, _negative_power(a, b), result.astype(np.int64))


def power(a: IntArray, b: IntArray) -> IntArray:
    """a^b, cut to somewhere beyond a word; of negative b without its fraction."""
    result = np.ones_like(a)
    # A magnitude of 2 and more is beyond a word after 32 products; those below repeat themselves after two.
    rest = np.where(b > 33, 32 + (b & 1), np.maximum(b, 0))
    for step in range(33):
        result = np.where(step < rest, np.clip(result * a, INT32_MIN - 1, INT32_MAX + 1), result)
    return np.where(b < 0, _negative_power(a, b), result)
