"""Sums of integers: of rows, running ones, and of products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import INT32_MAX, IntArray, Overflow, integer_limits, wraps
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.operations.integers import BEYOND, Fit, c_number, truncated_quotient
from zkvm.ml.operations.matmul import Products

TERMS = {"sum": "row[i]", "absolute": "whole_magnitude(row[i])", "square": "whole_capped((int64_t)row[i] * row[i])"}


@dataclass(eq=False)
class IntegerSum(Operation):
    """The sum of each row of the input, seen as (outputs, length), or of what ``term`` makes of its elements; divided by ``divisor``.

    A result that does not fit the type ends the run, whatever the type: ONNX does not say what sums do then, and runtimes differ.
    """

    term: str
    divisor: int
    fit: Fit

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(self.output.size, -1)
        if self.term == "square":
            # Squares are cut to what no sum of them comes back from, so that their sum fits 64 bits.
            terms = np.minimum(rows * rows, BEYOND)
        else:
            terms = np.abs(rows) if self.term == "absolute" else rows
        total = terms.sum(axis=1)
        lo, hi = integer_limits(self.fit.dtype)
        result = truncated_quotient(total, np.asarray(self.divisor))
        if ((result < lo) | (result > hi)).any():
            raise Overflow(self.name, f"a sum of type {self.fit.dtype} does not fit")
        return result.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        length = self.inputs[0].size // self.output.size
        lo, hi = map(c_number, integer_limits(self.fit.dtype))
        term = TERMS[self.term]
        code.line(f"for (int r = 0; r < {self.output.size}; r++) {{")
        code.line(f"    const int32_t *row = {code.pointer(self.inputs[0])} + r * {length};")
        rows = self.inputs[0]
        largest = length * (rows.magnitude**2 if self.term == "square" else rows.magnitude)
        kind = "int32_t" if largest <= INT32_MAX else "int64_t"
        code.line(f"    {kind} sum = 0;")
        code.line(f"    UNROLL_FOUR for (int i = 0; i < {length}; i++) sum += ({kind})({term});")
        quotient = "sum" if self.divisor == 1 else f"sum / {self.divisor}"
        result = f"(int32_t)({quotient})" if self.fit.exact else f"whole_checked({quotient}, {lo}, {hi}, {code.text(self.name)})"
        code.line(f"    ({code.pointer(self.output)})[r] = {result};")
        code.line("}")


@dataclass(eq=False)
class IntegerRunningSum(Operation):
    """Sums of all elements up to one, or of those before it, along an axis of so many elements, ``step`` words apart."""

    length: int
    step: int
    exclusive: bool
    fit: Fit

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        blocks = inputs[0].reshape(-1, self.length, self.step)
        sums = np.cumsum(blocks, axis=1) - (blocks if self.exclusive else 0)
        return self.fit.apply(self.name, sums).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        x, y, block = code.pointer(self.inputs[0]), code.pointer(self.output), self.length * self.step
        result = self.fit.c(code, self.name, "(int32_t)sum", "sum")
        code.line(f"for (int b = 0; b < {self.output.size}; b += {block})")
        code.line(f"    for (int j = b; j < b + {self.step}; j++) {{")
        code.line("        int64_t sum = 0;")
        code.line(f"        for (int i = j; i < j + {block}; i += {self.step}) {{")
        code.line("" if self.exclusive else f"            sum += ({x})[i];")
        code.line(f"            ({y})[i] = {result};")
        code.line(f"            sum += ({x})[i];" if self.exclusive else "")
        code.line("        }")
        code.line("    }")


WIDEST_SUM = 1 << 62
"""A sum beyond it ends the run, because the next product may be as large."""


@dataclass(eq=False)
class IntegerProduct(Products):
    """Products of matrices of integers of one type."""

    fit: Fit

    @property
    def largest(self) -> int:
        """No sum is larger."""
        return self.inputs[0].magnitude * self.inputs[1].magnitude * self.extents[2]

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        left, right = inputs
        if self.largest >= WIDEST_SUM << 1 and not wraps(self.fit.dtype):
            partial = np.cumsum(left[..., :, :, None].astype(object) * right[..., None, :, :].astype(object), axis=-2)
            if (np.abs(partial) > WIDEST_SUM).any():
                raise Overflow(self.name, "a sum of products does not fit")
        # Modulo 2^64 it is right for all types that wrap.
        return self.fit.apply(self.name, np.matmul(left, right)).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        batch, rows, depth, columns = self.extents
        x, w, y = (code.pointer(value) for value in (*self.inputs, self.output))
        narrow = self.largest <= INT32_MAX
        kind = "int32_t" if narrow else "uint32_t" if wraps(self.fit.dtype) else "int64_t"
        result = self.fit.c(code, self.name, "(int32_t)sum", "sum")
        code.line(f"for (int b = 0; b < {batch}; b++)")
        code.line(f"    for (int i = 0; i < {rows}; i++)")
        code.line(f"        for (int j = 0; j < {columns}; j++) {{")
        code.line(f"            const int32_t *left = {x} + (b * {rows} + i) * {depth}, *right = {w} + b * {depth * columns} + j;")
        code.line(f"            {kind} sum = 0;")
        code.line(f"            for (int k = 0; k < {depth}; k++) {{")
        code.line(f"                sum += ({kind})left[k] * ({kind})right[k * {columns}];")
        if kind == "int64_t" and self.largest >= WIDEST_SUM << 1:
            limit = f"((int64_t)1 << {WIDEST_SUM.bit_length() - 1})"
            reason = '"a sum of products does not fit"'
            code.line(f"                if (sum > {limit} || sum < -{limit}) zkvm_ml_overflow({code.text(self.name)}, {reason});")
        code.line("            }")
        code.line(f"            ({y})[(b * {rows} + i) * {columns} + j] = {result};")
        code.line("        }")
