"""Reductions of rows to one number: sums, extremes and their positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation


@dataclass(eq=False)
class Reduce(Operation):
    """Reduces each row of the input, seen as (outputs, length). Sums: requantize(floor(sum / 2^drop)), the sum in 64 bits if need be.

    Attributes:
        function: sum, absolute or square (what is added), maximum, minimum, argmax or argmin (the first of equal extremes),
            argmax_last or argmin_last (the last one).
        rescaling: of a sum.
        drop: bits that a sum loses first.
        sticky: a word which, where it comes first, is the extreme whatever follows; less than all others of a maximum.
    """

    function: str
    rescaling: Rescale | None = None
    drop: int = 0
    sticky: int | None = None

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(self.output.size, -1)
        last = rows.shape[1] - 1
        functions: dict[str, Callable[[], IntArray]] = {
            "sum": lambda: rows.sum(axis=1),
            "absolute": lambda: np.abs(rows).sum(axis=1),
            "square": lambda: (rows * rows).sum(axis=1),
            "maximum": lambda: rows.max(axis=1),
            "minimum": lambda: rows.min(axis=1),
            "argmax": lambda: rows.argmax(axis=1),
            "argmin": lambda: rows.argmin(axis=1),
            "argmax_last": lambda: last - rows[:, ::-1].argmax(axis=1),
            "argmin_last": lambda: last - rows[:, ::-1].argmin(axis=1),
        }
        result = functions[self.function]()
        if self.rescaling is not None:
            result = self.rescaling.apply(result >> self.drop)
        if self.sticky is not None:
            result = np.where(rows[:, 0] == self.sticky, 0 if self.function.startswith("arg") else self.sticky, result)
        return np.asarray(result, np.int64).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        length = self.inputs[0].size // self.output.size
        code.line(f"for (int r = 0; r < {self.output.size}; r++) {{")
        code.line(f"    const int32_t *row = {code.pointer(self.inputs[0])} + r * {length};")
        if self.rescaling is not None:
            kind = "int64_t" if self.drop else "int32_t"
            term = {"sum": "row[i]", "absolute": "(row[i] < 0 ? -row[i] : row[i])", "square": f"({kind})row[i] * row[i]"}[self.function]
            code.line(f"    {kind} sum = 0;")
            code.line(f"    UNROLL_FOUR for (int i = 0; i < {length}; i++) sum += {term};")
            code.line(f"    int32_t result = {code.rescaled(self.rescaling, f'(int32_t)(sum >> {self.drop})')};")
        else:
            better = ">" if "max" in self.function else "<"
            better += "=" if self.function.endswith("_last") else ""
            code.line("    int32_t best = row[0], where = 0;")
            code.line(f"    for (int i = 1; i < {length}; i++) {{")
            code.line(f"        int32_t next = row[i], better = next {better} best;")
            code.line("        best = choose(better, next, best);")
            code.line("        where = choose(better, i, where);")
            code.line("    }")
            result, stuck = ("where", "0") if self.function.startswith("arg") else ("best", "row[0]")
            if self.sticky is not None:
                result = f"choose(row[0] == {self.sticky}, {stuck}, {result})"
            code.line(f"    int32_t result = {result};")
            code.line("    (void)where;")
        code.line(f"    ({code.pointer(self.output)})[r] = result;")
        code.line("}")
