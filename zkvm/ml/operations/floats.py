"""Functions of floats, element by element: what ``float32.py`` computes in numpy and ``float32.h`` in the guest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml import float32
from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation


@dataclass(eq=False)
class FloatMap(Operation):
    """y = function(x), one of :data:`zkvm.ml.float32.UNARY`."""

    function: str

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 150 * self.output.size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return float32.UNARY[self.function](inputs[0]).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        expression = f"f32_{self.function}(({code.pointer(self.inputs[0])})[i])"
        code.line(f"for (int i = 0; i < {self.output.size}; i++) ({code.pointer(self.output)})[i] = {expression};")


@dataclass(eq=False)
class FloatPair(Operation):
    """y = function(a, b), one of :data:`zkvm.ml.float32.BINARY`: a float, or 0 or 1 of a comparison. One of them may be a single number."""

    function: str

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 60 * self.output.size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        a, b = np.broadcast_arrays(*(array.reshape(self.output.shape if array.size > 1 else ()) for array in inputs))
        return float32.BINARY[self.function](a, b).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        a, b = (f"({code.pointer(value)})[{'i' if value.size == self.output.size else 0}]" for value in self.inputs)
        line = f"({code.pointer(self.output)})[i] = f32_{self.function}({a}, {b});"
        code.line(f"for (int i = 0; i < {self.output.size}; i++) {line}")
