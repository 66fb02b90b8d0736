"""Tensors of private numbers that are no layer's: constants of a model, and channels of products."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import PRIVATE_TENSOR, CodeWriter
from zkvm.ml.ir import Operation
from zkvm.ml.operations.rearranging import gathering_cost
from zkvm.ml.operations.tensors import CELLS, layout_of

PRIVATE_CELLS = 116
"""Of a private vector, with its part of the digest."""


@dataclass(eq=False)
class TensorPrivate(Operation):
    """A tensor of private integers."""

    elements: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        vectors = layout_of(self.output).vectors
        return gathering_cost(vectors, vectors) + vectors * PRIVATE_CELLS // CELLS

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        del inputs
        return self.elements.reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        rows = self.elements.reshape(-1)[layout_of(self.output).filled()]
        call = code.descriptor("gather", f".vectors = {len(rows)}, .pattern = ZKVM_AT({code.private_lanes(rows)})")
        code.line(f"{code.tensor(self.output)} = zkvm_tensor_gather(&{call}, {PRIVATE_TENSOR}, ZKVM_CONSTANT_VECTORS);")
