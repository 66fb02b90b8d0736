"""Sums of floats, factors of channels, and words in the order of floats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml import float32, float32_dot
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.float32_dot import SUM_BITS, product_bits
from zkvm.ml.ir import Operation
from zkvm.ml.operations.convert import float_bits
from zkvm.ml.operations.integers import c_number

SIGN = -(1 << 31)


@dataclass(eq=False)
class FloatReduce(Operation):
    """The sum of each row of the input, seen as (outputs, length), rounded once; then divided by ``count``.

    Attributes:
        function: sum, absolute or square: what is added.
        count: 1 for sums.
    """

    function: str
    count: int = 1

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 25 * self.inputs[0].size + 150 * self.output.size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        result = row_sums(inputs[0].reshape(self.output.size, -1), self.function)
        if self.count > 1:
            result = float32.div(result, np.asarray(float_bits(self.count)))
        return result.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        length = self.inputs[0].size // self.output.size
        row = f"{code.pointer(self.inputs[0])} + i * {length}, {length}"
        last = {"sum": ", 1", "absolute": "", "square": f", {product_bits(length)}"}[self.function]
        name = "f32_sum" if self.function == "sum" else f"f32_sum_{self.function}"
        expression = f"{name}({row}{last})"
        if self.count > 1:
            expression = f"f32_div({expression}, {float_bits(self.count)})"
        code.line(f"for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


def row_sums(rows: IntArray, function: str = "sum") -> IntArray:
    """The sum of every row's words, of their magnitudes (``absolute``) or squares (``square``)."""
    if function == "sum":
        return float32_dot.sum_rows(rows)
    aligned = float32_dot.align(rows, SUM_BITS if function == "absolute" else product_bits(rows.shape[1]))
    if function == "absolute":
        result = float32.scaled(np.abs(aligned.integers).sum(axis=1), aligned.exponents)
    else:
        result = float32.scaled((aligned.integers**2).sum(axis=1), 2 * aligned.exponents)
    special = np.where(float32.is_nan(rows).any(axis=1), float32.NAN, float32.INFINITY)
    return np.where(aligned.special.any(axis=1), special, result)


@dataclass(eq=False)
class FloatAffine(Operation):
    """y = x * factor + offset, both rounded, of (samples, channels, pixels); then the Relu if there is one.

    Attributes:
        factors, offsets: words, one for each channel.
    """

    factors: IntArray
    offsets: IntArray
    relu: bool = False

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 95 * self.output.size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        x = inputs[0].reshape(self.output.shape[0], len(self.factors), -1)
        result = float32.add(float32.mul(x, self.factors[:, None]), self.offsets[:, None])
        return (np.where(result < 0, 0, result) if self.relu else result).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        channels, samples = len(self.factors), self.output.shape[0]
        pixels = self.output.size // (channels * samples)
        factors, offsets = code.constant(self.factors, label="factors"), code.constant(self.offsets, label="offsets")
        code.line(f"for (int c = 0; c < {channels * samples}; c++)")
        code.line(f"    for (int i = c * {pixels}; i < (c + 1) * {pixels}; i++) {{")
        product = f"f32_mul(({code.pointer(self.inputs[0])})[i], {factors}[c % {channels}])"
        code.line(f"        ({code.pointer(self.output)})[i] = f32_finished({product}, {offsets} + c % {channels}, {int(self.relu)});")
        code.line("    }")


@dataclass(eq=False)
class FloatKeys(Operation):
    """y = integers in the order of the floats, or of their negatives.

    Attributes:
        nan: what all NaN are. least: what is smaller is that.
    """

    negated: bool = False
    nan: int = INT32_MAX
    least: int = INT32_MIN

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return float32.key(inputs[0] ^ SIGN if self.negated else inputs[0], self.nan, self.least).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        x = f"({code.pointer(self.inputs[0])})[i]"
        x = f"(int32_t)((uint32_t){x} ^ F32_SIGN)" if self.negated else x
        key = f"f32_key_among({x}, {c_number(self.nan)}, {c_number(self.least)})"
        code.line(f"UNROLL_FOUR for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {key};")


@dataclass(eq=False)
class FloatsOfKeys(Operation):
    """The floats that have these keys; 0 has no sign, and beyond the infinities are NaN."""

    negated: bool = False

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        words = float32.of_key(inputs[0].reshape(self.output.shape))
        return float32.neg(words) if self.negated else words

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        word = f"f32_from_key(({code.pointer(self.inputs[0])})[i])"
        word = f"f32_neg({word})" if self.negated else word
        code.line(f"UNROLL_FOUR for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {word};")
