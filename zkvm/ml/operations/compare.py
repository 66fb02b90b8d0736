"""Comparisons and logic, and choice by a condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.operations.binary import elementwise


@dataclass(eq=False)
class Compare(Operation):
    """y = a <operator> b as 0 or 1, on integers of one scale; also ``&&``, ``||`` and exclusive or, as ``!=``, of booleans."""

    operator: str

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        a, b = inputs
        functions: dict[str, Callable[[], Any]] = {
            "<": lambda: a < b,
            "<=": lambda: a <= b,
            ">": lambda: a > b,
            ">=": lambda: a >= b,
            "==": lambda: a == b,
            "!=": lambda: a != b,
            "&&": lambda: (a != 0) & (b != 0),
            "||": lambda: (a != 0) | (b != 0),
        }
        return np.asarray(functions[self.operator](), np.int64).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        elementwise(code, self, f"a {self.operator} b")


@dataclass(eq=False)
class Select(Operation):
    """y = a where the third input is not 0, else b."""

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return np.where(inputs[2] != 0, inputs[0], inputs[1])

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        elementwise(code, self, f"choose(({code.pointer(self.inputs[2])})[i] != 0, a, b)")
