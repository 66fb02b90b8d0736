"""Functions of whole rows of floats: softmax and normalisation."""

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
from zkvm.ml.operations.running import Rows


@dataclass(eq=False)
class FloatSoftmax(Rows):
    """y[i] = e[i] / sum e, e[i] = exp(x[i] - max x)."""

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 320 * self.output.size

    def of_rows(self, rows: IntArray) -> IntArray:
        """See :class:`Rows`."""
        largest = reduce(float32.max, rows.T)[:, None]
        differences = float32.sub(rows, largest)
        exponentials = float32_elementary.exp(differences)
        sums = row_sums(exponentials)[:, None]
        return float32.div(exponentials, sums)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        self.call(code, "f32_softmax")


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
