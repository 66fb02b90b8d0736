"""Running sums, and what functions of the rows of any axis have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from zkvm.ml import float32
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.operations.integers import Fit


@dataclass(eq=False)
class Rows(Operation):
    """A function of every row of the middle axis of (outer, length, inner)."""

    length: int
    inner: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        turned = np.swapaxes(inputs[0].reshape(-1, self.length, self.inner), 1, 2)
        result = self.of_rows(turned.reshape(-1, self.length)).reshape(turned.shape)
        return np.swapaxes(result, 1, 2).reshape(self.output.shape)

    @abstractmethod
    def of_rows(self, rows: IntArray) -> IntArray:
        """The function, of (rows, length)."""

    def call(self, code: CodeWriter, name: str, last: str = "") -> None:
        """Append calls of a function of the runtime, which takes source, target, length, and the step in both."""
        block = self.length * self.inner
        source, target = (f"{code.pointer(value)} + o * {block} + i" for value in (self.inputs[0], self.output))
        code.line(f"for (int o = 0; o < {self.output.size // block}; o++)")
        code.line(f"    for (int i = 0; i < {self.inner}; i++) {name}({source}, {target}, {self.length}, {self.inner}{last});")


@dataclass(eq=False)
class FloatRunningSum(Rows):
    """y[i] = x[0] + ... + x[i], one after the other; without x[i] if ``exclusive``."""

    exclusive: bool = False

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 60 * self.output.size

    def of_rows(self, rows: IntArray) -> IntArray:
        """See :class:`Rows`."""
        with np.errstate(all="ignore"):
            sums = float32.to_bits(np.cumsum(float32.to_floats(rows), axis=1, dtype=np.float32))
        return np.concatenate([np.zeros((len(rows), 1), np.int64), sums[:, :-1]], axis=1) if self.exclusive else sums

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        self.call(code, "f32_running_sum", f", {int(self.exclusive)}")


@dataclass(eq=False)
class IntegerRunningSum(Rows):
    """y[i] = x[0] + ... + x[i] on integers of one type; without x[i] if ``exclusive``."""

    fit: Fit
    exclusive: bool = False

    def of_rows(self, rows: IntArray) -> IntArray:
        """See :class:`Rows`."""
        sums = np.cumsum(rows, axis=1)
        return self.fit.apply(self.name, sums - rows if self.exclusive else sums)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        block = self.length * self.inner
        source, target = (f"({code.pointer(value)})[(o * {self.length} + i) * {self.inner} + j]" for value in (self.inputs[0], self.output))
        result = self.fit.c(code, self.name, "(int32_t)sum", "sum")
        code.line(f"for (int o = 0; o < {self.output.size // block}; o++)")
        code.line(f"    for (int j = 0; j < {self.inner}; j++) {{")
        code.line("        int64_t sum = 0;")
        code.line(f"        for (int i = 0; i < {self.length}; i++) {{")
        code.line(f"            int32_t next = {source};")
        code.line(f"            {'' if self.exclusive else 'sum += next;'}")
        code.line(f"            {target} = {result};")
        code.line(f"            {'sum += next;' if self.exclusive else ''}")
        code.line("        }")
        code.line("    }")
