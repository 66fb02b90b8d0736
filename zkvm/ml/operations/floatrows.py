"""Functions of whole rows of floats: softmax, normalisation, running sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from zkvm.ml import float32, float32_elementary
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.float32_dot import product_bits
from zkvm.ml.ir import Operation
from zkvm.ml.operations.convert import float_bits
from zkvm.ml.operations.floatreduce import row_sums


@dataclass(eq=False)
class _Rows(Operation):
    """A function of every row of the middle axis of (outer, length, inner)."""

    length: int
    inner: int

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        turned = np.swapaxes(inputs[0].reshape(-1, self.length, self.inner), 1, 2)
        result = self.of_rows(turned.reshape(-1, self.length)).reshape(turned.shape)
        return np.swapaxes(result, 1, 2).reshape(self.output.shape)

    def of_rows(self, rows: IntArray) -> IntArray:
        """The function, of (rows, length)."""
        raise NotImplementedError

    def call(self, code: CodeWriter, name: str, last: str = "") -> None:
        """Append calls of a function of the runtime, which takes source, target, length, and the step in both."""
        block = self.length * self.inner
        source, target = (f"{code.pointer(value)} + o * {block} + i" for value in (self.inputs[0], self.output))
        code.line(f"for (int o = 0; o < {self.output.size // block}; o++)")
        code.line(f"    for (int i = 0; i < {self.inner}; i++) {name}({source}, {target}, {self.length}, {self.inner}{last});")


@dataclass(eq=False)
class FloatSoftmax(_Rows):
    """y[i] = e[i] / sum e, e[i] = exp(x[i] - max x)."""

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 320 * self.output.size

    def of_rows(self, rows: IntArray) -> IntArray:
        """See :class:`_Rows`."""
        largest = reduce(float32.max, rows.T)[:, None]
        differences = float32.sub(rows, largest)
        exponentials = float32_elementary.exp(differences)
        sums = row_sums(exponentials)[:, None]
        return float32.div(exponentials, sums)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        self.call(code, "f32_softmax")


@dataclass(eq=False)
class FloatRunningSum(_Rows):
    """y[i] = x[0] + ... + x[i], one after the other; without x[i] if ``exclusive``."""

    exclusive: bool = False

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 60 * self.output.size

    def of_rows(self, rows: IntArray) -> IntArray:
        """See :class:`_Rows`."""
        with np.errstate(all="ignore"):
            sums = float32.to_bits(np.cumsum(float32.to_floats(rows), axis=1, dtype=np.float32))
        return np.concatenate([np.zeros((len(rows), 1), np.int64), sums[:, :-1]], axis=1) if self.exclusive else sums

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        self.call(code, "f32_running_sum", f", {int(self.exclusive)}")


@dataclass(eq=False)
class FloatNormalize(Operation):
    """Rows to mean 0 and variance 1, times gain plus offset per element (or per row). Without ``centred`` the mean stays.

    Attributes:
        epsilon: added to the variance; a word, like gains and offsets.
        offsets: if there are any.
    """

    length: int
    epsilon: int
    gains: IntArray
    offsets: IntArray | None
    per_row: bool
    centred: bool

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 240 * self.output.size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows, length = inputs[0].reshape(-1, self.length), np.asarray(float_bits(self.length))
        if self.centred:
            rows = float32.sub(rows, float32.div(row_sums(rows), length)[:, None])
        variances = float32.div(row_sums(rows, "square"), length)
        roots = float32.sqrt(float32.add(variances, np.asarray(self.epsilon)))
        result = float32.mul(rows, float32.div(np.asarray(float32.ONE), roots)[:, None])
        spread: Callable[[IntArray], IntArray] = lambda words: np.resize(words, len(rows))[:, None] if self.per_row else words  # noqa: E731
        result = float32.mul(result, spread(self.gains))
        if self.offsets is not None:
            result = float32.add(result, spread(self.offsets))
        return result.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        gains = code.constant(self.gains, label="gain")
        where = f"r % {len(self.gains)}" if self.per_row else "i"
        expression = f"f32_mul(y[i], {gains}[{where}])"
        if self.offsets is not None:
            expression = f"f32_add({expression}, {code.constant(self.offsets, label='offset')}[{where}])"
        code.line(f"for (int r = 0; r < {self.output.size // self.length}; r++) {{")
        code.line(f"    int32_t *y = {code.pointer(self.output)} + r * {self.length};")
        source = f"{code.pointer(self.inputs[0])} + r * {self.length}"
        settings = f"{float_bits(self.length)}, {code.number(self.epsilon)}, {int(self.centred)}, {product_bits(self.length)}"
        code.line(f"    f32_normalize({source}, y, {self.length}, {settings});")
        code.line(f"    for (int i = 0; i < {self.length}; i++) y[i] = {expression};")
        code.line("}")
