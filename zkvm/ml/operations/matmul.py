"""Products of two activations: batched matrix product with a 64-bit accumulator where 32 bits could overflow."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from zkvm.ml.arithmetic import IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation


@dataclass(eq=False)
class Products(Operation):
    """Products of the matrices (rows, depth) and (depth, columns) of two batches."""

    @property
    def extents(self) -> tuple[int, int, int, int]:
        """Batch, rows, depth, columns."""
        left, right = self.inputs[0].shape, self.inputs[1].shape
        return prod(left[:-2]), left[-2], left[-1], right[-1]

    @property
    def macs(self) -> int:
        """See :class:`Operation`."""
        return prod(self.extents)


@dataclass(eq=False)
class MatrixProduct(Products):
    """y[b] = requantize(round(x[b] w[b] / 2^drop))."""

    drop: int
    rescaling: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        sums = np.matmul(inputs[0], inputs[1])
        if self.drop:
            sums = (sums + (1 << (self.drop - 1))) >> self.drop
        return self.rescaling.apply(sums).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        batch, rows, depth, columns = self.extents
        left, right, target = (code.pointer(value) for value in (*self.inputs, self.output))
        function = "inner_product" if self.drop else "inner_product_narrow"
        product = f"{function}({left} + (b * {rows} + i) * {depth}, {right} + b * {depth * columns} + j, {depth}, {columns})"
        if self.drop:
            product = f"(int32_t)(({product} + ((int64_t)1 << {self.drop - 1})) >> {self.drop})"
        code.line(f"for (int b = 0; b < {batch}; b++)")
        code.line(f"    for (int i = 0; i < {rows}; i++)")
        code.line(f"        for (int j = 0; j < {columns}; j++) {{")
        code.line(f"            int32_t sum = {product};")
        code.line(f"            ({target})[(b * {rows} + i) * {columns} + j] = {code.rescaled(self.rescaling, 'sum')};")
        code.line("        }")
